"""The four handlers: a bundle's folder and a request's bytes to an answer's bytes, without HTTP."""

from __future__ import annotations

import io
import json
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from plaudit.bundle.bundle import Bundle
from plaudit.bundle.classifier import Classifier
from plaudit.errors import BadRequest, BundleError, RequestError, Unprocessable, UnsupportedMedia
from plaudit.serving.handlers import input_fn, model_fn, output_fn, predict_fn
from plaudit.text.encoder import Encoder
from plaudit.text.reviews import Reviews


@pytest.fixture(scope="module")
def original(original_bundle: Bundle) -> Classifier:
    assert original_bundle.path
    return model_fn(original_bundle.path)


def answered(model: Classifier, body: bytes | str, content_type: str, accept: str = "application/json") -> bytes:
    return output_fn(predict_fn(input_fn(body, content_type), model), accept)


def encoded(texts: Sequence[str], bundle: Bundle) -> np.ndarray[Any, np.dtype[np.float64]]:
    """What the original's clients sent: a length and 500 ids a row."""
    encoder = Encoder(bundle.vocabulary, "original", 500)
    rows = np.zeros((len(texts), 501))
    for row, text in zip(rows, texts, strict=True):
        ids = encoder.encode(text)
        row[0], row[1 : 1 + len(ids)] = len(ids), ids
    return rows


def as_csv(rows: np.ndarray[Any, Any]) -> bytes:
    return "\n".join(",".join(str(int(value)) for value in row) for row in rows).encode()


def as_npy(rows: np.ndarray[Any, Any]) -> bytes:
    file = io.BytesIO()
    np.save(file, rows)
    return file.getvalue()


def refusal(kind: type[RequestError], model: Classifier, body: bytes, content_type: str) -> str:
    with pytest.raises(kind) as caught:
        answered(model, body, content_type)
    assert type(caught.value) is kind
    assert "\n" not in str(caught.value)
    return str(caught.value)


def test_the_model_is_the_bundle_of_the_folder(original_bundle: Bundle, original: Classifier) -> None:
    assert original.bundle == original_bundle
    assert model_fn(str(original_bundle.path)).bundle == original_bundle


def test_a_folder_without_a_bundle_is_an_error(tmp_path: Path) -> None:
    with pytest.raises(BundleError, match=r"manifest\.json"):
        model_fn(tmp_path)


def test_text_gets_its_verdict(classifier: Classifier) -> None:
    verdict = classifier.verdict("A wonderful film")
    for content_type in ("text/plain", "text/plain; charset=utf-8", "TEXT/PLAIN"):
        assert json.loads(answered(classifier, b"A wonderful film", content_type)) == verdict.to_json()
    assert json.loads(answered(classifier, "A wonderful film", "text/plain")) == verdict.to_json()
    assert answered(classifier, b"A wonderful film", "text/plain", "text/plain") == b"1.0"


def test_one_text_gets_one_verdict_and_a_list_gets_a_list(classifier: Classifier) -> None:
    texts = ["A wonderful film", "Terrible, a waste of time"]
    one = json.loads(answered(classifier, json.dumps({"text": texts[0]}), "application/json"))
    several = json.loads(answered(classifier, json.dumps({"texts": texts}), "application/json"))
    assert one == classifier.verdict(texts[0]).to_json()
    assert several == {"verdicts": [verdict.to_json() for verdict in classifier.verdicts(texts)]}
    assert len(json.loads(answered(classifier, json.dumps({"texts": texts[:1]}), "application/json"))["verdicts"]) == 1
    assert json.loads(answered(classifier, '{"texts": []}', "application/json")) == {"verdicts": []}


def test_half_of_a_surrogate_pair_is_a_character_like_others(classifier: Classifier) -> None:
    found = json.loads(answered(classifier, b'{"text": "\\ud83d wonderful"}', "application/json"))
    assert found == classifier.verdict("\ud83d wonderful").to_json()
    assert [word["start"] for word in found["words"]] == [2]


