"""A text without its mark-up, and where each part of it stood. Knows HTML, and no words.

The text is what BeautifulSoup's ``get_text()`` gives with Python's ``html.parser``: tags, comments,
declarations and the content of script, style, template, rt and rp elements are left out, and
references such as ``&eacute;`` become their characters. BeautifulSoup itself cannot say where a
character came from, which a verdict's spans need; the tests hold this reader to it.
"""

from __future__ import annotations

import re
from bisect import bisect_right
from collections import Counter
from dataclasses import dataclass
from html.entities import html5
from html.parser import HTMLParser

LINE_BREAK = "<br />"
NEEDS_PARSER = re.compile(r"<(?!br />)|&(?=[#a-zA-Z])|&\Z")
TAG = re.compile(r"<[^<>]*>")

# html.parser reads on to the end of the text for every mark that is never closed: 100 kB of "<a " would
# take a minute and a half. The budget is in characters read, up to 60 ns each; an event counts as 200 of them.
# Mark-up that is closed stays far below it; beyond it, tags are cut out without the parser.
PARSER_BUDGET = 10_000_000
EVENT = 200

HIDDEN = frozenset({"script", "style", "template", "rt", "rp"})
VOID = frozenset(
    "area base basefont bgsound br col command embed frame hr image img input isindex keygen link"
    " menuitem meta nextid param source spacer track wbr".split()
)
INLINE = frozenset(
    "a abbr b big cite code del em font i ins kbd mark q s small span strike strong sub sup tt u".split()
)


@dataclass(frozen=True, slots=True)
class Piece:
    """A stretch of plain text: ``start`` and ``end`` are where it stood in the text as it was sent.

    ``starts_block`` tells that mark-up which separates words stood before it.
    """

    text: str
    start: int
    end: int
    starts_block: bool = False


@dataclass(frozen=True, slots=True)
class Plain:
    """A text without mark-up, with the way back to the text as it was sent."""

    text: str
    pieces: list[Piece]
    starts: list[int]

    def origin(self, start: int, end: int) -> tuple[int, int]:
        """The span of the sent text that ``text[start:end]`` came from; ``end`` > ``start``."""
        return self._place(start)[0], self._place(end - 1)[1]

    def _place(self, index: int) -> tuple[int, int]:
        at = bisect_right(self.starts, index) - 1
        piece = self.pieces[at]
        if len(piece.text) != piece.end - piece.start:
            return piece.start, piece.end
        first = piece.start + index - self.starts[at]
        return first, first + 1


def plain_text(text: str, gap: str = "") -> str:
    """``text`` without mark-up; ``gap``, at least once, where mark-up other than an inline tag separated words.

    The original joins them with nothing.
    """
    if "<" not in text and "&" not in text:
        return text
    bare = text.replace(LINE_BREAK, gap)
    if ("<" not in bare and "&" not in bare) or NEEDS_PARSER.search(text) is None:
        return bare
    return plain(text, gap).text


def plain(text: str, gap: str = "") -> Plain:
    """``text`` without mark-up; ``gap`` is put where mark-up other than an inline tag separated words."""
    found: list[Piece] = []
    for piece in pieces(text):
        if gap and piece.starts_block:
            found.append(Piece(gap, piece.start, piece.start))
        found.append(piece)
    starts, total = [], 0
    for piece in found:
        starts.append(total)
        total += len(piece.text)
    return Plain("".join(piece.text for piece in found), found, starts)


def pieces(text: str) -> list[Piece]:
    """The stretches of plain text in ``text``, in order."""
    if NEEDS_PARSER.search(text) is None:
        return _split(text, re.compile(re.escape(LINE_BREAK)))
    reader = _Reader(text)
    try:
        reader.feed(text)
        reader.close()
    except (AssertionError, _TooCostly):
        # html.parser gives up on a few broken declarations, such as "<![x", and BeautifulSoup with it.
        return _split(text, TAG)
    return reader.finish()


def _split(text: str, mark: re.Pattern[str]) -> list[Piece]:
    found, at, block = [], 0, False
    for match in mark.finditer(text):
        if match.start() > at:
            found.append(Piece(text[at : match.start()], at, match.start(), block))
        at, block = match.end(), True
    if at < len(text):
        found.append(Piece(text[at:], at, len(text), block))
    return found


