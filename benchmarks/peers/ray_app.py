"""Ray Serve: one replica, dynamic batches."""

from __future__ import annotations

import sys
from typing import Any

import ray
from ray import serve
from starlette.requests import Request

from benchmarks.peers.model import answer, load


@serve.deployment(max_ongoing_requests=256)
class Reviews:
    def __init__(self) -> None:
        self.model = load()

    @serve.batch(max_batch_size=64, batch_wait_timeout_s=0)
    async def judge(self, texts: list[str]) -> list[dict[str, Any]]:
        return answer(self.model, texts)

    async def __call__(self, request: Request) -> dict[str, Any]:
        found: dict[str, Any] = await self.judge((await request.json())["texts"][0])
        return found


if __name__ == "__main__":
    ray.init(num_cpus=2, include_dashboard=False, log_to_driver=False, configure_logging=False)
    serve.start(http_options={"port": int(sys.argv[1])})
    serve.run(Reviews.bind(), route_prefix="/invocations", blocking=True)  # type: ignore[attr-defined]
