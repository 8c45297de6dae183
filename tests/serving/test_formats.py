"""The formats, by themselves: what each reader takes and refuses, and what each writer writes."""

from __future__ import annotations

import csv
import io
import json
import resource
import zipfile
from collections.abc import Callable
from typing import Any

import numpy as np
import pytest

from plaudit.bundle.classifier import Classifier
from plaudit.errors import BadRequest, RequestError, Unprocessable, UnsupportedMedia
from plaudit.serving.formats import (
    CSV,
    JSON,
    JSON_LINES,
    MAX_LINES,
    NPY,
    READERS,
    TEXT,
    WRITERS,
    Answer,
    choose_writer,
    encoded_rows,
    media_type,
    read_csv,
    read_json,
    read_json_lines,
    read_npy,
    read_text,
    write_csv,
    write_json,
    write_json_lines,
    write_npy,
    write_text,
)

LABELS = ("negative", "positive")


def npy(array: Any) -> bytes:
    file = io.BytesIO()
    np.save(file, np.asarray(array), allow_pickle=True)
    return file.getvalue()


def npy_header(text: str) -> bytes:
    """A .npy file that is all header: it claims what ``text`` says, and has no data."""
    header = text.encode().ljust(118) + b"\n"
    return b"\x93NUMPY\x01\x00" + len(header).to_bytes(2, "little") + header


def claiming(shape: str, kind: str = "<f8") -> bytes:
    return npy_header(f"{{'descr': '{kind}', 'fortran_order': False, 'shape': {shape}, }}")


def zipped(*arrays: Any) -> bytes:
    file = io.BytesIO()
    if arrays:
        np.savez(file, *arrays)
    else:
        zipfile.ZipFile(file, "w").close()
    return file.getvalue()


def refusal(kind: type[RequestError], read: Callable[..., object], *given: Any) -> str:
    """The one sentence that a request is refused with."""
    with pytest.raises(kind) as caught:
        read(*given)
    assert type(caught.value) is kind
    assert "\n" not in str(caught.value)
    return str(caught.value)


def test_text_is_the_body_and_single() -> None:
    asked = read_text("A wonderful film \U0001f600\r\n".encode())
    assert (asked.texts, asked.rows, asked.single) == (("A wonderful film \U0001f600\r\n",), None, True)
    assert read_text(b"").texts == ("",)


def test_text_that_is_not_utf8_is_refused_with_the_place() -> None:
    assert refusal(BadRequest, read_text, b"caf\xe9") == "the body is not UTF-8 at byte 4"


def test_json_asks_for_one_text_or_for_several() -> None:
    one, several = read_json(b'{"text": "good"}'), read_json(b'{"texts": ["good"], "more": 1}')
    assert (one.texts, one.single) == (("good",), True)
    assert (several.texts, several.single) == (("good",), False)
    assert read_json(b'{"texts": []}').texts == ()


@pytest.mark.parametrize("body", [b"", b"{", b"good", b"{'text': 'good'}", b"[" * 100_000, b'{"text": ' + b"1" * 5000])
def test_what_is_not_json_is_refused(body: bytes) -> None:
    assert refusal(BadRequest, read_json, body) == "the body is not JSON"


def test_json_that_is_not_utf8_is_refused_with_the_place() -> None:
    assert refusal(BadRequest, read_json, b'{"text": "\xff"}') == "the body is not UTF-8 at byte 11"


@pytest.mark.parametrize("found", [{}, [], None, 3, "text", {"text": 3}, {"text": None}, {"texts": "good"}, ["good"]])
def test_json_without_text_says_what_it_has_to_be(found: Any) -> None:
    assert '{"text": "…"}' in refusal(Unprocessable, read_json, json.dumps(found).encode())


@pytest.mark.parametrize("wrong", [3, None, ["good"], {"text": "good"}, True])
def test_the_text_that_is_not_a_string_is_named(wrong: Any) -> None:
    body = json.dumps({"texts": ["good", "bad", wrong]}).encode()
    assert refusal(Unprocessable, read_json, body) == "text 3 of texts is not a string"


def test_csv_is_rows_of_numbers() -> None:
    for body in (b"2,5,7\n1,3,0\n", b"2,5,7\r\n1,3,0", b"2,5,7\r1,3,0\r", b'"2","5","7"\n1.0, 3 ,0e0\n'):
        asked = read_csv(body)
        assert asked.rows is not None
        np.testing.assert_array_equal(asked.rows, [[2, 5, 7], [1, 3, 0]])
        assert (asked.texts, asked.single) == (None, False)


