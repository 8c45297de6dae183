"""The reviews that come with Plaudit keep what the README says of them."""

from __future__ import annotations

import json
from collections import Counter
from importlib.resources import files

import pytest

from plaudit.text.reviews import Reviews, text_key
from plaudit.text.words import CLEANINGS, Cleaning, words

Row = dict[str, str]


@pytest.fixture(scope="module")
def rows() -> list[Row]:
    lines = (files("plaudit.text") / "sample.jsonl").read_text("utf-8").splitlines()
    return [json.loads(line) for line in lines]


def test_there_are_enough_of_them(rows: list[Row]) -> None:
    assert len(rows) >= 400
    assert all(set(row) == {"text", "label", "split", "kind"} for row in rows)


def test_a_hundred_are_held_out(rows: list[Row], sample: Reviews) -> None:
    assert sum(row["split"] == "test" for row in rows) == 100
    assert len(sample.test) == 100
    assert len(sample.train) == len(rows) - 100


def test_both_halves_are_balanced(sample: Reviews) -> None:
    for half in (sample.train, sample.test):
        counts = Counter(review.label for review in half)
        assert counts["positive"] == counts["negative"] == len(half) / 2


@pytest.mark.parametrize("kind", ["negation", "irony", "mixed", "markup"])
def test_what_is_hard_to_judge_is_among_them(rows: list[Row], kind: str) -> None:
    found = [row for row in rows if row["kind"] == kind]
    assert len(found) >= 20
    assert {row["label"] for row in found} == {"positive", "negative"}
    assert {row["split"] for row in found} == {"train", "test"}


def test_markup_is_marked_as_such(rows: list[Row]) -> None:
    for row in rows:
        assert (row["kind"] == "markup") == any(mark in row["text"] for mark in ("<", "&")), row["text"]


def test_no_text_stands_twice(rows: list[Row]) -> None:
    counts = Counter(text_key(row["text"]) for row in rows)
    assert [row["text"] for row in rows if counts[text_key(row["text"])] > 1] == []


def test_no_text_is_in_both_halves(sample: Reviews) -> None:
    assert sample.duplicates == ()


@pytest.mark.parametrize("cleaning", CLEANINGS)
def test_no_words_are_in_both_halves(sample: Reviews, cleaning: Cleaning) -> None:
    train, test = ({tuple(words(review.text, cleaning)) for review in half} for half in (sample.train, sample.test))
    assert not train & test
    assert all(train | test)


def test_the_order_gives_no_label_away(sample: Reviews) -> None:
    longest = run = 1
    for one, other in zip(sample.train, sample.train[1:], strict=False):
        run = run + 1 if one.label == other.label else 1
        longest = max(longest, run)
    assert longest < 20
