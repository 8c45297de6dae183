"""The endpoint over HTTP: every request that is wrong gets its status and one sentence, and the rest a verdict."""

from __future__ import annotations

import contextlib
import http.client
import io
import json
import threading
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import httpx2
import numpy as np
import pytest
from starlette.testclient import TestClient

from plaudit.bundle.bundle import Bundle
from plaudit.bundle.classifier import Classifier
from plaudit.serving import handlers
from plaudit.serving.endpoint import endpoint
from tests.live import live, loaded

TEXT, JSON, CSV, NPY = "text/plain", "application/json", "text/csv", "application/x-npy"
WONDERFUL, TERRIBLE = b"A wonderful film", b"Terrible, a waste of time"


def npy(array: Any) -> bytes:
    file = io.BytesIO()
    np.save(file, np.asarray(array), allow_pickle=True)
    return file.getvalue()


def claiming(shape: str) -> bytes:
    header = f"{{'descr': '<f8', 'fortran_order': False, 'shape': {shape}, }}".encode().ljust(117) + b"\n"
    return b"\x93NUMPY\x01\x00" + len(header).to_bytes(2, "little") + header


def row(*changes: tuple[int, float]) -> bytes:
    """Two encoded rows as .npy, the second with ``changes``: (place, value)."""
    rows = np.zeros((2, 501))
    for at, value in changes:
        rows[1, at] = value
    return npy(rows)


@pytest.fixture(scope="module")
def client(classifier: Classifier) -> Iterator[TestClient]:
    app = endpoint(classifier)
    with TestClient(app) as found:
        loaded(app)
        yield found


@pytest.fixture(scope="module")
def original(original_bundle: Bundle) -> Iterator[TestClient]:
    assert original_bundle.path
    app = endpoint(original_bundle.path)
    with TestClient(app) as found:
        loaded(app)
        yield found


def invoke(client: TestClient, body: Any, content_type: str | None = TEXT, **headers: str) -> httpx2.Response:
    if content_type is not None:
        headers["content-type"] = content_type
    return client.post("/invocations", content=body, headers=headers)


def sentence(answer: httpx2.Response, status: int) -> str:
    """The one sentence of a refusal, in the form that every refusal has."""
    assert answer.status_code == status, answer.text
    assert answer.headers["content-type"] == "application/json"
    assert "Traceback" not in answer.text
    found = answer.json()
    assert set(found) == {"error"}
    assert isinstance(found["error"], str)
    assert found["error"]
    assert "\n" not in found["error"]
    return str(found["error"])


@pytest.mark.parametrize("path", ["/invocations", "/endpoints/plaudit/invocations", "/endpoints/any-name/invocations"])
def test_a_review_gets_its_verdict(client: TestClient, classifier: Classifier, path: str) -> None:
    answer = client.post(path, content=WONDERFUL, headers={"content-type": TEXT})
    assert answer.status_code == 200
    assert answer.headers["content-type"] == JSON
    assert answer.json() == classifier.verdict(WONDERFUL.decode()).to_json()


def test_one_text_gets_one_verdict_and_a_list_gets_a_list(client: TestClient, classifier: Classifier) -> None:
    texts = [WONDERFUL.decode(), TERRIBLE.decode()]
    assert invoke(client, json.dumps({"text": texts[0]}), JSON).json() == classifier.verdict(texts[0]).to_json()
    expected = [verdict.to_json() for verdict in classifier.verdicts(texts)]
    assert invoke(client, json.dumps({"texts": texts}), JSON).json() == {"verdicts": expected}
    assert invoke(client, '{"texts": []}', JSON).json() == {"verdicts": []}


@pytest.mark.parametrize(
    ("accept", "kind", "content"),
    [
        ("text/plain", "text/plain; charset=utf-8", b"1.0"),
        ("application/json;q=0.1, text/plain", "text/plain; charset=utf-8", b"1.0"),
        ("text/*;q=0.5, image/png", "text/plain; charset=utf-8", b"1.0"),
        ("application/x-npy", NPY, npy([1.0])),
    ],
)
def test_the_answer_comes_as_accepted(client: TestClient, accept: str, kind: str, content: bytes) -> None:
    answer = invoke(client, WONDERFUL, accept=accept)
    assert (answer.status_code, answer.headers["content-type"], answer.content) == (200, kind, content)


