"""Fetching the IMDb archive, once, into the user's cache. The only file of this room that knows a network."""

from __future__ import annotations

import http.client
import os
import urllib.error
import urllib.request
from collections.abc import Iterator
from pathlib import Path

from plaudit.errors import UsageError
from plaudit.progress import Track, quiet

ADDRESS = "http://ai.stanford.edu/~amaas/data/sentiment/aclImdb_v1.tar.gz"
SIZE = 84_125_825
CHUNK = 1 << 20


def cache_folder() -> Path:
    """``PLAUDIT_CACHE``, else ``XDG_CACHE_HOME/plaudit``, else ``~/.cache/plaudit``."""
    if chosen := os.environ.get("PLAUDIT_CACHE"):
        return Path(chosen)
    return Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache") / "plaudit"


def fetch_imdb(track: Track = quiet, address: str = ADDRESS, size: int = SIZE) -> Path:
    """The archive in the cache, downloaded if it is not there yet; a broken download goes on where it stopped.

    Raises UsageError that says where to put the file when it cannot be had.
    """
    target = cache_folder() / "aclImdb_v1.tar.gz"
    if target.exists():
        return target
    part = target.with_suffix(".part")
    try:
        target.parent.mkdir(parents=True, exist_ok=True)
        _download(address, part, size, track)
    except (urllib.error.URLError, http.client.HTTPException, OSError) as error:
        reason = getattr(error, "reason", error)
        raise UsageError(
            f"cannot download IMDb ({reason}): get {address} elsewhere and put it at {target},"
            " or name the file: plaudit up path/to/aclImdb_v1.tar.gz"
        ) from None
    got = part.stat().st_size
    if got > size:
        part.unlink()
    if got != size:
        raise UsageError(f"the download has {got:,} bytes instead of {size:,}: run the same command again")
    part.rename(target)
    return target


def _download(address: str, part: Path, size: int, track: Track) -> None:
    have = part.stat().st_size if part.exists() else 0
    if have == size:
        return
    if have > size:
        part.unlink()
        have = 0
    request = urllib.request.Request(address, headers={"Range": f"bytes={have}-"} if have else {})
    with urllib.request.urlopen(request, timeout=30) as answer:
        resumed = have > 0 and answer.status == 206
        left = size - (have if resumed else 0)
        with part.open("ab" if resumed else "wb") as file:
            for chunk in track(_chunks(answer), "downloading IMDb (MB)", -(-left // CHUNK)):
                file.write(chunk)


def _chunks(answer: http.client.HTTPResponse) -> Iterator[bytes]:
    while chunk := answer.read(CHUNK):
        yield chunk