class _TooCostly(Exception):
    """The mark-up would take longer than the budget."""


class _Reader(HTMLParser):
    """Collects the pieces that BeautifulSoup's tree would count as text."""

    def __init__(self, text: str) -> None:
        super().__init__(convert_charrefs=False)
        self._text = text
        self._lines = [0, *(match.end() for match in re.finditer("\n", text))]
        self._found: list[Piece] = []
        self._growing: tuple[str, int, bool] | None = None
        self._open: list[str] = []
        self._counts: Counter[str] = Counter()
        self._block = False
        self._work = 0

    def parse_starttag(self, i: int) -> int:
        return self._paid(i, super().parse_starttag(i))

    def parse_endtag(self, i: int) -> int:
        return self._paid(i, super().parse_endtag(i))

    def parse_pi(self, i: int) -> int:
        return self._paid(i, super().parse_pi(i))

    def parse_comment(self, i: int, report: bool = True) -> int:
        return self._paid(i, super().parse_comment(i, report))

    def parse_html_declaration(self, i: int) -> int:
        return self._paid(i, super().parse_html_declaration(i))

    def _paid(self, start: int, end: int) -> int:
        """``end``, after counting what was read for it: everything that is left where no end was found."""
        self._spend((end if end >= 0 else len(self.rawdata)) - start)
        return end

    def _spend(self, characters: int) -> None:
        self._work += characters
        if self._work > PARSER_BUDGET:
            raise _TooCostly

    def finish(self) -> list[Piece]:
        """The pieces found."""
        self._mark(len(self._text))
        return self._found

    def _here(self) -> int:
        line, column = self.getpos()
        return self._lines[line - 1] + column

    def _mark(self, position: int) -> None:
        """A character reference ends where the next thing begins."""
        self._spend(EVENT)
        if self._growing:
            text, start, block = self._growing
            self._found.append(Piece(text, start, position, block))
            self._growing = None

    def _add(self, text: str, shift: int = 0) -> None:
        self._mark(self._here())
        start = self._here() + shift
        if not text:
            return
        if self._text.startswith(text, start):
            self._found.append(Piece(text, start, start + len(text), self._block))
        else:
            self._growing = (text, start, self._block)
        self._block = False

    def _pass(self, inline: bool = False) -> None:
        self._mark(self._here())
        self._block = self._block or not inline

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self._pass(tag in INLINE)
        if tag not in VOID:
            self._open.append(tag)
            self._counts[tag] += 1

    def handle_startendtag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self._pass(tag in INLINE)

    def handle_endtag(self, tag: str) -> None:
        self._pass(tag in INLINE)
        while self._counts[tag]:
            closed = self._open.pop()
            self._counts[closed] -= 1
            if closed == tag:
                break

    def handle_data(self, data: str) -> None:
        if data == "&#":
            # Here html.parser copies and searches what is left of the text.
            self._spend((len(self._text) - self._here()) // 10)
        if any(self._counts[tag] for tag in HIDDEN):
            self._pass()
        else:
            self._add(data)

    def handle_charref(self, name: str) -> None:
        self.handle_data(_character(name))

    def handle_entityref(self, name: str) -> None:
        self.handle_data(html5.get(name + ";") or html5.get(name) or "&" + name)

    def unknown_decl(self, data: str) -> None:
        if data.upper().startswith("CDATA["):
            self._block = True
            # An empty section counts as one space in BeautifulSoup's tree.
            self._add(data[6:] or " ", shift=len("<![CDATA["))
            self._block = True
        else:
            self._pass()

    def handle_comment(self, data: str) -> None:
        self._pass()

    def handle_decl(self, decl: str) -> None:
        self._pass()

    def handle_pi(self, data: str) -> None:
        self._pass()


def _character(name: str) -> str:
    """The character of ``&#name;``, with the meaning that browsers give to 128-159."""
    hexadecimal = name[:1] in "xX"
    digits = (name[1:] if hexadecimal else name).lstrip("0") or "0"
    number = int(digits, 16 if hexadecimal else 10) if len(digits) <= 7 else -1
    if 0x80 <= number <= 0x9F:
        return bytes([number]).decode("cp1252", errors="replace")
    if 0 < number <= 0x10FFFF and not 0xD800 <= number <= 0xDFFF:
        return chr(number)
    return "\ufffd"
