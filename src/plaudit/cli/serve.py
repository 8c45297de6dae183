"""`plaudit serve`: a bundle as an endpoint that answers SageMaker's hosting contract."""

from __future__ import annotations

import asyncio
from pathlib import Path

import click

from plaudit.asgi import MAX_BYTES
from plaudit.cli import options as shared
from plaudit.cli.home import chosen_bundle
from plaudit.cli.terminal import give_json, say


@click.command(
    "serve",
    epilog=shared.examples(
        "plaudit serve bundle",
        "curl -H 'content-type: text/plain' -d 'A wonderful film' http://127.0.0.1:8080/invocations",
    ),
)
@click.argument("bundle", type=shared.folder, required=False)
@click.option("--host", default="127.0.0.1", show_default=True, help="Address to listen on.")
@click.option("--port", default=8080, show_default=True, help="Port to listen on; 0 takes a free one.")
@click.option("--max-bytes", default=MAX_BYTES, show_default=True, help="Largest request body.")
@click.option("--json", "as_json", is_flag=True, help="Print the address as JSON.")
def command(bundle: Path | None, host: str, port: int, max_bytes: int, as_json: bool) -> None:
    """Serve a bundle: GET /ping, POST /invocations.

    Takes text/plain, application/json ({"text"} or {"texts"}), text/csv and application/x-npy (encoded rows), and
    answers by the Accept header. AWS's own clients work against it: set AWS_ENDPOINT_URL_SAGEMAKER_RUNTIME to its
    address.
    """
    from plaudit.places.laptop import listen, run
    from plaudit.serving.endpoint import endpoint

    app = endpoint(chosen_bundle(bundle), max_bytes)
    server = listen(app, host, port)

    async def ready() -> None:
        while app.state.hosted.loading:
            await asyncio.sleep(0.01)
        app.state.hosted.raise_failure()
        say(f"endpoint  {server.address}/invocations   answers; Ctrl-C stops it")
        if as_json:
            give_json({"endpoint": f"{server.address}/invocations"})

    run([server], ready)
