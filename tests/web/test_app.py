"""The public API and the page's files over HTTP, in front of a trained model and of one that is away."""

from __future__ import annotations

import http.client
import json
from collections.abc import Iterator, Mapping
from dataclasses import replace
from html.parser import HTMLParser
from typing import Any
from urllib.parse import urlsplit

import httpx2
import pytest
from starlette.testclient import TestClient

from plaudit.bundle.classifier import UNKNOWN, Classifier
from plaudit.bundle.verdict import Verdict, WordContribution
from plaudit.errors import EndpointError
from plaudit.web.app import PAGES, app_for, public_app
from tests.live import live

JSON = {"content-type": "application/json"}
CURL = {"content-type": "application/x-www-form-urlencoded"}
ORIGIN = {"origin": "https://reviews.example"}
KINDS: dict[str, Any] = {"string": str, "integer": int, "number": (int, float), "array": list, "object": dict}


@pytest.fixture(scope="module")
def client(classifier: Classifier) -> Iterator[TestClient]:
    with TestClient(public_app(classifier.verdict, labels=classifier.classes_)) as found:
        yield found


STARS = Verdict(
    "four", 0.5, {"one": 0.1, "two": 0.1, "three": 0.1, "four": 0.5, "five": 0.2}, 1.5, 0.25,
    (WordContribution(0, 4, 1.5), WordContribution(5, 9, -0.25)), 2, 2, (),
)  # fmt: skip


def away(error: Exception) -> TestClient:
    """The API in front of something that raises ``error``."""

    def ask(text: str) -> Verdict:
        raise error

    return TestClient(public_app(ask), raise_server_exceptions=False)


def sentence(answer: httpx2.Response, status: int) -> str:
    """The one sentence of a refusal, in the form that every refusal has."""
    assert answer.status_code == status, answer.text
    assert answer.headers["content-type"] == "application/json"
    assert "Traceback" not in answer.text
    found = answer.json()
    assert set(found) == {"error"}
    assert found["error"]
    assert "\n" not in found["error"]
    return str(found["error"])


def fits(value: Any, schema: Mapping[str, Any], document: Mapping[str, Any]) -> bool:
    """Whether ``value`` is what a schema of the OpenAPI ``document`` describes, with nothing more."""
    if "$ref" in schema:
        schema = document["components"]["schemas"][schema["$ref"].rpartition("/")[2]]
    if isinstance(value, bool) or not isinstance(value, KINDS[schema["type"]]):
        return False
    if schema["type"] == "array":
        return all(fits(one, schema["items"], document) for one in value)
    if schema["type"] == "object":
        named, rest = schema.get("properties", {}), schema.get("additionalProperties")
        return set(schema.get("required", ())) <= set(value) and all(
            (name in named or rest is not None) and fits(one, named.get(name, rest), document)
            for name, one in value.items()
        )
    return True


def promised(document: Mapping[str, Any], path: str, status: int) -> Mapping[str, Any]:
    """The schema of what ``POST path`` answers with ``status``."""
    found: Mapping[str, Any] = document["paths"][path]["post"]["responses"][str(status)]
    return dict(found["content"]["application/json"]["schema"])


@pytest.mark.parametrize(
    "text", ["A wonderful film", "", "Terrible \U0001f600", "good " * 501, "<script>good</script>"]
)
def test_a_verdict_is_what_the_documentation_promises(client: TestClient, classifier: Classifier, text: str) -> None:
    answer = client.post("/api/reviews", json={"text": text})
    assert answer.status_code == 200
    assert answer.headers["content-type"] == "application/json"
    assert answer.json() == classifier.verdict(text).to_json()
    document = client.get("/openapi.json").json()
    assert fits(answer.json(), promised(document, "/api/reviews", 200), document)
    assert not fits({**answer.json(), "score": "high"}, promised(document, "/api/reviews", 200), document)
    assert not fits({**answer.json(), "more": 1}, promised(document, "/api/reviews", 200), document)


def test_the_documentation_names_every_operation(client: TestClient) -> None:
    document = client.get("/openapi.json").json()
    operations = {(path, method) for path, found in document["paths"].items() for method in found}
    assert operations == {("/api/reviews", "post"), ("/", "post"), ("/api/model", "get")}
    body = document["paths"]["/api/reviews"]["post"]["requestBody"]["content"]["application/json"]["schema"]
    assert fits({"text": "good"}, body, document)
    assert not fits({}, body, document)


