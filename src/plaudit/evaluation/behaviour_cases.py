"""The cases of a behavioural suite, as they stand in a TOML file. Knows texts and names of labels; no model."""

from __future__ import annotations

import re
import tomllib
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from plaudit.errors import ReviewsError, UsageError

BUILT_IN = Path(__file__).with_name("behaviour.toml")
KINDS = {
    "expect": "minimum functionality",
    "same": "invariance",
    "toward": "directional",
    "unsure": "no sentiment",
}
LABELLED = ("expect", "toward")
SINGLE = ("expect", "unsure")


@dataclass(frozen=True)
class Case:
    """One test. ``kind`` is a key of `KINDS`; ``label`` is empty where the kind needs none.

    ``texts`` are one text (expect, unsure), the text before and after (toward), or all that have to agree (same).
    ``place`` says which file and line the capability starts at.
    """

    capability: str
    kind: str
    texts: tuple[str, ...]
    label: str = ""
    place: str = ""


@dataclass(frozen=True)
class Suite:
    """Cases by capability, in the order of the file; ``about`` holds a sentence for each capability."""

    about: dict[str, str]
    cases: tuple[Case, ...]

    @property
    def capabilities(self) -> list[str]:
        return list(dict.fromkeys(case.capability for case in self.cases))

    @property
    def labels(self) -> set[str]:
        return {case.label for case in self.cases if case.label}

    def plus(self, other: Suite) -> Suite:
        """Both suites' cases; where both have a capability, it is one, and this suite's sentence stands."""
        return Suite({**other.about, **self.about}, (*self.cases, *other.cases))

    def only(self, words: Sequence[str]) -> Suite:
        """The capabilities whose name contains one of ``words``. Raises UsageError for a word that is in none."""
        chosen: set[str] = set()
        for word in words:
            found = {name for name in self.capabilities if word.casefold() in name.casefold()}
            if not found:
                raise UsageError(f"no capability is called '{word}'; there are: {'; '.join(self.capabilities)}")
            chosen |= found
        return Suite(self.about, tuple(case for case in self.cases if case.capability in chosen))


def built_in() -> Suite:
    """The suite that comes with Plaudit. Its labels are ``negative`` and ``positive``."""
    return read(BUILT_IN)


def read(path: Path) -> Suite:
    """The suite in a file. Raises ReviewsError with file, line and case where it is not one."""
    source = _source(path)
    try:
        found = tomllib.loads(source)
    except tomllib.TOMLDecodeError as error:
        at = re.search(r"line (\d+)", str(error))
        what = f"not TOML: {error}. A text stands in quotes, and a list's items are separated by commas"
        raise ReviewsError(what, path, int(at[1]) if at else 0) from None
    about: dict[str, str] = {}
    cases: list[Case] = []
    for name, content in found.items():
        part = _Part(path, _line_of(name, source), name)
        if not isinstance(content, dict):
            raise part.error(f'stands outside a capability: begin with ["{name}"] on a line of its own')
        about[name] = part.sentence(content.pop("about", ""))
        cases += part.cases(content)
    if not cases:
        raise ReviewsError("no case in it: see docs/behaviour.md for the format", path)
    return Suite(about, tuple(cases))


def _source(path: Path) -> str:
    try:
        return path.read_text("utf-8-sig")
    except FileNotFoundError:
        raise UsageError(f"{path}: there is no such file") from None
    except UnicodeDecodeError as error:
        raise ReviewsError(f"not UTF-8 at byte {error.start + 1}", path) from None


def _line_of(name: str, source: str) -> int:
    """The line on which the capability starts; 0 where it is written in a way that is not looked for."""
    spellings = "|".join(re.escape(spelling) for spelling in (name, f'"{name}"', f"'{name}'"))
    at = re.search(rf"^[ \t]*(?:\[[ \t]*)?(?:{spellings})[ \t]*[\].=]", source, re.MULTILINE)
    return source.count("\n", 0, at.start()) + 1 if at else 0


@dataclass(frozen=True)
class _Part:
    """One capability of a file while it is read."""

    path: Path
    line: int
    name: str

    def error(self, what: str) -> ReviewsError:
        return ReviewsError(f"'{self.name}' {what}", self.path, self.line)

    def sentence(self, about: Any) -> str:
        if not isinstance(about, str):
            raise self.error("has an 'about' that is not a text")
        return about

    def cases(self, content: dict[str, Any]) -> Iterator[Case]:
        for kind, rows in content.items():
            if kind not in KINDS:
                raise self.error(f"has '{kind}', which is no kind of test: there are {', '.join(KINDS)}")
            if kind not in LABELLED:
                yield from self._rows(kind, "", rows)
                continue
            if not isinstance(rows, dict):
                raise self.error(f"has a '{kind}' without a label: write {kind}.LABEL = [...]")
            for label, own in rows.items():
                yield from self._rows(kind, label, own)

    def _rows(self, kind: str, label: str, rows: Any) -> Iterator[Case]:
        where = f"{kind}.{label}" if label else kind
        if not isinstance(rows, list):
            raise self.error(f"has a '{where}' that is not a list: write {where} = [...]")
        for number, row in enumerate(rows, 1):
            texts = [row] if kind in SINGLE else row
            if not isinstance(texts, list) or not all(isinstance(text, str) and text.strip() for text in texts):
                wanted = "a text in quotes" if kind in SINGLE else "a list of texts in quotes"
                raise self.error(f"has a '{where}' whose case {number} is not {wanted}, none of them blank")
            if (kind == "toward" and len(texts) != 2) or (kind == "same" and len(texts) < 2):
                wanted = "two texts, before and after" if kind == "toward" else "two texts or more"
                raise self.error(f"has a '{where}' whose case {number} has {len(texts)}: it takes {wanted}")
            yield Case(self.name, kind, tuple(texts), label, f"{self.path}:{self.line}")