@pytest.mark.parametrize(
    ("body", "words"),
    [
        (b"1,2\n1,two\n", "row 2 holds something that is not a number"),
        (b"1,\n", "row 1 holds something that is not a number"),
        (b"1,\x00\n", "row 1 holds something that is not a number"),
        (b"1,2\n1,2,3\n", "row 2 has 3 numbers where row 1 has 2"),
        (b"1,2\n\n1,2\n", "row 2 has 0 numbers where row 1 has 2"),
        (b"1,2\n\n", "row 2 has 0 numbers where row 1 has 2"),
        (b"\n1,2\n", "row 2 has 2 numbers where row 1 has 0"),
    ],
)
def test_the_row_of_csv_that_is_wrong_is_named(body: bytes, words: str) -> None:
    assert refusal(Unprocessable, read_csv, body) == words


def test_csv_that_cannot_be_split_is_refused() -> None:
    before = csv.field_size_limit(131_072)  # Python's own; plaudit.text.tables raises it for the whole process
    try:
        assert "row 2" in refusal(Unprocessable, read_csv, b"1\n" + b"9" * 140_000)
    finally:
        csv.field_size_limit(before)


def test_csv_that_is_not_utf8_is_refused() -> None:
    refusal(BadRequest, read_csv, b"1,2\xff")


@pytest.mark.parametrize("kind", ["<f8", ">f4", "int64", "uint8", "bool"])
def test_npy_is_rows_of_numbers_of_any_kind(kind: str) -> None:
    asked = read_npy(npy(np.array([[1, 0], [1, 1]], dtype=kind)))
    assert asked.rows is not None
    assert asked.rows.dtype == np.float64
    np.testing.assert_array_equal(asked.rows, [[1, 0], [1, 1]])


def test_npy_in_columns_is_read_by_rows() -> None:
    rows = read_npy(npy(np.asfortranarray([[1, 2, 3], [4, 5, 6]]))).rows
    np.testing.assert_array_equal(rows, [[1, 2, 3], [4, 5, 6]])


def test_one_row_of_npy_may_come_by_itself() -> None:
    np.testing.assert_array_equal(read_npy(npy([2, 5, 7])).rows, [[2, 5, 7]])


@pytest.mark.parametrize("shape", [(), (1, 1, 1), (2, 3, 4), (1, 1, 1, 1)])
def test_npy_of_other_dimensions_is_refused(shape: tuple[int, ...]) -> None:
    assert f"{len(shape)} dimensions" in refusal(Unprocessable, read_npy, npy(np.zeros(shape)))


@pytest.mark.parametrize(
    "body",
    [
        pytest.param(b"", id="empty"),
        pytest.param(b"good", id="text"),
        pytest.param(npy(np.zeros((2, 501)))[:-8], id="truncated data"),
        pytest.param(npy(np.zeros((2, 501)))[:40], id="truncated header"),
        pytest.param(npy(np.array([{}], dtype=object)), id="pickled objects"),
        pytest.param(claiming("(1,)", "|O"), id="header of objects"),
        pytest.param(npy(["good"]), id="strings"),
        pytest.param(claiming("(-1,)"), id="negative shape"),
        pytest.param(claiming("(4611686018427387904, 4)"), id="overflowing shape"),
        pytest.param(claiming("'many'"), id="shape of letters"),
        pytest.param(claiming("(100000000,)", "<U0"), id="strings without letters"),
        pytest.param(npy_header("\x00"), id="NUL header"),
        pytest.param(npy_header("{}"), id="empty header"),
        pytest.param(zipped([1.0]), id="npz"),
        pytest.param(b"PK\x03\x04 no archive", id="broken npz"),
        pytest.param(zipped(), id="empty npz"),
        pytest.param(claiming("(" + "9" * 30 + ",)"), id="shape beyond int64"),
        pytest.param(npy_header("{'descr': '<f8', 'shape': (1,"), id="open bracket in the header"),
        pytest.param(npy(np.zeros((1, 3), dtype=complex)), id="complex"),
    ],
)
def test_what_is_not_an_array_of_numbers_is_refused(body: bytes) -> None:
    assert ".npy" in refusal(BadRequest, read_npy, body)


@pytest.mark.parametrize("shape", ["(1000000000000,)", "(1000000000, 501)", "(250000000,)"])
def test_a_claimed_shape_takes_no_memory(shape: str) -> None:
    before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    refusal(BadRequest, read_npy, claiming(shape))
    grown = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before
    assert grown < 200_000, "kB more at the peak"


def rows_of(*rows: list[float]) -> np.ndarray[Any, np.dtype[np.float64]]:
    return np.array(rows, dtype=np.float64)


