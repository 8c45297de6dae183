from __future__ import annotations

import numpy as np
import pytest

from plaudit.bundle.card import Card
from plaudit.learning.calibration import accuracy, best_shares, fit_temperature, log_loss, probabilities, shares_of

NONE = np.zeros(1)


@pytest.mark.parametrize("labels", [2, 3, 7])
def test_log_loss_of_no_opinion_is_that_of_a_die(labels: int) -> None:
    units = 1 if labels == 2 else labels
    assert log_loss(np.zeros((4, units)), np.array([0, 1, 1, 0])) == pytest.approx(np.log(labels))


def test_two_labels_have_the_log_loss_that_two_units_would_give() -> None:
    random = np.random.default_rng(0)
    logits, labels = random.normal(0, 3, (50, 1)), random.integers(0, 2, 50)
    both = np.concatenate([np.zeros_like(logits), logits], axis=1)
    assert log_loss(logits, labels) == pytest.approx(log_loss(both, labels), abs=1e-12)
    assert accuracy(logits, labels) == accuracy(both, labels)


def test_log_loss_stays_a_number_however_sure() -> None:
    for logits in (np.array([[5000.0], [-5000.0]]), np.array([[0, 5000.0, 0], [5000.0, 0, 0]])):
        assert log_loss(logits, np.array([1, 0])) == pytest.approx(0)
        assert log_loss(logits, np.array([0, 1])) == pytest.approx(5000)


def test_accuracy_is_the_share_that_is_judged_right() -> None:
    assert accuracy(np.array([[2.0], [-1.0], [0.5]]), np.array([1, 1, 1])) == pytest.approx(2 / 3)
    assert accuracy(np.array([[0, 1, 2.0], [3, 1, 2.0]]), np.array([2, 1])) == 0.5


@pytest.mark.parametrize("factor", [0.3, 1.0, 4.0])
def test_temperature_finds_how_far_scores_were_blown_up(factor: float) -> None:
    random = np.random.default_rng(0)
    scores = random.normal(0, 2, (40_000, 1))
    labels = (random.random(40_000) < 1 / (1 + np.exp(-scores[:, 0]))).astype(np.int64)
    assert fit_temperature(scores * factor, NONE, labels) == pytest.approx(factor, rel=0.05)


@pytest.mark.parametrize("factor", [0.3, 4.0])
def test_temperature_of_three_labels_leaves_the_biases_aside(factor: float) -> None:
    random = np.random.default_rng(1)
    biases, evidence = np.array([-1.0, 0.2, 0.8]), random.normal(0, 2, (40_000, 3))
    powers = np.exp(biases + evidence)
    chances = powers.cumsum(axis=1) / powers.sum(axis=1, keepdims=True)
    labels = (random.random((40_000, 1)) > chances).sum(axis=1)
    assert fit_temperature(evidence * factor, biases, labels) == pytest.approx(factor, rel=0.05)


@pytest.mark.parametrize("units", [1, 4])
def test_logits_become_the_probabilities_that_their_log_loss_is_of(units: int) -> None:
    logits = np.random.default_rng(0).normal(0, 400, (9, units))
    shares = probabilities(logits / 100)
    assert shares.shape == (9, max(2, units))
    np.testing.assert_allclose(shares.sum(axis=1), 1, rtol=1e-6)
    labels = shares.argmax(axis=1)
    assert log_loss(logits / 100, labels) == pytest.approx(-np.log(shares.max(axis=1)).mean(), rel=1e-5)
    assert np.isfinite(probabilities(logits)).all()


def test_shares_go_to_the_teachers_who_know() -> None:
    random = np.random.default_rng(0)
    labels = random.integers(0, 2, 400)
    signal = (2.0 * labels - 1)[:, np.newaxis]
    evidence = {
        "knows": signal + random.normal(0, 1, (400, 1)),
        "guesses": random.normal(0, 1, (400, 1)),
        "knows too": signal + random.normal(0, 1, (400, 1)),
    }
    shares = best_shares(evidence, np.zeros(1), labels)
    assert sum(shares.values()) == pytest.approx(1)
    assert shares["guesses"] <= 0.1
    assert min(shares["knows"], shares["knows too"]) >= 0.3


@pytest.mark.parametrize("growth", [0.0, 0.17, 0.5, -0.2])
def test_evidence_is_shared_out_as_the_temperature_of_a_card_divides_it(growth: float) -> None:
    lengths = np.array([0, 1, 50, 200, 500])
    card = Card("", ("a", "b"), "modern", 500, (0.5, 0.5), temperature=3.0, growth=growth)
    expected = [3 / card.temperature_of(int(ids)) for ids in lengths]
    assert shares_of(lengths, growth).tolist() == pytest.approx(expected, rel=1e-6)
