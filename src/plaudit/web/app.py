"""The public API and the page over HTTP. Knows a function from text to verdict, and nothing of what is behind it.

GET  /             the page
POST /             raw text in, 1.0 or 0.0 out, as the original's API did; for two labels
POST /api/reviews  {"text": "…"} in, a verdict out
GET  /api/model    what the page says about the model
GET  /docs         the API's documentation, from /openapi.json
"""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping
from importlib.resources import files
from typing import Any

from fastapi import FastAPI, Request
from fastapi.responses import PlainTextResponse, Response
from pydantic import BaseModel, Field
from starlette.concurrency import run_in_threadpool
from starlette.exceptions import HTTPException
from starlette.middleware.cors import CORSMiddleware

from plaudit.asgi import FAILURES, MAX_BYTES, as_utf8, read_body
from plaudit.bundle.card import Card
from plaudit.bundle.verdict import Verdict
from plaudit.errors import BadRequest, EndpointError, Unprocessable, UnsupportedMedia
from plaudit.version import __version__

PAGES = {
    "index.html": "text/html; charset=utf-8",
    "docs.html": "text/html; charset=utf-8",
    "style.css": "text/css; charset=utf-8",
    "page.js": "text/javascript; charset=utf-8",
    "docs.js": "text/javascript; charset=utf-8",
    "icon.svg": "image/svg+xml",
}
PROTECTION = {
    "content-security-policy": (
        "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self' data:; connect-src 'self';"
        " base-uri 'none'; form-action 'self'; frame-ancestors 'none'"
    ),
    "x-content-type-options": "nosniff",
    "referrer-policy": "no-referrer",
    "cache-control": "no-cache",
}


class ReviewIn(BaseModel):
    """A review to judge."""

    text: str = Field(examples=["A wonderful film"])


class WordOut(BaseModel):
    """A word's span in the text, in Unicode code points, and what it added to the score."""

    start: int
    end: int
    contribution: float = Field(
        description="of two labels above 0 towards the second, below 0 towards the first;"
        " of more above 0 towards the label given, below 0 against it"
    )


class VerdictOut(BaseModel):
    """What the model says of a review. `bias` and all contributions add up to `score`."""

    label: str
    probability: float = Field(description="of this label, 0 to 1")
    scores: dict[str, float] = Field(description="the probability of each label")
    score: float = Field(
        description="of two labels the log-odds of the second;"
        " of more the logit of the label given, less the mean of all labels' logits"
    )
    bias: float = Field(description="the score before any word is read")
    words: list[WordOut]
    words_read: int
    words_total: int
    notes: list[str] = Field(description="sentences that a reader of the verdict should see")


class Failure(BaseModel):
    """Why there is no verdict, in one sentence."""

    error: str


REFUSALS: dict[int | str, dict[str, Any]] = {
    status: {"description": why, "content": {"application/json": {"schema": Failure.model_json_schema()}}}
    for status, why in {
        400: "not UTF-8, or not JSON",
        413: "the body is over the limit",
        415: "not JSON",
        422: "the JSON has no text",
        429: "too many requests are waiting; Retry-After says when to try again",
        502: "the endpoint answered with something that is not a verdict",
        503: "no model is loaded, or the endpoint is away",
        504: "the model took too long to answer; Retry-After says when to try again",
    }.items()
}
NUMBER_REFUSALS: dict[int | str, dict[str, Any]] = {
    **{status: REFUSALS[status] for status in (400, 413, 429, 502, 503, 504)},
    422: {**REFUSALS[422], "description": "the model has more than two labels"},
}
REVIEW_BODY = {
    "requestBody": {
        "required": True,
        "content": {"application/json": {"schema": ReviewIn.model_json_schema()}},
    }
}
TEXT_BODY = {
    "requestBody": {
        "required": True,
        "content": {"text/plain": {"schema": {"type": "string", "example": "A wonderful film"}}},
    }
}


