"""Metrics in words and figures, and as tables for a terminal. Knows numbers, no page and no picture."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from unicodedata import east_asian_width

from plaudit.evaluation.deletion import Deletion
from plaudit.evaluation.drawing import brief
from plaudit.evaluation.metrics import Metrics

NAMES = {
    "accuracy": "Accuracy",
    "precision": "Precision",
    "recall": "Recall",
    "f1": "F1",
    "roc_auc": "ROC AUC",
    "log_loss": "Log loss",
    "brier": "Brier score",
    "calibration_error": "Calibration error",
}
OF_TWO = {
    "accuracy": "share of reviews judged rightly",
    "precision": "share of those judged “{second}” that are",
    "recall": "share of the “{second}” that were judged so",
    "f1": "harmonic mean of precision and recall",
    "roc_auc": "chance that a “{second}” review scores above a “{first}” one",
    "log_loss": "mean surprise at the true label, in nats; 0 is perfect, 0.693 a coin’s",
    "brier": "mean squared error of the probability; 0 is perfect, 0.25 a coin’s",
    "calibration_error": "mean gap between what was said and what came true, over 15 bins",
}
OF_MORE = {
    **OF_TWO,
    "precision": "share of those judged a label that have it, mean of the labels",
    "recall": "share of a label’s reviews that were judged so, mean of the labels",
    "f1": "harmonic mean of a label’s precision and recall, mean of the labels",
    "roc_auc": "chance that a label’s review scores above another for it, mean of the labels",
    "log_loss": "mean surprise at the true label, in nats; 0 is perfect, {nats:.3f} even odds’",
    "brier": "squared errors of all probabilities, summed; 0 is perfect, {square:.3g} even odds’",
    "calibration_error": "mean gap between the probability of the label given and how often it was right, over 15 bins",
}
DELETION_HEADS = ("Removed", "Changed", "At random", "Probability", "At random")
BY_LABEL = ("reviews", "precision", "recall", "f1", "roc_auc")
MOST_LABELS = 20


@dataclass(frozen=True)
class Stated:
    """What the bins of metrics are about: the probability of what, what comes true, and the two outcomes."""

    of: str
    brief: str
    true: str
    sides: tuple[str, str]
    outcomes: tuple[str, str]
    question: str
    counted: str
    curve: str

    @classmethod
    def by(cls, metrics: Metrics) -> Stated:
        return cls._of_two(*metrics.labels) if len(metrics.labels) == 2 else cls._of_more()

    @classmethod
    def _of_two(cls, first: str, second: str) -> Stated:
        return cls(
            of=second,
            brief=brief(second),
            true=brief(second),
            sides=(first, second),
            outcomes=(f"labelled {first}", f"labelled {second}"),
            question=f"Of reviews given a probability of “{second}”, how many are?",
            counted=f"Reviews by their probability of “{second}” and true label.",
            curve="The dot is the verdict as given, at 0.5.",
        )

    @classmethod
    def _of_more(cls) -> Stated:
        return cls(
            of="the label given",
            brief="the label given",
            true="right",
            sides=("wrong", "right"),
            outcomes=("judged wrongly", "judged rightly"),
            question="Of labels given with a probability, how many are right?",
            counted="Reviews by the probability of the label that they were given.",
            curve="Each label against the rest: the mean of the labels’ curves.",
        )


def table(metrics: Metrics) -> str:
    """The figures and the confusion matrix for a terminal."""
    figures = [("Reviews", f"{metrics.reviews:,}")]
    figures += [(name, figure(getattr(metrics, field))) for field, name in NAMES.items()]
    labels = [_printable(label) for label in metrics.labels]
    parts = [_aligned(figures)]
    if len(labels) > 2:
        parts.append(_aligned([("", *label_heads()), *((_printable(row[0]), *row[1:]) for row in label_rows(metrics))]))
    if len(labels) <= MOST_LABELS:
        confusion = [("", *(f"judged {label}" for label in labels))]
        for label, row in zip(labels, metrics.confusion, strict=True):
            confusion.append((f"labelled {label}", *(f"{count:,}" for count in row)))
        parts.append(_aligned(confusion))
    return "\n\n".join(parts) + "\n"


def label_heads() -> tuple[str, ...]:
    return ("Reviews", *(NAMES[field] for field in BY_LABEL[1:]))


def label_rows(metrics: Metrics) -> list[tuple[str, ...]]:
    """Each label with its own figures."""
    return [
        (own.label, f"{own.reviews:,}", *(figure(getattr(own, field)) for field in BY_LABEL[1:]))
        for own in metrics.by_label
    ]


def meanings(metrics: Metrics) -> dict[str, str]:
    """What each figure says of these labels."""
    count = len(metrics.labels)
    of = {"first": metrics.labels[0], "second": metrics.labels[1], "nats": math.log(count), "square": 1 - 1 / count}
    return {field: meaning.format(**of) for field, meaning in (OF_TWO if count == 2 else OF_MORE).items()}


def bin_rows(metrics: Metrics) -> list[tuple[str, ...]]:
    return [
        (
            f"{found.low:.3f}–{found.high:.3f}",
            f"{found.reviews:,}",
            f"{found.mean_probability:.3f}",
            f"{found.share_positive:.3f}",
        )
        for found in metrics.bins
    ]


def deletion_rows(deletion: Deletion) -> list[tuple[str, ...]]:
    return [
        (
            f"{step.removed:.0%}",
            f"{step.changed:.1%}",
            f"{step.changed_at_random:.1%}",
            f"{step.probability:.3f}",
            f"{step.probability_at_random:.3f}",
        )
        for step in deletion.curve
    ]


def deletion_told(deletion: Deletion) -> str:
    """What the deletion curve says, in two sentences."""
    step = next(step for step in deletion.curve if step.removed >= 0.1)
    return (
        f"Without the {step.removed:.0%} of words that count most, {step.changed:.1%} of {deletion.texts:,} verdicts"
        f" changed; without as many random words, {step.changed_at_random:.1%} did. The area between the curves is"
        f" {deletion.area:.3f}; at 0, the words that are named would be no better than chance."
    )


def deletion_table(deletion: Deletion) -> str:
    """The deletion curve for a terminal."""
    return f"{_aligned([DELETION_HEADS, *deletion_rows(deletion)])}\n\n{deletion_told(deletion)}\n"


def _aligned(rows: Sequence[Sequence[str]]) -> str:
    """Rows of cells as lines: the first column to the left, the others to the right."""
    widths = [max(map(_width, column)) for column in zip(*rows, strict=True)]
    lines = []
    for row in rows:
        gaps = [" " * (width - _width(cell)) for cell, width in zip(row, widths, strict=True)]
        rest = [gap + cell for gap, cell in zip(gaps[1:], row[1:], strict=True)]
        lines.append("  ".join([row[0] + gaps[0], *rest]))
    return "\n".join(lines)


def _width(cell: str) -> int:
    return sum(2 if east_asian_width(character) in "WF" else 1 for character in cell)


def _printable(label: str) -> str:
    return "".join(character if character.isprintable() else "\ufffd" for character in label)


def figure(value: float | None) -> str:
    return "-" if value is None else f"{value:.4f}"
