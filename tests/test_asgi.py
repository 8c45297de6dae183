"""What both servers share: bodies within a limit, and every error as one JSON sentence."""

from __future__ import annotations

import json
from collections.abc import Iterator

import httpx2
import pytest
from starlette.applications import Starlette
from starlette.exceptions import HTTPException
from starlette.requests import Request
from starlette.responses import PlainTextResponse, Response
from starlette.routing import Route
from starlette.testclient import TestClient

from plaudit.asgi import FAILURES, as_utf8, read_body, sentence
from plaudit.errors import (
    BadRequest,
    Busy,
    EndpointError,
    NotReady,
    PlauditError,
    TooLarge,
    Unprocessable,
    UnsupportedMedia,
)

ERRORS = {
    "bad": BadRequest("it is bad"),
    "large": TooLarge("it is large"),
    "media": UnsupportedMedia("it is unknown"),
    "wrong": Unprocessable("it is wrong"),
    "busy": Busy("it is busy"),
    "loading": NotReady("it loads"),
    "away": EndpointError("it is away"),
    "passed": EndpointError("it was refused", 422, 7),
    "gone": HTTPException(410, "gone for good", {"x-more": "yes"}),
    "fault": RuntimeError("secret"),
    "ours": PlauditError("secret"),
    "surrogate": BadRequest("it is \ud83d"),
}


async def echo(request: Request) -> Response:
    return PlainTextResponse(str(len(await read_body(request, 10))))


async def failing(request: Request) -> Response:
    raise ERRORS[request.path_params["name"]]


@pytest.fixture
def client() -> Iterator[TestClient]:
    routes = [Route("/echo", echo, methods=["POST"]), Route("/errors/{name}", failing)]
    app = Starlette(routes=routes, exception_handlers=FAILURES)
    with TestClient(app, raise_server_exceptions=False) as found:
        yield found


def told(answer: httpx2.Response, status: int) -> str:
    assert answer.status_code == status
    assert answer.headers["content-type"] == "application/json"
    assert set(answer.json()) == {"error"}
    return str(answer.json()["error"])


@pytest.mark.parametrize("length", [0, 1, 10])
def test_a_body_up_to_the_limit_is_read(client: TestClient, length: int) -> None:
    assert client.post("/echo", content=b"a" * length).text == str(length)
    assert client.post("/echo", content=(b"a" for _ in range(length))).text == str(length)


def test_a_body_that_is_announced_too_long_is_refused(client: TestClient) -> None:
    assert told(client.post("/echo", content=b"a" * 11), 413) == "the body is larger than 10 bytes"
    assert told(client.post("/echo", content=b"", headers={"content-length": "11"}), 413)


def test_a_body_that_gets_too_long_is_refused(client: TestClient) -> None:
    assert told(client.post("/echo", content=(b"a" for _ in range(11))), 413) == "the body is larger than 10 bytes"
    assert told(client.post("/echo", content=b"a" * 11, headers={"content-length": "5"}), 413)


def test_a_content_length_that_is_no_number_does_not_help(client: TestClient) -> None:
    assert client.post("/echo", content=b"a" * 5, headers={"content-length": "many"}).text == "5"
    assert told(client.post("/echo", content=b"a" * 11, headers={"content-length": "-1"}), 413)


def test_utf8_is_read() -> None:
    assert as_utf8("caf\u00e9 \U0001f600".encode()) == "caf\u00e9 \U0001f600"
    assert as_utf8(b"") == ""


@pytest.mark.parametrize(("body", "place"), [(b"\xff", 1), (b"good\xe9", 5), (b"\xed\xa0\xbd", 1), (b"a\xc3", 2)])
def test_the_first_byte_that_is_not_utf8_is_named(body: bytes, place: int) -> None:
    with pytest.raises(BadRequest, match=f"^the body is not UTF-8 at byte {place}$"):
        as_utf8(body)


@pytest.mark.parametrize(
    ("name", "status", "wait"),
    [
        ("bad", 400, None),
        ("large", 413, None),
        ("media", 415, None),
        ("wrong", 422, None),
        ("busy", 429, "1"),
        ("loading", 503, "1"),
        ("away", 503, None),
        ("passed", 422, "7"),
    ],
)
def test_an_error_that_we_know_is_its_status_and_its_sentence(
    client: TestClient, name: str, status: int, wait: str | None
) -> None:
    answer = client.get(f"/errors/{name}")
    assert told(answer, status) == str(ERRORS[name])
    assert answer.headers.get("retry-after") == wait


def test_the_frameworks_errors_name_method_and_path(client: TestClient) -> None:
    assert told(client.get("/nowhere"), 404) == "GET /nowhere: Not Found"
    answer = client.get("/echo")
    assert told(answer, 405) == "GET /echo: Method Not Allowed"
    assert answer.headers["allow"] == "POST"
    answer = client.get("/errors/gone")
    assert told(answer, 410) == "GET /errors/gone: gone for good"
    assert answer.headers["x-more"] == "yes"


@pytest.mark.parametrize("name", ["fault", "ours"])
def test_a_fault_of_ours_tells_nothing(client: TestClient, name: str) -> None:
    assert "secret" not in told(client.get(f"/errors/{name}"), 500)


def test_a_fault_of_ours_goes_to_the_log() -> None:
    app = Starlette(routes=[Route("/errors/{name}", failing)], exception_handlers=FAILURES)
    with TestClient(app) as client, pytest.raises(RuntimeError, match="secret"):
        client.get("/errors/fault")


def test_a_sentence_may_hold_what_utf8_cannot(client: TestClient) -> None:
    assert told(client.get("/errors/surrogate"), 400) == "it is \ud83d"


def test_a_sentence_is_json_in_utf8() -> None:
    found = sentence(400, 'caf\u00e9 "quoted"\nnew line')
    assert json.loads(bytes(found.body).decode("utf-8")) == {"error": 'caf\u00e9 "quoted"\nnew line'}
    assert found.headers["content-type"] == "application/json"
    assert "retry-after" not in found.headers
    assert sentence(503, "later", 3).headers["retry-after"] == "3"


def test_a_host_that_is_no_host_is_still_one_sentence(client: TestClient) -> None:
    answer = client.get("/nowhere", headers={"host": "["})
    assert (answer.status_code, answer.json()) == (404, {"error": "GET /nowhere: Not Found"})
