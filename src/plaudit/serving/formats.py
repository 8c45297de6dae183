"""The formats that requests and answers come in: two tables of functions. Knows no HTTP and no network.

A new format is one function and one line in its table.
"""

from __future__ import annotations

import csv
import io
import json
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import lru_cache
from typing import Any

import numpy as np

from plaudit.asgi import as_utf8
from plaudit.bundle.verdict import Verdict
from plaudit.errors import BadRequest, Unprocessable, UnsupportedMedia
from plaudit.text.vocabulary import NO_WORD

MAX_TEXTS = 1_000
MAX_LINES = 100_000
"""More lines than a megabyte can have: batch transform fills requests by their size."""


@dataclass(frozen=True)
class Request:
    """What is asked: raw ``texts``, or ``rows`` that are encoded already (length, then ids).

    ``single`` is True where one text was sent by itself, and one verdict is expected back; ``explain`` where its
    words' contributions are wanted.
    """

    texts: tuple[str, ...] | None = None
    rows: np.ndarray[Any, np.dtype[np.float64]] | None = None
    single: bool = False
    explain: bool = True


@dataclass(frozen=True)
class Answer:
    """The verdicts, or for encoded rows the probabilities of the second label."""

    labels: tuple[str, ...]
    verdicts: tuple[Verdict, ...] | None = None
    probabilities: Sequence[float] = ()
    single: bool = False

    @property
    def numbers(self) -> list[float]:
        """1.0 for the second label and 0.0 for the first, as the original answered."""
        if self.verdicts is None:
            return [float(share > 0.5) for share in self.probabilities]
        return [float(verdict.label == self.labels[1]) for verdict in self.verdicts]


def read_text(body: bytes) -> Request:
    return Request(texts=(as_utf8(body),), single=True)


def read_json(body: bytes) -> Request:
    try:
        found = json.loads(as_utf8(body))
    except (ValueError, RecursionError):
        raise BadRequest("the body is not JSON") from None
    if isinstance(found, dict) and isinstance(found.get("text"), str):
        return Request(texts=(found["text"],), single=True)
    texts = found.get("texts") if isinstance(found, dict) else None
    if not isinstance(texts, list):
        raise Unprocessable('the JSON has to be {"text": "…"} or {"texts": ["…", …]}')
    if len(texts) > MAX_TEXTS:
        raise Unprocessable(f"{len(texts):,} texts in one request: {MAX_TEXTS:,} are the most")
    for number, text in enumerate(texts, 1):
        if not isinstance(text, str):
            raise Unprocessable(f"text {number} of texts is not a string")
    return Request(texts=tuple(texts))


def read_json_lines(body: bytes) -> Request:
    """One {"text": "…"} a line, and one verdict for each: what batch transform sends of a file."""
    texts = []
    for number, line in enumerate(io.StringIO(as_utf8(body), newline="\n"), 1):
        if number > MAX_LINES:
            raise Unprocessable(f"more than {MAX_LINES:,} lines in one request: that is the most")
        try:
            found = json.loads(line)
        except (ValueError, RecursionError):
            raise BadRequest(f"line {number} is not JSON") from None
        if not isinstance(found, dict) or not isinstance(found.get("text"), str):
            raise Unprocessable(f'line {number} has to be {{"text": "…"}}')
        texts.append(found["text"])
    return Request(texts=tuple(texts))


def read_csv(body: bytes) -> Request:
    rows: list[list[float]] = []
    try:
        for row in csv.reader(io.StringIO(as_utf8(body), newline=None)):
            rows.append([float(value) for value in row])
            if len(rows[-1]) != len(rows[0]):
                raise Unprocessable(f"row {len(rows)} has {len(rows[-1])} numbers where row 1 has {len(rows[0])}")
    except (ValueError, csv.Error):
        raise Unprocessable(f"row {len(rows) + 1} holds something that is not a number") from None
    return Request(rows=np.array(rows, dtype=np.float64) if rows else np.zeros((0, 0)))


def read_npy(body: bytes) -> Request:
    try:
        found = np.lib.format.read_array(io.BytesIO(body), allow_pickle=False)
    except Exception:  # a hostile header makes NumPy raise nearly anything
        found = None
    if found is None or found.dtype.kind not in "biuf":
        raise BadRequest("the body is not an array of numbers in NumPy's .npy format")
    if found.ndim not in (1, 2):
        raise Unprocessable(f"the array has {found.ndim} dimensions: rows of length and ids have 2")
    return Request(rows=np.atleast_2d(found).astype(np.float64))


