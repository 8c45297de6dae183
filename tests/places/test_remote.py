"""A classifier somewhere else: the same verdicts over a real connection, and a sentence where none comes back."""

from __future__ import annotations

import gc
import json
import socket
import threading
from collections.abc import Callable, Iterator
from dataclasses import replace

import pytest
from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import Route
from starlette.types import Receive, Scope, Send

from plaudit.bundle.bundle import Bundle
from plaudit.bundle.classifier import Classifier
from plaudit.errors import EndpointError, UsageError
from plaudit.places.remote import RemoteClassifier
from plaudit.serving.endpoint import endpoint
from tests.live import live, loaded

# The connections of threads that have ended, and those that timed out, are left to Python to close.
pytestmark = pytest.mark.filterwarnings("ignore:unclosed <socket:ResourceWarning")
Connect = Callable[..., RemoteClassifier]

TEXTS = [
    "A wonderful film",
    "",
    "Terrible \U0001f600, a waste of time",
    "xqzzy",
    "good<br />bad " * 300,
    "\x00 <b>fine",
]


@pytest.fixture(scope="module", autouse=True)
def collected() -> Iterator[None]:
    """Sockets that are left to Python are let go here, where their warnings are filtered."""
    yield
    gc.collect()


@pytest.fixture
def connect() -> Iterator[Connect]:
    """Makes classifiers that are somewhere else; their connections are closed when the test is over."""
    made: list[RemoteClassifier] = []

    def make(url: str, timeout: float = 30) -> RemoteClassifier:
        made.append(RemoteClassifier(url, timeout))
        return made[-1]

    yield make
    for remote in made:
        if connection := getattr(remote._own, "connection", None):
            connection.close()


@pytest.fixture(scope="module")
def address(classifier: Classifier) -> Iterator[str]:
    app = endpoint(classifier)
    with live(app) as found:
        loaded(app)
        yield found


def answering(status: int, content: bytes, **headers: str) -> Starlette:
    """A server that answers every request in one way."""

    async def answer(request: Request) -> Response:
        return Response(content, status, {name.replace("_", "-"): value for name, value in headers.items()})

    return Starlette(routes=[Route("/{path:path}", answer, methods=["POST"])])


def free_port() -> int:
    with socket.create_server(("127.0.0.1", 0)) as place:
        return int(place.getsockname()[1])


def failure(classifier: RemoteClassifier, text: str = "good") -> EndpointError:
    with pytest.raises(EndpointError) as caught:
        classifier.verdict(text)
    assert "\n" not in str(caught.value)
    return caught.value


def test_a_verdict_is_the_same_as_in_process(connect: Connect, address: str, classifier: Classifier) -> None:
    remote = connect(address)
    for text in TEXTS:
        assert remote.verdict(text) == classifier.verdict(text)


@pytest.mark.parametrize("text", [*TEXTS, '{"text": "good"}', "caf\u00e9\r\n", "good \ud83d film", "\ude00"])
def test_a_review_is_sent_as_it_is_where_utf8_can_carry_it(connect: Connect, classifier: Classifier, text: str) -> None:
    asked = []

    async def answer(request: Request) -> Response:
        asked.append((request.headers["content-type"], await request.body()))
        return Response(json.dumps(classifier.verdict(text).to_json()))

    with live(Starlette(routes=[Route("/invocations", answer, methods=["POST"])])) as address:
        assert connect(address).verdict(text) == classifier.verdict(text)
    ((kind, body),) = asked
    if any("\ud800" <= character <= "\udfff" for character in text):
        assert (kind, json.loads(body)) == ("application/json", {"text": text})
    else:
        assert (kind, body) == ("text/plain; charset=utf-8", text.encode())


def test_half_a_surrogate_pair_is_judged(connect: Connect, address: str, classifier: Classifier) -> None:
    for text in ("good \ud83d film", "\ude00"):
        assert connect(address).verdict(text) == classifier.verdict(text)


@pytest.mark.parametrize("path", ["", "/", "/invocations", "/endpoints/plaudit/invocations", "/endpoints/plaudit"])
def test_the_endpoint_is_named_with_or_without_its_path(
    connect: Connect, address: str, classifier: Classifier, path: str
) -> None:
    assert connect(address + path).verdict("good") == classifier.verdict("good")


def test_the_scheme_may_be_left_out(connect: Connect, address: str, classifier: Classifier) -> None:
    assert connect(address.removeprefix("http://")).verdict("good") == classifier.verdict("good")


@pytest.mark.parametrize("workers", [1, 4])
def test_verdicts_keep_the_order_of_their_texts(
    connect: Connect, address: str, classifier: Classifier, workers: int
) -> None:
    texts = [f"good {'bad ' * (number % 7)}" for number in range(40)] + TEXTS
    assert list(connect(address).verdicts(texts, workers)) == [classifier.verdict(text) for text in texts]


def test_no_texts_give_no_verdicts(connect: Connect, address: str) -> None:
    assert list(connect(address).verdicts([])) == []


def test_a_dead_port_says_what_to_run(connect: Connect) -> None:
    port = free_port()
    error = failure(connect(f"http://127.0.0.1:{port}"))
    assert f"127.0.0.1:{port} does not answer" in str(error)
    assert "plaudit serve" in str(error)
    assert (error.status, error.retry_after) == (503, None)


def test_a_host_that_is_not_there_says_what_to_run(connect: Connect) -> None:
    assert "plaudit serve" in str(failure(connect("http://nowhere.invalid")))


