"""AWS's own client against our endpoint, and against a server that answers with AWS's errors; nothing is mocked."""

from __future__ import annotations

import gc
import json
import re
import socket
import threading
import time
from collections.abc import Callable, Iterator
from typing import Any

import pytest
from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import Route

from plaudit.bundle.classifier import Classifier
from plaudit.errors import EndpointAway, EndpointError
from plaudit.places.aws import sagemaker_endpoint as module
from plaudit.places.aws.account import Account
from plaudit.places.aws.sagemaker_endpoint import BUSY, LATE, SOON, STARTING, SageMakerEndpoint, runtime
from plaudit.serving.endpoint import endpoint
from tests.live import live, loaded

# Connections that timed out or broke are left to Python to close.
pytestmark = pytest.mark.filterwarnings("ignore:unclosed <socket:ResourceWarning")
Connect = Callable[..., SageMakerEndpoint]
ACCOUNT = "123456789012"
ARN = f"arn:aws:sagemaker:us-east-1:{ACCOUNT}:endpoint/sentiment"
OWN = {"OriginalStatusCode": 422, "OriginalMessage": '{"error": "the JSON has to be {}"}', "LogStreamArn": ARN}


@pytest.fixture(autouse=True)
def collected() -> Iterator[None]:
    yield
    gc.collect()


@pytest.fixture
def connect(credentials: None, monkeypatch: pytest.MonkeyPatch) -> Iterator[Connect]:
    """Makes endpoints that AWS's client finds at an address, as it finds them at AWS."""
    made = []

    def make(address: str, connect: float = 3, read: float = 10) -> SageMakerEndpoint:
        monkeypatch.setenv("AWS_ENDPOINT_URL_SAGEMAKER_RUNTIME", address)
        made.append(runtime(Account(), connect, read))
        return SageMakerEndpoint("sentiment", made[-1])

    yield make
    for client in made:
        client.close()


class Aws:
    """What stands at AWS's address: answers each request with the next of ``answers``, the last again and again."""

    def __init__(self, *answers: Response | float) -> None:
        self.answers, self.asked = list(answers), 0
        self.app = Starlette(routes=[Route("/endpoints/sentiment/invocations", self.answer, methods=["POST"])])

    def answer(self, request: Request) -> Response:
        answer = self.answers[min(self.asked, len(self.answers) - 1)]
        self.asked += 1
        if isinstance(answer, Response):
            return answer
        time.sleep(answer)
        return Response("{}")


def refused(status: int, code: str, message: str = "", **more: Any) -> Response:
    """An error in the shape that AWS gives to it."""
    content = json.dumps({"Message": message, **more})
    return Response(content, status, {"x-amzn-errortype": f"{code}:http://internal.amazon.com/coral/"})


def answered(classifier: Classifier, text: str) -> Response:
    return Response(json.dumps(classifier.verdict(text).to_json()), media_type="application/json")


def failure(asked: SageMakerEndpoint, text: str = "good") -> EndpointError:
    with pytest.raises(EndpointError) as caught:
        asked.verdict(text)
    error = caught.value
    assert "\n" not in str(error)
    if not isinstance(error, EndpointAway):
        assert not re.search(r"\d{12}|arn:|amazon|AWS|Invoke|sentiment", str(error)), "this goes to the public"
    return error


@pytest.mark.parametrize(
    "text", ["A wonderful film", "", "Terrible \U0001f600", "good<br />bad " * 300, "\x00 <b>", "good \ud83d", "\ude00"]
)
def test_a_verdict_is_the_same_as_in_process(connect: Connect, classifier: Classifier, text: str) -> None:
    app = endpoint(classifier)
    with live(app) as address:
        loaded(app)
        assert connect(address).verdict(text) == classifier.verdict(text)


