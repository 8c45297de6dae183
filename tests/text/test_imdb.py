from __future__ import annotations

import gzip
import io
import random
import tarfile
import tempfile
from collections.abc import Callable, Mapping
from pathlib import Path

import pytest

from plaudit.errors import ReviewsError
from plaudit.text.imdb import is_imdb_folder, read_imdb
from plaudit.text.reviews import Review

FILMS = 4
OPINION = {"pos": "A warm and lively picture", "neg": "A flat and noisy picture"}


def _text(half: str, label: str, number: int) -> str:
    return f"{OPINION[label]}, said visitor {number} to the {half} screening. Caf\u00e9<br /><br />&amp; cinema."


def _made() -> dict[str, bytes]:
    """The data set's layout in small: 12 reviews of 4 films a folder, and what a reader has to pass over."""
    files = {"README": b"a data set", "imdb.vocab": b"a\nand\n", "imdbEr.txt": b"0.1\n"}
    for half in ("test", "train"):
        for label in ("neg", "pos"):
            first = {"test": 100, "train": 200}[half] + (50 if label == "pos" else 0)
            lines = [f"http://www.imdb.com/title/tt{first + number % FILMS:07d}/usercomments" for number in range(12)]
            files[f"{half}/urls_{label}.txt"] = "".join(line + "\n" for line in lines).encode()
            files[f"{half}/labeledBow.feat"] = b"9 0:9 1:1\n\xff\xfe"
            for number in range(12):
                stars = 9 if label == "pos" else 2
                files[f"{half}/{label}/{number}_{stars}.txt"] = _text(half, label, number).encode()
    files["train/unsup/0_0.txt"] = b"not UTF-8: \xff"
    files["train/unsup/1_0.txt"] = b""
    files["train/urls_unsup.txt"] = b"http://www.imdb.com/title/tt9999999/usercomments\n" * 2
    files["train/unsupBow.feat"] = b"0 0:1\n"
    return files


def _archive(path: Path, files: Mapping[str, bytes]) -> Path:
    with tarfile.open(path, "w:gz") as archive:
        for folder in ("aclImdb", "aclImdb/train", "aclImdb/train/pos"):
            entry = tarfile.TarInfo(folder)
            entry.type = tarfile.DIRTYPE
            archive.addfile(entry)
        for name, content in files.items():
            entry = tarfile.TarInfo(f"aclImdb/{name}")
            entry.size = len(content)
            archive.addfile(entry, io.BytesIO(content))
    return path


def _folder(path: Path, files: Mapping[str, bytes]) -> Path:
    for name, content in files.items():
        file = path / name
        file.parent.mkdir(parents=True, exist_ok=True)
        file.write_bytes(content)
    return path


@pytest.fixture
def files() -> dict[str, bytes]:
    return _made()


def test_reviews_come_by_half_label_and_number(tmp_path: Path, files: dict[str, bytes]) -> None:
    reviews = read_imdb(_archive(tmp_path / "tiny.tar.gz", files))
    assert (reviews.name, reviews.labels) == ("IMDb", ("negative", "positive"))
    for half, found in (("train", reviews.train), ("test", reviews.test)):
        expected = [(_text(half, label, number), label) for label in ("neg", "pos") for number in range(12)]
        assert [(review.text, review.label[:3]) for review in found] == expected


def test_archive_and_folder_give_the_same_reviews(tmp_path: Path, files: dict[str, bytes]) -> None:
    shuffled = list(files.items())
    random.Random(0).shuffle(shuffled)
    archive = read_imdb(_archive(tmp_path / "tiny.tar.gz", dict(shuffled)))
    for place, path in (("plain", tmp_path / "plain"), ("inner", tmp_path / "inner" / "aclImdb")):
        _folder(path, files)
        folder = read_imdb(tmp_path / place)
        assert (folder.train, folder.test, folder.labels) == (archive.train, archive.test, archive.labels)
        assert folder.fingerprint == archive.fingerprint
        assert folder.origin == str(tmp_path / place)


