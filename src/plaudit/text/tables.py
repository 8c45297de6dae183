"""Labelled reviews in CSV, TSV, JSONL and Parquet files. Knows files and lines, and no words."""

from __future__ import annotations

import csv
import json
from array import array
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path

from plaudit.errors import MissingExtra, ReviewsError
from plaudit.text.kept import Keeper
from plaudit.text.reviews import Review, Reviews, order_labels, split

Row = tuple[int, Mapping[str, object]]
csv.field_size_limit(1 << 30)


@dataclass(frozen=True)
class Columns:
    """Where a table keeps what; ``split`` is an optional column that says "train" or "test"."""

    text: str = "text"
    label: str = "label"
    split: str = "split"
    positive: str | None = None


def read_table(path: Path, columns: Columns, name: str | None = None, seed: int = 0) -> Reviews:
    """The reviews of a table. Without a split column, a fifth of them is held out by ``seed``.

    Raises ReviewsError, with the line, for an empty text, a missing column or a broken file.
    """
    keeper = Keeper()
    halves: dict[str, array[int]] = {"train": array("q"), "test": array("q")}
    labels = set()
    for line, row in _rows(path):
        if columns.split != Columns.split:
            _field(row, columns.split, "--split-column", path, line)
        half = str(row.get(columns.split) or "train")
        if half not in halves:
            raise ReviewsError(f"the split has to be train or test, not {half!r}", path, line)
        text = _field(row, columns.text, "--text-column", path, line)
        label = _field(row, columns.label, "--label-column", path, line)
        labels.add(label)
        halves[half].append(keeper.add(Review(text, label, line=line)))
    if not keeper:
        raise ReviewsError("there is no review in it", path)
    ordered = order_labels(labels, str(path), columns.positive)
    train, test = keeper.take(halves["train"]), keeper.take(halves["test"])
    if not test:
        kept, held = split(train, 0.2, seed)
        train, test = keeper.take(kept), keeper.take(held)
    return Reviews(name or path.name, str(path), ordered, train, test)


def read_texts(path: Path, column: str) -> Iterator[str]:
    """The texts of a table's column, one after another."""
    for line, row in _rows(path):
        yield _field(row, column, "--text-column", path, line)


def read_lines(path: Path) -> Iterator[str]:
    """The lines of a plain UTF-8 file, without their ends."""
    for _, line in _lines(path):
        yield line.rstrip("\r\n")


def _field(row: Mapping[str, object], column: str, flag: str, path: Path, line: int) -> str:
    if column not in row:
        have = ", ".join(str(name) for name in row if name is not None)
        raise ReviewsError(f"there is no column {column!r} among {have}: name it with {flag}", path, line)
    value = row[column]
    if isinstance(value, bytes):
        value = _decode(value, path, line)
    if isinstance(value, (list, dict)):
        raise ReviewsError(f"the column {column!r} holds a {type(value).__name__} instead of a text", path, line)
    text = "" if value is None else str(value)
    if not text.strip():
        raise ReviewsError(f"the column {column!r} is empty", path, line)
    return text


def _rows(path: Path) -> Iterator[Row]:
    reader = READERS.get(path.suffix.lower())
    if reader is None:
        known = ", ".join(READERS)
        raise ReviewsError(f"reviews come as {known}, a folder, or a .tar.gz archive", path)
    return reader(path)


def _decode(value: bytes, path: Path, line: int) -> str:
    try:
        return value.decode("utf-8")
    except UnicodeDecodeError as error:
        raise ReviewsError(f"not UTF-8 at byte {error.start + 1} of the text", path, line) from None


def _lines(path: Path) -> Iterator[tuple[int, str]]:
    with path.open("rb") as file:
        for number, raw in enumerate(file, 1):
            try:
                yield number, raw.decode("utf-8-sig" if number == 1 else "utf-8")
            except UnicodeDecodeError as error:
                what = f"not UTF-8 at byte {error.start + 1} of the line: save the file as UTF-8"
                raise ReviewsError(what, path, number) from None


def _delimited(delimiter: str) -> Callable[[Path], Iterator[Row]]:
    def read(path: Path) -> Iterator[Row]:
        rows = csv.reader((line for _, line in _lines(path)), delimiter=delimiter, strict=True)
        first = 1
        try:
            header = next(rows, None)
            if header is None:
                raise ReviewsError("the file is empty", path)
            first = rows.line_num + 1
            for row in rows:
                if row:
                    if len(row) != len(header):
                        what = f"{len(row)} fields where the header has {len(header)}"
                        raise ReviewsError(what, path, first)
                    yield first, dict(zip(header, row, strict=True))
                first = rows.line_num + 1
        except csv.Error as error:
            what = f"the row that begins here is broken or ends half-way ({error})"
            raise ReviewsError(what, path, first) from None

    return read


def _jsonl(path: Path) -> Iterator[Row]:
    for number, line in _lines(path):
        if not line.strip():
            continue
        try:
            row = json.loads(line)
        except (ValueError, RecursionError):
            what = "not JSON: a line has to be one object, and this one is broken or ends half-way"
            raise ReviewsError(what, path, number) from None
        if not isinstance(row, dict):
            raise ReviewsError("not a JSON object", path, number)
        yield number, row


def _parquet(path: Path) -> Iterator[Row]:
    try:
        import pyarrow
        import pyarrow.parquet
    except ImportError:
        raise MissingExtra("Reading Parquet", "train") from None
    try:
        number = 0
        with pyarrow.parquet.ParquetFile(path) as file:
            for batch in file.iter_batches():
                for row in batch.to_pylist():
                    number += 1
                    yield number, row
    except UnicodeDecodeError:
        raise ReviewsError("a text among the next rows is not UTF-8", path, number + 1) from None
    except (pyarrow.ArrowException, OSError) as error:
        first = str(error).splitlines()[0]
        raise ReviewsError(f"not Parquet, or it ends half-way ({first})", path) from None


READERS: dict[str, Callable[[Path], Iterator[Row]]] = {
    ".csv": _delimited(","),
    ".tsv": _delimited("\t"),
    ".jsonl": _jsonl,
    ".parquet": _parquet,
}