@pytest.mark.parametrize(
    ("body", "headers", "status", "words"),
    [
        (b'{"text": "\xff"}', JSON, 400, "not UTF-8 at byte 11"),
        (b"{", JSON, 400, "not JSON"),
        (b"", JSON, 400, "not JSON"),
        (b"[" * 100_000, JSON, 400, "not JSON"),
        (b"a" * 1_048_577, JSON, 413, "1,048,576 bytes"),
        (b'{"text": "good"}', {"content-type": "text/plain"}, 415, "text/plain"),
        (b'{"text": "good"}', CURL, 415, "application/x-www-form-urlencoded"),
        (b'{"text": "good"}', {}, 415, "missing"),
        (b"{}", JSON, 422, '{"text": "…"}'),
        (b"[]", JSON, 422, '{"text": "…"}'),
        (b'{"text": 3}', JSON, 422, '{"text": "…"}'),
        (b'{"texts": ["good"]}', JSON, 422, '{"text": "…"}'),
    ],
)
def test_a_wrong_request_gets_its_status_and_a_sentence(
    client: TestClient, body: bytes, headers: dict[str, str], status: int, words: str
) -> None:
    answer = client.post("/api/reviews", content=body, headers={**headers, **ORIGIN})
    assert words in sentence(answer, status)
    assert answer.headers["access-control-allow-origin"] == "*"
    document = client.get("/openapi.json").json()
    assert fits(answer.json(), promised(document, "/api/reviews", status), document)


def test_a_chunked_body_over_the_limit_is_413(client: TestClient) -> None:
    for path in ("/", "/api/reviews"):
        answer = client.post(path, content=(b"a" * 100_000 for _ in range(11)), headers=JSON)
        assert "1,048,576 bytes" in sentence(answer, 413)


def test_the_limit_is_the_one_that_was_set(classifier: Classifier) -> None:
    with TestClient(public_app(classifier.verdict, {"name": "Films"}, max_bytes=20)) as client:
        assert client.post("/", content=b"good ".ljust(20)).status_code == 200
        assert "20 bytes" in sentence(client.post("/", content=b"good ".ljust(21)), 413)
        assert client.get("/api/model").json()["max_bytes"] == 20


@pytest.mark.parametrize("headers", [CURL, {"content-type": "text/plain"}, {}, {"content-type": "image/png"}])
def test_raw_text_gets_the_originals_number(client: TestClient, headers: dict[str, str]) -> None:
    for review, number in (("A wonderful film", "1.0"), ("Terrible, a waste of time", "0.0")):
        answer = client.post("/", content=review.encode(), headers=headers)
        assert (answer.status_code, answer.text) == (200, number)
        assert answer.headers["content-type"] == "text/plain; charset=utf-8"
        assert "plaudit-note" not in answer.headers


def test_raw_text_is_the_whole_body_as_it_is(classifier: Classifier) -> None:
    asked: list[str] = []

    def ask(text: str) -> Verdict:
        asked.append(text)
        return classifier.verdict(text)

    reviews = ["review=A+wonderful&more=film%20", '{"text": "good"}', "<b>\x00good</b>\r\n", "\U0001f600", ""]
    with TestClient(public_app(ask)) as client:
        for review in reviews:
            assert client.post("/", content=review.encode(), headers=CURL).status_code == 200
    assert asked == reviews


def test_notes_go_with_the_number_in_a_header(client: TestClient) -> None:
    unknown = client.post("/", content=b"xqzzy vrblgrmpf")
    assert (unknown.text, unknown.headers["plaudit-note"]) == ("0.0", UNKNOWN)
    long = client.post("/", content=b"good " * 1_001)
    assert long.headers["plaudit-note"] == "Only the first 1,000 of 1,001 words were read."
    assert client.post("/", content=b"xqzzy " * 1_001).headers["plaudit-note"].startswith(f"{UNKNOWN} Only the first")


def test_the_card_tells_the_page_of_the_model_and_which_label_is_1(classifier: Classifier) -> None:
    card = classifier.card.with_metrics("test", {"accuracy": 0.9, "reviews": 10})
    with TestClient(app_for(classifier.verdict, card)) as client:
        told = client.get("/api/model").json()
        assert (told["name"], told["labels"], told["max_words"]) == (card.name, list(card.labels), card.max_words)
        assert told["recipe"] == card.recipe["name"]
        assert told["metrics"] == {"accuracy": 0.9, "reviews": 10, "split": "test"}
        assert told["data"]["train"] == card.data["train"]
        assert client.post("/", content=b"A wonderful film").text == "1.0"
    with TestClient(app_for(classifier.verdict, replace(card, labels=card.labels[::-1]))) as client:
        assert client.post("/", content=b"A wonderful film").text == "0.0"
    with TestClient(app_for(classifier.verdict, None)) as client:
        assert client.get("/api/model").status_code == 404


