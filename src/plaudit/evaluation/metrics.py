"""Measures of a two-label classifier. Knows arrays of probabilities and labels, and no text."""

from __future__ import annotations

from dataclasses import asdict, dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

Floats = NDArray[np.float64]
Labels = NDArray[np.int64]
BINS = 15
SMALLEST = 1e-12


@dataclass(frozen=True)
class Bin:
    """Reviews whose probability of the second label lies in (low, high]: what was said, and what came true."""

    low: float
    high: float
    reviews: int
    mean_probability: float
    share_positive: float


@dataclass(frozen=True)
class Metrics:
    """How good the probabilities of ``labels[1]`` are. Precision, recall and F1 are of that label.

    ``confusion[i][j]`` counts reviews of label i that were judged j. ``log_loss`` is in nats.
    ``calibration_error`` is the expected calibration error over 15 bins of equal width
    (Guo et al. 2017, of the second label's probability). ``curve`` is the ROC curve as
    (false positive rate, true positive rate). What cannot be computed, with one label only, is None.
    """

    labels: tuple[str, ...]
    reviews: int
    accuracy: float
    precision: float | None
    recall: float | None
    f1: float | None
    roc_auc: float | None
    log_loss: float
    brier: float
    calibration_error: float
    confusion: list[list[int]]
    bins: list[Bin]
    curve: list[tuple[float, float]]

    def to_json(self) -> dict[str, Any]:
        return {**asdict(self), "labels": list(self.labels)}

    def summary(self) -> dict[str, Any]:
        """The single figures, without bins and curve: what goes on a bundle's card."""
        return {name: value for name, value in self.to_json().items() if name not in ("bins", "curve", "labels")}


def measure(probabilities: Floats, truth: Labels, labels: tuple[str, ...]) -> Metrics:
    """The metrics of ``probabilities`` (reviews,) of ``labels[1]`` against ``truth`` (reviews,) of 0 and 1."""
    if len(probabilities) == 0 or len(probabilities) != len(truth):
        raise ValueError(f"{len(probabilities)} probabilities for {len(truth)} labels: there has to be one each")
    judged = (probabilities > 0.5).astype(np.int64)
    confusion = [[int(np.sum((truth == i) & (judged == j))) for j in (0, 1)] for i in (0, 1)]
    hits, misses, alarms = confusion[1][1], confusion[1][0], confusion[0][1]
    bins = _bins(probabilities, truth)
    clipped = np.clip(np.where(truth == 1, probabilities, 1 - probabilities), SMALLEST, 1)
    return Metrics(
        labels=labels,
        reviews=len(truth),
        accuracy=float(np.mean(judged == truth)),
        precision=_ratio(hits, hits + alarms),
        recall=_ratio(hits, hits + misses),
        f1=_ratio(2 * hits, 2 * hits + alarms + misses),
        roc_auc=_roc_auc(probabilities, truth),
        log_loss=float(-np.log(clipped).mean()),
        brier=float(np.mean((probabilities - truth) ** 2)),
        calibration_error=sum(b.reviews * abs(b.mean_probability - b.share_positive) for b in bins) / len(truth),
        confusion=confusion,
        bins=bins,
        curve=_curve(probabilities, truth),
    )


def _ratio(part: int, whole: int) -> float | None:
    return part / whole if whole else None


def _bins(probabilities: Floats, truth: Labels) -> list[Bin]:
    edges = np.linspace(0, 1, BINS + 1)
    place = np.clip(np.digitize(probabilities, edges[1:-1], right=True), 0, BINS - 1)
    found = []
    for index in range(BINS):
        own = place == index
        if own.any():
            said, true = float(probabilities[own].mean()), float(truth[own].mean())
            found.append(Bin(float(edges[index]), float(edges[index + 1]), int(own.sum()), said, true))
    return found


def _roc_auc(probabilities: Floats, truth: Labels) -> float | None:
    """The chance that a review of the second label scores above one of the first (Mann-Whitney); ties count half."""
    positive, negative = int(truth.sum()), int(len(truth) - truth.sum())
    if not positive or not negative:
        return None
    _, place, counts = np.unique(probabilities, return_inverse=True, return_counts=True)
    ranks = (np.cumsum(counts) - (counts - 1) / 2)[place]
    return float((ranks[truth == 1].sum() - positive * (positive + 1) / 2) / (positive * negative))


def _curve(probabilities: Floats, truth: Labels, points: int = 200) -> list[tuple[float, float]]:
    positive, negative = int(truth.sum()), int(len(truth) - truth.sum())
    if not positive or not negative:
        return []
    order = np.argsort(-probabilities, kind="stable")
    last = np.append(np.diff(probabilities[order]) != 0, True)
    true = np.cumsum(truth[order])[last] / positive
    false = np.cumsum(1 - truth[order])[last] / negative
    keep = np.unique(np.linspace(0, len(true) - 1, points).astype(int))
    return [(0.0, 0.0), *((float(false[i]), float(true[i])) for i in keep)]
