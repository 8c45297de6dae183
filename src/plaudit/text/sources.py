"""From what a user names to reviews: the one door to every source. Knows which reader fits what."""

from __future__ import annotations

import hashlib
from importlib.resources import as_file, files
from pathlib import Path

from plaudit.errors import ReviewsError, UsageError
from plaudit.progress import Track, quiet
from plaudit.text.download import fetch_imdb
from plaudit.text.imdb import is_imdb_folder, read_imdb
from plaudit.text.reviews import Reviews
from plaudit.text.tables import READERS, Columns, read_table

SAMPLE = "sample"
IMDB = "imdb"


def locate(source: str, track: Track = quiet) -> Path | None:
    """The file or folder that ``source`` names; None for the bundled sample. ``imdb`` is downloaded."""
    if source == SAMPLE:
        return None
    if source == IMDB:
        return fetch_imdb(track)
    path = Path(source).expanduser()
    if not path.exists():
        raise UsageError(
            f"{source}: there is no such file; name a CSV, TSV, JSONL or Parquet file, the IMDb archive"
            " or its folder, 'imdb' to download it, or 'sample'"
        )
    return path


def read_reviews(
    source: str, columns: Columns | None = None, track: Track = quiet, unlabelled: bool = False
) -> Reviews:
    """The reviews that ``source`` names: ``sample``, ``imdb``, or the path of a file or folder.

    IMDb's reviews without a label are read too if ``unlabelled``.
    """
    columns = columns or Columns()
    path = locate(source, track)
    table = path is not None and path.suffix.lower() in READERS
    if not table and columns != Columns():
        raise UsageError(
            f"{source} is not a table: --text-column, --label-column, --split-column, --positive do not fit"
        )
    if path is None:
        with as_file(files("plaudit.text") / "sample.jsonl") as sample:
            found = read_table(sample, Columns(), "the bundled sample")
        return Reviews(found.name, SAMPLE, found.labels, found.train, found.test)
    if path.is_dir():
        if not is_imdb_folder(path):
            raise ReviewsError("a folder of reviews has train/pos, train/neg, test/pos and test/neg", path)
        return read_imdb(path, track, unlabelled)
    if path.name.endswith((".tar.gz", ".tgz")):
        return read_imdb(path, track, unlabelled)
    return read_table(path, columns)


def source_state(source: str, track: Track = quiet) -> str:
    """A digest that changes when the source does, unparsed: of a file's content, a folder's sizes and times."""
    path = locate(source, track)
    digest = hashlib.sha256()
    if path is None:
        digest.update((files("plaudit.text") / "sample.jsonl").read_bytes())
    elif path.is_dir():
        if not is_imdb_folder(path):
            raise ReviewsError("a folder of reviews has train/pos, train/neg, test/pos and test/neg", path)
        for text in sorted(path.rglob("*.txt")):
            state = text.stat()
            digest.update(f"{text.relative_to(path)} {state.st_size} {state.st_mtime_ns}\n".encode())
    else:
        with path.open("rb") as file:
            digest.update(hashlib.file_digest(file, "sha256").digest())
    return digest.hexdigest()