def test_raw_text_that_is_not_utf8_is_400(client: TestClient) -> None:
    assert "not UTF-8 at byte 4" in sentence(client.post("/", content=b"caf\xe9", headers=CURL), 400)
    assert "1,048,576 bytes" in sentence(client.post("/", content=b"a" * 1_048_577, headers=CURL), 413)


def test_labels_tell_which_one_is_1(classifier: Classifier) -> None:
    with TestClient(public_app(classifier.verdict, labels=("positive", "negative"))) as client:
        assert client.post("/", content=b"A wonderful film").text == "0.0"
    with TestClient(public_app(classifier.verdict)) as client:
        assert client.post("/", content=b"A wonderful film").text == "1.0"


@pytest.mark.parametrize(("path", "body"), [("/", b"good"), ("/api/reviews", b'{"text": "good"}')])
def test_an_endpoint_that_is_away_is_503_and_says_when_to_try_again(path: str, body: bytes) -> None:
    with away(EndpointError("the endpoint does not answer", 503, 2)) as client:
        answer = client.post(path, content=body, headers=JSON)
    assert sentence(answer, 503) == "the endpoint does not answer"
    assert answer.headers["retry-after"] == "2"
    with away(EndpointError("too many requests are waiting", 429)) as client:
        answer = client.post(path, content=body, headers=JSON)
    assert sentence(answer, 429) == "too many requests are waiting"
    assert "retry-after" not in answer.headers


@pytest.mark.parametrize("path", ["/", "/api/reviews"])
def test_a_fault_of_ours_is_500_and_tells_nothing(path: str) -> None:
    with away(RuntimeError("secret")) as client:
        assert "secret" not in sentence(client.post(path, content=b'{"text": "good"}', headers=JSON), 500)


@pytest.mark.parametrize("path", ["/api/reviews", "/"])
def test_a_page_of_another_site_may_ask(client: TestClient, path: str) -> None:
    preflight = {"access-control-request-method": "POST", "access-control-request-headers": "content-type"}
    allowed = client.options(path, headers={**ORIGIN, **preflight})
    assert allowed.status_code == 200
    assert allowed.headers["access-control-allow-origin"] == "*"
    assert "POST" in allowed.headers["access-control-allow-methods"]
    assert "content-type" in allowed.headers["access-control-allow-headers"].lower()
    assert "access-control-allow-credentials" not in allowed.headers
    answer = client.post(path, content=b'{"text": "good"}', headers={**ORIGIN, **JSON})
    assert answer.headers["access-control-allow-origin"] == "*"


def test_a_preflight_for_what_is_not_offered_is_refused(client: TestClient) -> None:
    answer = client.options("/", headers={**ORIGIN, "access-control-request-method": "DELETE"})
    assert answer.status_code == 400


PLACES = {"/": "text/html", "/docs": "text/html"} | {
    f"/static/{name}": kind.partition(";")[0] for name, kind in PAGES.items()
}


@pytest.mark.parametrize(("path", "kind"), PLACES.items())
def test_every_file_comes_with_its_type_and_under_protection(client: TestClient, path: str, kind: str) -> None:
    answer = client.get(path)
    assert answer.status_code == 200
    assert answer.headers["content-type"].partition(";")[0] == kind
    assert answer.headers["x-content-type-options"] == "nosniff"
    assert answer.headers["referrer-policy"] == "no-referrer"
    policy = dict(part.split(maxsplit=1) for part in answer.headers["content-security-policy"].split(";"))
    assert policy["default-src"] == "'none'"
    assert policy["script-src"] == policy["style-src"] == policy["connect-src"] == "'self'"
    assert policy["frame-ancestors"] == "'none'"
    assert "unsafe" not in answer.headers["content-security-policy"]
    assert answer.text


def test_the_page_answers_head_as_get_without_its_content(classifier: Classifier) -> None:
    with live(public_app(classifier.verdict)) as address:
        found, asked = httpx2.get(address), httpx2.head(address)
    assert (asked.status_code, asked.content) == (200, b"")
    for name in ("content-type", "content-length", "content-security-policy", "cache-control"):
        assert asked.headers[name] == found.headers[name]


class References(HTMLParser):
    """What a page's tags refer to, and whether anything in it needs more than the policy allows."""

    def __init__(self, page: str) -> None:
        super().__init__()
        self.links: list[str] = []
        self.inline: list[str] = []
        self.feed(page)
        self.close()

    def handle_starttag(self, tag: str, attributes: list[tuple[str, str | None]]) -> None:
        for name, value in attributes:
            if name in ("src", "href", "action", "srcset", "data", "poster"):
                self.links.append(value or "")
            if name == "style" or name.startswith("on"):
                self.inline.append(f"{tag} {name}")
        if tag == "style" or (tag == "script" and "src" not in dict(attributes)):
            self.inline.append(tag)