def test_text_of_a_negative_review_is_0(client: TestClient) -> None:
    assert invoke(client, TERRIBLE, accept=TEXT).content == b"0.0"


def test_csv_has_the_number_and_the_probability(client: TestClient, classifier: Classifier) -> None:
    answer = invoke(client, WONDERFUL, accept="text/csv;q=0.9, application/json;q=0.1")
    assert answer.headers["content-type"] == CSV
    assert answer.text == f"1.0,{classifier.verdict(WONDERFUL.decode()).scores['positive']!r}\n"


def test_an_answer_that_cannot_be_accepted_is_415(client: TestClient) -> None:
    assert "image/png" in sentence(invoke(client, WONDERFUL, accept="image/png"), 415)


@pytest.mark.parametrize(
    ("content_type", "body", "status", "words"),
    [
        pytest.param(TEXT, b"caf\xe9", 400, "not UTF-8 at byte 4", id="not UTF-8"),
        pytest.param(JSON, b'{"text": "\xff"}', 400, "not UTF-8 at byte 11", id="JSON not UTF-8"),
        pytest.param(JSON, b"{", 400, "not JSON", id="bad JSON"),
        pytest.param(JSON, b"", 400, "not JSON", id="no body"),
        pytest.param("image/png", b"good", 415, "image/png", id="unknown type"),
        pytest.param("application/x-www-form-urlencoded", b"good", 415, "urlencoded", id="curl's own type"),
        pytest.param(None, b"good", 415, "missing", id="no type"),
        pytest.param("", b"good", 415, "missing", id="empty type"),
        pytest.param("text/plain; charset=latin-1", b"good", 415, "latin-1", id="latin-1"),
        pytest.param("application/json; charset=utf-16", b"{}", 415, "utf-16", id="UTF-16"),
        pytest.param(JSON, b"{}", 422, "text", id="no text"),
        pytest.param(JSON, b"[]", 422, "text", id="a list"),
        pytest.param(JSON, b'{"text": 3}', 422, "text", id="text is a number"),
        pytest.param(JSON, b'{"texts": ["good", 3]}', 422, "text 2 of texts", id="a text is a number"),
        pytest.param(CSV, b"1,2,3", 422, "row 1", id="CSV width"),
        pytest.param(CSV, b"1,2\n3", 422, "row 2", id="CSV of two widths"),
        pytest.param(CSV, b"one,two", 422, "row 1", id="CSV of words"),
        pytest.param(CSV, b"nan" + b",0" * 500, 422, "row 1", id="CSV with nan"),
        pytest.param(NPY, npy(np.zeros((2, 500))), 422, "row 1 has 500", id="npy width"),
        pytest.param(NPY, row((1, 1e6)), 422, "row 2 has the id 1000000", id="id too high"),
        pytest.param(NPY, row((1, -2)), 422, "row 2 has the id -2", id="id below 0"),
        pytest.param(NPY, row((0, 501)), 422, "row 2 has the length 501", id="length 501"),
        pytest.param(NPY, row((3, np.nan)), 422, "row 2", id="NaN"),
        pytest.param(NPY, row((3, 0.5)), 422, "row 2", id="fraction"),
        pytest.param(NPY, npy(np.zeros((2, 3, 4))), 422, "3 dimensions", id="3 dimensions"),
        pytest.param(NPY, npy(np.array([{}], dtype=object)), 400, ".npy", id="pickled objects"),
        pytest.param(NPY, npy(np.zeros((2, 501)))[:-1], 400, ".npy", id="truncated"),
        pytest.param(NPY, claiming("(1000000000000,)"), 400, ".npy", id="huge shape"),
        pytest.param(NPY, b"good", 400, ".npy", id="not npy"),
    ],
)
def test_a_wrong_request_gets_its_status_and_a_sentence(
    original: TestClient, content_type: str | None, body: bytes, status: int, words: str
) -> None:
    assert words in sentence(invoke(original, body, content_type), status)


def test_a_model_of_texts_takes_no_encoded_rows(client: TestClient) -> None:
    assert "reads texts" in sentence(invoke(client, row(), NPY), 422)


