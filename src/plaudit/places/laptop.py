"""This machine as a place: servers on its own ports, stopped together. Knows sockets and signals, no model."""

from __future__ import annotations

import asyncio
import contextlib
import signal
import socket
from collections.abc import Awaitable, Callable, Iterator
from dataclasses import dataclass

import uvicorn
from starlette.types import ASGIApp

from plaudit.errors import UsageError

HIGHEST_PORT = 65_535


@dataclass(frozen=True)
class Server:
    """An application and the socket it listens on; the socket is bound already, so its port is known."""

    app: ASGIApp
    socket: socket.socket

    @property
    def address(self) -> str:
        host, port = self.socket.getsockname()[:2]
        shown = f"[{host}]" if ":" in host else host
        return f"http://{shown}:{port}"


def listen(app: ASGIApp, host: str, port: int, flag: str = "--port") -> Server:
    """Binds ``host:port``; port 0 takes any that is free. Raises UsageError where it is taken."""
    try:
        if not 0 <= port <= HIGHEST_PORT:
            raise ValueError(f"ports end at {HIGHEST_PORT}")
        family, kind, _, _, address = socket.getaddrinfo(host, port, type=socket.SOCK_STREAM)[0]
        # asyncio turns Nagle's delay of 40 ms off only where the protocol is named.
        bound = socket.socket(family, kind, socket.IPPROTO_TCP)
        try:
            bound.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            bound.bind(address)
            bound.listen(2048)
        except OSError:
            bound.close()
            raise
    except (OSError, ValueError) as error:
        reason = getattr(error, "strerror", None) or str(error)
        raise UsageError(f"cannot listen on {host}:{port} ({reason}): choose another with {flag}") from None
    return Server(app, bound)


def listen_near(app: ASGIApp, host: str, port: int) -> Server:
    """Binds ``host:port``, or any free port where that one is taken."""
    try:
        return listen(app, host, port)
    except UsageError:
        return listen(app, host, 0)


class _Quiet(uvicorn.Server):
    """A server that leaves signals to `run`, which stops several at once."""

    @contextlib.contextmanager
    def capture_signals(self) -> Iterator[None]:
        yield


def run(servers: list[Server], ready: Callable[[], Awaitable[None]]) -> None:
    """Serves until Ctrl-C or SIGTERM; answers that are under way are finished. ``ready`` is awaited once all listen."""
    asyncio.run(_run(servers, ready))


async def _run(servers: list[Server], ready: Callable[[], Awaitable[None]]) -> None:
    configs = [
        uvicorn.Config(
            server.app,
            log_level="warning",
            access_log=False,
            ws="none",
            lifespan="on",
            proxy_headers=False,
            timeout_graceful_shutdown=5,
        )
        for server in servers
    ]
    running = [_Quiet(config) for config in configs]

    def stop() -> None:
        for server in running:
            server.should_exit = True

    loop = asyncio.get_running_loop()
    for number in (signal.SIGINT, signal.SIGTERM):
        loop.add_signal_handler(number, stop)
    tasks = [
        asyncio.create_task(server.serve(sockets=[place.socket]))
        for server, place in zip(running, servers, strict=True)
    ]
    announcing = asyncio.create_task(_announce(running, ready, stop))
    await asyncio.gather(*tasks)
    announcing.cancel()
    with contextlib.suppress(asyncio.CancelledError):
        await announcing


async def _announce(running: list[_Quiet], ready: Callable[[], Awaitable[None]], stop: Callable[[], None]) -> None:
    try:
        while not all(server.started for server in running):
            await asyncio.sleep(0.01)
        await ready()
    except Exception:
        stop()
        raise
