from __future__ import annotations

from math import log

import numpy as np
import pytest
from numpy.typing import NDArray
from sklearn.linear_model import LogisticRegression

from plaudit.learning.calibration import shares_of
from plaudit.learning.linear import (
    LinearModel,
    LinearSettings,
    fit,
    fit_and_try,
    heaviest,
    least_for,
    log_count_ratios,
    solve,
)
from plaudit.text.ngrams import NgramCounts, NgramEncoder
from plaudit.text.reviews import Reviews
from plaudit.text.words import words

TOY = ["not good", "bad film", "good film", "good good plot"]
TOY_LABELS = [0, 0, 1, 1]
SETTINGS = LinearSettings(order=2, least=1)


def made(seed: int, labels_count: int, reviews: int = 120) -> tuple[list[list[str]], NDArray[np.int64]]:
    """Reviews of which each label prefers other words."""
    random = np.random.default_rng(seed)
    labels = np.arange(reviews) % labels_count
    shares = random.dirichlet(np.full(25, 0.6), labels_count)
    found = [[f"w{word}" for word in random.choice(25, random.integers(3, 12), p=shares[label])] for label in labels]
    return found, labels


def logits(model: LinearModel, found: list[list[str]]) -> NDArray[np.float64]:
    encoder = NgramEncoder(model.vocabulary, model.order)
    rows = [encoder.encode(row) for row in found]
    sums = np.array([model.weights[row].sum(0, dtype=np.float64) for row in rows])
    return model.biases + sums * shares_of(np.array([len(row) for row in rows]), model.growth)[:, np.newaxis]


def dense(counts: NgramCounts) -> NDArray[np.float64]:
    matrix = np.zeros((len(counts.ngrams), len(counts)))
    for at in range(len(matrix)):
        matrix[at, counts.ngrams[at]] = 1
    return matrix


class TestLogCountRatios:
    """By hand: label 1 holds good 2, film 1, plot 1; label 0 holds not 1, good 1, bad 1, film 1. With 1 added to each
    of the five words, label 1 has 9 and label 0 has 9.
    """

    counts = NgramCounts.of((text.split() for text in TOY), 1)

    def test_of_two_labels(self) -> None:
        ratios = log_count_ratios(self.counts, np.array(TOY_LABELS), 1, 1.0)
        found = dict(zip(self.counts.names(np.arange(5)), ratios[:, 0].tolist(), strict=True))
        by_hand = {"not": 1 / 2, "good": 3 / 2, "bad": 1 / 2, "film": 2 / 2, "plot": 2 / 1}
        assert found == pytest.approx({word: log(ratio) for word, ratio in by_hand.items()}, abs=1e-6)

    def test_shares_count_where_the_labels_do_not_have_as_much_to_say(self) -> None:
        counts = NgramCounts.of([["good", "film"], ["bad"]], 1)
        ratios = log_count_ratios(counts, np.array([1, 0]), 1, 0.5)
        by_hand = [log((1.5 / 3.5) / (0.5 / 2.5)), log((1.5 / 3.5) / (0.5 / 2.5)), log((0.5 / 3.5) / (1.5 / 2.5))]
        assert ratios[:, 0].tolist() == pytest.approx(by_hand, abs=1e-6)

    def test_of_more_labels_each_against_the_others(self) -> None:
        labels = np.array([0, 1, 2, 2])
        ratios = log_count_ratios(self.counts, labels, 3, 1.0)
        for label in range(3):
            alone = log_count_ratios(self.counts, (labels == label).astype(np.int64), 1, 1.0)
            # Smoothing adds 1 to each side either way, so a label against the rest is a problem of two labels.
            assert ratios[:, label] == pytest.approx(alone[:, 0])


