"""Unpacks a .tar.gz that may come from a stranger: plain files, in one folder, within bounds. Knows no bundle."""

from __future__ import annotations

import gzip
import tarfile
import zlib
from pathlib import Path

from plaudit.errors import BundleError
from plaudit.places.aws.limits import shown

MOST_BYTES, MOST_FILES, LONGEST_HEADER = 1_000_000_000, 20_000, 65_536
"""What is unpacked at most: an archive of Plaudit's is a tenth of it."""
EXTENDED = (*tarfile.GNU_TYPES, tarfile.XHDTYPE, tarfile.XGLTYPE, tarfile.SOLARIS_XHDTYPE)
"""Headers that carry long names and the like."""
CHUNK = 1_048_576


def unpack(archive: Path, folder: Path, most: int = MOST_BYTES) -> dict[str, int]:
    """The files of ``archive`` in ``folder``, which is empty; path to bytes, ``most`` of them together.

    Raises BundleError, one sentence, for what is no archive, is cut short, or would write outside the folder,
    make links or devices, or fill the disk.
    """
    try:
        with archive.open("rb") as packed, gzip.GzipFile(fileobj=packed) as unzipped:
            return _unpack(_Bounded(unzipped, most), folder)
    except FileNotFoundError:
        raise BundleError(f"{archive}: there is no archive; make one with: plaudit pack --out {archive}") from None
    except BundleError as error:
        raise BundleError(f"{archive} is not to be trusted: {error}") from None
    except (gzip.BadGzipFile, tarfile.TarError, EOFError, zlib.error, ValueError, OverflowError) as error:
        raise BundleError(f"{archive} is no sound .tar.gz ({error})") from None
    except OSError as error:
        raise BundleError(f"{archive} cannot be unpacked ({error.strerror or error})") from None


class _Header(tarfile.TarInfo):
    """A header that is looked at before tarfile acts on it: its long names would be read into memory unseen."""

    @classmethod
    def frombuf(cls, buf: bytes | bytearray, encoding: str, errors: str) -> _Header:
        found = super().frombuf(buf, encoding, errors)
        if found.type in EXTENDED and found.size > LONGEST_HEADER:
            raise BundleError("it has a header that no file needs")
        return found


class _Bounded:
    """A stream that ends in a sentence where it gives more than ``most`` bytes."""

    def __init__(self, file: gzip.GzipFile, most: int) -> None:
        self._file, self._most, self._left = file, most, most

    def read(self, size: int = CHUNK) -> bytes:
        content = self._file.read(size)
        self._left -= len(content)
        if self._left < 0:
            raise BundleError(f"it unpacks to more than {shown(self._most)}: no archive of Plaudit's does")
        return content


def _unpack(stream: _Bounded, folder: Path) -> dict[str, int]:
    sizes: dict[str, int] = {}
    with tarfile.open(fileobj=stream, mode="r|", tarinfo=_Header) as members:  # type: ignore[call-overload]
        for member in members:
            path = _inside(member, folder)
            if member.isdir():
                path.mkdir(parents=True, exist_ok=True)
                continue
            content = members.extractfile(member)
            assert content is not None
            path.parent.mkdir(parents=True, exist_ok=True)
            with path.open("xb") as file:
                while chunk := content.read(CHUNK):
                    file.write(chunk)
            sizes[path.relative_to(folder).as_posix()] = member.size
            if len(sizes) > MOST_FILES:
                raise BundleError(f"it has more than {MOST_FILES:,} files: no archive of Plaudit's has")
    while stream.read():
        pass  # gzip's checksum is at the end, after all that tar reads
    return sizes


def _inside(member: tarfile.TarInfo, folder: Path) -> Path:
    """Where a member belongs. Raises BundleError for anything but a plain file or folder within ``folder``."""
    name = ascii(member.name)
    if not (member.isreg() or member.isdir()) or member.issparse():
        raise BundleError(f"{name} is a link or a device, not a file")
    parts = [part for part in member.name.split("/") if part not in ("", ".")]
    if member.name.startswith("/") or ".." in parts or "\\" in member.name or not member.name.isprintable():
        raise BundleError(f"{name} would be written outside the folder that it is unpacked to")
    return folder.joinpath(*parts)
