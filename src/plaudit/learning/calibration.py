"""Calibration: a temperature that makes probabilities mean what they say (Guo et al. 2017). Knows numbers only."""

from __future__ import annotations

import itertools
from collections.abc import Mapping

import numpy as np
from numpy.typing import NDArray

from plaudit.bundle.card import USUAL_LENGTH

Floats = NDArray[np.float64]
LOWEST, HIGHEST = 0.05, 20.0
PRIOR = 1.0
PARTS = 10


def log_loss(logits: Floats, labels: NDArray[np.int64]) -> float:
    """Mean negative log-likelihood, in nats, of ``labels`` (n,) under ``logits`` (n, units).

    One unit is the log-odds of label 1 of two; else there is one a label.
    """
    return float(log_losses(logits, labels).mean())


def log_losses(logits: Floats, labels: NDArray[np.int64]) -> Floats:
    """What each of the labels adds to that mean (n,)."""
    if logits.shape[1] == 1:
        return np.asarray(np.logaddexp(0, -logits[:, 0] * (2 * labels - 1)))
    highest = logits.max(axis=1)
    total = highest + np.log(np.exp(logits - highest[:, np.newaxis]).sum(axis=1))
    return np.asarray(total - logits[np.arange(len(labels)), labels])


def accuracy(logits: Floats, labels: NDArray[np.int64]) -> float:
    """The share of ``labels`` (n,) that have the highest of ``logits`` (n, units)."""
    judged = logits[:, 0] > 0 if logits.shape[1] == 1 else logits.argmax(axis=1)
    return float(np.mean(judged == labels))


def fit_temperature(evidence: Floats, biases: Floats, labels: NDArray[np.int64]) -> float:
    """What to divide ``evidence`` (n, units) by so that, with ``biases``, the log loss is lowest.

    A golden-section search over its logarithm. A weak prior keeps that near 0: a few reviews that are all judged
    rightly must not make a model certain.
    """

    def cost(logarithm: float) -> float:
        return log_loss(biases + evidence / np.exp(logarithm), labels) + PRIOR * logarithm**2 / len(labels)

    golden = (5**0.5 - 1) / 2
    low, high = np.log(LOWEST), np.log(HIGHEST)
    while high - low > 1e-4:
        left, right = high - golden * (high - low), low + golden * (high - low)
        if cost(left) < cost(right):
            high = right
        else:
            low = left
    return float(np.exp((low + high) / 2))


def shares_of(lengths: NDArray[np.int64], growth: float) -> NDArray[np.float32]:
    """What a temperature with that ``growth`` multiplies the evidence of texts with so many ids by, (texts,)."""
    return ((np.maximum(lengths, 1) / USUAL_LENGTH) ** -growth).astype(np.float32)


def probabilities(logits: Floats) -> np.ndarray[tuple[int, ...], np.dtype[np.float32]]:
    """Logits (n, units) as probabilities (n, labels)."""
    both = np.concatenate([np.zeros_like(logits), logits], axis=1) if logits.shape[1] == 1 else logits
    powers = np.exp(both - both.max(axis=1, keepdims=True))
    return np.asarray(powers / powers.sum(axis=1, keepdims=True), dtype=np.float32)


def best_shares(evidence: Mapping[str, Floats], biases: Floats, labels: NDArray[np.int64]) -> dict[str, float]:
    """The share of each teacher, in tenths, whose mix has the lowest log loss once calibrated."""
    found: dict[float, dict[str, float]] = {}
    for parts in itertools.product(range(PARTS + 1), repeat=len(evidence)):
        if sum(parts) == PARTS:
            shares = {name: part / PARTS for name, part in zip(evidence, parts, strict=True)}
            mixed = np.asarray(sum(shares[name] * one for name, one in evidence.items()))
            loss = log_loss(biases + mixed / fit_temperature(mixed, biases, labels), labels)
            found[loss] = shares
    return found[min(found)]
