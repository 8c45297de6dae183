"""The chain: an event, the real handler, AWS's own client, our endpoint; and every event gets a response."""

from __future__ import annotations

import base64
import json
import logging
import re
from collections.abc import Callable, Iterator
from importlib.resources import files
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from plaudit.bundle.bundle import Bundle
from plaudit.bundle.classifier import Classifier
from plaudit.bundle.verdict import Verdict
from plaudit.errors import BundleError, EndpointError, PlaceError, UsageError
from plaudit.places.aws import function as module
from plaudit.places.aws.account import Account
from plaudit.places.aws.function import UNREADABLE, Function, function
from plaudit.places.aws.sagemaker_endpoint import BUSY, LATE, SOON, STARTING, SageMakerEndpoint, runtime
from plaudit.serving.endpoint import endpoint
from plaudit.web.app import PAGES, app_for
from tests.live import live, loaded
from tests.places.aws.test_sagemaker_endpoint import ACCOUNT, ARN, Aws, refused

pytestmark = pytest.mark.filterwarnings("ignore:unclosed <socket:ResourceWarning")
JSON = {"content-type": "application/json"}
REVIEW = "A wonderful film"
AWAY = "the model does not answer just now: try again in a moment"
Event = Callable[..., dict[str, Any]]


def http_api(
    method: str, path: str, body: str | None = None, stage: str = "$default", **headers: str
) -> dict[str, Any]:
    """An event of payload 2.0, as HTTP APIs and function URLs send it."""
    sent = {name.replace("_", "-"): value for name, value in headers.items()}
    return {
        "version": "2.0",
        "routeKey": "$default",
        "rawPath": path,
        "rawQueryString": "",
        "headers": {"host": "abc.execute-api.us-east-1.amazonaws.com", "x-forwarded-port": "443", **sent},
        "requestContext": {
            "accountId": ACCOUNT,
            "domainName": "abc.execute-api.us-east-1.amazonaws.com",
            "http": {"method": method, "path": path, "protocol": "HTTP/1.1", "sourceIp": "192.0.2.1"},
            "requestId": "id",
            "stage": stage,
        },
        **({} if body is None else {"body": body}),
        "isBase64Encoded": False,
    }


def rest_api(method: str, path: str, body: str | None = None, **headers: str) -> dict[str, Any]:
    """An event of payload 1.0, as REST APIs send it."""
    sent = {"Host": "abc.execute-api.us-east-1.amazonaws.com", "X-Forwarded-Port": "443"}
    sent |= {name.replace("_", "-").title(): value for name, value in headers.items()}
    return {
        "resource": "/{proxy+}",
        "path": path,
        "httpMethod": method,
        "headers": sent,
        "multiValueHeaders": {name: [value] for name, value in sent.items()},
        "queryStringParameters": None,
        "multiValueQueryStringParameters": None,
        "pathParameters": {"proxy": path.removeprefix("/")},
        "stageVariables": None,
        "requestContext": {
            "accountId": ACCOUNT,
            "httpMethod": method,
            "identity": {"sourceIp": "192.0.2.1"},
            "path": f"/prod{path}",
            "resourcePath": "/{proxy+}",
            "stage": "prod",
        },
        "body": body,
        "isBase64Encoded": False,
    }


def in_stage(method: str, path: str, body: str | None = None, **headers: str) -> dict[str, Any]:
    """An HTTP API's event from a stage that has a name."""
    return http_api(method, f"/prod{path}", body, stage="prod", **headers)


def sentence(answer: dict[str, Any], status: int) -> str:
    """The one sentence of a refusal, as the public gets it."""
    assert answer["statusCode"] == status, answer["body"]
    assert answer["headers"]["content-type"] == "application/json"
    assert answer["isBase64Encoded"] is False
    found = json.loads(answer["body"])
    assert set(found) == {"error"}
    assert not re.search(r"\n|Traceback|\d{12}|arn:|amazon|InvokeEndpoint", found["error"])
    return str(found["error"])


every_event = pytest.mark.parametrize("event", [http_api, rest_api, in_stage])


@pytest.fixture(scope="module")
def inside(classifier: Classifier) -> Iterator[Function]:
    """The function with the classifier inside."""
    made = Function(app_for(classifier.verdict, classifier.card))
    yield made
    made.close()


