from __future__ import annotations

from collections import Counter
from dataclasses import replace

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from plaudit.errors import ReviewsError
from plaudit.text.reviews import Review, Reviews, order_labels, split, text_key


def _reviews(train: list[Review], test: list[Review]) -> Reviews:
    return Reviews("mine", "mine.csv", ("bad", "good"), train, test)


def _many(count: int) -> list[Review]:
    return [Review(f"text {i}", "good" if i % 2 else "bad", line=i + 2) for i in range(count)]


class TestTexts:
    @pytest.mark.parametrize("other", ["A  Fine\nfilm", " a fine film ", "a fine FILM", "a\u00a0fine\tfilm\r\n"])
    def test_case_and_white_space_do_not_make_a_text(self, other: str) -> None:
        assert text_key(other) == text_key("A fine film")

    @pytest.mark.parametrize("other", ["A fine film!", "Afine film", "A fine f\u00eclm", ""])
    def test_any_other_character_does(self, other: str) -> None:
        assert text_key(other) != text_key("A fine film")

    def test_half_a_surrogate_pair_has_a_key_and_a_fingerprint(self) -> None:
        assert text_key("\ud800") != text_key("\udfff")
        assert (
            _reviews([Review("\ud800", "bad")], []).fingerprint != _reviews([Review("\udfff", "bad")], []).fingerprint
        )

    def test_duplicates_are_the_training_reviews_that_are_held_out_too(self) -> None:
        train = [Review("one", "good"), Review("Two ", "bad"), Review("three", "bad"), Review("two", "good")]
        assert _reviews(train, [Review("two", "bad"), Review("four", "good")]).duplicates == (1, 3)
        assert _reviews(train, []).duplicates == ()

    def test_a_language_is_learnt_from_each_text_once_and_from_none_that_is_held_out(self) -> None:
        train = [Review("one", "good"), Review("Two ", "bad"), Review("three", "bad"), Review("ONE", "good")]
        loose = [Review("four", ""), Review(" three", ""), Review("five", ""), Review("TWO", ""), Review("four ", "")]
        reviews = replace(_reviews(train, [Review("two", "bad"), Review("six", "good")]), unlabelled=loose)
        assert reviews.to_learn_a_language_from == ("one", "three", "four", "five")
        assert _reviews([], [Review("two", "bad")]).to_learn_a_language_from == ()

    def test_texts_without_a_label_change_neither_fingerprint_nor_duplicates(self) -> None:
        plain = _reviews(_many(6)[:4], _many(6)[4:])
        more = replace(plain, unlabelled=[Review("text 5", ""), Review("text 0", "")])
        assert (more.fingerprint, more.duplicates) == (plain.fingerprint, plain.duplicates)


class TestFingerprint:
    FIRST = _reviews(_many(6)[:4], _many(6)[4:])

    def test_the_same_reviews_have_the_same_one(self) -> None:
        assert replace(self.FIRST, name="other", origin="elsewhere.csv").fingerprint == self.FIRST.fingerprint
        assert _reviews(_many(6)[:4], _many(6)[4:]).fingerprint == self.FIRST.fingerprint

    @pytest.mark.parametrize(
        "other",
        [
            _reviews(_many(6)[:3], _many(6)[3:]),
            _reviews(_many(6)[3::-1], _many(6)[4:]),
            _reviews([*_many(6)[:3], Review("text 3 ", "good")], _many(6)[4:]),
            _reviews([*_many(6)[:3], Review("text 3", "bad")], _many(6)[4:]),
            replace(FIRST, labels=("good", "bad")),
        ],
        ids=["half", "order", "text", "label", "labels"],
    )
    def test_a_change_changes_it(self, other: Reviews) -> None:
        assert other.fingerprint != self.FIRST.fingerprint


