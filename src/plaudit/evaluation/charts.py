"""Pictures of metrics, as inline SVG. Knows numbers and the labels' names; not the page that the pictures stand on."""

from __future__ import annotations

import html
import math
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from plaudit.evaluation.metrics import Bin, Metrics

WIDTH, HEIGHT = 360, 340
LEFT, RIGHT, TOP, BOTTOM = 60, 350, 46, 292
QUARTERS = (0.0, 0.25, 0.5, 0.75, 1.0)
LONGEST_LABEL = 14
ONE_LABEL = "Needs reviews of both labels."
LOSSES = {"training": "loss", "validation": "validation_loss"}

Point = tuple[float, float]
History = Sequence[Mapping[str, Any]]


def escaped(value: object) -> str:
    """``value`` as text for HTML and SVG; lone surrogates, which no file can hold, become question marks."""
    return html.escape(str(value).encode("utf-8", "replace").decode("utf-8"))


def confusion_matrix(metrics: Metrics) -> str:
    labels, rows = metrics.labels, metrics.confusion
    told = [
        f"Of {sum(row):,} labelled {label}, {row[0]:,} were judged {labels[0]} and {row[1]:,} {labels[1]}."
        for label, row in zip(labels, rows, strict=True)
    ]
    heads = [_text(120 + 160 * j, 18, f"judged {_brief(labels[j])}", "middle strong") for j in (0, 1)]
    sides = [
        _text(12, 93 + 130 * i, "labelled", "middle", turned=True)
        + _text(28, 93 + 130 * i, _brief(labels[i]), "middle strong", turned=True)
        for i in (0, 1)
    ]
    cells = [_cell(rows, i, j, f"of {_brief(labels[i])}") for i in (0, 1) for j in (0, 1)]
    return _picture(" ".join(["Confusion matrix.", *told]), *heads, *sides, *cells, height=288)


def _cell(rows: list[list[int]], i: int, j: int, whole: str) -> str:
    share = rows[i][j] / sum(rows[i]) if sum(rows[i]) else None
    x, y, strength = 42 + 160 * j, 30 + 130 * i, 0.06 + 0.4 * (share or 0)
    return (
        f'<rect class="cell-{j}" x="{x}" y="{y}" width="156" height="126" rx="6" fill-opacity="{strength:.3f}"/>'
        + _text(x + 78, y + 66, f"{rows[i][j]:,}", "count")
        + _text(x + 78, y + 92, f"{'-' if share is None else f'{share:.1%}'} {whole}", "middle strong")
    )


def roc_curve(metrics: Metrics) -> str:
    if not metrics.curve or metrics.roc_auc is None:
        return _nothing("ROC curve", ONE_LABEL)
    frame, area = Frame(), f"AUC {metrics.roc_auc:.3f}"
    ((correct, alarms), (misses, hits)) = metrics.confusion
    rates = (alarms / max(1, alarms + correct), hits / max(1, hits + misses))
    return _picture(
        f"ROC curve, {area}",
        frame.axes(QUARTERS, QUARTERS, "false positive rate", "true positive rate"),
        frame.area(metrics.curve),
        frame.line([(0, 0), (1, 1)], "diagonal"),
        frame.line(metrics.curve, "line roc"),
        frame.dot(rates, 5, f"Judged at 0.5: false positive rate {rates[0]:.3f}, true positive rate {rates[1]:.3f}"),
        _text(RIGHT - 80, BOTTOM - 42, f"{metrics.roc_auc:.3f}", "count"),
        _text(RIGHT - 80, BOTTOM - 22, "area under curve (AUC)", "middle"),
    )


def reliability_diagram(metrics: Metrics) -> str:
    title = f"Reliability diagram, calibration error {metrics.calibration_error:.3f}"
    if not metrics.bins:
        return _nothing(title, "No reviews.")
    frame, most = Frame(), max(found.reviews for found in metrics.bins)
    second = _brief(metrics.labels[1])
    return _picture(
        title,
        frame.axes(QUARTERS, QUARTERS, f"probability of {second}", f"share that is {second}"),
        *(frame.bar(found, 0, found.share_positive, "wash", _bin(found)) for found in metrics.bins),
        frame.line([(0, 0), (1, 1)], "diagonal"),
        *(
            frame.dot((b.mean_probability, b.share_positive), 3 + 6 * math.sqrt(b.reviews / most), _bin(b))
            for b in metrics.bins
        ),
        *(
            _text(frame.x((b.low + b.high) / 2) + 4, TOP - 12, _compact(b.reviews), "tiny", turned=True)
            for b in metrics.bins
        ),
    )