@pytest.fixture
def chain(
    credentials: None, classifier: Classifier, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> Iterator[Function]:
    """The real handler, as Lambda finds it: the environment names an endpoint, which AWS's client finds on loopback."""
    app = endpoint(classifier)
    (tmp_path / "card.json").write_text(json.dumps(classifier.card.to_json()))
    with live(app) as address:
        loaded(app)
        monkeypatch.setenv("AWS_ENDPOINT_URL_SAGEMAKER_RUNTIME", address)
        monkeypatch.setenv("PLAUDIT_ENDPOINT", "sentiment")
        monkeypatch.setenv("PLAUDIT_CARD", str(tmp_path / "card.json"))
        yield module.handler
        vars(module).pop("handler").close()


@pytest.fixture
def in_front_of(credentials: None, monkeypatch: pytest.MonkeyPatch) -> Iterator[Callable[..., Function]]:
    """Makes functions that ask what stands at an address, with no more patience than a test has."""
    made: list[tuple[Function, Any]] = []

    def make(address: str) -> Function:
        monkeypatch.setenv("AWS_ENDPOINT_URL_SAGEMAKER_RUNTIME", address)
        client = runtime(Account(), read=0.3)
        made.append((Function(app_for(SageMakerEndpoint("sentiment", client).verdict, None)), client))
        return made[-1][0]

    yield make
    for one, client in made:
        one.close()
        client.close()


@every_event
@pytest.mark.parametrize("text", [REVIEW, "", "Terrible \U0001f600", "good \ud83d", "good<br />bad " * 300])
def test_an_event_goes_along_the_chain_to_the_classifiers_own_verdict(
    chain: Function, classifier: Classifier, event: Event, text: str
) -> None:
    answer = chain(event("POST", "/api/reviews", json.dumps({"text": text}), **JSON))
    assert answer["statusCode"] == 200
    assert json.loads(answer["body"]) == classifier.verdict(text).to_json()


@every_event
def test_raw_text_gets_the_originals_number_along_the_chain(chain: Function, event: Event) -> None:
    for review, number in ((REVIEW, "1.0"), ("Terrible, a waste of time", "0.0")):
        answer = chain(event("POST", "/", review, content_type="text/plain"))
        assert (answer["statusCode"], answer["body"]) == (200, number)


def test_the_page_knows_the_model_behind_the_chain(chain: Function, classifier: Classifier) -> None:
    told = json.loads(chain(http_api("GET", "/api/model"))["body"])
    assert (told["name"], told["labels"]) == (classifier.card.name, list(classifier.card.labels))


@every_event
@pytest.mark.parametrize(
    ("body", "headers", "status", "words"),
    [
        ("{", JSON, 400, "not JSON"),
        (None, JSON, 400, "not JSON"),
        ("a" * (2**20 + 1), JSON, 413, "1,048,576 bytes"),
        ('{"text": "good"}', {"content-type": "text/plain"}, 415, "text/plain"),
        ("{}", JSON, 422, '{"text": "…"}'),
    ],
)
def test_a_wrong_request_gets_its_status_and_a_sentence(
    inside: Function, event: Event, body: str | None, headers: dict[str, str], status: int, words: str
) -> None:
    assert words in sentence(inside(event("POST", "/api/reviews", body, **headers)), status)


@every_event
def test_a_body_that_comes_as_base64_is_the_same(inside: Function, classifier: Classifier, event: Event) -> None:
    body = base64.b64encode(json.dumps({"text": "caf\u00e9"}, ensure_ascii=False).encode()).decode()
    answer = inside({**event("POST", "/api/reviews", body, **JSON), "isBase64Encoded": True})
    assert json.loads(answer["body"]) == classifier.verdict("caf\u00e9").to_json()
    binary = base64.b64encode(b"caf\xe9").decode()
    answer = inside({**event("POST", "/", binary), "isBase64Encoded": True})
    assert "not UTF-8 at byte 4" in sentence(answer, 400)
    assert sentence(inside({**event("POST", "/", "x"), "isBase64Encoded": True}), 400) == UNREADABLE


@pytest.mark.parametrize(
    ("answer", "status", "retry_after", "words"),
    [
        (refused(429, "ModelNotReadyException", f"{ARN} is provisioning"), 503, SOON, STARTING),
        (refused(503, "ServiceUnavailable"), 503, SOON, STARTING),
        (refused(400, "ValidationError", f"Endpoint sentiment of account {ACCOUNT} not found."), 503, 10, STARTING),
        (refused(400, "ThrottlingException", "Rate exceeded"), 429, 1, BUSY),
        (
            refused(424, "ModelError", OriginalStatusCode=413, OriginalMessage='{"error": "too large a body"}'),
            413, None, "too large a body",
        ),
        (refused(424, "ModelError", f"see {ARN}", OriginalStatusCode=500, OriginalMessage="Trace"), 502, None, AWAY),
        (refused(403, "AccessDeniedException", f"User: {ARN} is not authorized"), 502, None, AWAY),
        (1.0, 504, SOON, LATE),
    ],
)  # fmt: skip
@pytest.mark.parametrize("event", [http_api, rest_api])
def test_a_failure_at_aws_is_one_sentence_with_status_and_wait(
    in_front_of: Callable[..., Function], event: Event, answer: Any, status: int, retry_after: int | None, words: str
) -> None:
    with live(Aws(answer).app) as address:
        for path in ("/api/reviews", "/"):
            found = in_front_of(address)(event("POST", path, '{"text": "good"}', **JSON))
            assert sentence(found, status) == words
            assert found["headers"].get("retry-after") == (str(retry_after) if retry_after else None)


def test_an_endpoint_that_is_away_is_503_and_the_log_names_it(
    in_front_of: Callable[..., Function], caplog: pytest.LogCaptureFixture
) -> None:
    answer = in_front_of("http://127.0.0.1:9")(http_api("POST", "/", "good"))
    assert (sentence(answer, 503), answer["headers"]["retry-after"]) == (AWAY, str(SOON))
    assert "sentiment: Could not connect" in caplog.text


@every_event
@pytest.mark.parametrize(
    ("path", "name"), [("/", "index.html"), ("/docs", "docs.html"), *((f"/static/{name}", name) for name in PAGES)]
)
def test_the_pages_come_as_they_are(inside: Function, event: Event, path: str, name: str) -> None:
    answer = inside(event("GET", path))
    assert (answer["statusCode"], answer["isBase64Encoded"]) == (200, False)
    assert answer["body"].encode() == (files("plaudit.web") / "pages" / name).read_bytes()
    assert answer["headers"]["content-type"] == PAGES[name]
    assert "default-src 'none'" in answer["headers"]["content-security-policy"]


@every_event
def test_what_is_not_there_says_so(inside: Function, event: Event) -> None:
    assert sentence(inside(event("GET", "/nowhere")), 404) == "GET /nowhere: Not Found"
    assert "no such file" in sentence(inside(event("GET", "/static/secret")), 404)
    assert "Method Not Allowed" in sentence(inside(event("DELETE", "/api/reviews")), 405)
    document = json.loads(inside(event("GET", "/openapi.json"))["body"])
    assert {"429", "502", "503", "504"} <= set(document["paths"]["/"]["post"]["responses"])


@every_event
def test_head_and_preflight(inside: Function, event: Event) -> None:
    head = inside(event("HEAD", "/"))
    assert (head["statusCode"], head["body"]) == (200, "")
    assert head["headers"]["content-type"] == PAGES["index.html"]
    origin = {"origin": "https://reviews.example"}
    allowed = inside(event("OPTIONS", "/api/reviews", **origin, access_control_request_method="POST"))
    assert (allowed["statusCode"], allowed["headers"]["access-control-allow-origin"]) == (200, "*")
    answer = inside(event("POST", "/", "good", **origin))
    assert answer["headers"]["access-control-allow-origin"] == "*"


def test_a_fault_of_ours_is_500_and_only_the_log_says_why(caplog: pytest.LogCaptureFixture) -> None:
    def ask(text: str) -> Verdict:
        raise RuntimeError("secret")

    broken = Function(app_for(ask, None))
    answer = broken(http_api("POST", "/", "good"))
    broken.close()
    assert "secret" not in sentence(answer, 500)
    assert "RuntimeError: secret" in caplog.text


@pytest.mark.parametrize(
    "event", [{}, {"key": "value"}, [], None, {"version": "2.0", "requestContext": {}}, {"requestContext": {"http": 3}}]
)
def test_what_is_no_request_is_400(inside: Function, caplog: pytest.LogCaptureFixture, event: Any) -> None:
    assert sentence(inside(event), 400) == UNREADABLE
    assert caplog.records[-1].levelno == logging.ERROR


any_value = st.one_of(st.sampled_from(["application/json", "text/plain", "*/*", "-1", "443"]), st.text(max_size=20))
headers_sent = st.fixed_dictionaries(
    {},
    optional={
        **dict.fromkeys(
            ["content-type", "accept", "origin", "x-forwarded-port", "content-length", "cookie"], any_value
        ),
        # The host is the API's own: API Gateway routes by it.
        "host": st.sampled_from(["reviews.example", "reviews.example:443", "192.0.2.1", "[2001:db8::1]:443"]),
    },
)


@settings(max_examples=300, deadline=None)
@given(
    event=st.sampled_from([http_api, rest_api, in_stage]),
    method=st.sampled_from(["GET", "HEAD", "POST", "OPTIONS", "PUT", "TRACE", "get", ""]),
    path=st.one_of(st.sampled_from(["/", "/api/reviews", "/api/model", "/static/page.js"]), st.text(max_size=20)),
    body=st.one_of(st.none(), st.text(), st.text().map(lambda text: json.dumps({"text": text}))),
    encoded=st.booleans(),
    truly=st.booleans(),
    headers=headers_sent,
)
def test_every_event_gets_a_response(
    inside: Function,
    event: Event,
    method: str,
    path: str,
    body: str | None,
    encoded: bool,
    truly: bool,
    headers: dict[str, str],
) -> None:
    if body is not None and encoded and truly:
        body = base64.b64encode(body.encode("utf-8", "surrogatepass")).decode()
    answer = inside({**event(method, path, body, **headers), "isBase64Encoded": encoded})
    json.dumps(answer)
    assert type(answer["statusCode"]) is int
    assert answer["statusCode"] in (200, 400, 404, 405, 413, 415, 422, 307)
    assert isinstance(answer["body"], str)
    assert answer["isBase64Encoded"] is False
    assert all(type(name) is str and type(value) is str for name, value in answer["headers"].items())
    if answer["statusCode"] >= 400 and method != "HEAD" and method != "OPTIONS":
        assert set(json.loads(answer["body"])) == {"error"}


def test_a_function_with_its_bundle_inside_has_answered_before_its_first_event(bundle: Bundle) -> None:
    made = function({"PLAUDIT_BUNDLE": str(bundle.path)})
    answer = made(http_api("POST", "/api/reviews", json.dumps({"text": REVIEW}), **JSON))
    made.close()
    assert json.loads(answer["body"]) == Classifier(bundle).verdict(REVIEW).to_json()


def test_an_init_that_cannot_answer_fails_at_once(
    bundle: Bundle, tmp_path: Path, credentials: None, monkeypatch: pytest.MonkeyPatch
) -> None:
    with pytest.raises(BundleError, match="there is no bundle"):
        function({"PLAUDIT_BUNDLE": str(tmp_path / "none")})
    with pytest.raises(BundleError, match="is not a card"):
        function({"PLAUDIT_ENDPOINT": "sentiment", "PLAUDIT_CARD": str(tmp_path / "card.json")})

    def refuse(text: str) -> Verdict:
        raise EndpointError("no", 502)

    monkeypatch.setattr(module, "_classifier", lambda path: (refuse, bundle.card))
    with pytest.raises(PlaceError, match="cannot answer"):
        function({})
    for name in ("AWS_REGION", "AWS_DEFAULT_REGION"):
        monkeypatch.delenv(name)
    with pytest.raises(UsageError, match="no AWS region"):
        function({"PLAUDIT_ENDPOINT": "sentiment"})


def test_an_import_makes_nothing() -> None:
    assert "handler" not in vars(module)
    with pytest.raises(AttributeError, match="nothing"):
        module.nothing  # noqa: B018
