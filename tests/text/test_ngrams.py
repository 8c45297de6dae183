from __future__ import annotations

from collections import Counter
from collections.abc import Sequence

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from plaudit.text.ngrams import NgramCounts, NgramEncoder
from plaudit.text.vocabulary import RESERVED, Vocabulary

FEW = st.lists(st.sampled_from("not a good film at all".split()), max_size=12)
ENCODER = NgramEncoder(Vocabulary(("good", "not good", "film", "not a good", "a good film", "at all")), 3)


def every_ngram(words: Sequence[str], order: int) -> list[str]:
    """The same in the plainest way."""
    return [" ".join(words[i : i + n]) for n in range(1, order + 1) for i in range(len(words) - n + 1)]


def names(counts: NgramCounts) -> list[str]:
    return list(counts.names(np.arange(len(counts))))


class TestEncoder:
    def test_known_ngrams_come_once_each_short_ones_first(self) -> None:
        found = ENCODER.encode("a good film , not good , good film".split())
        assert [ENCODER.vocabulary.words[index - 2] for index in found] == ["good", "film", "not good", "a good film"]

    def test_no_ngram_is_longer_than_the_order(self) -> None:
        assert NgramEncoder(ENCODER.vocabulary, 1).encode("not good film".split()) == [2, 4]

    @pytest.mark.parametrize("words", [[], ["unheard"], ["not", "bad"], list(RESERVED)])
    def test_there_may_be_none(self, words: list[str]) -> None:
        assert ENCODER.encode(words) == []
        assert ENCODER.spread(words, []).tolist() == [0] * len(words)

    @given(FEW)
    def test_they_are_those_of_every_run(self, words: list[str]) -> None:
        known = set(ENCODER.vocabulary.words)
        expected = [ngram for ngram in dict.fromkeys(every_ngram(words, 3)) if ngram in known]
        assert [ENCODER.vocabulary.words[index - 2] for index in ENCODER.encode(words)] == expected


class TestSpread:
    def test_an_ngram_is_shared_by_the_words_of_all_its_occurrences(self) -> None:
        words = "not good , not good".split()
        assert ENCODER.encode(words) == [2, 3]
        assert ENCODER.spread(words, [2.0, -4.0]) == pytest.approx([-1, 0, 0, -1, 0])

    def test_a_word_that_stands_in_it_twice_counts_twice(self) -> None:
        encoder = NgramEncoder(Vocabulary(("so so",)), 2)
        assert encoder.spread(["so", "so", "so"], [8.0]).tolist() == [2, 4, 2]

    def test_several_units_are_spread_side_by_side(self) -> None:
        words = "not a good film".split()
        given_ = np.arange(len(ENCODER.encode(words)) * 3, dtype=float).reshape(-1, 3)
        spread = ENCODER.spread(words, given_)
        assert spread.shape == (4, 3)
        for unit in range(3):
            assert spread[:, unit] == pytest.approx(ENCODER.spread(words, given_[:, unit]))

    @settings(deadline=None)
    @given(FEW, st.integers(0, 2**32 - 1))
    def test_it_adds_up_to_what_was_given(self, words: list[str], seed: int) -> None:
        given_ = np.random.default_rng(seed).normal(size=len(ENCODER.encode(words)))
        assert ENCODER.spread(words, given_).sum() == pytest.approx(given_.sum(), abs=1e-12)

    def test_another_number_of_contributions_is_refused(self) -> None:
        with pytest.raises(ValueError, match="3 contributions for 1 n-grams"):
            ENCODER.spread(["good"], [1.0, 2.0, 3.0])


class TestCounts:
    @settings(deadline=None)
    @given(st.lists(FEW, max_size=8), st.integers(1, 4), st.integers(1, 3))
    def test_they_are_those_of_every_run(self, texts: list[list[str]], order: int, least: int) -> None:
        counts = NgramCounts.of(texts, order, least)
        held = [set(every_ngram(words, order)) for words in texts]
        frequency = Counter(ngram for ngrams in held for ngram in ngrams)
        expected = {ngram: count for ngram, count in frequency.items() if count >= least}
        found = names(counts)
        assert dict(zip(found, counts.texts.lengths.tolist(), strict=True)) == expected
        assert len(counts.ngrams) == len(texts)
        for at, ngrams in enumerate(held):
            assert {found[number] for number in counts.ngrams[at]} == ngrams & expected.keys()
            assert counts.ngrams[at].tolist() == sorted(counts.ngrams[at])
        for number, ngram in enumerate(found):
            assert counts.texts[number].tolist() == [at for at, ngrams in enumerate(held) if ngram in ngrams]

    def test_texts_may_be_read_only_once(self) -> None:
        assert names(NgramCounts.of((iter(words) for words in (["a", "b"], ["a"])), 2)) == ["a", "b", "a b"]

    def test_no_ngram_crosses_from_one_text_to_the_next(self) -> None:
        assert names(NgramCounts.of([["not"], ["good"]], 3)) == ["not", "good"]

    def test_reserved_words_stand_for_others_and_are_in_no_ngram(self) -> None:
        assert names(NgramCounts.of([["not", RESERVED[1], "good", "film"]], 3)) == ["not", "good", "film", "good film"]

    def test_ngrams_that_do_not_fit_one_number_are_counted_alike(self, monkeypatch: pytest.MonkeyPatch) -> None:
        random = np.random.default_rng(0)
        texts = [[str(word) for word in random.integers(0, 30, 40)] for _ in range(20)]
        quick = NgramCounts.of(texts, 3, 2)
        monkeypatch.setattr("plaudit.text.ngrams.LONGEST", 0)
        slow = NgramCounts.of(texts, 3, 2)
        assert names(quick) == names(slow)
        assert np.array_equal(quick.ngrams.ids, slow.ngrams.ids)
        assert np.array_equal(quick.texts.ids, slow.texts.ids)
