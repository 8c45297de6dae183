"""Numbers of forms: each is what `find` says, compiled or not, however many forms there are."""

from __future__ import annotations

import random
import threading
from concurrent.futures import ThreadPoolExecutor

import pytest
from hypothesis import given
from hypothesis import strategies as some

from plaudit.text import forms
from plaudit.text.forms import Forms, library
from plaudit.text.words import LONGEST_REMEMBERED, Remembered


@pytest.fixture(params=["compiled", "not compiled"])
def way(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> str:
    """Both ways to find numbers."""
    found: str = request.param
    if found == "compiled" and library() is None:
        pytest.skip("nothing is compiled here")
    if found == "not compiled":
        monkeypatch.setattr(forms, "library", lambda: None)
    return found


def length(form: str) -> int:
    """A number for a form; 0 for those with an x."""
    return 0 if "x" in form else len(form)


def test_numbers_are_those_of_the_forms_in_order_without_those_that_are_0(way: str) -> None:
    found = Forms(length)
    for _ in range(2):
        assert found.numbers(b"  a ccc x bb   dddd xx a ").tolist() == [1, 3, 2, 4, 1]
    for nothing in (b"", b" ", b"x", b"   x  "):
        assert found.numbers(nothing).tolist() == []
    assert found.numbers(b"a").tolist() == [1]


def test_each_form_is_asked_for_once(way: str) -> None:
    asked: list[str] = []

    def find(form: str) -> int:
        asked.append(form)
        return length(form)

    found = Forms(find)
    for _ in range(3):
        found.numbers(b"a bb a x bb x")
    assert asked == ["a", "bb", "x"]


def test_long_forms_are_right_and_the_longest_are_not_kept(way: str) -> None:
    asked: list[str] = []

    def find(form: str) -> int:
        asked.append(form)
        return len(form)

    sizes = (22, 23, 24, LONGEST_REMEMBERED, LONGEST_REMEMBERED + 1, 70_000)
    text = b" ".join(b"a" * size for size in sizes)
    found = Forms(find)
    assert [found.numbers(text).tolist() for _ in range(3)] == [list(sizes)] * 3
    assert [asked.count("a" * size) for size in sizes] == [1, 1, 1, 1, 3, 3]


def test_no_more_forms_are_kept_than_may_be(way: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(forms, "MOST_REMEMBERED", 100)
    number = {str(value): value for value in range(1, 1001)}
    found = Forms(number.__getitem__)
    for _ in range(2):
        assert found.numbers(" ".join(number).encode()).tolist() == list(number.values())


def test_a_hundred_thousand_forms_are_told_apart(way: str) -> None:
    forms_of = random.Random(0).sample(range(1, 10**9), 100_000)
    found = Forms(lambda form: int(form, 36) % 2**31 + 1)
    names = [f"{value:x}" for value in forms_of]
    expected = [int(name, 36) % 2**31 + 1 for name in names]
    text = " ".join(names).encode()
    assert found.numbers(text).tolist() == expected
    assert found.numbers(text).tolist() == expected


@given(some.lists(some.text("abx'!?0", min_size=1, max_size=30)))
def test_both_ways_give_the_same(words: list[str]) -> None:
    def find(form: str) -> int:
        return 0 if form.startswith("x") else hash(form) % 1000 + 1

    text = " ".join(words).encode()
    expected = [number for word in words if (number := find(word))]
    assert Forms(find).numbers(text).tolist() == expected


def test_threads_may_ask_at_the_same_time(way: str) -> None:
    lock = threading.Lock()
    number: dict[str, int] = {}

    def find(form: str) -> int:
        with lock:
            return number.setdefault(form, len(number) + 1)

    found = Forms(find)
    chance = random.Random(1)
    texts = [[str(chance.randrange(5_000)) for _ in range(300)] for _ in range(200)]
    with ThreadPoolExecutor(8) as pool:
        numbers = list(pool.map(lambda words: found.numbers(" ".join(words).encode()).tolist(), texts))
    assert numbers == [[number[word] for word in words] for words in texts]


def test_a_form_that_cannot_be_found_is_told_and_the_others_stay(way: str) -> None:
    found = Forms({"a": 1, "b": 2}.__getitem__)
    with pytest.raises(KeyError):
        found.numbers(b"a c b")
    assert found.numbers(b"b a").tolist() == [2, 1]


def test_remembered_keeps_what_was_found() -> None:
    asked: list[str] = []

    def find(form: str) -> int:
        asked.append(form)
        return len(asked)

    found = Remembered(find)
    assert [found["a"], found["b"], found["a"]] == [1, 2, 1]
    assert asked == ["a", "b"]
