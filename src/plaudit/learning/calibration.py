"""Calibration: one temperature that makes probabilities mean what they say (Guo et al. 2017). Knows numbers only."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

Floats = NDArray[np.float64]
LOWEST, HIGHEST = 0.05, 20.0


def log_loss(scores: Floats, labels: NDArray[np.int64]) -> float:
    """Mean negative log-likelihood, in nats, of 0/1 labels under log-odds ``scores``."""
    return float(np.logaddexp(0, -scores * (2 * labels - 1)).mean())


def fit_temperature(scores: Floats, labels: NDArray[np.int64]) -> float:
    """What to divide ``scores`` by so that their log loss is lowest: a golden-section search over its logarithm."""
    golden = (5**0.5 - 1) / 2
    low, high = np.log(LOWEST), np.log(HIGHEST)
    while high - low > 1e-4:
        left, right = high - golden * (high - low), low + golden * (high - low)
        if log_loss(scores / np.exp(left), labels) < log_loss(scores / np.exp(right), labels):
            high = right
        else:
            low = left
    return float(np.exp((low + high) / 2))