def histogram(metrics: Metrics) -> str:
    first, second = metrics.labels
    title = f"Histogram of {metrics.reviews:,} reviews by probability of {second}"
    if not metrics.bins:
        return _nothing(title, "No reviews.")
    frame = Frame(y_high=1.06 * max(found.reviews for found in metrics.bins))
    bars = []
    for found in metrics.bins:
        positive = round(found.reviews * found.share_positive)
        for i, low, high in ((1, 0, positive), (0, positive, found.reviews)):
            told = f"{high - low:,} labelled {metrics.labels[i]}; {_bin(found)}"
            bars.append(frame.bar(found, low, high, f"bar-{i}", told) if low < high else "")
    hatch = (
        '<defs><pattern id="hatch" width="7" height="7" patternUnits="userSpaceOnUse" patternTransform="rotate(45)">'
        '<path class="cell-0" fill-opacity="0.4" d="M0 0h7v7H0z"/><path class="hatch" d="M0 0v7"/></pattern></defs>'
    )
    names = [_brief(first), _brief(second)]
    swatches = [f'<rect class="bar-{i}" x="{LEFT + 130 * i}" y="11" width="14" height="11"/>' for i in (0, 1)]
    legend = [_text(LEFT + 130 * i + 21, 21, names[i], "strong") for i in (0, 1)]
    axes = frame.axes(QUARTERS, _ticks(0, frame.y_high, least=1), f"probability of {names[1]}", "reviews")
    return _picture(title, hatch, axes, *bars, *swatches, *legend)


def training_loss(history: History, best: object = None) -> str:
    lines = {kind: _series(history, name) for kind, name in LOSSES.items()}
    points = [point for line in lines.values() for point in line]
    if not points:
        return _nothing("Loss by epoch", "No losses on the card.")
    frame = Frame.of_epochs(points, 0, 1.06 * max(value for _, value in points) or 1)
    return _picture(
        "Loss by epoch, in training and validation",
        frame.axes(_ticks(frame.x_low, frame.x_high, least=1), _ticks(0, frame.y_high), "epoch", "loss"),
        frame.best(best),
        *(frame.epochs(line, kind, kind) for kind, line in lines.items()),
        *(
            f'<path class="line {kind}" d="M{LEFT + 130 * i} 17h24"/>' + _text(LEFT + 130 * i + 31, 21, kind, "strong")
            for i, kind in enumerate(lines)
        ),
    )


def training_accuracy(history: History, best: object = None) -> str:
    points = _series(history, "validation_accuracy")
    if not points:
        return _nothing("Validation accuracy by epoch", "No accuracies on the card.")
    values = [value for _, value in points]
    low, high = math.floor(min(values) * 20 - 0.01) / 20, math.ceil(max(values) * 20 + 0.01) / 20
    frame = Frame.of_epochs(points, max(0, low), min(1, high))
    return _picture(
        f"Validation accuracy by epoch, {max(values):.4f} at its highest",
        frame.axes(
            _ticks(frame.x_low, frame.x_high, least=1),
            _ticks(frame.y_low, frame.y_high),
            "epoch",
            "validation accuracy",
        ),
        frame.best(best),
        frame.epochs(points, "validation", "validation accuracy"),
    )