class TestLabels:
    @pytest.mark.parametrize(
        ("found", "expected"),
        [
            (["positive", "negative", "positive"], ("negative", "positive")),
            (["1", "0"], ("0", "1")),
            (["yes", "no"], ("no", "yes")),
            (["good", "bad"], ("bad", "good")),
            (["c", "a", "b"], ("a", "b", "c")),
        ],
    )
    def test_they_follow_the_alphabet(self, found: list[str], expected: tuple[str, ...]) -> None:
        assert order_labels(found, "mine.csv") == expected

    def test_the_positive_one_comes_last(self) -> None:
        assert order_labels(["up", "down", "awful"], "mine.csv", "awful") == ("down", "up", "awful")
        assert order_labels(["fresh", "rotten"], "mine.csv", "fresh") == ("rotten", "fresh")

    def test_a_positive_label_nobody_has_is_refused(self) -> None:
        with pytest.raises(
            ReviewsError, match=r"^mine\.csv: no review has the positive label 'fine', only \['a', 'b'\]"
        ):
            order_labels(["a", "b"], "mine.csv", "fine")

    def test_a_single_label_is_refused(self) -> None:
        with pytest.raises(
            ReviewsError, match=r"^mine\.csv: every review has the same label, \['good'\]: two are needed"
        ):
            order_labels(["good", "good"], "mine.csv")

    def test_ids_are_places_among_the_labels(self) -> None:
        reviews = _reviews([Review("one", "good"), Review("two", "bad"), Review("three", "good")], [])
        assert reviews.label_ids(reviews.train).tolist() == [1, 0, 1]


class TestSplit:
    def test_every_review_lands_on_one_side_and_in_order(self) -> None:
        kept, held = split(_many(50), 0.2, seed=0)
        assert sorted([*kept, *held]) == list(range(50))
        assert list(kept) == sorted(kept)
        assert list(held) == sorted(held)

    def test_each_label_gives_its_share(self) -> None:
        reviews = [Review(f"text {i}", "good" if i < 30 else "bad") for i in range(100)]
        _, held = split(reviews, 0.2, seed=0)
        assert Counter(reviews[i].label for i in held) == {"good": 6, "bad": 14}

    def test_a_seed_gives_one_split(self) -> None:
        first, again, other = (split(_many(50), 0.2, seed)[1].tolist() for seed in (1, 1, 2))
        assert first == again != other

    def test_groups_stay_whole(self) -> None:
        reviews = [Review(f"text {i}", "good" if i % 2 else "bad", group=f"film {i // 3}") for i in range(90)]
        kept, held = split(reviews, 0.2, seed=0)
        assert not {reviews[i].group for i in kept} & {reviews[i].group for i in held}
        assert 18 <= len(held) <= 20

    @settings(max_examples=100, deadline=None, derandomize=True)
    @given(
        st.lists(st.tuples(st.sampled_from("abcdef"), st.sampled_from(["bad", "good"])), max_size=30),
        st.integers(0, 99),
    )
    def test_texts_that_are_the_same_stay_together(self, made: list[tuple[str, str]], seed: int) -> None:
        reviews = [Review(text.upper() if i % 2 else text, label) for i, (text, label) in enumerate(made)]
        kept, held = split(reviews, 0.3, seed)
        assert sorted([*kept, *held]) == list(range(len(reviews)))
        assert not {text_key(reviews[i].text) for i in kept} & {text_key(reviews[i].text) for i in held}

    @settings(max_examples=200, deadline=None, derandomize=True)
    @given(
        st.lists(
            st.tuples(
                st.sampled_from("abcdefghij"), st.sampled_from(["bad", "good", "so so"]), st.sampled_from("xyz ")
            ),
            max_size=40,
        ),
        st.floats(0, 1),
        st.integers(0, 99),
    )
    def test_it_is_that_of_plain_dictionaries(self, made: list[tuple[str, str, str]], share: float, seed: int) -> None:
        reviews = [Review(text, label, group.strip() or None) for text, label, group in made]
        assert [side.tolist() for side in split(reviews, share, seed)] == list(_split_plainly(reviews, share, seed))


def _split_plainly(reviews: list[Review], share: float, seed: int) -> tuple[list[int], list[int]]:
    """The same rules without arrays, by which the recorded splits were made."""
    groups: dict[object, list[int]] = {}
    for index, review in enumerate(reviews):
        groups.setdefault(("group", review.group) if review.group else review.text, []).append(index)
    strata: dict[str, list[list[int]]] = {}
    for members in groups.values():
        first = reviews[members[0]]
        strata.setdefault("" if first.group else first.label, []).append(members)
    random = np.random.default_rng(seed)
    held: list[int] = []
    for stratum in sorted(strata):
        wanted = max(1, round(share * sum(map(len, strata[stratum]))))
        taken = 0
        for at in random.permutation(len(strata[stratum])):
            if taken >= wanted or len(strata[stratum]) == 1:
                break
            held += strata[stratum][at]
            taken += len(strata[stratum][at])
    return sorted(set(range(len(reviews))) - set(held)), sorted(held)