def test_one_connection_serves_many_requests(connect: Connect, classifier: Classifier) -> None:
    clients = set()
    app = endpoint(classifier)

    async def counting(scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] == "http":
            clients.add(scope["client"])
        await app(scope, receive, send)

    with live(counting) as address:
        loaded(app)
        remote = connect(address)
        for _ in range(5):
            remote.verdict("good")
    assert len(clients) == 1


def test_it_connects_again_where_the_server_has_closed_the_connection(connect: Connect, classifier: Classifier) -> None:
    port = free_port()
    remote = connect(f"http://127.0.0.1:{port}")
    for _ in range(2):
        app = endpoint(classifier)
        with live(app, port):
            loaded(app)
            assert remote.verdict("good") == classifier.verdict("good")
            assert remote.verdict("bad") == classifier.verdict("bad")
    assert "plaudit serve" in str(failure(remote))
    app = endpoint(classifier)
    with live(app, port):
        loaded(app)
        assert remote.verdict("good") == classifier.verdict("good")


def test_a_server_that_does_not_answer_in_time_is_away(connect: Connect) -> None:
    with socket.create_server(("127.0.0.1", 0)) as place:
        port = place.getsockname()[1]
        error = failure(connect(f"http://127.0.0.1:{port}", timeout=0.2))
    assert "gave no answer within 0.2 s" in str(error)


def test_a_server_that_hangs_up_is_away(connect: Connect) -> None:
    with socket.create_server(("127.0.0.1", 0)) as place:

        def hang_up() -> None:
            connection, _ = place.accept()
            connection.close()

        thread = threading.Thread(target=hang_up)
        thread.start()
        assert "does not answer" in str(failure(connect(f"http://127.0.0.1:{place.getsockname()[1]}")))
        thread.join()


def test_the_endpoints_own_sentence_is_passed_on(connect: Connect, address: str) -> None:
    error = failure(connect(address), "a" * 1_048_577)
    assert (error.status, str(error)) == (413, "the body is larger than 1,048,576 bytes")


def test_the_endpoints_422_is_passed_on(connect: Connect) -> None:
    content = json.dumps({"error": "the JSON has to be something else"}).encode()
    with live(answering(422, content)) as address:
        error = failure(connect(address))
    assert (error.status, str(error), error.retry_after) == (422, "the JSON has to be something else", None)


def test_the_real_endpoints_422_is_passed_on(connect: Connect, address: str) -> None:
    remote = connect(address)
    with pytest.raises(EndpointError) as caught:
        remote._ask(b'{"texts": ["good", 3]}', "application/json")
    assert (caught.value.status, str(caught.value)) == (422, "text 2 of texts is not a string")


def test_an_endpoint_that_has_too_much_to_do_says_when_to_try_again(connect: Connect, classifier: Classifier) -> None:
    app = endpoint(classifier, max_waiting=0)
    with live(app) as address:
        loaded(app)
        error = failure(connect(address))
    assert (error.status, error.retry_after) == (429, 1)


def test_an_endpoint_without_a_model_says_why(connect: Connect, bundle: Bundle) -> None:
    app = endpoint(Classifier(replace(bundle, path=None)))
    app.state.hosted.load = lambda: (_ for _ in ()).throw(EndpointError("no bundle here"))
    with live(app) as address:
        loaded(app)
        error = failure(connect(address))
    assert (error.status, error.retry_after) == (503, 1)
    assert "no bundle here" in str(error)


@pytest.mark.parametrize(
    ("status", "content", "expected"),
    [
        (200, b"null", 502),
        (200, b"not JSON", 502),
        (200, b"", 502),
        (200, b"[]", 502),
        (200, b'"text"', 502),
        (200, b'{"label": "positive"}', 502),
        (200, b'{"label": "a", "scores": 3}', 502),
        (204, b"", 502),
        (302, b"", 502),
        (404, b"<html>Not Found</html>", 404),
        (404, b'["error"]', 404),
        (500, b'{"error": null}', 500),
    ],
)
def test_what_is_not_a_verdict_is_a_failure_that_names_the_place(
    connect: Connect, status: int, content: bytes, expected: int
) -> None:
    with live(answering(status, content)) as address:
        error = failure(connect(address))
    assert error.status == expected
    assert address.removeprefix("http://") in str(error)


@pytest.mark.parametrize("wait", ["soon", "Wed, 21 Oct 2026 07:28:00 GMT", "-1", "1.5", ""])
def test_a_retry_after_that_is_no_number_of_seconds_is_left_out(connect: Connect, wait: str) -> None:
    with live(answering(503, b'{"error": "away"}', retry_after=wait)) as address:
        assert failure(connect(address)).retry_after is None


@pytest.mark.parametrize("url", ["", "http://", "ftp://127.0.0.1", "//", "http:///invocations", "http://:8080"])
def test_what_is_not_an_address_is_refused_with_one_that_is(connect: Connect, url: str) -> None:
    with pytest.raises(UsageError, match=r"is not an address: name the endpoint as http://127\.0\.0\.1:8080"):
        connect(url)


@pytest.mark.parametrize("url", ["http://[::1", f"http://{'a' * 64}.example", "http://..", "http://127.0.0.1:1/\u00e9"])
def test_an_address_that_cannot_be_used_is_an_error_of_ours(connect: Connect, url: str) -> None:
    with pytest.raises((UsageError, EndpointError)):
        connect(url).verdict("good")


@pytest.mark.parametrize("text", ["\u0436" * 200_000, "\U0001f600" * 100_000])
def test_a_review_below_the_limit_is_not_too_long_on_its_way(connect: Connect, address: str, text: str) -> None:
    assert len(text.encode()) <= 400_000
    assert connect(address).verdict(text).words_total > 0