@dataclass(frozen=True)
class Frame:
    """The ranges of a plot's axes, and what can be drawn within."""

    x_low: float = 0
    x_high: float = 1
    y_low: float = 0
    y_high: float = 1

    @classmethod
    def of_epochs(cls, points: Sequence[Point], y_low: float, y_high: float) -> Frame:
        first, last = min(epoch for epoch, _ in points), max(epoch for epoch, _ in points)
        room = 0 if first < last else 1
        return cls(first - room, last + room, y_low, y_high)

    def x(self, value: float) -> float:
        return LEFT + (RIGHT - LEFT) * (value - self.x_low) / (self.x_high - self.x_low)

    def y(self, value: float) -> float:
        return BOTTOM - (BOTTOM - TOP) * (value - self.y_low) / (self.y_high - self.y_low)

    def axes(self, across: Iterable[float], up: Iterable[float], x_name: str, y_name: str) -> str:
        rows = "".join(
            f'<path class="grid" d="M{LEFT} {self.y(value):.1f}H{RIGHT}"/>'
            + _text(LEFT - 7, self.y(value) + 4, _compact(value), "end")
            for value in up
        )
        columns = "".join(_text(self.x(value), BOTTOM + 18, _compact(value), "middle") for value in across)
        names = _text((LEFT + RIGHT) / 2, BOTTOM + 38, x_name, "middle strong")
        names += _text(11, (TOP + BOTTOM) / 2, y_name, "middle strong", turned=True)
        return f'{rows}<path class="axis" d="M{LEFT} {BOTTOM}H{RIGHT}"/>{columns}{names}'

    def line(self, points: Iterable[Point], kind: str) -> str:
        return f'<polyline class="{kind}" points="{self._places(points)}"/>'

    def area(self, points: Sequence[Point]) -> str:
        return f'<polygon class="area" points="{self._places([*points, (points[-1][0], self.y_low)])}"/>'

    def _places(self, points: Iterable[Point]) -> str:
        return " ".join(f"{self.x(x):.1f},{self.y(y):.1f}" for x, y in points)

    def dot(self, point: Point, radius: float, told: str) -> str:
        x, y = self.x(point[0]), self.y(point[1])
        return f'<circle class="dot" cx="{x:.1f}" cy="{y:.1f}" r="{radius:.1f}">{_told(told)}</circle>'

    def bar(self, found: Bin, low: float, high: float, kind: str, told: str) -> str:
        x, y, width = self.x(found.low) + 1.5, self.y(high), self.x(found.high) - self.x(found.low) - 3
        size = f'x="{x:.1f}" y="{y:.1f}" width="{width:.1f}" height="{self.y(low) - y:.1f}"'
        return f'<rect class="{kind}" {size}>{_told(told)}</rect>'

    def epochs(self, points: Sequence[Point], kind: str, name: str) -> str:
        dots = (self.dot((epoch, value), 3.5, f"Epoch {epoch:g}: {name} {value:.4f}") for epoch, value in points)
        return self.line(points, f"line {kind}") + "".join(dots)

    def best(self, epoch: object) -> str:
        """A mark at the epoch whose weights were kept."""
        if not isinstance(epoch, int | float) or not self.x_low <= epoch <= self.x_high:
            return ""
        x = self.x(epoch)
        kind = "end" if x > (LEFT + RIGHT) / 2 else ""
        mark = f'<path class="diagonal" d="M{x:.1f} {TOP}V{BOTTOM}"/>'
        return mark + _text(x + (-7 if kind else 7), BOTTOM - 10, f"kept: epoch {epoch:g}", kind)


def _series(history: History, name: str) -> list[Point]:
    pairs: list[tuple[Any, Any]] = [(entry.get("epoch"), entry.get(name)) for entry in history]
    return [(float(epoch), float(value)) for epoch, value in pairs if _finite(epoch) and _finite(value)]


def _finite(value: Any) -> bool:
    return isinstance(value, int | float) and math.isfinite(value)


def _ticks(low: float, high: float, least: float = 0.0) -> list[float]:
    """About five round numbers from ``low`` to ``high``, no closer to each other than ``least``."""
    rough = (high - low) / 5
    power = 10.0 ** math.floor(math.log10(rough))
    step = max(least, next(power * times for times in (1, 2, 5, 10) if power * times >= rough * 0.999))
    return [step * i for i in range(math.ceil(low / step - 1e-9), math.floor(high / step + 1e-9) + 1)]


def _compact(value: float) -> str:
    """A number in at most five characters: 0.25, 9,500, 12.4k, 3M."""
    if value >= 1e6:
        return f"{value / 1e6:.3g}M"
    return f"{value / 1e3:.3g}k" if value >= 1e4 else f"{value:,.4g}"


def _brief(label: str) -> str:
    return label if len(label) <= LONGEST_LABEL else label[: LONGEST_LABEL - 1] + "…"


def _bin(found: Bin) -> str:
    said = f"mean probability {found.mean_probability:.3f}, share {found.share_positive:.3f}"
    return f"{found.reviews:,} reviews from {found.low:.2f} to {found.high:.2f}: {said}"


def _told(words: str) -> str:
    """What a pointer that rests on a mark is told."""
    return f"<title>{escaped(words)}</title>"


def _text(x: float, y: float, words: str, kind: str = "", turned: bool = False) -> str:
    turn = f' transform="rotate(-90 {x:.1f} {y:.1f})"' if turned else ""
    return f'<text x="{x:.1f}" y="{y:.1f}" class="{kind}"{turn}>{escaped(words)}</text>'


def _nothing(title: str, why: str) -> str:
    return _picture(title, _text(WIDTH / 2, 60, why, "middle strong"), height=110)


def _picture(title: str, *parts: str, height: int = HEIGHT) -> str:
    return f'<svg role="img" viewBox="0 0 {WIDTH} {height}">{_told(title)}{"".join(parts)}</svg>'
