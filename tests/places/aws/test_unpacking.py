"""A stranger's archive unpacks into its folder or ends in one sentence."""

from __future__ import annotations

import contextlib
import gzip
import io
import re
import tarfile
import tempfile
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from plaudit.bundle.bundle import Bundle
from plaudit.errors import BundleError
from plaudit.places.aws import unpacking
from plaudit.places.aws.archive import pack
from plaudit.places.aws.unpacking import unpack


def tarred(*members: tuple[tarfile.TarInfo, bytes], form: int = tarfile.GNU_FORMAT) -> bytes:
    """A .tar.gz with these members."""
    file = io.BytesIO()
    with tarfile.open(fileobj=file, mode="w:gz", format=form) as made:
        for member, content in members:
            member.size = len(content)
            made.addfile(member, io.BytesIO(content))
    return file.getvalue()


def member(name: str, kind: bytes = tarfile.REGTYPE, **fields: Any) -> tarfile.TarInfo:
    found = tarfile.TarInfo(name)
    found.type = kind
    for field, value in fields.items():
        setattr(found, field, value)
    return found


def long_header() -> bytes:
    header = member("././@LongLink", tarfile.GNUTYPE_LONGNAME, size=1 << 33)
    return gzip.compress(header.tobuf(tarfile.GNU_FORMAT) + b"a" * 10_240)


HOSTILE = {
    "absolute": (tarred((member("/etc/passwd"), b"x")), "outside the folder"),
    "upwards": (tarred((member("code/../../x"), b"x")), "outside the folder"),
    "backslashes": (tarred((member("..\\x"), b"x")), "outside the folder"),
    "control": (tarred((member("a\x1b[2J"), b"x")), "outside the folder"),
    "symlink": (tarred((member("a", tarfile.SYMTYPE, linkname="/etc"), b"")), "a link or a device"),
    "hard link": (tarred((member("a", tarfile.LNKTYPE, linkname="b"), b"")), "a link or a device"),
    "device": (tarred((member("a", tarfile.CHRTYPE), b"")), "a link or a device"),
    "fifo": (tarred((member("a", tarfile.FIFOTYPE), b"")), "a link or a device"),
    "sparse": (
        tarred((member("a", pax_headers={"GNU.sparse.size": str(1 << 40), "GNU.sparse.map": "0,1"}), b"x"),
               form=tarfile.PAX_FORMAT), "a link or a device"),
    "a long header": (long_header(), "a header that no file needs"),
    "twice": (tarred((member("a"), b"x"), (member("a"), b"y")), "cannot be unpacked"),
    "a file as folder": (tarred((member("a"), b"x"), (member("a/b"), b"y")), "cannot be unpacked"),
    "no name": (tarred((member("."), b"x")), "cannot be unpacked"),
    "a long name": (tarred((member("a" * 300), b"x")), "cannot be unpacked"),
    "no gzip": (b"not an archive", "no sound .tar.gz"),
    "no tar": (gzip.compress(b"x" * 2_000), "no sound .tar.gz"),
    "empty": (b"", "no sound .tar.gz"),
}  # fmt: skip


@pytest.mark.parametrize("what", HOSTILE)
def test_a_hostile_archive_writes_nothing_outside_and_ends_in_a_sentence(what: str, tmp_path: Path) -> None:
    content, sentence = HOSTILE[what]
    path, folder = tmp_path / "model.tar.gz", tmp_path / "in" / "side"
    path.write_bytes(content)
    folder.mkdir(parents=True)
    with pytest.raises(BundleError, match=re.escape(sentence)) as caught:
        unpack(path, folder)
    assert len(str(caught.value).splitlines()) == 1
    assert str(caught.value).isprintable()
    assert {entry.name for entry in (tmp_path / "in").iterdir()} == {"side"}
    assert not any(entry.is_symlink() for entry in folder.rglob("*"))


def test_a_bomb_is_stopped(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "bomb.tar.gz").write_bytes(tarred((member("a"), bytes(30_000_000))))
    with pytest.raises(BundleError, match=r"unpacks to more than 20.0 MB"):
        unpack(tmp_path / "bomb.tar.gz", tmp_path, 20_000_000)
    monkeypatch.setattr(unpacking, "MOST_FILES", 5)
    (tmp_path / "many.tar.gz").write_bytes(tarred(*((member(f"m/{n}"), b"") for n in range(10))))
    with pytest.raises(BundleError, match="more than 5 files"):
        unpack(tmp_path / "many.tar.gz", tmp_path)


@pytest.fixture(scope="module")
def small(bundle: Bundle, tmp_path_factory: pytest.TempPathFactory) -> bytes:
    """A whole archive's bytes, without wheels."""
    assert bundle.path is not None
    return pack(bundle.path, tmp_path_factory.mktemp("small") / "model.tar.gz", vendored=False).path.read_bytes()


@settings(max_examples=60, deadline=None)
@given(data=st.data())
def test_an_archive_cut_short_anywhere_ends_in_a_sentence(data: st.DataObject, small: bytes) -> None:
    at = data.draw(st.integers(0, len(small) - 1))
    with tempfile.TemporaryDirectory() as folder:
        (Path(folder) / "model.tar.gz").write_bytes(small[:at])
        with pytest.raises(BundleError, match=r"no sound .tar.gz"):
            unpack(Path(folder) / "model.tar.gz", Path(folder) / "there")


@settings(max_examples=60, deadline=None)
@given(data=st.data())
def test_a_tar_with_any_bytes_changed_unpacks_or_ends_in_a_sentence(data: st.DataObject) -> None:
    whole = bytearray(gzip.decompress(tarred((member("card.json"), b"{}"), (member("code/" + "n" * 150), b"x" * 700))))
    for _ in range(data.draw(st.integers(1, 8))):
        whole[data.draw(st.integers(0, len(whole) - 1))] = data.draw(st.integers(0, 255))
    with tempfile.TemporaryDirectory() as folder:
        (Path(folder) / "model.tar.gz").write_bytes(gzip.compress(bytes(whole), 1))
        with contextlib.suppress(BundleError):
            unpack(Path(folder) / "model.tar.gz", Path(folder) / "there")
        assert {entry.name for entry in Path(folder).iterdir()} <= {"model.tar.gz", "there"}
