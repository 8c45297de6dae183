"""A real server on a free port of this machine, in a thread, for as long as a test needs it."""

from __future__ import annotations

import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager

import uvicorn
from starlette.applications import Starlette
from starlette.types import ASGIApp

from plaudit.places.laptop import listen


@contextmanager
def live(app: ASGIApp, port: int = 0) -> Iterator[str]:
    """The address at which ``app`` answers."""
    place = listen(app, "127.0.0.1", port)
    server = uvicorn.Server(uvicorn.Config(app, log_level="critical", lifespan="on"))
    thread = threading.Thread(target=server.run, kwargs={"sockets": [place.socket]}, daemon=True)
    thread.start()
    while not server.started:
        time.sleep(0.01)
    try:
        yield place.address
    finally:
        server.should_exit = True
        thread.join(10)
        place.socket.close()


def loaded(app: Starlette) -> None:
    """Waits until an endpoint has its model, or has found that it gets none."""
    while app.state.hosted.loading:
        time.sleep(0.005)
