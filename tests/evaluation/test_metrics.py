"""The metrics against scikit-learn's, and where a measure does not exist."""

from __future__ import annotations

import json
from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray
from sklearn import metrics as theirs

from plaudit.evaluation.metrics import Metrics, measure

LABELS = ("negative", "positive")


def drawn(seed: int, reviews: int = 500, steps: int | None = None) -> tuple[NDArray[np.float64], NDArray[np.int64]]:
    """Random probabilities and labels that agree more often than not; ``steps`` rounds them, which makes ties."""
    random = np.random.default_rng(seed)
    truth = random.integers(0, 2, reviews)
    shares = 1 / (1 + np.exp(-random.normal(2.0 * truth - 1.0, 2.0)))
    return (np.round(shares * steps) / steps if steps else shares), truth


def of(shares: list[float], truth: list[int]) -> Metrics:
    return measure(np.array(shares, dtype=np.float64), np.array(truth, dtype=np.int64), LABELS)


@pytest.mark.parametrize("seed", range(5))
@pytest.mark.parametrize("steps", [None, 100, 10, 3])
def test_it_agrees_with_scikit_learn(seed: int, steps: int | None) -> None:
    shares, truth = drawn(seed, 100 + 150 * seed, steps)
    found = measure(shares, truth, LABELS)
    judged = shares > 0.5
    expected = {
        "accuracy": theirs.accuracy_score(truth, judged),
        "precision": theirs.precision_score(truth, judged),
        "recall": theirs.recall_score(truth, judged),
        "f1": theirs.f1_score(truth, judged),
        "roc_auc": theirs.roc_auc_score(truth, shares),
        "brier": theirs.brier_score_loss(truth, shares),
    }
    for name, value in expected.items():
        assert getattr(found, name) == pytest.approx(value, abs=1e-12), name
    assert found.confusion == theirs.confusion_matrix(truth, judged).tolist()
    assert found.reviews == len(truth)


@pytest.mark.parametrize("seed", range(5))
def test_log_loss_agrees_with_scikit_learn(seed: int) -> None:
    shares, truth = drawn(seed)
    assert measure(shares, truth, LABELS).log_loss == pytest.approx(theirs.log_loss(truth, shares), abs=1e-12)


def test_log_loss_of_a_certain_mistake_is_finite() -> None:
    assert of([0.0, 1.0], [1, 0]).log_loss == pytest.approx(12 * np.log(10))
    assert of([0.0, 1.0], [0, 1]).log_loss == 0


def test_ties_count_half() -> None:
    assert of([0.5, 0.5, 0.5, 0.5], [0, 1, 0, 1]).roc_auc == 0.5
    assert of([0.2, 0.5, 0.5, 0.9], [0, 0, 1, 1]).roc_auc == pytest.approx(3.5 / 4)


def test_perfect_and_reversed_rankings() -> None:
    assert of([0.1, 0.2, 0.8, 0.9], [0, 0, 1, 1]).roc_auc == 1
    assert of([0.9, 0.8, 0.2, 0.1], [0, 0, 1, 1]).roc_auc == 0


def test_even_odds_are_judged_the_first_label() -> None:
    assert of([0.5, 0.5], [0, 1]).confusion == [[1, 0], [1, 0]]


def test_calibration_error_of_a_case_by_hand() -> None:
    # Bins are 1/15 wide: (0, 1/15] holds two with mean 0.05, one of them true; (14/15, 1] two with mean 0.975, one
    # true; (7/15, 8/15] one of 0.5 that is true.
    found = of([0.04, 0.06, 0.97, 0.98, 0.5], [0, 1, 1, 0, 1])
    assert found.calibration_error == pytest.approx((2 * 0.45 + 2 * 0.475 + 1 * 0.5) / 5)
    assert [(entry.reviews, entry.share_positive) for entry in found.bins] == [(2, 0.5), (1, 1.0), (2, 0.5)]
    assert [entry.mean_probability for entry in found.bins] == pytest.approx([0.05, 0.5, 0.975])
    assert [entry.low for entry in found.bins] == pytest.approx([0, 7 / 15, 14 / 15])
    assert [entry.high for entry in found.bins] == pytest.approx([1 / 15, 8 / 15, 1])