@pytest.mark.parametrize(
    ("answer", "status", "retry_after", "sentence"),
    [
        (refused(429, "ModelNotReadyException", f"{ARN} is provisioning"), 503, SOON, STARTING),
        (refused(503, "ServiceUnavailable", f"{ARN}: no capacity"), 503, SOON, STARTING),
        (refused(503, "ServiceUnavailableException"), 503, SOON, STARTING),
        (refused(400, "ValidationError", f"Endpoint sentiment of account {ACCOUNT} not found."), 503, 10, STARTING),
        (refused(400, "ThrottlingException", "Rate exceeded"), 429, 1, BUSY),
        (refused(429, "ThrottlingException", "Rate exceeded"), 429, 1, BUSY),
        (refused(424, "ModelError", f"Received 422, see {ARN}", **OWN), 422, None, "the JSON has to be {}"),
        (refused(424, "ModelError", "slow", **OWN | {"OriginalStatusCode": 429}), 429, 1, BUSY),
        (refused(424, "ModelError", "slow", **OWN | {"OriginalStatusCode": 504}), 504, SOON, LATE),
        (
            refused(424, "ModelError", OriginalStatusCode=0, OriginalMessage="Your invocation timed out while waiting"),
            504, SOON, LATE,
        ),
        (Response(b"{}"), 502, None, "the endpoint answered with something that is not a verdict"),
        (Response(b"<html>"), 502, None, "the endpoint answered with something that is not a verdict"),
        (Response(b"[" * 100_000), 502, None, "the endpoint answered with something that is not a verdict"),
    ],
)  # fmt: skip
def test_a_failure_that_the_public_may_know_is_a_sentence(
    connect: Connect, answer: Response, status: int, retry_after: int | None, sentence: str
) -> None:
    with live(Aws(answer).app) as address:
        error = failure(connect(address))
    assert not isinstance(error, EndpointAway)
    assert (error.status, error.retry_after, str(error)) == (status, retry_after, sentence)


@pytest.mark.parametrize(
    ("answer", "status", "retry_after"),
    [
        (refused(403, "AccessDeniedException", f"User: {ARN} is not authorized"), 502, None),
        (refused(403, "ExpiredTokenException", "The security token is expired"), 502, None),
        (refused(400, "ValidationError", f"1 validation error at {ARN}"), 502, None),
        (refused(500, "InternalFailure"), 503, SOON),
        (refused(530, "InternalDependencyException", f"Contact support about {ARN}"), 503, SOON),
        (refused(424, "ModelError", "it broke", **OWN | {"OriginalStatusCode": 500}), 502, None),
        (refused(424, "ModelError", "it broke", **OWN | {"OriginalStatusCode": 503}), 503, SOON),
        (refused(424, "ModelError", OriginalStatusCode=0, OriginalMessage="Worker died"), 502, None),
        (refused(424, "ModelError", OriginalStatusCode=404, OriginalMessage="<h1>nginx</h1>"), 502, None),
        (refused(424, "ModelError", OriginalStatusCode=400, OriginalMessage='{"error": 3}'), 502, None),
        (Response(b"gone", 404), 502, None),
        (Response(b"{", headers={"content-length": "99"}), 502, None),
    ],
)
def test_a_failure_that_is_nobody_elses_business_goes_to_the_log(
    connect: Connect, answer: Response, status: int, retry_after: int | None
) -> None:
    with live(Aws(answer).app) as address:
        error = failure(connect(address))
    assert isinstance(error, EndpointAway), "asgi.refuse logs this one's message, and tells the public less"
    assert (error.status, error.retry_after) == (status, retry_after)
    assert str(error).startswith("sentiment: ")


@pytest.mark.parametrize(
    ("body", "kind", "sentence"),
    [(b"\xff", "text/plain", "the body is not UTF-8 at byte 1"), (b"x", "image/png", "the content type is image/png")],
)
def test_our_own_endpoints_refusal_keeps_its_status_and_sentence(
    connect: Connect, classifier: Classifier, body: bytes, kind: str, sentence: str
) -> None:
    app = endpoint(classifier)
    with live(app) as address:
        loaded(app)
        with pytest.raises(EndpointError, match=sentence) as caught:
            connect(address)._ask(body, kind)
    assert caught.value.status == (400 if kind == "text/plain" else 415)


