"""A text's words, in two cleanings. Knows no vocabulary and no labels.

`original`: the original system's words, for every text: mark-up dropped, lower case, every character
outside a-z and 0-9 a space, English stop words dropped, Porter stems.
`modern`: keeps negation, order and ``!?``; no stems, no stop words; works for any script: words are
letters, marks and digits with inner apostrophes, and scripts written without spaces go by character.

Training and serving call the same two functions: `words`, and `located_words` where spans are wanted.
"""

from __future__ import annotations

import re
import unicodedata
from collections.abc import Callable, Iterator
from functools import cache
from typing import Literal, NamedTuple, TypeVar, get_args

from plaudit.text.markup import plain, plain_text
from plaudit.text.stemmer import stem
from plaudit.text.stopwords import STOP_WORDS

T = TypeVar("T")
Cleaning = Literal["original", "modern"]
CLEANINGS: tuple[str, ...] = get_args(Cleaning)

ALPHANUMERIC = re.compile(r"[a-z0-9]+")
LONGEST_REMEMBERED, MOST_REMEMBERED = 40, 1 << 18


def _only(kept: bytes) -> bytes:
    """What turns every byte but ``kept`` into a space, and capitals into small letters, for `bytes.translate`."""
    return bytes(byte if byte in kept else ord(" ") for byte in bytes(range(256)).lower())


LETTERS_AND_DIGITS = b"abcdefghijklmnopqrstuvwxyz0123456789"
OF_ORIGINAL, OF_MODERN = _only(LETTERS_AND_DIGITS), _only(LETTERS_AND_DIGITS + b"'!?")


class Word(NamedTuple):
    """A word as the network reads it, and its span in the text as it was sent, in code points."""

    text: str
    start: int
    end: int


def words(text: str, cleaning: Cleaning) -> list[str]:
    """The words of ``text``, in order."""
    found = forms(text, cleaning)
    if isinstance(found, list):
        return found
    if cleaning == "original":
        return [word for word in map(_STEMS.__getitem__, found.decode().split()) if word]
    return found.decode().split()


def forms(text: str, cleaning: Cleaning) -> bytes | list[str]:
    """What `word_of` makes the words of ``text`` of, in order, between spaces; the words themselves if not ASCII.

    `original` takes the runs of a-z and 0-9 in lower case.
    """
    if cleaning == "original":
        return plain_text(text).lower().encode("ascii", "replace").translate(OF_ORIGINAL)
    bare = plain_text(text, gap=" ")
    return _ascii_forms(bare) if bare.isascii() else [_modern_word(match) for match in _modern().findall(bare)]


def word_of(form: str, cleaning: Cleaning) -> str:
    """The word of one of `forms`: for `original` its stem, or nothing for a stop word."""
    return _STEMS[form] if cleaning == "original" else form


def _ascii_forms(text: str) -> bytes:
    """What the pattern of `modern` finds in ASCII, where an apostrophe between two letters is all that it takes."""
    found = text.encode().translate(OF_MODERN)
    for mark in (b"!", b"?"):
        if mark in found:
            found = found.replace(mark, b" " + mark + b" ")
    if b"'" in found:
        found = (b" " + found + b" ").replace(b"''", b"  ").replace(b" '", b"  ").replace(b"' ", b"  ")
    return found


def located_words(text: str, cleaning: Cleaning) -> list[Word]:
    """The same words with their spans in ``text``. A word may span mark-up: ``well<br />made``."""
    locate = _locate_original if cleaning == "original" else _locate_modern
    return list(locate(text))


def _locate_original(text: str) -> Iterator[Word]:
    bare = plain(text)
    lowered, origin = _lower(bare.text)
    for match in ALPHANUMERIC.finditer(lowered):
        if word := _STEMS[match.group()]:
            start, end = origin(match.start()), origin(match.end() - 1) + 1
            yield Word(word, *bare.origin(start, end))


def _locate_modern(text: str) -> Iterator[Word]:
    bare = plain(text, gap=" ")
    for match in _modern().finditer(bare.text):
        yield Word(_modern_word(match.group()), *bare.origin(match.start(), match.end()))


def _lower(text: str) -> tuple[str, Callable[[int], int]]:
    """``text`` in lower case, and the way back: a few characters, such as İ, become two."""
    lowered = text.lower()
    if len(lowered) == len(text):
        return lowered, lambda index: index
    back = [index for index, character in enumerate(text) for _ in character.lower()]
    return lowered, back.__getitem__


class Remembered(dict[str, T]):
    """What ``find`` says of a form, kept for the forms that are met first."""

    def __init__(self, find: Callable[[str], T]) -> None:
        super().__init__()
        self._find = find

    def __missing__(self, form: str) -> T:
        found = self._find(form)
        if len(form) <= LONGEST_REMEMBERED and len(self) < MOST_REMEMBERED:
            self[form] = found
        return found


_STEMS = Remembered(lambda surface: "" if surface in STOP_WORDS else stem(surface))


def _modern_word(surface: str) -> str:
    """One spelling for each word: compatibility forms, case and apostrophes unified."""
    if surface.isascii():
        return surface.lower()
    return unicodedata.normalize("NFKC", surface).casefold().replace("\u2019", "'")


@cache
def _modern() -> re.Pattern[str]:
    """The words of `modern`. The `regex` module knows scripts and marks, which `re` does not."""
    import regex

    unspaced = r"[\p{Han}\p{Hiragana}\p{Katakana}\p{Thai}\p{Lao}\p{Khmer}\p{Myanmar}]"
    spaced = rf"(?:(?!{unspaced})[\p{{L}}\p{{N}}])"
    pattern = (
        rf"{unspaced}\p{{M}}*"
        rf"|{spaced}[\p{{M}}]*(?:{spaced}\p{{M}}*|['\u2019](?={spaced}))*"
        r"|[!?\uff01\uff1f\u061f]"
        r"|(?!\p{ASCII})\p{Extended_Pictographic}"
    )
    compiled: re.Pattern[str] = regex.compile(pattern)
    return compiled