def test_a_bin_holds_its_upper_edge_and_the_first_holds_0() -> None:
    edges = np.linspace(0, 1, 16)
    found = of([0.0, float(edges[1]), float(edges[2]), 1.0], [0, 0, 0, 1])
    assert [(entry.reviews, entry.high) for entry in found.bins] == [(2, edges[1]), (1, edges[2]), (1, 1.0)]


def test_bins_hold_every_review_once() -> None:
    shares, truth = drawn(1)
    found = measure(shares, truth, LABELS)
    assert sum(entry.reviews for entry in found.bins) == len(truth)
    assert all(entry.low < entry.mean_probability <= entry.high for entry in found.bins)


def test_a_calibrated_case_has_no_error() -> None:
    assert of([0.5] * 4, [0, 1, 0, 1]).calibration_error == 0
    assert of([0.0, 1.0], [0, 1]).calibration_error == 0


@pytest.mark.parametrize("steps", [None, 10])
def test_the_curve_is_scikit_learns(steps: int | None) -> None:
    shares, truth = drawn(2, 150, steps)
    found = measure(shares, truth, LABELS)
    false, true, _ = theirs.roc_curve(truth, shares, drop_intermediate=False)
    np.testing.assert_allclose(found.curve, np.stack([false, true], axis=1), atol=1e-12)
    assert theirs.auc(*np.transpose(found.curve)) == pytest.approx(found.roc_auc, abs=1e-12)


def test_a_long_curve_is_thinned_and_keeps_its_ends() -> None:
    shares, truth = drawn(3, 5000)
    found = measure(shares, truth, LABELS)
    assert len(found.curve) <= 201
    assert (found.curve[0], found.curve[-1]) == ((0.0, 0.0), (1.0, 1.0))
    assert theirs.auc(*np.transpose(found.curve)) == pytest.approx(found.roc_auc, abs=1e-3)


@pytest.mark.parametrize(
    ("shares", "truth", "expected"),
    [
        ([0.1, 0.2], [0, 0], {"precision": None, "recall": None, "f1": None, "accuracy": 1.0}),
        ([0.1, 0.9], [0, 0], {"precision": 0.0, "recall": None, "f1": 0.0, "accuracy": 0.5}),
        ([0.1, 0.9], [1, 1], {"precision": 1.0, "recall": 0.5, "f1": 2 / 3, "accuracy": 0.5}),
        ([0.1, 0.2], [1, 1], {"precision": None, "recall": 0.0, "f1": 0.0, "accuracy": 0.0}),
        ([0.7], [1], {"precision": 1.0, "recall": 1.0, "f1": 1.0, "accuracy": 1.0}),
    ],
)
def test_what_does_not_exist_with_one_label_is_none(
    shares: list[float], truth: list[int], expected: dict[str, Any]
) -> None:
    found = of(shares, truth)
    assert {name: getattr(found, name) for name in expected} == pytest.approx(expected)
    assert (found.roc_auc, found.curve) == (None, [])
    json.dumps(found.to_json(), allow_nan=False)


@pytest.mark.parametrize(("shares", "truth"), [([], []), ([0.5], []), ([], [1]), ([0.5, 0.5], [1]), ([0.5], [1, 0])])
def test_probabilities_and_labels_are_one_each(shares: list[float], truth: list[int]) -> None:
    with pytest.raises(ValueError, match="there has to be one each"):
        of(shares, truth)


def test_metrics_are_plain_json() -> None:
    found = of([0.1, 0.6, 0.9], [0, 1, 1])
    parsed = json.loads(json.dumps(found.to_json(), allow_nan=False))
    assert parsed["labels"] == ["negative", "positive"]
    assert parsed["confusion"] == [[1, 0], [0, 2]]
    assert set(parsed) - set(found.summary()) == {"bins", "by_label", "curve", "labels"}
    assert found.summary()["accuracy"] == 1.0


STARS = ("one", "two", "three", "four", "five")


def spread(seed: int, reviews: int = 400, labels: int = 5) -> tuple[NDArray[np.float64], NDArray[np.int64]]:
    """Random probabilities of several labels, of which the true one is mostly the highest."""
    random = np.random.default_rng(seed)
    truth = random.integers(0, labels, reviews)
    logits = random.normal(size=(reviews, labels))
    logits[np.arange(reviews), truth] += 1.5
    shares = np.exp(logits)
    return shares / shares.sum(axis=1, keepdims=True), truth