@pytest.mark.parametrize("path", ["/", "/docs"])
def test_a_page_refers_to_nothing_elsewhere_and_to_nothing_that_is_not_there(client: TestClient, path: str) -> None:
    page = References(client.get(path).text)
    assert page.inline == []
    assert page.links
    for link in page.links:
        assert not urlsplit(link).scheme, link
        assert not urlsplit(link).netloc, link
        if not link.startswith("#"):
            assert client.get(f"/{link}").status_code == 200, link


@pytest.mark.parametrize("name", [name for name in PAGES if not name.endswith(("html", "svg"))])
def test_scripts_and_styles_load_nothing_from_elsewhere(client: TestClient, name: str) -> None:
    content = client.get(f"/static/{name}").text
    assert "http://" not in content.replace("http://www.w3.org/", "")
    assert "https://" not in content


@pytest.mark.parametrize("path", ["/static/app.py", "/static/", "/static", "/static/index.htm", "/admin", "/redoc"])
def test_an_unknown_path_is_404(client: TestClient, path: str) -> None:
    sentence(client.get(path), 404)


def test_no_path_leads_out_of_the_folder(classifier: Classifier) -> None:
    paths = (
        "/static/../app.py",
        "/static/..%2fapp.py",
        "/static/%2e%2e/app.py",
        "/static/..%5capp.py",
        "/static//etc/passwd",
        "/static/%2fetc%2fpasswd",
        "/static/page.js%00",
    )
    with live(public_app(classifier.verdict)) as address:
        connection = http.client.HTTPConnection(urlsplit(address).netloc, timeout=10)
        for path in paths:
            connection.request("GET", path)
            answer = connection.getresponse()
            assert answer.status == 404, path
            assert set(json.loads(answer.read())) == {"error"}
        connection.close()


def test_a_wrong_method_is_405(client: TestClient) -> None:
    sentence(client.get("/api/reviews"), 405)
    sentence(client.post("/api/model"), 405)
    sentence(client.delete("/"), 405)


def test_the_page_is_told_about_its_model(classifier: Classifier) -> None:
    about = {"name": "Films, small", "labels": ["negative", "positive"], "metrics": None}
    with TestClient(public_app(classifier.verdict, about)) as client:
        found = client.get("/api/model").json()
    version = found.pop("version")
    assert found == {**about, "max_bytes": 1_048_576}
    assert version.count(".") == 2


def test_a_server_that_was_not_told_about_its_model_says_so(client: TestClient) -> None:
    assert "not told about its model" in sentence(client.get("/api/model"), 404)


def test_a_real_server_answers_curls_request(classifier: Classifier) -> None:
    with live(public_app(classifier.verdict)) as address:
        assert httpx2.post(address, content=b"A wonderful film", headers=CURL).text == "1.0"
        assert httpx2.post(address, content=b"Terrible, a waste of time", headers=CURL).text == "0.0"


def test_an_endpoint_with_other_labels_than_the_card_gives_no_number(classifier: Classifier) -> None:
    with TestClient(public_app(classifier.verdict, labels=("bad", "good"))) as client:
        answer = client.post("/", content=b"A wonderful film")
    assert answer.status_code == 502
    assert "labels are not those" in answer.json()["error"]


@pytest.mark.parametrize("labels", [None, tuple(STARS.scores), tuple(STARS.scores)[::-1]])
def test_more_than_two_labels_are_no_number_but_a_verdict(labels: tuple[str, ...] | None) -> None:
    with TestClient(public_app(lambda text: STARS, labels=labels)) as client:
        refused = sentence(client.post("/", content=b"good film"), 422)
        assert refused == "one number cannot tell 5 labels apart: POST /api/reviews gives the verdict"
        answer = client.post("/api/reviews", json={"text": "good film"})
        document = client.get("/openapi.json").json()
    assert answer.json() == STARS.to_json()
    assert fits(answer.json(), promised(document, "/api/reviews", 200), document)
    assert document["paths"]["/"]["post"]["responses"]["422"]["description"] == "the model has more than two labels"


def test_other_labels_than_the_cards_are_502_however_many() -> None:
    with TestClient(public_app(lambda text: STARS, labels=("bad", "good"))) as client:
        assert "labels are not those" in sentence(client.post("/", content=b"good film"), 502)
