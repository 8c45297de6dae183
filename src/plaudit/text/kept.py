"""Reviews kept outside of memory: their texts in a file, the rest in arrays. Knows no file format and no words."""

from __future__ import annotations

from array import array
from collections.abc import Iterable, Iterator, Sequence
from functools import cached_property
from typing import overload

import numpy as np
from numpy.typing import NDArray

from plaudit.text.reviews import Marks, Review, Rows, mark, unit_of
from plaudit.text.temporary import file_of


class Keeper:
    """Takes reviews one by one; `take` gives them back. Their texts are in a file without a name, and not in memory."""

    def __init__(self) -> None:
        self._file = file_of(self)
        self._end = 0
        self._ends, self._lines = array("q", [0]), array("q")
        self._units, self._keys = array("Q"), array("Q")
        self._labels, self._groups = array("i"), array("i")
        self._names: dict[str | None, int] = {}

    def __len__(self) -> int:
        return len(self._lines)

    def add(self, review: Review) -> int:
        """Keeps a review, and gives its number."""
        content = review.text.encode("utf-8", "surrogatepass")
        self._end += self._file.write(content)
        self._ends.append(self._end)
        key, unit = mark(review)
        self._keys.append(key)
        self._units.append(unit)
        self._lines.append(review.line)
        self._labels.append(self._place(review.label))
        self._groups.append(self._place(review.group or None))
        return len(self) - 1

    def put_into(self, group: str, at: int) -> None:
        """Puts the review of number ``at`` into a group, where that is known only later."""
        self._groups[at] = self._place(group)
        self._units[at] = unit_of(group)

    def _place(self, name: str | None) -> int:
        return self._names.setdefault(name, len(self._names))

    def take(self, rows: Iterable[int]) -> KeptReviews:
        """The reviews of these numbers, in that order; none may be added any more."""
        return KeptReviews(self, np.fromiter(rows, dtype=np.int64))

    def review(self, at: int) -> Review:
        begin, names = self._ends[at], self._known
        self._file.seek(begin)
        text = self._file.read(self._ends[at + 1] - begin).decode("utf-8", "surrogatepass")
        return Review(text, names[self._labels[at]] or "", names[self._groups[at]], self._lines[at])

    def marks(self, rows: Rows) -> Marks:
        """What tells the reviews at ``rows`` apart."""
        labels, groups, keys, units = self._columns
        known = tuple(name or "" for name in self._known)
        return Marks(known, labels[rows], keys[rows], units[rows], groups[rows] != self._names.get(None, -1))

    @cached_property
    def _known(self) -> tuple[str | None, ...]:
        return tuple(self._names)

    @cached_property
    def _columns(self) -> tuple[NDArray[np.int32], NDArray[np.int32], NDArray[np.uint64], NDArray[np.uint64]]:
        return (
            np.frombuffer(self._labels, np.int32),
            np.frombuffer(self._groups, np.int32),
            np.frombuffer(self._keys, np.uint64),
            np.frombuffer(self._units, np.uint64),
        )


class KeptReviews(Sequence[Review]):
    """Some of a keeper's reviews, in an order of their own. Each is read when it is asked for."""

    def __init__(self, keeper: Keeper, rows: Rows) -> None:
        self._keeper, self._rows = keeper, rows

    def __len__(self) -> int:
        return len(self._rows)

    @overload
    def __getitem__(self, at: int) -> Review: ...
    @overload
    def __getitem__(self, at: slice) -> KeptReviews: ...
    def __getitem__(self, at: int | slice) -> Review | KeptReviews:
        if isinstance(at, slice):
            return KeptReviews(self._keeper, self._rows[at])
        return self._keeper.review(int(self._rows[at]))

    def __iter__(self) -> Iterator[Review]:
        return map(self._keeper.review, self._rows.tolist())

    def __eq__(self, other: object) -> bool:
        return isinstance(other, Sequence) and len(self) == len(other) and all(map(Review.__eq__, self, other))

    __hash__ = None  # type: ignore[assignment]

    @property
    def marks(self) -> Marks:
        return self._keeper.marks(self._rows)
