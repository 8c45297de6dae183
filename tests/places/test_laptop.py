"""Servers on this machine: which ports they get, and that they stop together when they are told to."""

from __future__ import annotations

import http.client
import os
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from urllib.parse import urlsplit

import httpx2
import pytest
from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import PlainTextResponse, Response
from starlette.routing import Route

from plaudit.errors import UsageError
from plaudit.places.laptop import listen, listen_near
from tests.live import live

APP = Starlette()

SCRIPT = """
import asyncio
from starlette.applications import Starlette
from starlette.responses import PlainTextResponse
from starlette.routing import Route
from plaudit.places.laptop import listen, run

async def quick(request):
    return PlainTextResponse("quick")

async def slow(request):
    print("asked", flush=True)
    await asyncio.sleep(0.5)
    return PlainTextResponse("slow")

app = Starlette(routes=[Route("/quick", quick), Route("/slow", slow)])
servers = [listen(app, "127.0.0.1", 0), listen(app, "127.0.0.1", 0)]

async def ready():
    FAIL
    print(*[server.address for server in servers], flush=True)

run(servers, ready)
print("stopped", flush=True)
"""


@contextmanager
def taken() -> Iterator[int]:
    """A port that another program listens on."""
    with socket.create_server(("127.0.0.1", 0)) as place:
        yield int(place.getsockname()[1])


@contextmanager
def running(script: str = SCRIPT.replace("FAIL", "pass")) -> Iterator[subprocess.Popen[str]]:
    with subprocess.Popen(
        [sys.executable, "-c", script], stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True
    ) as own:
        try:
            yield own
        finally:
            own.kill()


def line(process: subprocess.Popen[str]) -> str:
    assert process.stdout
    found = process.stdout.readline().strip()
    assert found or process.poll() is None or not process.stderr, process.stderr and process.stderr.read()
    return found


def test_port_0_is_any_that_is_free() -> None:
    first, second = listen(APP, "127.0.0.1", 0), listen(APP, "127.0.0.1", 0)
    with first.socket, second.socket:
        assert first.address != second.address
        for server in (first, second):
            assert server.address == f"http://127.0.0.1:{server.socket.getsockname()[1]}"
            assert server.app is APP


def test_a_server_listens_before_it_serves() -> None:
    server = listen(APP, "127.0.0.1", 0)
    with server.socket, socket.create_connection(server.socket.getsockname(), timeout=5):
        pass


def test_an_ipv6_address_is_shown_as_in_a_browser() -> None:
    try:
        server = listen(APP, "::1", 0)
    except UsageError:
        pytest.skip("no IPv6 here")
    with server.socket:
        assert server.address == f"http://[::1]:{server.socket.getsockname()[1]}"


@pytest.mark.parametrize("flag", ["--port", "--endpoint-port"])
def test_a_taken_port_names_the_flag_that_chooses_another(flag: str) -> None:
    with taken() as port, pytest.raises(UsageError) as caught:
        listen(APP, "127.0.0.1", port, flag)
    assert f"cannot listen on 127.0.0.1:{port}" in str(caught.value)
    assert str(caught.value).endswith(f"choose another with {flag}")


def test_the_flag_is_port_where_none_is_named() -> None:
    with taken() as port, pytest.raises(UsageError, match="choose another with --port"):
        listen(APP, "127.0.0.1", port)


@pytest.mark.parametrize(("host", "port"), [("nowhere.invalid", 0), ("127.0.0.1", -1), ("203.0.113.1", 0)])
def test_what_cannot_be_listened_on_is_refused(host: str, port: int) -> None:
    with pytest.raises(UsageError, match=f"cannot listen on {host}:{port}"):
        listen(APP, host, port)


@pytest.mark.parametrize(("host", "port"), [("127.0.0.1", 70_000), ("a" * 64, 0)])
def test_what_no_socket_takes_is_refused(host: str, port: int) -> None:
    with pytest.raises(UsageError, match="cannot listen on"):
        listen(APP, host, port)


def test_near_is_the_port_itself_where_it_is_free() -> None:
    with taken() as port:
        pass
    with listen_near(APP, "127.0.0.1", port).socket as found:
        assert found.getsockname()[1] == port


def test_near_is_another_port_where_it_is_taken() -> None:
    with taken() as port, listen_near(APP, "127.0.0.1", port).socket as found:
        assert found.getsockname()[1] not in (0, port)


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_all_servers_answer_until_a_signal_stops_them_together(number: int) -> None:
    with running() as process:
        addresses = line(process).split()
        assert len(addresses) == 2
        for address in addresses:
            assert httpx2.get(f"{address}/quick").text == "quick"
        os.kill(process.pid, number)
        out, err = process.communicate(timeout=20)
        assert (process.returncode, out.strip(), err) == (0, "stopped", "")
        for address in addresses:
            with pytest.raises(httpx2.ConnectError):
                httpx2.get(address)


def test_an_answer_that_is_under_way_is_finished() -> None:
    with running() as process, ThreadPoolExecutor(1) as pool:
        address = line(process).split()[0]
        answer = pool.submit(httpx2.get, f"{address}/slow", timeout=20)
        assert line(process) == "asked"
        os.kill(process.pid, signal.SIGINT)
        assert answer.result().text == "slow"
        out, err = process.communicate(timeout=20)
        assert (process.returncode, out.strip(), err) == (0, "stopped", "")


def test_what_fails_when_all_are_ready_stops_the_servers_and_is_raised() -> None:
    with running(SCRIPT.replace("FAIL", "raise SystemError('no model')")) as process:
        out, err = process.communicate(timeout=20)
    assert process.returncode == 1
    assert out == ""
    assert err.strip().endswith("SystemError: no model")


def test_an_answer_on_a_connection_that_is_kept_open_does_not_wait_for_the_network() -> None:
    async def quick(request: Request) -> Response:
        return PlainTextResponse("quick")

    with live(Starlette(routes=[Route("/", quick)])) as address:
        connection = http.client.HTTPConnection(urlsplit(address).netloc, timeout=10)
        seconds = []
        for _ in range(12):
            started = time.perf_counter()
            connection.request("GET", "/")
            assert connection.getresponse().read() == b"quick"
            seconds.append(time.perf_counter() - started)
        connection.close()
    assert min(seconds[4:]) < 0.025
