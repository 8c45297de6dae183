"""Starlette and uvicorn, with uvloop and httptools: one thread, no batches."""

from __future__ import annotations

import sys

import uvicorn
from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import JSONResponse
from starlette.routing import Route

from benchmarks.peers.model import answer, load

if __name__ == "__main__":
    model = load()

    async def invocations(request: Request) -> JSONResponse:
        body = await request.json()
        return JSONResponse(answer(model, body["texts"]))

    app = Starlette(routes=[Route("/invocations", invocations, methods=["POST"])])
    uvicorn.run(app, port=int(sys.argv[1]), log_level="warning", access_log=False)