@pytest.mark.parametrize("kind", ["text/csv", "application/x-npy"])
def test_encoded_rows_score_as_their_texts(original: Classifier, sample: Reviews, kind: str) -> None:
    texts = [*(review.text for review in sample.test), "A wonderful film " * 300, "xqzzy", ""]
    rows = encoded(texts, original.bundle)
    body = as_csv(rows) if kind == "text/csv" else as_npy(rows)
    found = json.loads(answered(original, body, kind))
    assert found["labels"] == ["negative", "positive"]
    np.testing.assert_allclose(found["probabilities"], original.predict_proba(texts), atol=1e-12)
    numbers = [float(line) for line in answered(original, body, kind, "text/plain").split()]
    assert numbers == [float(label == "positive") for label in original.predict(texts)]


@pytest.mark.parametrize("kind", ["text/csv", "application/x-npy"])
def test_one_encoded_row_may_come_by_itself(original: Classifier, kind: str) -> None:
    row = encoded(["A wonderful film"], original.bundle)[0]
    body = as_csv(row[np.newaxis]) if kind == "text/csv" else as_npy(row)
    shares = json.loads(answered(original, body, kind))["probabilities"]
    np.testing.assert_allclose(shares, original.predict_proba(["A wonderful film"]), atol=1e-12)


def test_a_model_of_another_cleaning_takes_no_rows(classifier: Classifier) -> None:
    assert "reads texts" in refusal(Unprocessable, classifier, as_csv(np.zeros((1, 501))), "text/csv")


@pytest.mark.parametrize("send", [as_csv, as_npy])
@pytest.mark.parametrize("width", [1, 500, 502])
def test_rows_of_the_wrong_width_are_refused(original: Classifier, send: Any, width: int) -> None:
    kind = "text/csv" if send is as_csv else "application/x-npy"
    message = refusal(Unprocessable, original, send(np.zeros((2, width))), kind)
    assert message == f"row 1 has {width} numbers: a length and 500 ids are 501"


@pytest.mark.parametrize(
    ("at", "value", "words"),
    [
        (1, 10_000_000, "row 2 has the id 10000000"),
        (500, -1, "row 2 has the id -1"),
        (0, 501, "row 2 has the length 501: it lies between 0 and 500"),
        (0, -1, "row 2 has the length -1"),
        (7, np.nan, "row 2 holds a number that is not whole"),
        (7, np.inf, "row 2 holds a number that is not whole"),
        (7, 1.5, "row 2 holds a number that is not whole"),
    ],
)
def test_the_row_that_is_wrong_is_named(original: Classifier, at: int, value: float, words: str) -> None:
    rows = np.zeros((3, 501))
    rows[1, at] = value
    assert words in refusal(Unprocessable, original, as_npy(rows), "application/x-npy")
    lines = "\n".join(",".join(map(repr, row.tolist())) for row in rows).encode()
    assert words in refusal(Unprocessable, original, lines, "text/csv")


def test_the_last_id_is_taken_and_the_next_is_not(original: Classifier) -> None:
    rows = np.zeros((1, 501))
    rows[0, :2] = 1, original.bundle.vocabulary.size - 1
    assert len(json.loads(answered(original, as_npy(rows), "application/x-npy"))["probabilities"]) == 1
    rows[0, 1] += 1
    assert "row 1 has the id" in refusal(Unprocessable, original, as_npy(rows), "application/x-npy")


@pytest.mark.parametrize("content_type", ["", "image/png", "text/html", "application/octet-stream", "json", "*/*"])
def test_an_unknown_content_type_is_refused_with_the_known_ones(classifier: Classifier, content_type: str) -> None:
    message = refusal(UnsupportedMedia, classifier, b"good", content_type)
    assert (content_type or "missing") in message
    assert "text/plain, application/json, text/csv, application/x-npy" in message


def test_no_content_type_at_all_is_refused(classifier: Classifier) -> None:
    with pytest.raises(UnsupportedMedia, match="missing"):
        input_fn(b"good", None)


def test_a_body_that_cannot_be_read_is_refused(classifier: Classifier) -> None:
    assert refusal(BadRequest, classifier, b"\xff", "text/plain") == "the body is not UTF-8 at byte 1"
    assert refusal(BadRequest, classifier, b"{", "application/json") == "the body is not JSON"
    assert refusal(UnsupportedMedia, classifier, b"good", "text/plain; charset=latin-1")


def test_an_answer_that_is_not_accepted_is_refused(classifier: Classifier) -> None:
    with pytest.raises(UnsupportedMedia, match="image/png"):
        answered(classifier, b"good", "text/plain", "image/png")