class TestSolve:
    @pytest.mark.parametrize("strength", [0.1, 1.0, 10.0])
    def test_two_labels_as_scikit_learn_solves_them(self, strength: float, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.setattr("plaudit.learning.linear.PRECISE", 1e-7)
        found, labels = made(0, 2)
        counts = NgramCounts.of(found, 2)
        ratios = log_count_ratios(counts, labels, 1, 1.0)
        weights = solve(counts, labels, ratios, np.zeros(1, dtype=np.float32), strength)
        oracle = LogisticRegression(C=strength, fit_intercept=False, tol=1e-10, max_iter=10_000)
        oracle.fit(dense(counts) * ratios.T, labels)
        assert weights[:, 0] == pytest.approx(oracle.coef_[0] * ratios[:, 0], abs=2e-3)

    def test_longer_reviews_share_their_score_out_over_more_ngrams(self, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.setattr("plaudit.learning.linear.PRECISE", 1e-7)
        found, labels = made(3, 2)
        counts = NgramCounts.of(found, 2)
        ratios = log_count_ratios(counts, labels, 1, 1.0)
        weights = solve(counts, labels, ratios, np.zeros(1, dtype=np.float32), 1.0, growth=0.5)
        rows = dense(counts)
        shares = (np.maximum(rows.sum(1), 1) / 200) ** -0.5
        oracle = LogisticRegression(C=1.0, fit_intercept=False, tol=1e-10, max_iter=10_000)
        oracle.fit(rows * shares[:, np.newaxis] * ratios.T, labels)
        assert weights[:, 0] == pytest.approx(oracle.coef_[0] * ratios[:, 0], abs=2e-3)

    def test_a_bias_counts_as_an_ngram_of_every_review(self) -> None:
        found, labels = made(1, 2)
        counts = NgramCounts.of(found, 1)
        ratios = log_count_ratios(counts, labels, 1, 1.0)
        weights = solve(counts, labels, ratios, np.array([1.5], dtype=np.float32), 1.0)[:, 0].astype(np.float64)
        scores = dense(counts) @ weights + 1.5
        slope = dense(counts).T @ (1 / (1 + np.exp(-scores)) - labels) * ratios[:, 0]
        assert slope + weights / ratios[:, 0] == pytest.approx(np.zeros(len(counts)), abs=5e-3)

    def test_more_labels_at_the_lowest_point_of_the_softmax(self) -> None:
        found, labels = made(2, 3)
        counts = NgramCounts.of(found, 1)
        ratios = log_count_ratios(counts, labels, 3, 1.0)
        weights = solve(counts, labels, ratios, np.zeros(3, dtype=np.float32), 1.0).astype(np.float64)
        powers = np.exp(dense(counts) @ weights)
        slope = dense(counts).T @ (powers / powers.sum(1, keepdims=True) - np.eye(3)[labels]) * ratios
        assert slope + weights / ratios == pytest.approx(np.zeros((len(counts), 3)), abs=5e-3)


class TestFit:
    def test_a_model_scores_with_its_vocabulary_and_weights_alone(self) -> None:
        model = fit((text.split() for text in TOY), TOY_LABELS, [0.0], SETTINGS)
        assert model.weights.shape == (model.vocabulary.size, 1)
        assert model.weights.dtype == np.float32
        assert not model.weights[:2].any()
        assert (logits(model, [text.split() for text in TOY])[:, 0] > 0).tolist() == [False, False, True, True]

    def test_heaviest_ngrams_come_first(self) -> None:
        found, labels = made(3, 2)
        size = np.abs(fit(found, labels, [0.0], SETTINGS).weights[2:, 0])
        assert (np.diff(size) <= 0).all()
        assert size[-1] > 0

    def test_only_the_heaviest_are_kept(self) -> None:
        found, labels = made(3, 3)
        whole = fit(found, labels, [0.0] * 3, SETTINGS)
        part = fit(found, labels, [0.0] * 3, LinearSettings(order=2, least=1, most=10))
        assert part.vocabulary.words == whole.vocabulary.words[:10]
        assert np.array_equal(part.weights, whole.weights[:12])

    def test_heaviest_leaves_out_what_weighs_nothing(self) -> None:
        weights = np.array([[0, 0], [1, -3], [0, 0], [2, 2], [-3, 0]], dtype=np.float32)
        assert heaviest(weights, 5).tolist() == [1, 4, 3]
        assert heaviest(weights, 2).tolist() == [1, 4]

    @pytest.mark.parametrize("labels_count", [2, 3])
    def test_the_same_reviews_give_the_same_model(self, labels_count: int) -> None:
        found, labels = made(4, labels_count)
        biases = [0.0] * (1 if labels_count == 2 else labels_count)
        one, other = (fit(found, labels, biases, SETTINGS) for _ in range(2))
        assert one.vocabulary == other.vocabulary
        assert one.weights.tobytes() == other.weights.tobytes()

    @pytest.mark.parametrize("labels_count", [2, 3])
    def test_held_reviews_are_tried_by_a_model_of_the_others(self, labels_count: int) -> None:
        found, labels = made(7, labels_count)
        biases = [0.5] * (1 if labels_count == 2 else labels_count)
        held = [3, 40, 41]
        model, tried = fit_and_try(found, labels, biases, SETTINGS, held)
        assert model.weights.tobytes() == fit(found, labels, biases, SETTINGS).weights.tobytes()
        others = [at for at in range(len(found)) if at not in held]
        alone = fit([found[at] for at in others], labels[others], biases, SETTINGS)
        # N-grams of held reviews alone are counted too, which moves the shares that ratios are made of a little.
        assert tried + 0.5 == pytest.approx(logits(alone, [found[at] for at in held]), abs=0.05)

    def test_the_labels_of_held_reviews_tell_nothing(self) -> None:
        found, labels = made(8, 3)
        other = labels.copy()
        other[:10] = 0
        one, two = (fit_and_try(found, given, [0.0] * 3, SETTINGS, range(10))[1] for given in (labels, other))
        assert one.tobytes() == two.tobytes()

    def test_held_reviews_are_tried_with_as_few_ngrams(self) -> None:
        found, labels = made(8, 2)
        few = LinearSettings(order=2, least=1, most=0)
        assert not fit_and_try(found, labels, [0.0], few, range(10))[1].any()

    def test_three_labels_are_told_apart(self) -> None:
        found, labels = made(5, 3, reviews=600)
        model = fit(found[:480], labels[:480], [0.0] * 3, SETTINGS)
        assert (logits(model, found[480:]).argmax(1) == labels[480:]).mean() > 0.8

    def test_words_explain_the_score_exactly(self) -> None:
        found, labels = made(6, 3)
        model = fit(found, labels, [0.1, 0.2, 0.3], SETTINGS)
        encoder = NgramEncoder(model.vocabulary, model.order)
        for row, total in zip(found[:20], logits(model, found[:20]), strict=True):
            ids = encoder.encode(row)
            by_word = encoder.spread(row, model.weights[ids]) * shares_of(np.array([len(ids)]), model.growth)
            assert model.biases + by_word.sum(0) == pytest.approx(total, abs=1e-9)

    def test_reviews_without_a_known_word_are_no_obstacle(self) -> None:
        model = fit([[], ["good"], ["bad"], []], [1, 1, 0, 0], [0.25], LinearSettings(least=1))
        assert logits(model, [[], ["unheard"]]).tolist() == [[0.25], [0.25]]

    def test_nothing_frequent_enough_leaves_the_biases(self) -> None:
        model = fit([["good"], ["bad"]], [1, 0], [0.25], LinearSettings(least=2))
        assert model.weights.shape == (2, 1)
        assert logits(model, [["good"]]).tolist() == [[0.25]]

    def test_only_few_reviews_keep_what_stands_in_one_of_them(self) -> None:
        assert [least_for(reviews) for reviews in (20, 200, 25_000)] == [1, 2, 2]

    def test_it_learns_from_the_sample(self, sample: Reviews) -> None:
        train, test = ([words(review.text, "modern") for review in half] for half in (sample.train, sample.test))
        model = fit(train, sample.label_ids(sample.train), [0.0], LinearSettings())
        right = (logits(model, test)[:, 0] > 0) == np.array(sample.label_ids(sample.test))
        assert right.mean() > 0.75
