"""Texts as arrays of word ids. Knows no words and no labels."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from plaudit.text.vocabulary import NO_WORD

Ids = NDArray[np.int64]


@dataclass(frozen=True)
class Encoded:
    """Many encoded texts without padding: text i is ``ids[offsets[i]:offsets[i + 1]]``."""

    ids: NDArray[np.int32]
    offsets: Ids

    @classmethod
    def of(cls, rows: Iterable[Sequence[int] | NDArray[np.int32]]) -> Encoded:
        flat: list[NDArray[np.int32]] = []
        offsets = [0]
        for row in rows:
            flat.append(np.asarray(row, dtype=np.int32))
            offsets.append(offsets[-1] + len(row))
        joined = np.concatenate(flat) if flat else np.zeros(0, dtype=np.int32)
        return cls(joined, np.asarray(offsets, dtype=np.int64))

    def __len__(self) -> int:
        return len(self.offsets) - 1

    def __iter__(self) -> Iterator[NDArray[np.int32]]:
        return (self[index] for index in range(len(self)))

    def __getitem__(self, index: int) -> NDArray[np.int32]:
        return self.ids[self.offsets[index] : self.offsets[index + 1]]

    @property
    def lengths(self) -> Ids:
        return np.diff(self.offsets)

    def renumbered(self, words: Ids) -> Encoded:
        """The same texts where an id is its place in ``words``, ascending ids that hold every one of these texts."""
        return Encoded(np.searchsorted(words, self.ids).astype(np.int32), self.offsets)

    def take(self, indices: Sequence[int] | Ids) -> Encoded:
        """The texts at ``indices``, in that order."""
        return Encoded.of([self[int(index)] for index in indices])


def pad(rows: Sequence[Sequence[int] | NDArray[np.int32]], width: int | None = None) -> Ids:
    """``rows`` as one array (rows, width), filled up with 0 at the end; width defaults to the longest, at least 1."""
    width = width or max(1, max((len(row) for row in rows), default=1))
    block = np.full((len(rows), width), NO_WORD, dtype=np.int64)
    for index, row in enumerate(rows):
        block[index, : len(row)] = row
    return block