@pytest.mark.parametrize("seed", range(5))
def test_of_more_labels_it_agrees_with_scikit_learn(seed: int) -> None:
    shares, truth = spread(seed)
    found, judged = measure(shares, truth, STARS), shares.argmax(axis=1)
    expected = {
        "accuracy": theirs.accuracy_score(truth, judged),
        "precision": theirs.precision_score(truth, judged, average="macro"),
        "recall": theirs.recall_score(truth, judged, average="macro"),
        "f1": theirs.f1_score(truth, judged, average="macro"),
        "roc_auc": theirs.roc_auc_score(truth, shares, multi_class="ovr", average="macro"),
        "log_loss": theirs.log_loss(truth, shares),
        "brier": np.mean(np.sum((shares - np.eye(5)[truth]) ** 2, axis=1)),
    }
    for name, value in expected.items():
        assert getattr(found, name) == pytest.approx(value, abs=1e-12), name
    assert found.confusion == theirs.confusion_matrix(truth, judged).tolist()
    own = theirs.precision_recall_fscore_support(truth, judged)
    for index, label in enumerate(found.by_label):
        assert label.label == STARS[index]
        assert (label.precision, label.recall, label.f1) == pytest.approx([part[index] for part in own[:3]])
        assert label.reviews == own[3][index]
        assert label.roc_auc == pytest.approx(theirs.roc_auc_score(truth == index, shares[:, index]))


def test_of_more_labels_the_bins_are_about_the_label_given() -> None:
    shares = np.array([[0.5, 0.3, 0.2], [0.5, 0.3, 0.2], [0.1, 0.1, 0.8], [0.1, 0.1, 0.8]])
    found = measure(shares, np.array([0, 1, 2, 2]), ("a", "b", "c"))
    assert [(entry.reviews, entry.share_positive) for entry in found.bins] == [(2, 0.5), (2, 1.0)]
    assert found.calibration_error == pytest.approx((2 * 0 + 2 * 0.2) / 4)


def test_of_more_labels_the_curve_is_the_mean_of_theirs() -> None:
    shares, truth = spread(1)
    found = measure(shares, truth, STARS)
    across, up = np.transpose(found.curve)
    assert (found.curve[0], found.curve[-1]) == ((0.0, 0.0), (1.0, 1.0))
    assert len(found.curve) <= 201
    curves = [theirs.roc_curve(truth == index, shares[:, index], drop_intermediate=False)[:2] for index in range(5)]
    assert up[1:] == pytest.approx(np.mean([np.interp(across[1:], *curve) for curve in curves], axis=0), abs=0.01)
    assert theirs.auc(across, up) == pytest.approx(found.roc_auc, abs=2e-3)


def test_means_are_over_the_labels_for_which_a_figure_exists() -> None:
    shares = np.array([[0.7, 0.2, 0.1], [0.6, 0.3, 0.1], [0.2, 0.7, 0.1]])
    found = measure(shares, np.array([0, 1, 1]), ("a", "b", "never"))
    never = found.by_label[2]
    assert (never.reviews, never.precision, never.recall, never.f1, never.roc_auc) == (0, None, None, None, None)
    assert (found.precision, found.recall) == pytest.approx(((0.5 + 1) / 2, (1 + 0.5) / 2))
    assert found.roc_auc == 1.0
    only = measure(shares, np.array([1, 1, 1]), ("a", "b", "never"))
    assert (only.roc_auc, only.curve) == (None, [])
    json.dumps(only.to_json(), allow_nan=False)


def test_two_labels_are_the_same_as_columns() -> None:
    shares, truth = drawn(4)
    assert measure(np.stack([1 - shares, shares], axis=1), truth, LABELS) == measure(shares, truth, LABELS)
    assert measure(shares, truth, LABELS).by_label[1].f1 == measure(shares, truth, LABELS).f1


@pytest.mark.parametrize("shape", [(3,), (3, 2), (3, 4)])
def test_there_is_a_probability_a_label(shape: tuple[int, ...]) -> None:
    with pytest.raises(ValueError, match=r"for the 3 labels \['a', 'b', 'c'\]"):
        measure(np.full(shape, 0.2), np.array([0, 1, 2]), ("a", "b", "c"))