def test_a_model_that_is_still_loading_is_503(connect: Connect, classifier: Classifier) -> None:
    app = endpoint(classifier)
    with live(app) as address:
        loaded(app)
        app.state.hosted.batcher = None
        error = failure(connect(address))
    assert (error.status, error.retry_after, type(error)) == (503, SOON, EndpointAway)


def test_a_request_that_may_be_at_work_is_not_sent_again(connect: Connect) -> None:
    aws = Aws(1.0)
    with live(aws.app) as address:
        started = time.monotonic()
        error = failure(connect(address, read=0.2))
        took = time.monotonic() - started
    assert (error.status, error.retry_after, str(error)) == (504, SOON, LATE)
    assert (aws.asked, took < 1) == (1, True)


@pytest.mark.parametrize("status", [500, 503, 530, 424])
def test_a_failure_of_the_model_is_not_tried_again(connect: Connect, status: int) -> None:
    aws = Aws(refused(status, "ModelError" if status == 424 else "InternalFailure"))
    with live(aws.app) as address:
        failure(connect(address))
    assert aws.asked == 1


def test_a_throttled_request_is_sent_once_more(connect: Connect, classifier: Classifier) -> None:
    throttled = refused(400, "ThrottlingException", "Rate exceeded")
    aws = Aws(throttled, answered(classifier, "good"))
    with live(aws.app) as address:
        assert connect(address).verdict("good") == classifier.verdict("good")
    assert aws.asked == 2
    aws = Aws(throttled)
    with live(aws.app) as address:
        failure(connect(address))
    assert aws.asked == 2


def test_no_second_attempt_begins_too_late_for_its_answer(connect: Connect, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "LATEST", 0.0)
    aws = Aws(refused(400, "ThrottlingException"))
    with live(aws.app) as address:
        assert failure(connect(address)).status == 429
    assert aws.asked == 1


def test_the_longest_wait_ends_before_api_gateways() -> None:
    assert module.LATEST + module.PAUSE + module.CONNECT + module.READ < 29


def test_a_connection_that_was_closed_meanwhile_is_opened_again(connect: Connect, classifier: Classifier) -> None:
    content = json.dumps(classifier.verdict("good").to_json()).encode()
    with socket.create_server(("127.0.0.1", 0)) as place:

        def answer() -> None:
            closed, _ = place.accept()
            closed.recv(65536)
            closed.close()
            second, _ = place.accept()
            with second:
                second.recv(65536)
                second.sendall(b"HTTP/1.1 200 OK\r\ncontent-length: %d\r\nconnection: close\r\n\r\n" % len(content))
                second.sendall(content)

        thread = threading.Thread(target=answer, daemon=True)
        thread.start()
        asked = connect(f"http://127.0.0.1:{place.getsockname()[1]}")
        assert asked.verdict("good") == classifier.verdict("good")
        thread.join(5)


def test_a_dead_port_is_503_and_the_log_says_which(connect: Connect) -> None:
    with socket.create_server(("127.0.0.1", 0)) as place:
        port = place.getsockname()[1]
    error = failure(connect(f"http://127.0.0.1:{port}"))
    assert (error.status, error.retry_after, type(error)) == (503, SOON, EndpointAway)
    assert f"127.0.0.1:{port}" in str(error)


def test_missing_credentials_are_502_and_the_log_says_so(connect: Connect, monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("AWS_ACCESS_KEY_ID", "AWS_SECRET_ACCESS_KEY"):
        monkeypatch.delenv(name)
    error = failure(connect("http://127.0.0.1:9"))
    assert (error.status, error.retry_after, type(error)) == (502, None, EndpointAway)
    assert "credentials" in str(error)
