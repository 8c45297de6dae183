"""Pictures of metrics, as inline SVG. Knows numbers and the labels' names; not the page that the pictures stand on."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from typing import Any

from plaudit.evaluation.deletion import Deletion
from plaudit.evaluation.drawing import (
    BOTTOM,
    LEFT,
    RIGHT,
    TOP,
    Frame,
    Point,
    brief,
    compact,
    legend,
    nothing,
    picture,
    text,
    ticks,
    tip,
)
from plaudit.evaluation.figures import MOST_LABELS, Stated
from plaudit.evaluation.metrics import Bin, Metrics

QUARTERS = (0.0, 0.25, 0.5, 0.75, 1.0)
NO_CURVE = "Needs reviews of at least two labels."
LOSSES = {"training": "loss", "validation": "validation_loss"}
MOST_COUNTS = 8

History = Sequence[Mapping[str, Any]]


def confusion_matrix(metrics: Metrics) -> str:
    if len(metrics.labels) > MOST_LABELS:
        return nothing("Confusion matrix", f"Over {MOST_LABELS} labels: --json has it.")
    return _of_two(metrics) if len(metrics.labels) == 2 else _of_more(metrics)


def _of_two(metrics: Metrics) -> str:
    labels, rows = metrics.labels, metrics.confusion
    told = [
        f"Of {sum(row):,} labelled {label}, {row[0]:,} were judged {labels[0]} and {row[1]:,} {labels[1]}."
        for label, row in zip(labels, rows, strict=True)
    ]
    heads = [text(120 + 160 * j, 18, f"judged {brief(labels[j])}", "middle strong") for j in (0, 1)]
    sides = [
        text(12, 93 + 130 * i, "labelled", "middle", turned=True)
        + text(28, 93 + 130 * i, brief(labels[i]), "middle strong", turned=True)
        for i in (0, 1)
    ]
    cells = [_wide_cell(rows, i, j, f"of {brief(labels[i])}") for i in (0, 1) for j in (0, 1)]
    return picture(" ".join(["Confusion matrix.", *told]), *heads, *sides, *cells, height=288)


def _wide_cell(rows: list[list[int]], i: int, j: int, whole: str) -> str:
    share = rows[i][j] / sum(rows[i]) if sum(rows[i]) else None
    x, y, strength = 42 + 160 * j, 30 + 130 * i, 0.06 + 0.4 * (share or 0)
    return (
        f'<rect class="cell-{j}" x="{x}" y="{y}" width="156" height="126" rx="6" fill-opacity="{strength:.3f}"/>'
        + text(x + 78, y + 66, f"{rows[i][j]:,}", "count")
        + text(x + 78, y + 92, f"{'-' if share is None else f'{share:.1%}'} {whole}", "middle strong")
    )


def _of_more(metrics: Metrics) -> str:
    """A square of cells: a row a label, a column what was judged."""
    labels, rows, corner = metrics.labels, metrics.confusion, 114
    pitch = (RIGHT - corner) / len(labels)
    told = [
        f"Of {sum(row):,} labelled {label}, {row[i]:,} were judged so."
        for i, (label, row) in enumerate(zip(labels, rows, strict=True))
    ]
    names = [text(12, corner + 118, "labelled", "middle strong", turned=True)]
    names.append(text(corner + 118, 12, "judged", "middle strong"))
    for i, label in enumerate(labels):
        middle = corner + pitch * (i + 0.5) + 4
        names += [text(corner - 6, middle, brief(label), "end"), text(middle, corner - 6, brief(label), turned=True)]
    every = range(len(labels))
    cells = [_square_cell(metrics, i, j, corner, pitch) for i in every for j in every]
    return picture(" ".join(["Confusion matrix.", *told]), *names, *cells, height=RIGHT + 4)


def _square_cell(metrics: Metrics, i: int, j: int, corner: float, pitch: float) -> str:
    count, whole = metrics.confusion[i][j], sum(metrics.confusion[i])
    x, y, strength = corner + pitch * j, corner + pitch * i, 0.06 + (0.4 * count / whole if whole else 0)
    size = f'x="{x:.1f}" y="{y:.1f}" width="{pitch - 1:.1f}" height="{pitch - 1:.1f}"'
    told = f"{count:,} of {whole:,} labelled {metrics.labels[i]} were judged {metrics.labels[j]}"
    cell = f'<rect class="cell-{int(i == j)}" {size} fill-opacity="{strength:.3f}">{tip(told)}</rect>'
    if len(metrics.labels) > MOST_COUNTS:
        return cell
    return cell + text(x + pitch / 2, y + pitch / 2 + 4, compact(count), "middle strong")


def roc_curve(metrics: Metrics) -> str:
    if not metrics.curve or metrics.roc_auc is None:
        return nothing("ROC curve", NO_CURVE)
    frame, area = Frame(), f"AUC {metrics.roc_auc:.3f}"
    more = len(metrics.labels) > 2
    return picture(
        f"ROC curve, mean of {len(metrics.labels)} labels against the rest, {area}" if more else f"ROC curve, {area}",
        frame.axes(QUARTERS, QUARTERS, "false positive rate", "true positive rate"),
        frame.area(metrics.curve),
        frame.line([(0, 0), (1, 1)], "diagonal"),
        frame.line(metrics.curve, "line roc"),
        "" if more else _at_half(frame, metrics.confusion),
        text(RIGHT - 80, BOTTOM - 42, f"{metrics.roc_auc:.3f}", "count"),
        text(RIGHT - 80, BOTTOM - 22, "area under curve (AUC)", "middle"),
    )


def _at_half(frame: Frame, confusion: list[list[int]]) -> str:
    """The verdicts of two labels as they were given, as a dot."""
    ((correct, alarms), (misses, hits)) = confusion
    rates = (alarms / max(1, alarms + correct), hits / max(1, hits + misses))
    return frame.dot(rates, 5, f"Judged at 0.5: false positive rate {rates[0]:.3f}, true positive rate {rates[1]:.3f}")


def reliability_diagram(metrics: Metrics) -> str:
    title = f"Reliability diagram, calibration error {metrics.calibration_error:.3f}"
    if not metrics.bins:
        return nothing(title, "No reviews.")
    frame, stated, most = Frame(), Stated.by(metrics), max(found.reviews for found in metrics.bins)
    return picture(
        title,
        frame.axes(QUARTERS, QUARTERS, f"probability of {stated.brief}", f"share that is {stated.true}"),
        *(frame.bar((b.low, b.high), (0, b.share_positive), "wash", _bin(b)) for b in metrics.bins),
        frame.line([(0, 0), (1, 1)], "diagonal"),
        *(
            frame.dot((b.mean_probability, b.share_positive), 3 + 6 * math.sqrt(b.reviews / most), _bin(b))
            for b in metrics.bins
        ),
        *(
            text(frame.x((b.low + b.high) / 2) + 4, TOP - 12, compact(b.reviews), "tiny", turned=True)
            for b in metrics.bins
        ),
    )


def histogram(metrics: Metrics) -> str:
    stated = Stated.by(metrics)
    title = f"Histogram of {metrics.reviews:,} reviews by probability of {stated.of}"
    if not metrics.bins:
        return nothing(title, "No reviews.")
    frame = Frame(y_high=1.06 * max(found.reviews for found in metrics.bins))
    bars = []
    for found in metrics.bins:
        true = round(found.reviews * found.share_positive)
        for i, low, high in ((1, 0, true), (0, true, found.reviews)):
            told = f"{high - low:,} {stated.outcomes[i]}; {_bin(found)}"
            bars.append(frame.bar((found.low, found.high), (low, high), f"bar-{i}", told) if low < high else "")
    hatch = (
        '<defs><pattern id="hatch" width="7" height="7" patternUnits="userSpaceOnUse" patternTransform="rotate(45)">'
        '<path class="cell-0" fill-opacity="0.4" d="M0 0h7v7H0z"/><path class="hatch" d="M0 0v7"/></pattern></defs>'
    )
    swatches = [f'<rect class="bar-{i}" x="{LEFT + 130 * i}" y="11" width="14" height="11"/>' for i in (0, 1)]
    names = [text(LEFT + 130 * i + 21, 21, brief(stated.sides[i]), "strong") for i in (0, 1)]
    axes = frame.axes(QUARTERS, ticks(0, frame.y_high, least=1), f"probability of {stated.brief}", "reviews")
    return picture(title, hatch, axes, *bars, *swatches, *names)


def deletion_curve(deletion: Deletion) -> str:
    last = deletion.curve[-1]
    kinds = {
        "most": ("counting most", [(step.removed, step.changed) for step in deletion.curve]),
        "chance": ("random", [(step.removed, step.changed_at_random) for step in deletion.curve]),
    }
    highest = max(height for _, points in kinds.values() for _, height in points)
    frame = Frame(0, last.removed, 0, min(1.0, max(0.1, 1.06 * highest)))
    told = f"{last.changed:.1%} of verdicts changed without them, {last.changed_at_random:.1%} without random ones"
    return picture(
        f"Deletion curve to {last.removed:.0%} of the words: {told}",
        frame.axes(
            ticks(0, last.removed), ticks(0, frame.y_high), "share of words removed", "share of verdicts changed"
        ),
        *(frame.line(points, f"line {kind}") for kind, (_, points) in kinds.items()),
        *(
            frame.dot((x, y), 3.5, f"Without {x:.0%} of words, {name}: {y:.1%} of verdicts changed")
            for name, points in kinds.values()
            for x, y in points
        ),
        legend({kind: name for kind, (name, _) in kinds.items()}),
    )


def training_loss(history: History, best: object = None) -> str:
    lines = {kind: _series(history, name) for kind, name in LOSSES.items()}
    points = [point for line in lines.values() for point in line]
    if not points:
        return nothing("Loss by epoch", "No losses on the card.")
    frame = Frame.of_epochs(points, 0, 1.06 * max(value for _, value in points) or 1)
    return picture(
        "Loss by epoch, in training and validation",
        frame.axes(ticks(frame.x_low, frame.x_high, least=1), ticks(0, frame.y_high), "epoch", "loss"),
        frame.best(best),
        *(frame.epochs(line, kind, kind) for kind, line in lines.items()),
        legend({kind: kind for kind in lines}),
    )


def training_accuracy(history: History, best: object = None) -> str:
    points = _series(history, "validation_accuracy")
    if not points:
        return nothing("Validation accuracy by epoch", "No accuracies on the card.")
    values = [value for _, value in points]
    low, high = math.floor(min(values) * 20 - 0.01) / 20, math.ceil(max(values) * 20 + 0.01) / 20
    frame = Frame.of_epochs(points, max(0, low), min(1, high))
    return picture(
        f"Validation accuracy by epoch, {max(values):.4f} at its highest",
        frame.axes(
            ticks(frame.x_low, frame.x_high, least=1), ticks(frame.y_low, frame.y_high), "epoch", "validation accuracy"
        ),
        frame.best(best),
        frame.epochs(points, "validation", "validation accuracy"),
    )


def _series(history: History, name: str) -> list[Point]:
    pairs: list[tuple[Any, Any]] = [(entry.get("epoch"), entry.get(name)) for entry in history]
    return [(float(epoch), float(value)) for epoch, value in pairs if _finite(epoch) and _finite(value)]


def _finite(value: Any) -> bool:
    return isinstance(value, int | float) and math.isfinite(value)


def _bin(found: Bin) -> str:
    said = f"mean probability {found.mean_probability:.3f}, share {found.share_positive:.3f}"
    return f"{found.reviews:,} reviews from {found.low:.2f} to {found.high:.2f}: {said}"
