"""What the rest of its group says of a text: reviews of one film are mostly alike. Knows numbers only."""

from __future__ import annotations

import itertools
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from plaudit.learning.calibration import Floats, fit_temperature, log_loss, probabilities

STRENGTHS = (0.05, 0.1, 0.2, 0.5, 1.0, 2.0, 5.0)
WEIGHTS = tuple(np.round(np.arange(0, 1.51, 0.1), 1))


@dataclass(frozen=True)
class GroupPrior:
    """The prior of a text's label from the others of its group (an empirical Bayes estimate: Robbins 1956).

    A label's share among the others, as they are judged, is drawn towards its share of all texts as by so many texts
    as ``strength``. Its log-odds beside that share count by ``weight``, and the text's own logits are divided by
    ``temperature``. A text without others keeps its verdict.
    """

    strength: float = 1.0
    weight: float = 0.0
    temperature: float = 1.0

    @classmethod
    def fit(cls, logits: Floats, groups: NDArray[np.int64], labels: NDArray[np.int64]) -> GroupPrior:
        """The prior that makes the log loss of ``labels`` (n,) lowest; ``logits`` (n, units), ``groups`` (n,)."""
        found: dict[float, GroupPrior] = {}
        for weight, strength in itertools.product(WEIGHTS, STRENGTHS):
            moved = weight * _others(logits, groups, strength)
            temperature = fit_temperature(logits, moved, labels)
            loss = round(log_loss(moved + logits / temperature, labels), 6)
            found.setdefault(loss, cls(strength, float(weight), temperature))
        return found[min(found)]

    def applied(self, logits: Floats, groups: NDArray[np.int64]) -> Floats:
        """``logits`` (n, units) with what the rest of each text's group says."""
        return logits / self.temperature + self.weight * _others(logits, groups, self.strength)


def _others(logits: Floats, groups: NDArray[np.int64], strength: float) -> Floats:
    """The log-odds (n, units) of each label among the others of a text's group, beside those among all texts."""
    judged = probabilities(logits).astype(np.float64)
    numbers, places, sizes = np.unique(groups, return_inverse=True, return_counts=True)
    totals = np.zeros((len(numbers), judged.shape[1]))
    np.add.at(totals, places, judged)
    usual = judged.mean(axis=0)
    others, count = totals[places] - judged, sizes[places, np.newaxis] - 1
    ratios = np.log(((others + strength * usual) / (count + strength)) / usual)
    return np.asarray(ratios[:, 1:] - ratios[:, :1] if logits.shape[1] == 1 else ratios)
