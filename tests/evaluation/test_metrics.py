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
    assert set(parsed) - set(found.summary()) == {"bins", "curve", "labels"}
    assert found.summary()["accuracy"] == 1.0