def public_app(
    ask: Callable[[str], Verdict],
    about: Mapping[str, Any] | None = None,
    labels: tuple[str, ...] | None = None,
    max_bytes: int = MAX_BYTES,
) -> FastAPI:
    """The public API and the page as an ASGI application.

    ``ask`` may block; it is called in a thread. ``about`` is the model's card for the page. ``labels``
    tells `POST /` which of two labels is 1.0, where the verdict's own order should not.
    """
    app = FastAPI(
        title="Plaudit",
        version=__version__,
        description="Labelled reviews to a live verdict, with the words that tipped it.",
        docs_url=None,
        redoc_url=None,
        exception_handlers=FAILURES,  # type: ignore[arg-type]
    )
    # No cookie and no login exists here, so any page may call the API, as the original's page does.
    app.add_middleware(
        CORSMiddleware, allow_origins=["*"], allow_methods=["GET", "POST"], allow_headers=["content-type"]
    )

    @app.post(
        "/api/reviews",
        response_model=VerdictOut,
        responses=REFUSALS,
        openapi_extra=REVIEW_BODY,
        summary="Judge a review",
        tags=["reviews"],
    )
    async def judge(request: Request) -> Response:
        """The label of a review with its probability, and what each word added to it."""
        kind = request.headers.get("content-type", "").partition(";")[0].strip().lower()
        if kind != "application/json":
            raise UnsupportedMedia(f"the content type is {kind or 'missing'}: send application/json")
        text = _text_of(await read_body(request, max_bytes))
        verdict = await run_in_threadpool(ask, text)
        content = json.dumps(verdict.to_json(), ensure_ascii=False).encode()
        return Response(content, media_type="application/json")

    @app.post(
        "/",
        response_class=PlainTextResponse,
        responses=NUMBER_REFUSALS,
        openapi_extra=TEXT_BODY,
        summary="Judge raw text with one number",
        tags=["reviews"],
    )
    async def number(request: Request) -> Response:
        """The body is the review, whatever its content type. The answer is 1.0 for the second of two labels, else 0.0.

        A model with more than two labels has no such number: its verdicts are at `POST /api/reviews`.
        """
        verdict = await run_in_threadpool(ask, as_utf8(await read_body(request, max_bytes)))
        known = labels or tuple(verdict.scores)
        if set(known) != set(verdict.scores):
            raise EndpointError("the endpoint's labels are not those of the model's card", 502)
        if len(known) > 2:
            raise Unprocessable(
                f"one number cannot tell {len(known)} labels apart: POST /api/reviews gives the verdict"
            )
        headers = {"plaudit-note": _header(" ".join(verdict.notes))} if verdict.notes else {}
        return PlainTextResponse(str(float(verdict.label == known[1])), headers=headers)

    @app.get("/api/model", summary="The model's card", tags=["model"])
    async def model() -> dict[str, Any]:
        """What the model was trained on, and how good it is."""
        if about is None:
            raise HTTPException(404, "this server was not told about its model")
        return {**about, "max_bytes": max_bytes, "version": __version__}

    @app.api_route("/", methods=["GET", "HEAD"], include_in_schema=False)
    async def page() -> Response:
        return _page("index.html")

    @app.get("/docs", include_in_schema=False)
    async def docs() -> Response:
        return _page("docs.html")

    @app.get("/static/{name}", include_in_schema=False)
    async def static(name: str) -> Response:
        if name not in PAGES:
            raise HTTPException(404, "no such file")
        return _page(name)

    return app


def app_for(ask: Callable[[str], Verdict], card: Card | None, max_bytes: int = MAX_BYTES) -> FastAPI:
    """`public_app`, with what the card of the model tells the page; without a card it says nothing of the model."""
    return public_app(ask, about(card) if card else None, card.labels if card else None, max_bytes)


def about(card: Card) -> dict[str, Any]:
    """What the page tells of a model."""
    split = "test" if "test" in card.metrics else "validation"
    metrics = card.metrics.get(split)
    return {
        "name": card.name,
        "recipe": card.recipe.get("name"),
        "labels": list(card.labels),
        "max_words": card.max_words,
        "data": {name: card.data.get(name) for name in ("name", "train", "validation", "test")},
        "metrics": {**metrics, "split": split} if metrics else None,
        "parameters": card.training.get("parameters"),
        "trained": card.training.get("date"),
    }


def _page(name: str) -> Response:
    content = (files("plaudit.web") / "pages" / name).read_bytes()
    return Response(content, headers={**PROTECTION, "content-type": PAGES[name]})


def _header(text: str) -> str:
    """``text`` as far as a header carries it."""
    return "".join(c if c.isascii() and c.isprintable() else "?" for c in text)


def _text_of(body: bytes) -> str:
    try:
        found = json.loads(as_utf8(body))
    except (ValueError, RecursionError):
        raise BadRequest("the body is not JSON") from None
    text = found.get("text") if isinstance(found, dict) else None
    if not isinstance(text, str):
        raise Unprocessable('the JSON has to be {"text": "…"}')
    return text
