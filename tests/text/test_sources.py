from __future__ import annotations

import io
import os
import tarfile
from collections.abc import Callable, Iterable
from pathlib import Path
from typing import TypeVar

import pytest

from plaudit.errors import ReviewsError, UsageError
from plaudit.text.sources import locate, read_reviews, source_state
from plaudit.text.tables import Columns

T = TypeVar("T")
TABLE = "text,label,split\nA fine film,good,train\nAn awful film,bad,train\nFine,good,test\nAwful,bad,test\n"
MEMBERS = {
    f"aclImdb/{half}/{label}/0_{stars}.txt": f"{half} {word}".encode()
    for half in ("train", "test")
    for label, stars, word in (("pos", 9, "lovely"), ("neg", 2, "dreadful"))
}


@pytest.fixture
def table(tmp_path: Path) -> Path:
    path = tmp_path / "mine.csv"
    path.write_text(TABLE, "utf-8")
    return path


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    for name, content in MEMBERS.items():
        (tmp_path / name).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / name).write_bytes(content)
    return tmp_path / "aclImdb"


def _archive(path: Path) -> Path:
    path.parent.mkdir(exist_ok=True)
    with tarfile.open(path, "w:gz") as archive:
        for name, content in MEMBERS.items():
            entry = tarfile.TarInfo(name)
            entry.size = len(content)
            archive.addfile(entry, io.BytesIO(content))
    return path


def test_the_sample_is_no_file_of_the_users() -> None:
    assert locate("sample") is None
    reviews = read_reviews("sample")
    assert (reviews.name, reviews.origin, reviews.labels) == ("the bundled sample", "sample", ("negative", "positive"))


def test_reviews_without_a_label_are_read_where_they_are_asked_for(folder: Path, table: Path) -> None:
    for number in range(2):
        file = folder / "train" / "unsup" / f"{number}_0.txt"
        file.parent.mkdir(exist_ok=True)
        file.write_text(f"nobody judged {number}")
    assert read_reviews(str(folder)).unlabelled == []
    assert [review.text for review in read_reviews(str(folder), unlabelled=True).unlabelled] == [
        "nobody judged 0",
        "nobody judged 1",
    ]
    assert read_reviews(str(table), unlabelled=True).unlabelled == ()
    assert read_reviews("sample", unlabelled=True).unlabelled == ()


def test_a_table_is_read_by_its_ending(table: Path) -> None:
    assert locate(str(table)) == table
    reviews = read_reviews(str(table))
    assert (len(reviews.train), len(reviews.test), reviews.labels) == (2, 2, ("bad", "good"))
    assert read_reviews(str(table), Columns(positive="bad")).labels == ("good", "bad")


@pytest.mark.parametrize("columns", [Columns(text="t"), Columns(label="l"), Columns(split="s"), Columns(positive="a")])
def test_what_is_no_table_has_no_columns_to_name(
    columns: Columns, folder: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("PLAUDIT_CACHE", str(tmp_path / "cache"))
    _archive(tmp_path / "cache" / "aclImdb_v1.tar.gz")
    for source in ("sample", "imdb", str(folder), str(_archive(tmp_path / "reviews.tar.gz"))):
        with pytest.raises(UsageError) as raised:
            read_reviews(source, columns)
        assert str(raised.value) == (
            f"{source} is not a table: --text-column, --label-column, --split-column, --positive do not fit"
        )
        assert read_reviews(source, Columns()) == read_reviews(source)


@pytest.mark.parametrize("name", ["reviews.tar.gz", "reviews.tgz"])
def test_an_archive_and_its_folder_are_read(name: str, folder: Path, tmp_path: Path) -> None:
    archive = read_reviews(str(_archive(tmp_path / name)))
    assert [review.text for review in archive.train] == ["train dreadful", "train lovely"]
    for path in (folder, folder.parent):
        assert read_reviews(str(path)).fingerprint == archive.fingerprint


def test_imdb_is_taken_from_the_cache(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PLAUDIT_CACHE", str(tmp_path / "cache"))
    path = _archive(tmp_path / "cache" / "aclImdb_v1.tar.gz")
    assert locate("imdb") == path
    assert read_reviews("imdb").origin == str(path)
    assert source_state("imdb") == source_state(str(path))


def test_a_path_may_begin_at_home(table: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("HOME", str(table.parent))
    assert locate("~/mine.csv") == table


@pytest.mark.parametrize("read", [read_reviews, source_state, locate])
def test_a_file_that_is_not_there_is_named(read: Callable[[str], object], tmp_path: Path) -> None:
    with pytest.raises(
        UsageError, match=r"nothing\.csv: there is no such file; name a CSV, TSV, JSONL or Parquet file"
    ):
        read(str(tmp_path / "nothing.csv"))


def test_a_folder_of_anything_else_is_refused(table: Path) -> None:
    with pytest.raises(ReviewsError, match="a folder of reviews has train/pos, train/neg, test/pos and test/neg"):
        read_reviews(str(table.parent))


def test_progress_is_told(folder: Path) -> None:
    told: list[str] = []

    def track(items: Iterable[T], what: str, total: int | None = None) -> Iterable[T]:
        told.append(what)
        return items

    read_reviews(str(folder), track=track)
    assert told == ["reading reviews"]


class TestState:
    def test_it_is_the_same_while_a_table_is(self, table: Path) -> None:
        first = source_state(str(table))
        os.utime(table, (1, 1))
        assert source_state(str(table)) == first
        table.write_text(TABLE + "More,good,test\n", "utf-8")
        assert source_state(str(table)) != first

    def test_it_changes_when_a_review_joins_or_leaves_a_folder(self, folder: Path) -> None:
        for place in (folder, folder / "train" / "pos"):
            os.utime(place, (1, 1))
        first = source_state(str(folder))
        assert source_state(str(folder)) == first
        (folder / "train" / "pos" / "1_9.txt").write_text("another", "utf-8")
        second = source_state(str(folder))
        assert second != first

    def test_the_sample_has_one_of_its_own(self, table: Path) -> None:
        assert source_state("sample") == source_state("sample") != source_state(str(table))