def test_encoded_rows_get_probabilities(original: TestClient) -> None:
    found = invoke(original, row(), NPY).json()
    assert found == {"labels": ["negative", "positive"], "probabilities": [[0.5, 0.5]] * 2}


@pytest.mark.parametrize(
    ("kind", "body"),
    [(CSV, b"1,2\r3,4"), (NPY, b"PK\x03\x04"), (NPY, claiming("(" + "9" * 30 + ",)"))],
    ids=["csv", "npy zip", "npy shape"],
)
def test_a_body_that_cannot_be_read_is_never_a_fault_of_ours(original_bundle: Bundle, kind: str, body: bytes) -> None:
    app = endpoint(Classifier(original_bundle))
    with TestClient(app, raise_server_exceptions=False) as client:
        loaded(app)
        assert invoke(client, body, kind).status_code in (400, 422)


def test_a_body_over_the_limit_is_413(client: TestClient) -> None:
    assert "1,048,576 bytes" in sentence(invoke(client, b"a" * 1_048_577), 413)


def test_a_body_at_the_limit_is_judged(classifier: Classifier) -> None:
    app = endpoint(classifier, max_bytes=50)
    with TestClient(app) as client:
        loaded(app)
        assert invoke(client, b"good ".ljust(50)).status_code == 200
        assert "50 bytes" in sentence(invoke(client, b"good ".ljust(51)), 413)


def test_a_chunked_body_over_the_limit_is_413(client: TestClient) -> None:
    answer = invoke(client, (b"a" * 100_000 for _ in range(11)))
    assert "content-length" not in answer.request.headers
    assert "1,048,576 bytes" in sentence(answer, 413)
    assert invoke(client, (part for part in (b"A wonder", b"ful film")), accept=TEXT).content == b"1.0"


def test_a_real_server_refuses_a_long_body_before_it_is_sent(classifier: Classifier) -> None:
    app = endpoint(classifier)
    with live(app) as address:
        loaded(app)
        place = urlsplit(address)
        connection = http.client.HTTPConnection(place.netloc, timeout=10)
        connection.putrequest("POST", "/invocations")
        connection.putheader("content-type", TEXT)
        connection.putheader("content-length", "2000000")
        connection.endheaders(b"only the beginning")
        answer = connection.getresponse()
        assert answer.status == 413
        assert json.loads(answer.read()) == {"error": "the body is larger than 1,048,576 bytes"}
        connection.close()

        connection = http.client.HTTPConnection(place.netloc, timeout=10)
        chunks = (b"a" * 100_000 for _ in range(11))
        connection.request("POST", "/invocations", chunks, {"content-type": TEXT}, encode_chunked=True)
        assert connection.getresponse().status == 413
        connection.close()


@pytest.mark.parametrize(
    "review",
    [
        "<script>alert('x')</script>A wonderful film",
        "A wonderful\x00 film",
        "<b>A wonderful film",
        '{"text": "A wonderful film"}',
        "'; DROP TABLE reviews; -- a wonderful film",
        "A wonderful film \U0001f600\u202e\ufeff",
    ],
)
def test_whatever_a_review_holds_is_text(client: TestClient, classifier: Classifier, review: str) -> None:
    expected = classifier.verdict(review).to_json()
    assert expected["label"] == "positive"
    assert invoke(client, review.encode()).json() == expected
    assert invoke(client, json.dumps({"text": review}), JSON).json() == expected


def test_an_empty_review_gets_the_prior_and_a_note(client: TestClient) -> None:
    found = invoke(client, b"").json()
    assert found["probability"] == 0.5
    assert found["words"] == []
    assert len(found["notes"]) == 1


def test_an_unknown_path_is_404(client: TestClient) -> None:
    for path in ("/", "/invocation", "/endpoints/invocations", "/%00", "/a/../b"):
        sentence(client.get(path), 404)
        sentence(client.post(path, content=WONDERFUL), 404)


def test_a_wrong_method_is_405(client: TestClient) -> None:
    answer = client.get("/invocations")
    assert "GET /invocations" in sentence(answer, 405)
    assert answer.headers["allow"] == "POST"
    sentence(client.put("/endpoints/plaudit/invocations"), 405)
    sentence(client.post("/ping"), 405)


