"""Archives are read as `tarfile` reads them, and what is broken is refused."""

from __future__ import annotations

import gc
import gzip
import io
import sys
import tarfile
import threading
from pathlib import Path

import pytest

from plaudit.text.archive import CHUNK, members

FILES = {
    "README": b"one\n",
    "some/folder/empty.txt": b"",
    "some/folder/of a size.txt": b"x" * 512,
    "Caf\u00e9/\u00e9t\u00e9.txt": "caf\u00e9".encode(),
    f"{'deep/' * 30}long.txt": b"a name of more than 100 bytes",
    f"{'d' * 200}.txt": b"a name that no field holds",
    "big": bytes(range(256)) * (CHUNK // 100),
}


def archive(path: Path, form: int = tarfile.GNU_FORMAT) -> Path:
    with tarfile.open(path, "w:gz", format=form) as made:
        folder = tarfile.TarInfo("some/folder")
        folder.type = tarfile.DIRTYPE
        made.addfile(folder)
        for name, content in FILES.items():
            entry = tarfile.TarInfo(name)
            entry.size = len(content)
            made.addfile(entry, io.BytesIO(content))
    return path


def test_every_file_is_read_in_its_order(tmp_path: Path) -> None:
    assert list(members(archive(tmp_path / "a.tar.gz"))) == list(FILES.items())


@pytest.mark.parametrize("form", [tarfile.USTAR_FORMAT, tarfile.PAX_FORMAT])
def test_names_that_fit_are_read_in_other_formats_too(tmp_path: Path, form: int) -> None:
    path = tmp_path / "a.tar.gz"
    with tarfile.open(path, "w:gz", format=form) as made:
        for name in ("short.txt", f"{'deep/' * 30}long.txt"):
            entry = tarfile.TarInfo(name)
            entry.mtime = 1.5 if form == tarfile.PAX_FORMAT else 1  # for which pax writes a header of its own
            made.addfile(entry)
    with tarfile.open(path) as made:
        assert [name for name, _ in members(path)] == made.getnames()


def test_links_are_passed_over(tmp_path: Path) -> None:
    path = tmp_path / "a.tar.gz"
    with tarfile.open(path, "w:gz") as made:
        link = tarfile.TarInfo("link.txt")
        link.type, link.linkname = tarfile.SYMTYPE, "/etc/passwd"
        made.addfile(link)
    assert list(members(path)) == []


def test_several_gzip_files_in_one_are_one(tmp_path: Path) -> None:
    path = archive(tmp_path / "a.tar.gz")
    content = gzip.decompress(path.read_bytes())
    path.write_bytes(gzip.compress(content[:700]) + gzip.compress(content[700:]) + bytes(100))
    assert list(members(path)) == list(FILES.items())


def test_whoever_stops_half_way_leaves_nothing_behind(tmp_path: Path) -> None:
    interval = sys.getswitchinterval()
    reading = members(archive(tmp_path / "a.tar.gz"))
    assert next(reading) == ("README", b"one\n")
    del reading
    gc.collect()
    assert sys.getswitchinterval() == interval
    assert not [thread for thread in threading.enumerate() if "unpacking" in thread.name]


@pytest.mark.parametrize(
    ("content", "error", "expected"),
    [
        pytest.param(b"", EOFError, "its end is missing", id="nothing"),
        pytest.param(gzip.compress(b""), EOFError, "in the middle of a file", id="nothing, compressed"),
        pytest.param(gzip.compress(b"no tar in here" * 50), ValueError, "a file's header is not one", id="no tar"),
        pytest.param(
            gzip.compress(b"name".ljust(124, b"\0") + b"-17\0".ljust(388, b"\0")),
            ValueError,
            "a file's header is not one",
            id="less than nothing",
        ),
        pytest.param(
            gzip.compress(b"name".ljust(124, b"\0") + b"17\0".ljust(388, b"\0")),
            ValueError,
            "does not add up",
            id="a wrong sum",
        ),
    ],
)
def test_what_is_broken_is_refused(tmp_path: Path, content: bytes, error: type[Exception], expected: str) -> None:
    path = tmp_path / "a.tar.gz"
    path.write_bytes(content)
    with pytest.raises(error, match=expected):
        list(members(path))