def encoded_rows(rows: np.ndarray[Any, np.dtype[np.float64]], max_words: int, vocab_size: int) -> list[list[int]]:
    """The ids of each row (length, then ``max_words`` ids). Raises Unprocessable that names the row."""
    width = 1 + max_words
    encoded = []
    for number, row in enumerate(rows, 1):
        if len(row) != width:
            raise Unprocessable(f"row {number} has {len(row)} numbers: a length and {max_words} ids are {width}")
        if not np.isfinite(row).all() or (row != np.floor(row)).any():
            raise Unprocessable(f"row {number} holds a number that is not whole")
        length, ids = int(row[0]), row[1:]
        if not 0 <= length <= max_words:
            raise Unprocessable(f"row {number} has the length {length}: it lies between 0 and {max_words}")
        if ids.min() < 0 or ids.max() >= vocab_size:
            wrong = ids[(ids < 0) | (ids >= vocab_size)][0]
            raise Unprocessable(f"row {number} has the id {wrong:.0f}: ids lie between 0 and {vocab_size - 1}")
        encoded.append([int(word) for word in ids[:length] if word != NO_WORD])
    return encoded


def write_json(answer: Answer) -> bytes:
    if answer.verdicts is None:
        found: Any = {"labels": list(answer.labels), "probabilities": [[1 - p, p] for p in answer.probabilities]}
    elif answer.single:
        found = answer.verdicts[0].to_json()
    else:
        found = {"verdicts": [verdict.to_json() for verdict in answer.verdicts]}
    return json.dumps(found, ensure_ascii=False).encode("utf-8", "backslashreplace")


def write_json_lines(answer: Answer) -> bytes:
    """One verdict a line, without its words: of a lake of reviews they would be most of the bytes."""
    if answer.verdicts is None:
        found = [{"labels": list(answer.labels), "probabilities": [1 - p, p]} for p in answer.probabilities]
    else:
        found = [
            {"label": v.label, "probability": v.probability, "scores": v.scores, "notes": list(v.notes)}
            for v in answer.verdicts
        ]
    lines = [json.dumps(entry, ensure_ascii=False) for entry in found]
    return "\n".join(lines).encode("utf-8", "backslashreplace")


def write_text(answer: Answer) -> bytes:
    return "\n".join(str(number) for number in answer.numbers).encode()


def write_csv(answer: Answer) -> bytes:
    """One line a review: the number that the original answered, and the probability of the second label."""
    shares = answer.probabilities
    if answer.verdicts is not None:
        shares = [verdict.scores[answer.labels[1]] for verdict in answer.verdicts]
    pairs = zip(answer.numbers, shares, strict=True)
    return "".join(f"{number},{share!r}\n" for number, share in pairs).encode()


def write_npy(answer: Answer) -> bytes:
    file = io.BytesIO()
    np.save(file, np.array(answer.numbers, dtype=np.float64), allow_pickle=False)
    return file.getvalue()


JSON, TEXT, CSV, NPY = "application/json", "text/plain", "text/csv", "application/x-npy"
JSON_LINES = "application/jsonlines"
READERS: dict[str, Callable[[bytes], Request]] = {
    TEXT: read_text,
    JSON: read_json,
    CSV: read_csv,
    NPY: read_npy,
    JSON_LINES: read_json_lines,
}
WRITERS: dict[str, Callable[[Answer], bytes]] = {
    JSON: write_json,
    TEXT: write_text,
    CSV: write_csv,
    NPY: write_npy,
    JSON_LINES: write_json_lines,
}
EXPLAINED = (JSON,)
"""The answers that tell what each word contributed."""


def media_type(header: str) -> str:
    """The type of a Content-Type header, without its parameters. A charset other than UTF-8 is refused."""
    kind, _, parameters = header.partition(";")
    for parameter in parameters.split(";"):
        name, _, value = parameter.partition("=")
        if name.strip().lower() == "charset" and value.strip().strip('"').lower() not in ("utf-8", "utf8", "us-ascii"):
            raise UnsupportedMedia(f"the charset is {value.strip()}: send UTF-8")
    return kind.strip().lower()


@lru_cache(maxsize=256)
def choose_writer(accept: str) -> str:
    """The best type of ``WRITERS`` for an Accept header, by RFC 9110. Raises UnsupportedMedia where none will do.

    The most specific range that fits a type gives its quality; of equals, the one that is named first wins.
    """
    ranges = [_range(part) for part in (accept or "*/*").split(",")]
    best, highest = "", (0.0, -len(ranges))
    for name in WRITERS:
        general = ("*/*", name.split("/")[0] + "/*", name)
        fitting = [
            (general.index(kind), -place, quality) for place, (kind, quality) in enumerate(ranges) if kind in general
        ]
        if fitting:
            _, place, quality = max(fitting)
            if quality > 0 and (quality, place) > highest:
                best, highest = name, (quality, place)
    if not best:
        raise UnsupportedMedia(f"answers come as {', '.join(WRITERS)}, not as {accept}")
    return best


def _range(part: str) -> tuple[str, float]:
    """A media range of an Accept header with its quality."""
    kind, *parameters = (piece.strip().lower() for piece in part.split(";"))
    for parameter in parameters:
        name, _, value = parameter.partition("=")
        if name.strip() == "q":
            try:
                quality = float(value)
            except ValueError:
                return kind, 0.0
            return kind, quality if 0 <= quality <= 1 else 0.0
    return kind, 1.0
