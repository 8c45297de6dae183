"""What the rest of a group says: reviews of made-up films whose verdicts are alike, or are not."""

from __future__ import annotations

import numpy as np
import pytest

from plaudit.learning.calibration import Floats, accuracy, log_loss
from plaudit.learning.group_prior import GroupPrior

FILMS, EACH = 100, 10
GROUPS = np.repeat(np.arange(FILMS), EACH)


def judged(alike: float, labels: int = 2) -> tuple[Floats, np.ndarray[tuple[int], np.dtype[np.int64]]]:
    """Noisy logits and labels of reviews, so great a share of which have the label of their film."""
    random = np.random.default_rng(0)
    of_films = random.integers(0, labels, FILMS)[GROUPS]
    truth = np.where(random.random(len(GROUPS)) < alike, of_films, random.integers(0, labels, len(GROUPS)))
    logits = random.normal(size=(len(GROUPS), labels)) + 1.5 * np.eye(labels)[truth]
    return (logits[:, 1:] - logits[:, :1] if labels == 2 else logits), truth


@pytest.mark.parametrize("labels", [2, 3])
def test_texts_are_judged_better_where_those_of_a_group_are_alike(labels: int) -> None:
    logits, truth = judged(0.9, labels)
    known = np.arange(len(GROUPS)) < len(GROUPS) // 2
    prior = GroupPrior.fit(logits[known], GROUPS[known], truth[known])
    assert prior.weight > 0.3
    new, moved = logits[~known], prior.applied(logits[~known], GROUPS[~known])
    assert accuracy(moved, truth[~known]) > accuracy(new, truth[~known]) + 0.03
    assert log_loss(moved, truth[~known]) < log_loss(new, truth[~known]) - 0.1


def test_it_counts_for_little_where_they_are_not() -> None:
    logits, truth = judged(0.0)
    prior = GroupPrior.fit(logits, GROUPS, truth)
    moved = prior.applied(logits, GROUPS)
    assert prior.weight <= 0.2
    assert accuracy(moved, truth) == pytest.approx(accuracy(logits, truth), abs=0.02)


def test_a_text_without_others_keeps_its_verdict() -> None:
    logits, truth = judged(0.9)
    alone = np.arange(len(logits))
    assert GroupPrior.fit(logits, alone, truth).weight == 0
    assert GroupPrior(weight=1.0).applied(logits, alone) == pytest.approx(logits)


def test_a_text_says_nothing_of_itself_and_much_of_the_others() -> None:
    prior = GroupPrior(strength=1.0, weight=1.0)
    logits, groups = np.array([[5.0], [0.0], [0.0], [-5.0]]), np.array([0, 0, 1, 1])
    moved = prior.applied(logits, groups)[:, 0]
    assert moved[0] == pytest.approx(5.0)
    assert moved[1] > 1
    assert moved[2] == pytest.approx(-moved[1])
    assert moved[3] == pytest.approx(-5.0)