def test_an_encoded_row_is_its_ids_up_to_its_length_and_0_is_none() -> None:
    rows = rows_of([2, 5, 7, 0], [0, 0, 0, 0], [3, 9, 1, 0], [1, 4, 4, 4], [3, 2, 0, 3])
    assert encoded_rows(rows, 3, 10) == [[5, 7], [], [9, 1], [4], [2, 3]]


@pytest.mark.parametrize(
    ("row", "words"),
    [
        ([1, 5, 0], "row 2 has 3 numbers: a length and 3 ids are 4"),
        ([1, 5, 0, 0, 0], "row 2 has 5 numbers: a length and 3 ids are 4"),
        ([4, 1, 1, 1], "row 2 has the length 4: it lies between 0 and 3"),
        ([-1, 1, 1, 1], "row 2 has the length -1: it lies between 0 and 3"),
        ([1, 10, 0, 0], "row 2 has the id 10: ids lie between 0 and 9"),
        ([1, 0, 0, -1], "row 2 has the id -1: ids lie between 0 and 9"),
        ([1, np.nan, 0, 0], "row 2 holds a number that is not whole"),
        ([np.nan, 1, 0, 0], "row 2 holds a number that is not whole"),
        ([1, np.inf, 0, 0], "row 2 holds a number that is not whole"),
        ([1, 2.5, 0, 0], "row 2 holds a number that is not whole"),
    ],
)
def test_the_encoded_row_that_is_wrong_is_named(row: list[float], words: str) -> None:
    good = rows_of([1, 5, 0, 0])
    pair = [good[0], np.array(row, dtype=np.float64)]
    assert refusal(Unprocessable, encoded_rows, pair, 3, 10) == words


@pytest.fixture(scope="module")
def answers(classifier: Classifier) -> dict[str, Answer]:
    """One verdict, two, and the probabilities of encoded rows."""
    verdicts = tuple(classifier.verdicts(["A wonderful film", "Terrible, a waste of time"]))
    return {
        "one": Answer(LABELS, verdicts=verdicts[:1], single=True),
        "two": Answer(LABELS, verdicts=verdicts),
        "rows": Answer(LABELS, probabilities=[0.75, 0.5, 0.25]),
        "none": Answer(LABELS, verdicts=()),
    }


def test_json_is_written_for_one_for_several_and_for_rows(answers: dict[str, Answer]) -> None:
    one, two = json.loads(write_json(answers["one"])), json.loads(write_json(answers["two"]))
    assert one["label"] == "positive"
    assert two["verdicts"][0] == one
    assert [verdict["label"] for verdict in two["verdicts"]] == ["positive", "negative"]
    assert json.loads(write_json(answers["rows"])) == {
        "labels": ["negative", "positive"],
        "probabilities": [[0.25, 0.75], [0.5, 0.5], [0.75, 0.25]],
    }
    assert json.loads(write_json(answers["none"])) == {"verdicts": []}


def test_text_is_the_number_that_the_original_answered(answers: dict[str, Answer]) -> None:
    assert write_text(answers["one"]) == b"1.0"
    assert write_text(answers["two"]) == b"1.0\n0.0"
    assert write_text(answers["rows"]) == b"1.0\n0.0\n0.0"
    assert write_text(answers["none"]) == b""


def test_csv_has_the_number_and_the_probability(answers: dict[str, Answer]) -> None:
    assert write_csv(answers["rows"]) == b"1.0,0.75\n0.0,0.5\n0.0,0.25\n"
    assert answers["two"].verdicts
    numbers = [[float(value) for value in line.split(b",")] for line in write_csv(answers["two"]).splitlines()]
    expected = [verdict.scores["positive"] for verdict in answers["two"].verdicts]
    assert numbers == [[1.0, expected[0]], [0.0, expected[1]]]


def test_npy_is_an_array_of_the_numbers(answers: dict[str, Answer]) -> None:
    np.testing.assert_array_equal(np.load(io.BytesIO(write_npy(answers["two"]))), [1.0, 0.0])
    assert np.load(io.BytesIO(write_npy(answers["none"]))).shape == (0,)


@pytest.mark.parametrize(
    "header", ["application/json", "Application/JSON ; charset=UTF-8", 'application/json;charset="utf-8"']
)
def test_a_media_type_is_read_without_its_parameters(header: str) -> None:
    assert media_type(header) == "application/json"


@pytest.mark.parametrize("charset", ["latin-1", "ISO-8859-1", "utf-16", '"cp1252"'])
def test_another_charset_is_refused(charset: str) -> None:
    assert charset in refusal(UnsupportedMedia, media_type, f"text/plain; charset={charset}")


