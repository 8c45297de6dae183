"""Which words have an id. Knows nothing of how words are found or what ids are used for."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path

NO_WORD = 0
INFREQUENT = 1
OFTEN = 5
RESERVED = ("<no word>", "<infrequent>")


@dataclass(frozen=True)
class Vocabulary:
    """Words by id: id 0 pads, id 1 stands for every word that is not listed, the rest from 2 upwards."""

    words: tuple[str, ...]
    _ids: dict[str, int] = field(init=False, repr=False, compare=False)

    def __post_init__(self) -> None:
        ids = {word: index for index, word in enumerate(self.words, len(RESERVED))}
        object.__setattr__(self, "_ids", ids)

    @classmethod
    def of(cls, texts: Iterable[Iterable[str]], size: int, start: Vocabulary | None = None) -> Vocabulary:
        """The ``size - 2`` most frequent words of ``texts``; ties in order of first appearance.

        With ``start`` its words come first, and of the others only those seen `OFTEN` times or more.
        """
        counts: Counter[str] = Counter()
        for text in texts:
            counts.update(text)
        return cls.of_counts(counts, size, start)

    @classmethod
    def of_counts(cls, counts: Mapping[str, int], size: int, start: Vocabulary | None = None) -> Vocabulary:
        """The same of words that are counted already, in order of first appearance."""
        if start is None:
            return cls(tuple(word for word, _ in Counter(counts).most_common(size - len(RESERVED))))
        known = set(start.words)
        others = [word for word, count in Counter(counts).most_common() if count >= OFTEN and word not in known]
        return cls((*start.words, *others)[: max(size, start.size) - len(RESERVED)])

    @property
    def size(self) -> int:
        """How many ids there are, the two reserved ones among them."""
        return len(self.words) + len(RESERVED)

    def ids(self, words: Sequence[str]) -> list[int]:
        get = self._ids.get
        return [get(word, INFREQUENT) for word in words]

    def words_of(self, texts: Iterable[Iterable[int]]) -> Iterator[list[str]]:
        """The words of each of ``texts``, which are ids; the reserved ones where a word has none."""
        names = (*RESERVED, *self.words)
        return ([names[id] for id in text] for text in texts)

    def save(self, path: Path) -> None:
        """One word a line; the line's number, counted from 0, is the word's id."""
        path.write_text("\n".join((*RESERVED, *self.words)) + "\n", encoding="utf-8")

    @classmethod
    def load(cls, path: Path) -> Vocabulary:
        return cls.parse(path.read_text(encoding="utf-8"))

    @classmethod
    def parse(cls, content: str) -> Vocabulary:
        """The vocabulary in a file's content. Raises ValueError where it is not one."""
        lines = content.split("\n")
        if tuple(lines[:2]) != RESERVED or lines[-1] != "":
            raise ValueError("not a vocabulary: its first two lines have to be " + ", ".join(RESERVED))
        words = tuple(lines[len(RESERVED) : -1])
        if len(set(words)) != len(words) or "" in words:
            raise ValueError("not a vocabulary: a word is empty or stands in it twice")
        return cls(words)
