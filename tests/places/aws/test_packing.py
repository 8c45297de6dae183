"""Archives: the same files give the same bytes, and a stop leaves no half of one."""

from __future__ import annotations

import tarfile
import zipfile
from collections.abc import Callable
from pathlib import Path

import pytest

from plaudit.places.aws.packing import digest, write_tar_gz, write_zip

CONTENTS = {"b/c.txt": b"second", "a.txt": b"first" * 1000, "b/é.bin": bytes(range(256))}


@pytest.mark.parametrize("write", [write_zip, write_tar_gz])
def test_the_same_files_give_the_same_bytes(write: Callable[[Path, dict[str, bytes]], Path], tmp_path: Path) -> None:
    one = write(tmp_path / "one", CONTENTS)
    other = write(tmp_path / "deep" / "other", dict(reversed(CONTENTS.items())))
    assert one.read_bytes() == other.read_bytes()
    assert digest(one) == digest(other)
    assert digest(write(tmp_path / "third", {**CONTENTS, "a.txt": b"changed"})) != digest(one)


def test_what_is_packed_can_be_read_back(tmp_path: Path) -> None:
    with zipfile.ZipFile(write_zip(tmp_path / "x.zip", CONTENTS)) as archive:
        assert {name: archive.read(name) for name in archive.namelist()} == CONTENTS
        assert all(entry.external_attr >> 16 == 0o644 for entry in archive.infolist()), "Lambda has to be able to read"
    with tarfile.open(write_tar_gz(tmp_path / "x.tar.gz", CONTENTS)) as archive:
        assert {member.name: archive.extractfile(member).read() for member in archive} == CONTENTS  # type: ignore[union-attr]
        assert {(member.mtime, member.uid, member.mode) for member in archive} == {(0, 0, 0o644)}


def test_a_failure_in_the_middle_leaves_the_archive_that_was_there(tmp_path: Path) -> None:
    path = write_zip(tmp_path / "x.zip", CONTENTS)
    before = path.read_bytes()
    with pytest.raises(TypeError):
        write_zip(path, {"a": b"fine", "b": None})  # type: ignore[dict-item]
    assert path.read_bytes() == before