@pytest.mark.parametrize(
    ("accept", "kind"),
    [
        ("", JSON),
        ("*/*", JSON),
        ("application/json", JSON),
        ("application/*", JSON),
        ("text/plain", TEXT),
        ("text/*", TEXT),
        ("text/csv", CSV),
        ("application/x-npy", NPY),
        ("text/plain;q=0.2, text/csv;q=0.9", CSV),
        ("text/plain;q=0.9,text/csv;q=0.2", TEXT),
        ("text/csv, text/plain", CSV),
        ("application/x-npy;q=0.5, */*;q=0.1", NPY),
        ("text/html, application/xhtml+xml, */*;q=0.8", JSON),
        ("image/png, text/plain;q=0.1", TEXT),
        ("application/json;q=0, text/plain;q=0.1", TEXT),
        ("text/plain; charset=utf-8", TEXT),
    ],
)
def test_the_best_format_that_is_accepted_is_chosen(accept: str, kind: str) -> None:
    assert choose_writer(accept) == kind


@pytest.mark.parametrize(
    ("accept", "kind"),
    [
        ("Text/Plain", TEXT),
        ("text/plain ; q=0.5", TEXT),
        ("text/plain;Q=0.1, text/csv;q=0.5", CSV),
        ("*/*, application/json;q=0", TEXT),
    ],
)
def test_an_accept_header_is_read_as_http_writes_it(accept: str, kind: str) -> None:
    assert choose_writer(accept) == kind


@pytest.mark.parametrize(
    "accept", ["image/png", "text/html", "text/plain;q=0", "text/plain;q=x", "text/plain;q=nan", ","]
)
def test_what_no_writer_writes_is_refused(accept: str) -> None:
    message = refusal(UnsupportedMedia, choose_writer, accept)
    assert all(kind in message for kind in WRITERS)


def test_readers_and_writers_are_of_the_same_types() -> None:
    assert set(READERS) == set(WRITERS) == {JSON, TEXT, CSV, NPY, JSON_LINES}


def test_a_request_has_at_most_a_thousand_texts() -> None:
    assert len(read_json(json.dumps({"texts": ["a"] * 1000}).encode()).texts or ()) == 1000
    with pytest.raises(Unprocessable, match="1,000 are the most"):
        read_json(json.dumps({"texts": ["a"] * 1001}).encode())


def test_json_lines_are_texts_in_order() -> None:
    body = '{"text": "good"}\n{"id": 7, "text": "bad \U0001f600"}\r\n{"text": ""}\n'.encode()
    asked = read_json_lines(body)
    assert (asked.texts, asked.single) == (("good", "bad \U0001f600", ""), False)
    assert read_json_lines(body.removesuffix(b"\n")).texts == asked.texts
    assert read_json_lines(b"").texts == ()
    assert read_json_lines(b'{"text": "a line\xe2\x80\xa8and \\n more"}').texts == ("a line\u2028and \n more",)


@pytest.mark.parametrize(
    ("body", "kind", "sentence"),
    [
        (b'{"text": "good"}\n\n{"text": "bad"}', BadRequest, "line 2 is not JSON"),
        (b'{"text": "good"}\n{"text": ', BadRequest, "line 2 is not JSON"),
        (b"[" * 100_000, BadRequest, "line 1 is not JSON"),
        (b'{"text": "good"}\n{"text": 3}', Unprocessable, 'line 2 has to be {"text": "…"}'),
        (b'"good"', Unprocessable, 'line 1 has to be {"text": "…"}'),
        (b'{"texts": ["good"]}', Unprocessable, 'line 1 has to be {"text": "…"}'),
        (b'{"text":""}\n' * (MAX_LINES + 1), Unprocessable, "more than 100,000 lines"),
    ],
)
def test_json_lines_are_refused_by_their_line(body: bytes, kind: type[RequestError], sentence: str) -> None:
    assert sentence in refusal(kind, read_json_lines, body)


def test_a_megabyte_never_has_too_many_lines() -> None:
    assert 2**20 / len(b'{"text":""}\n') < MAX_LINES


def test_json_lines_give_a_verdict_a_line(classifier: Classifier) -> None:
    texts = ["a wonderful film", "zzzz", "not good\nat all", "\ud800"]
    verdicts = tuple(classifier.verdicts(texts))
    written = write_json_lines(Answer(LABELS, verdicts))
    found = [json.loads(line) for line in written.decode().split("\n")]
    assert [line["label"] for line in found] == [verdict.label for verdict in verdicts]
    assert [line["scores"] for line in found] == [verdict.scores for verdict in verdicts]
    assert [bool(line["notes"]) for line in found] == [False, True, False, True]
    assert all("words" not in line for line in found)
    assert write_json_lines(Answer(LABELS, probabilities=[0.25])) == (
        b'{"labels": ["negative", "positive"], "probabilities": [0.75, 0.25]}'
    )
    assert write_json_lines(Answer(LABELS, ())) == b""
