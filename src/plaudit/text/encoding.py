"""Texts as arrays of word ids. Knows no words and no labels."""

from __future__ import annotations

import mmap
from array import array
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from typing import Any, TypeVar

import numpy as np
from numpy.typing import NDArray

from plaudit.text.temporary import file_of
from plaudit.text.vocabulary import NO_WORD

Ids = NDArray[np.int64]
T = TypeVar("T", bound=np.generic)
PIECE = 1 << 20


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

    def part(self, begin: int, end: int) -> Encoded:
        """The texts from ``begin`` up to ``end``."""
        offsets = self.offsets[begin : end + 1]
        return Encoded(self.ids[offsets[0] : offsets[-1]], offsets - offsets[0])

    def take(self, indices: Sequence[int] | Ids) -> Encoded:
        """The texts at ``indices``, in that order."""
        return Encoded.of([self[int(index)] for index in indices])


class Gatherer:
    """Takes encoded texts one by one. Their ids are in a file without a name, and not in memory."""

    def __init__(self) -> None:
        self._file = file_of(self)
        self._offsets = array("q", [0])

    def __len__(self) -> int:
        return len(self._offsets) - 1

    def add(self, ids: Sequence[int] | NDArray[np.int32]) -> None:
        """Adds one text."""
        self._file.write(np.asarray(ids, dtype=np.int32).data)
        self._offsets.append(self._offsets[-1] + len(ids))

    def extend(self, texts: Encoded) -> None:
        """Adds several texts."""
        self._file.write(texts.ids.astype(np.int32, copy=False).data)
        self._offsets.extend((texts.offsets[1:] + self._offsets[-1]).tolist())

    def encoded(self) -> Encoded:
        """All texts. Their ids are read from the file when they are looked at; none may be added any more."""
        self._file.flush()
        offsets = np.array(self._offsets, dtype=np.int64)
        if not offsets[-1]:
            return Encoded(np.zeros(0, dtype=np.int32), offsets)
        # What is written stays in memory; PyTorch takes no array that cannot be written to.
        content = mmap.mmap(self._file.fileno(), 0, access=mmap.ACCESS_COPY)
        return Encoded(np.frombuffer(content, dtype=np.int32), offsets)


def pieces(values: NDArray[T]) -> Iterator[NDArray[T]]:
    """The parts of an array, one after another. Of an array in a file one part at a time is in memory."""
    for start in range(0, len(values), PIECE):
        yield values[start : start + PIECE]
        release(values)


def release(values: NDArray[Any]) -> None:
    """Lets go of the memory that holds an array of a file: it is read again where it is looked at."""
    content = values.base.obj if isinstance(values.base, memoryview) else None
    if isinstance(content, mmap.mmap) and hasattr(mmap, "MADV_DONTNEED"):
        content.madvise(mmap.MADV_DONTNEED)


def pad(rows: Sequence[Sequence[int] | NDArray[np.int32]], width: int | None = None) -> Ids:
    """``rows`` as one array (rows, width), filled up with 0 at the end; width defaults to the longest, at least 1."""
    width = width or max(1, max((len(row) for row in rows), default=1))
    block = np.full((len(rows), width), NO_WORD, dtype=np.int64)
    for index, row in enumerate(rows):
        block[index, : len(row)] = row
    return block
