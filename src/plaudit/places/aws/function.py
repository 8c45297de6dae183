"""The Lambda function: events of API Gateway and of function URLs in, the public app's answers out.

PLAUDIT_ENDPOINT   ask this SageMaker endpoint; PLAUDIT_CARD is the card that the page shows, else card.json in the zip
PLAUDIT_ASYNC      the endpoint is asynchronous, and its requests and answers lie under this s3://bucket/prefix/
PLAUDIT_BUNDLE     without an endpoint: answer with this bundle, else with bundle/ in the zip
"""

from __future__ import annotations

import asyncio
import json
import logging
import os
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

from mangum import Mangum
from mangum.adapter import DEFAULT_TEXT_MIME_TYPES
from starlette.applications import Starlette

from plaudit.bundle.card import Card
from plaudit.bundle.verdict import Verdict
from plaudit.errors import BundleError, PlaceError
from plaudit.web.app import app_for

ROOT = Path(__file__).parents[3]
"""Where the zip lies unpacked: /var/task."""
BUNDLE, CARD = "bundle", "card.json"
UNREADABLE = "this is not an HTTP request that API Gateway or a function URL would send"
log = logging.getLogger("plaudit.function")


class Function:
    """``app`` as a Lambda handler: an event in, a response out, whatever the event is.

    Takes HTTP API events (payload 2.0, a named stage's prefix too), REST API events (1.0) and those of function URLs.
    """

    def __init__(self, app: Starlette) -> None:
        self._loop = asyncio.new_event_loop()
        asyncio.set_event_loop(self._loop)
        # All that the app sends is text: a REST API would hand base64 on as it is.
        self._adapter = Mangum(app, lifespan="off", text_mime_types=[*DEFAULT_TEXT_MIME_TYPES, "image/svg+xml"])

    def __call__(self, event: dict[str, Any], context: Any = None) -> dict[str, Any]:
        asyncio.set_event_loop(self._loop)
        try:
            event = _without_stage(event)
            answer: dict[str, Any] = self._adapter(event, context)
        except Exception:
            # Mangum answers for the app's failures itself: what ends here was wrong with the event.
            log.exception("an event that cannot be read")
            return {
                "statusCode": 400,
                "headers": {"content-type": "application/json"},
                "body": json.dumps({"error": UNREADABLE}),
                "isBase64Encoded": False,
            }
        if "HEAD" in (event.get("httpMethod"), event["requestContext"].get("http", {}).get("method")):
            answer.update(body="", isBase64Encoded=False)
        return answer

    def close(self) -> None:
        """Closes its event loop; Lambda itself never does."""
        asyncio.set_event_loop(None)
        self._loop.close()


def _without_stage(event: dict[str, Any]) -> dict[str, Any]:
    """The event with the path as the app knows it: an HTTP API's stage that has a name comes before it."""
    context = event["requestContext"]
    stage, http = context.get("stage"), context.get("http")
    if not http or not stage or stage == "$default" or not f"{http['path']}/".startswith(f"/{stage}/"):
        return event
    path = http["path"].removeprefix(f"/{stage}") or "/"
    return {**event, "rawPath": path, "requestContext": {**context, "http": {**http, "path": path}}}


def function(environ: Mapping[str, str] = os.environ) -> Function:
    """The function that the environment describes, warm: with a bundle it has answered a review.

    Raises BundleError for a bundle or a card that is not sound, UsageError where no region is set, PlaceError where
    the first answer is a failure.
    """
    if name := environ.get("PLAUDIT_ENDPOINT"):
        made = Function(app_for(_endpoint(name, environ.get("PLAUDIT_ASYNC")), _card(environ.get("PLAUDIT_CARD"))))
        warm = _event("GET", "/api/model")
    else:
        made = Function(app_for(*_classifier(environ.get("PLAUDIT_BUNDLE") or ROOT / BUNDLE)))
        warm = _event("POST", "/api/reviews", '{"text": "a first review"}')
    if made(warm)["statusCode"] >= 500:
        made.close()
        raise PlaceError("the function cannot answer a first request: the lines above say why")
    return made


def _endpoint(name: str, queue: str | None) -> Callable[[str], Verdict]:
    from plaudit.places.aws.account import Account
    from plaudit.places.aws.sagemaker_endpoint import SageMakerEndpoint, runtime

    account = Account()
    if queue:
        from plaudit.places.aws.async_endpoint import AsyncEndpoint

        return AsyncEndpoint(name, queue, runtime(account), account.client("s3")).verdict
    return SageMakerEndpoint(name, runtime(account)).verdict


def _classifier(path: str | Path) -> tuple[Callable[[str], Verdict], Card]:
    # One request at a time: OpenBLAS would start a thread a core at its import.
    os.environ.setdefault("OPENBLAS_NUM_THREADS", "1")
    from plaudit.bundle.classifier import load

    classifier = load(path)
    return classifier.verdict, classifier.card


def _card(path: str | None) -> Card | None:
    """The card at ``path``, which has to be there; without one, that of the zip if it has one."""
    place = Path(path) if path else ROOT / CARD
    if not path and not place.exists():
        return None
    try:
        return Card.from_json(json.loads(place.read_bytes()))
    except (OSError, ValueError, RecursionError) as error:
        raise BundleError(f"{place} is not a card: {error}") from None


def _event(method: str, path: str, body: str = "") -> dict[str, Any]:
    """An HTTP API's event of payload 2.0, as far as it is read."""
    return {
        "version": "2.0",
        "headers": {"content-type": "application/json"},
        "requestContext": {"http": {"method": method, "path": path, "sourceIp": "127.0.0.1"}},
        "body": body,
        "isBase64Encoded": False,
    }


def __getattr__(name: str) -> Function:
    """``handler`` is made when Lambda's init phase asks for it, so that SnapStart keeps it; an import makes nothing."""
    if name != "handler":
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    made = globals()["handler"] = function()
    return made
