"""The IMDb Large Movie Review Dataset (Maas et al. 2011), as an archive or as a folder. Knows its layout.

Reviews are read straight from the archive: its 100,000 files are never unpacked.
"""

from __future__ import annotations

import re
import zlib
from collections.abc import Iterable, Iterator
from pathlib import Path

from plaudit.errors import ReviewsError
from plaudit.progress import Track, quiet
from plaudit.text.archive import members
from plaudit.text.kept import Keeper, KeptReviews
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
    files = _from_folder(root) if root else _from_archive(path)
    keeper = Keeper()
    places: dict[tuple[str, str], dict[int, int]] = {}
    films: dict[tuple[str, str], list[str]] = {}
    for name, content in track(files, "reading reviews", None if root else MEMBERS):
        if match := MEMBER.fullmatch(name):
            half, label, number, _ = match.groups()
            if label in UNLABELLED and not unlabelled:
                continue
            text = _decode(content, path, name)
            if not text.strip():
                raise ReviewsError("the text is empty", f"{path}/{name}", 1)
            at = keeper.add(Review(text, (LABELS | UNLABELLED)[label]))
            places.setdefault((half, label), {})[int(number)] = at
        elif match := URLS.fullmatch(name):
            films[match[1], match[2]] = _decode(content, path, name).split()
    for half in ("train", "test"):
        missing = [label for label in LABELS if (half, label) not in places]
        if missing:
            raise ReviewsError(f"no review under {half}/{missing[0]}: is this the IMDb archive?", path)
    for group, found in places.items():
        for number, film in enumerate(films.get(group, [])):
            if number in found and (match := FILM.search(film)):
                keeper.put_into(match[1], found[number])

    def ordered(half: str, labels: Iterable[str]) -> KeptReviews:
        return keeper.take(at for label in labels for _, at in sorted(places.get((half, label), {}).items()))

    train, test, loose = ordered("train", LABELS), ordered("test", LABELS), ordered("train", UNLABELLED)
    return Reviews("IMDb", str(path), tuple(LABELS.values()), train, test, loose)


def _decode(content: bytes, path: Path, name: str) -> str:
    try:
        return content.decode("utf-8")
    except UnicodeDecodeError as error:
        line = content.count(b"\n", 0, error.start) + 1
        raise ReviewsError(f"not UTF-8 at byte {error.start + 1}", f"{path}/{name}", line) from None


def _from_archive(path: Path) -> Iterator[tuple[str, bytes]]:
    try:
        yield from members(path)
    except (ValueError, EOFError, zlib.error, OSError) as error:
        what = f"the archive is broken or ends half-way ({error}): get it again"
        raise ReviewsError(what, path) from None


def _from_folder(root: Path) -> Iterator[tuple[str, bytes]]:
    for file in sorted(root.rglob("*.txt")):
        name = file.relative_to(root).as_posix()
        if MEMBER.fullmatch(name) or URLS.fullmatch(name):
            yield name, file.read_bytes()
