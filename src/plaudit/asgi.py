"""What both HTTP servers share: a body within a limit, and every error as one JSON sentence. Knows no route."""

from __future__ import annotations

import json
import logging

from starlette.exceptions import HTTPException
from starlette.requests import ClientDisconnect, Request
from starlette.responses import Response

from plaudit.errors import BadRequest, EndpointAway, EndpointError, RequestError, TooLarge

MAX_BYTES = 2**20
log = logging.getLogger("plaudit.http")


async def read_body(request: Request, limit: int) -> bytes:
    """The request's body. Raises TooLarge as soon as more than ``limit`` bytes are announced or sent."""
    refusal = f"the body is larger than {limit:,} bytes"
    announced = request.headers.get("content-length", "")
    if announced.isdecimal() and int(announced) > limit:
        raise TooLarge(refusal)
    body, more = bytearray(), True
    while more:  # what request.stream() does, without a generator's 15 µs
        message = await request.receive()
        if message["type"] == "http.disconnect":
            raise ClientDisconnect
        body += message.get("body", b"")
        more = message.get("more_body", False)
        if len(body) > limit:
            raise TooLarge(refusal)
    return bytes(body)


def as_utf8(body: bytes) -> str:
    """Raises BadRequest with the place of the first byte that is not UTF-8."""
    try:
        return body.decode("utf-8")
    except UnicodeDecodeError as error:
        raise BadRequest(f"the body is not UTF-8 at byte {error.start + 1}") from None


async def refuse(request: Request, error: Exception) -> Response:
    """The answer to a request that went wrong in a way that we know."""
    if isinstance(error, EndpointAway):
        log.error("%s", error)
        return sentence(error.status, "the model does not answer just now: try again in a moment", error.retry_after)
    if isinstance(error, (RequestError, EndpointError)):
        return sentence(error.status, str(error), error.retry_after)
    assert isinstance(error, HTTPException)
    found = sentence(error.status_code, f"{request.method} {request.scope['path']}: {error.detail}")
    found.headers.update(error.headers or {})
    return found


async def fail(request: Request, error: Exception) -> Response:
    """A fault of ours: the client gets a sentence, the server's log gets the traceback."""
    return sentence(500, "the server failed on this request; its log says why")


def sentence(status: int, text: str, retry_after: int | None = None, **more: str) -> Response:
    """``{"error": text}``, with ``more`` fields beside it."""
    headers = {"retry-after": str(retry_after)} if retry_after else {}
    content = json.dumps({"error": text, **more}, ensure_ascii=False).encode("utf-8", "backslashreplace")
    return Response(content, status, headers, media_type="application/json")


FAILURES = {RequestError: refuse, EndpointError: refuse, HTTPException: refuse, Exception: fail}
