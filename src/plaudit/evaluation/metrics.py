"""Measures of a classifier of any number of labels. Knows arrays of probabilities and labels, and no text."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import asdict, dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

Floats = NDArray[np.float64]
Labels = NDArray[np.int64]
Curve = list[tuple[float, float]]
BINS = 15
POINTS = 200
SMALLEST = 1e-12
LISTS = ("labels", "by_label", "bins", "curve")


@dataclass(frozen=True)
class Bin:
    """Reviews whose stated probability lies in (low, high]: what was said, and the share for which it came true."""

    low: float
    high: float
    reviews: int
    mean_probability: float
    share_positive: float


@dataclass(frozen=True)
class OneLabel:
    """One label against the rest: how well its own ``reviews`` are told from all others."""

    label: str
    reviews: int
    precision: float | None
    recall: float | None
    f1: float | None
    roc_auc: float | None


@dataclass(frozen=True)
class Metrics:
    """How good the probabilities of ``labels`` are.

    With two labels, precision, recall, F1, ROC AUC, the Brier score and ``curve`` are those of ``labels[1]``, and
    ``bins`` are by its probability. With more, the Brier score is the sum over the labels and the others are
    the mean over those for which they exist, each against the rest; ``bins`` are by the probability of the
    label given, and say how often that label was right.

    ``confusion[i][j]`` counts reviews of label i that were judged j. ``log_loss`` is in nats.
    ``calibration_error`` is the expected calibration error over 15 bins of equal width (Guo et al. 2017).
    ``curve`` is the ROC curve as (false positive rate, true positive rate). What cannot be computed, with one
    label only, is None.
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
    by_label: list[OneLabel]
    bins: list[Bin]
    curve: Curve

    def to_json(self) -> dict[str, Any]:
        return {**asdict(self), "labels": list(self.labels)}

    def summary(self) -> dict[str, Any]:
        """The single figures, without lists: what goes on a bundle's card."""
        return {name: value for name, value in self.to_json().items() if name not in LISTS}


def measure(probabilities: Floats, truth: Labels, labels: tuple[str, ...]) -> Metrics:
    """The metrics of ``probabilities`` against ``truth`` (reviews,), the indices of the true labels.

    ``probabilities`` are (reviews, labels), or for two labels also (reviews,): those of ``labels[1]``. A review is
    judged to be of its most probable label, the first of those that are equal.
    Raises ValueError where probabilities, truth and labels do not fit each other.
    """
    shares = np.stack([1 - probabilities, probabilities], axis=1) if probabilities.ndim == 1 else probabilities
    if len(shares) == 0 or len(shares) != len(truth):
        raise ValueError(f"{len(shares)} probabilities for {len(truth)} labels: there has to be one each")
    if shares.shape[1] != len(labels):
        raise ValueError(f"probabilities of {shares.shape[1]} labels for the {len(labels)} labels {list(labels)}")
    judged = shares.argmax(axis=1)
    confusion = np.bincount(truth * len(labels) + judged, minlength=len(labels) ** 2).reshape(len(labels), -1)
    by_label = [_one_label(label, index, shares, truth, confusion) for index, label in enumerate(labels)]
    # Two labels are one question, asked of the second; of more, each is a question of its own.
    asked = (1,) if len(labels) == 2 else range(len(labels))
    stated, true = (shares[:, 1], truth == 1) if len(labels) == 2 else (shares.max(axis=1), judged == truth)
    bins = _bins(stated, true)
    of_truth = shares[np.arange(len(truth)), truth]
    return Metrics(
        labels=labels,
        reviews=len(truth),
        accuracy=float(np.mean(judged == truth)),
        precision=_mean([by_label[index].precision for index in asked]),
        recall=_mean([by_label[index].recall for index in asked]),
        f1=_mean([by_label[index].f1 for index in asked]),
        roc_auc=_mean([by_label[index].roc_auc for index in asked]),
        log_loss=float(-np.log(np.clip(of_truth, SMALLEST, 1)).mean()),
        brier=sum(float(np.mean((shares[:, index] - (truth == index)) ** 2)) for index in asked),
        calibration_error=sum(b.reviews * abs(b.mean_probability - b.share_positive) for b in bins) / len(truth),
        confusion=confusion.tolist(),
        by_label=by_label,
        bins=bins,
        curve=_mean_curve([_curve(shares[:, index], truth == index) for index in asked]),
    )


def _one_label(label: str, index: int, shares: Floats, truth: Labels, confusion: Labels) -> OneLabel:
    hits, own, judged = int(confusion[index, index]), int(confusion[index].sum()), int(confusion[:, index].sum())
    return OneLabel(
        label=label,
        reviews=own,
        precision=_ratio(hits, judged),
        recall=_ratio(hits, own),
        f1=_ratio(2 * hits, own + judged),
        roc_auc=_roc_auc(shares[:, index], truth == index),
    )


def _ratio(part: int, whole: int) -> float | None:
    return part / whole if whole else None


def _mean(values: Sequence[float | None]) -> float | None:
    """The mean of the values that exist."""
    there = [value for value in values if value is not None]
    return sum(there) / len(there) if there else None


def _bins(stated: Floats, true: NDArray[np.bool_]) -> list[Bin]:
    edges = np.linspace(0, 1, BINS + 1)
    place = np.clip(np.digitize(stated, edges[1:-1], right=True), 0, BINS - 1)
    found = []
    for index in range(BINS):
        own = place == index
        if own.any():
            said, share = float(stated[own].mean()), float(true[own].mean())
            found.append(Bin(float(edges[index]), float(edges[index + 1]), int(own.sum()), said, share))
    return found


def _roc_auc(probabilities: Floats, true: NDArray[np.bool_]) -> float | None:
    """The chance that a review of the label scores above one of another (Mann-Whitney); ties count half."""
    positive, negative = int(true.sum()), int(len(true) - true.sum())
    if not positive or not negative:
        return None
    _, place, counts = np.unique(probabilities, return_inverse=True, return_counts=True)
    ranks = (np.cumsum(counts) - (counts - 1) / 2)[place]
    return float((ranks[true].sum() - positive * (positive + 1) / 2) / (positive * negative))


def _curve(probabilities: Floats, true: NDArray[np.bool_]) -> Curve:
    positive, negative = int(true.sum()), int(len(true) - true.sum())
    if not positive or not negative:
        return []
    order = np.argsort(-probabilities, kind="stable")
    last = np.append(np.diff(probabilities[order]) != 0, True)
    hits = np.cumsum(true[order])[last] / positive
    alarms = np.cumsum(~true[order])[last] / negative
    keep = np.unique(np.linspace(0, len(hits) - 1, POINTS).astype(int))
    return [(0.0, 0.0), *((float(alarms[i]), float(hits[i])) for i in keep)]


def _mean_curve(curves: Sequence[Curve]) -> Curve:
    """The mean true positive rate of the curves that exist, at the false positive rates of all of them."""
    there = [curve for curve in curves if curve]
    if len(there) < 2:
        return there[0] if there else []
    across = np.unique([alarms for curve in there for alarms, _ in curve])
    keep = np.unique(np.linspace(0, len(across) - 1, POINTS).astype(int))
    across = across[keep]
    up = np.mean([np.interp(across, *np.transpose(curve)) for curve in there], axis=0)
    return [(0.0, 0.0), *zip(across.tolist(), up.tolist(), strict=True)]
