"""`plaudit web`: the page and the public API, in front of a bundle or an endpoint."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from pathlib import Path
from typing import Any

import click

from plaudit.asgi import MAX_BYTES
from plaudit.bundle.bundle import Bundle
from plaudit.bundle.card import Card
from plaudit.bundle.classifier import Classifier
from plaudit.bundle.verdict import Verdict
from plaudit.cli import options as shared
from plaudit.cli.home import chosen_bundle
from plaudit.cli.terminal import give_json, say
from plaudit.errors import UsageError


@click.command(
    "web", epilog=shared.examples("plaudit web bundle", "plaudit web --endpoint http://127.0.0.1:8080 --port 8001")
)
@click.argument("bundle", type=shared.folder, required=False)
@click.option("--endpoint", metavar="URL", help="Ask this endpoint; BUNDLE then only tells the page about the model.")
@click.option("--host", default="127.0.0.1", show_default=True, help="Address to listen on.")
@click.option("--port", default=8000, show_default=True, help="Port to listen on; 0 takes a free one.")
@click.option("--max-bytes", default=MAX_BYTES, show_default=True, help="Largest request body.")
@click.option("--json", "as_json", is_flag=True, help="Print the address as JSON.")
def command(bundle: Path | None, endpoint: str | None, host: str, port: int, max_bytes: int, as_json: bool) -> None:
    """Serve the page and the public API.

    The page is at /, the API at /api/reviews with its documentation at /docs, and POST / takes raw text and answers
    1.0 or 0.0.
    """
    from plaudit.places.laptop import listen, run
    from plaudit.places.remote import RemoteClassifier

    ask: Callable[[str], Verdict]
    if endpoint:
        ask, card = RemoteClassifier(endpoint).verdict, Bundle.load(bundle).card if bundle else None
    else:
        classifier = Classifier(Bundle.load(chosen_bundle(bundle)))
        ask, card = classifier.verdict, classifier.card
    server = listen(_app(ask, card, max_bytes), host, port)

    async def ready() -> None:
        say(f"page      {server.address}   Ctrl-C stops it")
        if as_json:
            give_json({"page": server.address})

    run([server], ready)


def check_free(host: str, port: int) -> None:
    """Raises UsageError where the page could not be served, before a long road is walked."""
    from plaudit.places.laptop import listen

    listen(lambda scope, receive, send: asyncio.sleep(0), host, port).socket.close()


def serve_road(bundle: Bundle, host: str, port: int) -> None:
    """The road's last stretch: the bundle behind an endpoint, and the page in front of it, until Ctrl-C."""
    from plaudit.places.laptop import listen, listen_near, run
    from plaudit.places.remote import RemoteClassifier
    from plaudit.serving.endpoint import endpoint

    behind = endpoint(Classifier(bundle))
    check_free(host, port)
    inner = listen_near(behind, "127.0.0.1", 8080 if port != 8080 else 0)
    page = listen(_app(RemoteClassifier(inner.address).verdict, bundle.card), host, port)

    async def ready() -> None:
        while behind.state.hosted.loading:
            await asyncio.sleep(0.01)
        behind.state.hosted.raise_failure()
        say(f"endpoint  {inner.address}/invocations")
        say(f"page      {page.address}   Ctrl-C stops it")

    run([inner, page], ready)


def _app(ask: Callable[[str], Verdict], card: Card | None, max_bytes: int = MAX_BYTES) -> Any:
    try:
        from plaudit.web.app import app_for
    except ModuleNotFoundError as error:
        raise UsageError(f"the page needs {error.name}: pip install plaudit") from None
    return app_for(ask, card, max_bytes)
