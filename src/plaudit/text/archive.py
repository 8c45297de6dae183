"""The files of a .tar.gz, read once from front to back. Knows no review.

The standard library's `tarfile` takes three times as long as all else that reading 100,000 small files is.
"""

from __future__ import annotations

import re
import zlib
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

BLOCK = 512
CHUNK = 1 << 20
FILE = (b"0", b"\0")
LONG_NAMES = {b"L": re.compile(rb"^([^\0]+)"), b"x": re.compile(rb"^\d+ path=(.*)$", re.MULTILINE)}
"""Where a name that is too long for its field stands: in an entry of its own before it, of GNU's or of POSIX's kind."""
GZIP = 31


def members(path: Path, wanted: Callable[[str], bool]) -> Iterator[tuple[str, bytes]]:
    """The name of each file in the archive, with its content where the name is ``wanted``, else with none.

    Raises ValueError where it is not sound, EOFError where it ends half-way, OSError where it cannot be read.
    """
    stream = _Stream(_read_ahead(path))
    long_name = b""
    while (header := stream.read(BLOCK)).strip(b"\0"):
        size, kind = _size(header), header[156:157]
        content = stream.read(-(-size // BLOCK) * BLOCK)
        if kind in LONG_NAMES:
            found = LONG_NAMES[kind].search(content[:size])
            long_name = found[1] if found else b""
            continue
        if kind in FILE:
            name = _text(long_name or header[:100])
            if header[257:263] == b"ustar\0" and (folder := _text(header[345:500])) and not long_name:
                name = f"{folder}/{name}"
            yield name, content[:size] if wanted(name) else b""
        long_name = b""
    stream.drain()


def _text(field: bytes) -> str:
    return field.split(b"\0", 1)[0].decode("utf-8", "surrogateescape")


def _size(header: bytes) -> int:
    """The bytes of an entry's content, once its header's sum is right."""
    try:
        size, total = (int(field.strip(b" \0") or b"0", 8) for field in (header[124:136], header[148:156]))
    except ValueError:
        raise ValueError("a file's header is not one") from None
    if sum(header) - sum(header[148:156]) + 8 * ord(" ") != total:
        raise ValueError("a file's header does not add up")
    return size


class _Stream:
    """Bytes by number, from chunks as they come."""

    def __init__(self, chunks: Iterator[bytes]) -> None:
        self._chunks, self._held, self._at = chunks, b"", 0

    def read(self, count: int) -> bytes:
        while len(self._held) - self._at < count:
            if (more := next(self._chunks, None)) is None:
                raise EOFError("it ends in the middle of a file")
            self._held, self._at = self._held[self._at :] + more, 0
        self._at += count
        return self._held[self._at - count : self._at]

    def drain(self) -> None:
        """Reads to the end: only there is the checksum of it all."""
        for _ in self._chunks:
            pass


def _read_ahead(path: Path) -> Iterator[bytes]:
    """What is in the gzip file. While a part of it is used, the next is unpacked on another core."""
    parts = _unpacked(path)
    with ThreadPoolExecutor(1, "plaudit-unpacking") as pool:
        coming = pool.submit(next, parts, None)
        while (part := coming.result()) is not None:
            coming = pool.submit(next, parts, None)
            yield part


def _unpacked(path: Path) -> Iterator[bytes]:
    """Parts of some megabytes, so that threads seldom wait for each other."""
    unpacking = zlib.decompressobj(GZIP)
    with path.open("rb") as file:
        while packed := file.read(CHUNK):
            while packed:
                yield unpacking.decompress(packed)
                packed = unpacking.unused_data.lstrip(b"\0")
                if unpacking.eof and packed:
                    unpacking = zlib.decompressobj(GZIP)
    if not unpacking.eof:
        raise EOFError("its end is missing")