def test_a_group_is_a_film(tmp_path: Path, files: dict[str, bytes]) -> None:
    reviews = read_imdb(_archive(tmp_path / "tiny.tar.gz", files))
    assert reviews.train[0] == Review(_text("train", "neg", 0), "negative", "tt0000200")
    films = [review.group for review in reviews.train]
    assert films[:12] == [f"tt{200 + number % FILMS:07d}" for number in range(12)]
    assert films[12:] == [f"tt{250 + number % FILMS:07d}" for number in range(12)]
    assert {review.group for review in reviews.test} == {f"tt{n:07d}" for n in (*range(100, 104), *range(150, 154))}


def test_reviews_without_a_label_are_read_where_they_are_asked_for(tmp_path: Path, files: dict[str, bytes]) -> None:
    for number in (0, 1, 10):
        files[f"train/unsup/{number}_0.txt"] = f"Nobody said of number {number} what it is.".encode()
    for path in (_archive(tmp_path / "tiny.tar.gz", files), _folder(tmp_path / "tiny", files)):
        plain, found = read_imdb(path), read_imdb(path, unlabelled=True)
        assert plain.unlabelled == []
        assert [review.text.split()[4] for review in found.unlabelled] == ["0", "1", "10"]
        assert {review.label for review in found.unlabelled} == {""}
        assert [review.group for review in found.unlabelled] == ["tt9999999", "tt9999999", None]
        assert (found.train, found.test, found.labels) == (plain.train, plain.test, plain.labels)
        assert found.fingerprint == plain.fingerprint


@pytest.mark.parametrize(("name", "sentence"), [("0_0", "not UTF-8 at byte 12"), ("1_0", "the text is empty")])
def test_a_review_without_a_label_that_cannot_be_read_is_named(
    name: str, sentence: str, tmp_path: Path, files: dict[str, bytes]
) -> None:
    for number in {"0_0", "1_0"} - {name}:
        del files[f"train/unsup/{number}.txt"]
    with pytest.raises(ReviewsError, match=f"train/unsup/{name}.txt:1: {sentence}"):
        read_imdb(_archive(tmp_path / "tiny.tar.gz", files), unlabelled=True)


def test_reviews_without_listed_films_have_no_group(tmp_path: Path, files: dict[str, bytes]) -> None:
    del files["train/urls_neg.txt"]
    files["train/urls_pos.txt"] = b"http://www.imdb.com/title/tt0000001/usercomments\nhttp://elsewhere/\n"
    groups = [review.group for review in read_imdb(_folder(tmp_path / "tiny", files)).train]
    assert groups == [None] * 12 + ["tt0000001"] + [None] * 11


def test_nothing_is_unpacked(tmp_path: Path, files: dict[str, bytes], monkeypatch: pytest.MonkeyPatch) -> None:
    path = _archive(tmp_path / "tiny.tar.gz", files)
    for name in ("here", "temporary"):
        (tmp_path / name).mkdir()
    monkeypatch.chdir(tmp_path / "here")
    monkeypatch.setattr(tempfile, "tempdir", str(tmp_path / "temporary"))
    read_imdb(path)
    assert sorted(found.name for found in tmp_path.rglob("*")) == ["here", "temporary", "tiny.tar.gz"]


def test_a_folder_is_known_by_its_layout(tmp_path: Path, files: dict[str, bytes]) -> None:
    assert is_imdb_folder(_folder(tmp_path / "one" / "aclImdb", files).parent)
    assert is_imdb_folder(tmp_path / "one" / "aclImdb")
    assert not is_imdb_folder(tmp_path / "one" / "aclImdb" / "train")
    assert not is_imdb_folder(tmp_path)


def test_an_archive_that_ends_inside_a_review_is_refused(tmp_path: Path, files: dict[str, bytes]) -> None:
    noise = random.Random(0)
    files["train/pos/12_9.txt"] = " ".join(str(noise.random()) for _ in range(5_000)).encode()
    path = _archive(tmp_path / "tiny.tar.gz", files)
    whole = path.read_bytes()
    for share in (0.6, 0.8, 0.95):
        path.write_bytes(whole[: int(len(whole) * share)])
        with pytest.raises(ReviewsError, match=r"the archive is broken or ends half-way .*: get it again") as raised:
            read_imdb(path)
        assert raised.value.path == str(path)