def test_ping_answers_200_without_a_body(client: TestClient) -> None:
    answer = client.get("/ping")
    assert (answer.status_code, answer.content) == (200, b"")


def test_without_a_bundle_it_is_503_and_says_why(tmp_path: Path) -> None:
    app = endpoint(tmp_path / "nowhere")
    with TestClient(app) as client:
        loaded(app)
        for answer in (invoke(client, WONDERFUL), client.get("/ping")):
            assert str(tmp_path / "nowhere") in sentence(answer, 503)
            assert answer.headers["retry-after"] == "1"


def test_a_model_that_fails_in_a_way_we_do_not_know_is_not_on_its_way(monkeypatch: pytest.MonkeyPatch) -> None:
    def broken(folder: object) -> Classifier:
        raise RuntimeError("secret")

    monkeypatch.setattr(handlers, "model_fn", broken)
    app = endpoint("a folder")
    with contextlib.suppress(RuntimeError), TestClient(app) as client:
        loaded(app)
        found = sentence(client.get("/ping"), 503)
    assert "on its way" not in found
    assert "secret" not in found


def test_while_the_model_loads_it_is_503_and_then_200(classifier: Classifier, monkeypatch: pytest.MonkeyPatch) -> None:
    go = threading.Event()

    def slow(folder: object) -> Classifier:
        go.wait(30)
        return classifier

    monkeypatch.setattr(handlers, "model_fn", slow)
    app = endpoint("a folder")
    with TestClient(app) as client:
        try:
            assert "on its way" in sentence(client.get("/ping"), 503)
            assert "on its way" in sentence(invoke(client, WONDERFUL), 503)
        finally:
            go.set()
        loaded(app)
        assert client.get("/ping").status_code == 200
        assert invoke(client, WONDERFUL, accept=TEXT).content == b"1.0"


def test_a_request_too_many_is_429(classifier: Classifier) -> None:
    app = endpoint(classifier, max_waiting=0)
    with TestClient(app) as client:
        loaded(app)
        answer = invoke(client, WONDERFUL)
        sentence(answer, 429)
        assert answer.headers["retry-after"] == "1"


def test_who_waits_is_answered_and_who_comes_later_is_429(
    classifier: Classifier, monkeypatch: pytest.MonkeyPatch
) -> None:
    go, started, real = threading.Event(), threading.Event(), Classifier.score

    def slow(model: Classifier, read: Any) -> Any:
        started.set()
        go.wait(30)
        return real(model, read)

    app = endpoint(classifier, max_waiting=1)
    with TestClient(app) as client, ThreadPoolExecutor(1) as pool:
        loaded(app)
        monkeypatch.setattr(Classifier, "score", slow)
        first = pool.submit(invoke, client, WONDERFUL, accept=TEXT)
        try:
            assert started.wait(30)
            assert "1 requests are waiting" in sentence(invoke(client, WONDERFUL), 429)
            assert client.get("/ping").status_code == 200
        finally:
            go.set()
        assert first.result().content == b"1.0"
        assert invoke(client, TERRIBLE, accept=TEXT).content == b"0.0"


def test_many_at_once_are_all_answered(classifier: Classifier) -> None:
    texts = [f"A wonderful film {number}" for number in range(30)] + ["Terrible, a waste of time"] * 10
    expected = [classifier.verdict(text).to_json() for text in texts]
    app = endpoint(classifier)
    with live(app) as address, httpx2.Client(base_url=address) as client, ThreadPoolExecutor(8) as pool:
        loaded(app)
        found = pool.map(lambda text: client.post("/invocations", json={"text": text}).json(), texts)
        assert list(found) == expected


def test_a_fault_of_ours_is_500_and_tells_nothing(classifier: Classifier, monkeypatch: pytest.MonkeyPatch) -> None:
    def broken(model: object, read: object) -> None:
        raise RuntimeError("secret")

    app = endpoint(classifier)
    with TestClient(app, raise_server_exceptions=False) as client:
        loaded(app)
        with monkeypatch.context() as patch:
            patch.setattr(Classifier, "score", broken)
            answer = invoke(client, WONDERFUL)
        assert "secret" not in sentence(answer, 500)
        assert invoke(client, WONDERFUL, accept=TEXT).content == b"1.0"
