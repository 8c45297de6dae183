"""The IMDb Large Movie Review Dataset (Maas et al. 2011), as an archive or as a folder. Knows its layout.

Reviews are read straight from the archive: its 100,000 files are never unpacked.
"""

from __future__ import annotations

import gzip
import re
import tarfile
import zlib
from collections.abc import Iterator, Mapping
from pathlib import Path

from plaudit.errors import ReviewsError
from plaudit.progress import Track, quiet
from plaudit.text.reviews import Review, Reviews

MEMBER = re.compile(r"(?:.*/)?(train|test)/(pos|neg|unsup)/(\d+)_(\d+)\.txt")
URLS = re.compile(r"(?:.*/)?(train|test)/urls_(pos|neg|unsup)\.txt")
FILM = re.compile(r"/(tt\d+)/")
LABELS = {"neg": "negative", "pos": "positive"}
UNLABELLED = {"unsup": ""}
MEMBERS = 100_024


def is_imdb_folder(path: Path) -> bool:
    return _root(path) is not None


def _root(path: Path) -> Path | None:
    for root in (path, path / "aclImdb"):
        if (root / "train" / "pos").is_dir() and (root / "test" / "neg").is_dir():
            return root
    return None


def read_imdb(path: Path, track: Track = quiet, unlabelled: bool = False) -> Reviews:
    """The reviews of the archive or the unpacked folder, ordered by half, label and number.

    The 50,000 that have no label are read if ``unlabelled``.

    Raises ReviewsError for an archive that ends half-way, or a text that is empty or not UTF-8.
    """
    root = _root(path) if path.is_dir() else None
    members = _from_folder(root) if root else _from_archive(path)
    texts: dict[tuple[str, str], dict[int, str]] = {}
    films: dict[tuple[str, str], list[str]] = {}
    for name, content in track(members, "reading reviews", None if root else MEMBERS):
        if match := MEMBER.fullmatch(name):
            half, label, number, _ = match.groups()
            if label in UNLABELLED and not unlabelled:
                continue
            text = _decode(content, path, name)
            if not text.strip():
                raise ReviewsError("the text is empty", f"{path}/{name}", 1)
            texts.setdefault((half, label), {})[int(number)] = text
        elif match := URLS.fullmatch(name):
            films[match[1], match[2]] = _decode(content, path, name).split()
    halves = {half: _half(half, LABELS, texts, films) for half in ("train", "test")}
    for half in halves:
        missing = [label for label in LABELS if (half, label) not in texts]
        if missing:
            raise ReviewsError(f"no review under {half}/{missing[0]}: is this the IMDb archive?", path)
    loose = _half("train", UNLABELLED, texts, films)
    return Reviews("IMDb", str(path), tuple(LABELS.values()), halves["train"], halves["test"], loose)


def _half(
    half: str,
    labels: Mapping[str, str],
    texts: dict[tuple[str, str], dict[int, str]],
    films: dict[tuple[str, str], list[str]],
) -> list[Review]:
    found = []
    for label, name in labels.items():
        listed = films.get((half, label), [])
        for number, text in sorted(texts.get((half, label), {}).items()):
            film = FILM.search(listed[number]) if number < len(listed) else None
            found.append(Review(text, name, film[1] if film else None))
    return found


def _decode(content: bytes, path: Path, name: str) -> str:
    try:
        return content.decode("utf-8")
    except UnicodeDecodeError as error:
        line = content.count(b"\n", 0, error.start) + 1
        raise ReviewsError(f"not UTF-8 at byte {error.start + 1}", f"{path}/{name}", line) from None


def _wanted(name: str) -> bool:
    return bool(MEMBER.fullmatch(name) or URLS.fullmatch(name))


def _from_archive(path: Path) -> Iterator[tuple[str, bytes]]:
    try:
        with gzip.open(path) as unzipped:
            with tarfile.open(fileobj=unzipped, mode="r|") as archive:
                for member in archive:
                    file = archive.extractfile(member) if _wanted(member.name) else None
                    yield member.name, file.read() if file else b""
            # Only the end of the stream holds the checksum of it all.
            while unzipped.read(1 << 20):
                pass
    except (tarfile.TarError, EOFError, zlib.error, OSError) as error:
        what = f"the archive is broken or ends half-way ({error}): get it again"
        raise ReviewsError(what, path) from None


def _from_folder(root: Path) -> Iterator[tuple[str, bytes]]:
    for file in sorted(root.rglob("*.txt")):
        name = file.relative_to(root).as_posix()
        if _wanted(name):
            yield name, file.read_bytes()