def test_an_archive_is_refused_wherever_it_ends(tmp_path: Path, files: dict[str, bytes]) -> None:
    path = _archive(tmp_path / "tiny.tar.gz", files)
    whole = path.read_bytes()
    read_without_complaint = []
    for size in range(0, len(whole), 17):
        path.write_bytes(whole[:size])
        try:
            read_imdb(path)
        except ReviewsError:
            continue
        read_without_complaint.append(size)
    assert read_without_complaint == []


def test_an_archive_whose_checksum_does_not_fit_is_refused(tmp_path: Path, files: dict[str, bytes]) -> None:
    path = _archive(tmp_path / "tiny.tar.gz", files)
    whole = path.read_bytes()
    path.write_bytes(whole[:-8] + bytes([whole[-8] ^ 1]) + whole[-7:])
    with pytest.raises(ReviewsError, match="broken"):
        read_imdb(path)


@pytest.mark.parametrize(
    "content",
    [b"", b"not an archive", gzip.compress(b"no tar in here"), gzip.compress(b"x" * 2048)[:20]],
    ids=["empty", "text", "no tar", "cut off"],  # their own would hold the second at which they were packed
)
def test_a_file_that_is_no_archive_is_refused(content: bytes, tmp_path: Path) -> None:
    path = tmp_path / "tiny.tar.gz"
    path.write_bytes(content)
    with pytest.raises(ReviewsError, match=r"tiny\.tar\.gz: the archive is broken or ends half-way"):
        read_imdb(path)


@pytest.mark.parametrize("form", [_archive, _folder])
@pytest.mark.parametrize(
    ("name", "content", "expected"),
    [
        ("train/pos/3_9.txt", b"fine\nand w\xe4rm", "train/pos/3_9.txt:2: not UTF-8 at byte 11"),
        ("test/neg/0_2.txt", b"\xff", "test/neg/0_2.txt:1: not UTF-8 at byte 1"),
        ("train/urls_pos.txt", b"http://\xff", "train/urls_pos.txt:1: not UTF-8 at byte 8"),
        ("test/pos/11_9.txt", b"", "test/pos/11_9.txt:1: the text is empty"),
        ("test/pos/11_9.txt", b" \n\t ", "test/pos/11_9.txt:1: the text is empty"),
    ],
)
def test_a_review_that_cannot_be_read_is_named(
    form: Callable[[Path, Mapping[str, bytes]], Path],
    name: str,
    content: bytes,
    expected: str,
    tmp_path: Path,
    files: dict[str, bytes],
) -> None:
    files[name] = content
    path = form(tmp_path / "tiny.tar.gz", files)
    with pytest.raises(ReviewsError) as raised:
        read_imdb(path)
    assert str(raised.value).startswith(str(path))
    assert str(raised.value).endswith(expected)


@pytest.mark.parametrize("missing", ["train/neg", "train/pos", "test/neg", "test/pos"])
def test_an_archive_with_a_part_missing_is_refused(missing: str, tmp_path: Path, files: dict[str, bytes]) -> None:
    left = {name: content for name, content in files.items() if not name.startswith(missing)}
    path = _archive(tmp_path / "tiny.tar.gz", left)
    with pytest.raises(ReviewsError, match=f"no review under {missing}: is this the IMDb archive") as raised:
        read_imdb(path)
    assert str(raised.value).startswith(f"{path}: ")


def test_a_folder_with_a_part_missing_is_refused(tmp_path: Path, files: dict[str, bytes]) -> None:
    left = {name: content for name, content in files.items() if not name.startswith("train/neg")}
    with pytest.raises(ReviewsError, match="no review under train/neg"):
        read_imdb(_folder(tmp_path / "tiny", left))
