"""Reviews out of memory are the same as in a list."""

from __future__ import annotations

import gc
from dataclasses import replace

import numpy as np
import pytest

from plaudit.text.kept import Keeper
from plaudit.text.reviews import Review, marks

REVIEWS = [
    Review("A fine film", "good", "film 1", 2),
    Review("", "bad"),
    Review("half a pair \ud800, caf\u00e9, \U0001f600\0", "bad", None, 3),
    Review("a FINE  film", "good", "film 2", 4),
    Review("a fine\nfilm", "gut", "", 5),
]


@pytest.fixture
def keeper() -> Keeper:
    return _filled()


def _filled() -> Keeper:
    made = Keeper()
    for number, review in enumerate(REVIEWS):
        assert made.add(review) == number
    return made


def test_they_come_back_as_they_were_in_any_order(keeper: Keeper) -> None:
    expected = [replace(review, group=review.group or None) for review in REVIEWS]
    kept = keeper.take([4, 0, 0, 2])
    assert len(kept) == 4
    assert list(kept) == kept == [expected[at] for at in (4, 0, 0, 2)]
    assert kept[-1] == expected[2]
    assert kept[1:3] == [expected[0]] * 2
    assert kept != expected
    assert list(reversed(keeper.take(range(5)))) == expected[::-1]
    assert keeper.take([]) == []


def test_two_may_read_at_once(keeper: Keeper) -> None:
    kept = keeper.take(range(5))
    assert [one.text == other.text for one, other in zip(kept, kept, strict=True)] == [True] * 5


def test_their_marks_are_those_of_a_list(keeper: Keeper) -> None:
    rows = [3, 1, 2, 4, 0]
    kept, plain = marks(keeper.take(rows)), marks([REVIEWS[at] for at in rows])
    assert np.array_equal(kept.keys, plain.keys)
    assert np.array_equal(kept.units, plain.units)
    assert kept.grouped.tolist() == plain.grouped.tolist() == [True, False, False, False, True]
    for found in (kept, plain):
        assert [found.names[label] for label in found.labels] == [REVIEWS[at].label for at in rows]


def test_a_group_may_be_told_later(keeper: Keeper) -> None:
    keeper.put_into("film 1", 2)
    found = keeper.take(range(5))
    assert [review.group for review in found] == ["film 1", None, "film 1", "film 2", None]
    assert found.marks.units[0] == found.marks.units[2]
    assert found.marks.grouped.tolist() == [True, False, True, True, False]


def test_the_file_ends_with_the_last_who_reads_it() -> None:
    kept = _filled().take(range(5))
    file = kept._keeper._file
    gc.collect()
    assert kept[0].text == "A fine film"
    assert not file.closed
    del kept
    gc.collect()
    assert file.closed
