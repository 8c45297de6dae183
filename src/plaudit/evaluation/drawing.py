"""Axes and marks of a picture, as inline SVG. Knows numbers and words, not what they mean."""

from __future__ import annotations

import html
import math
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

STYLE = Path(__file__).with_name("report.css")
WIDTH, HEIGHT = 360, 340
LEFT, RIGHT, TOP, BOTTOM = 60, 350, 46, 292
LONGEST_LABEL = 14

Point = tuple[float, float]


def escaped(value: object) -> str:
    """``value`` as text for HTML and SVG; lone surrogates, which no file can hold, become question marks."""
    return html.escape(str(value).encode("utf-8", "replace").decode("utf-8"))


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
            + text(LEFT - 7, self.y(value) + 4, compact(value), "end")
            for value in up
        )
        columns = "".join(text(self.x(value), BOTTOM + 18, compact(value), "middle") for value in across)
        names = text((LEFT + RIGHT) / 2, BOTTOM + 38, x_name, "middle strong")
        names += text(11, (TOP + BOTTOM) / 2, y_name, "middle strong", turned=True)
        return f'{rows}<path class="axis" d="M{LEFT} {BOTTOM}H{RIGHT}"/>{columns}{names}'

    def line(self, points: Iterable[Point], kind: str) -> str:
        return f'<polyline class="{kind}" points="{self._places(points)}"/>'

    def area(self, points: Sequence[Point]) -> str:
        return f'<polygon class="area" points="{self._places([*points, (points[-1][0], self.y_low)])}"/>'

    def _places(self, points: Iterable[Point]) -> str:
        return " ".join(f"{self.x(x):.1f},{self.y(y):.1f}" for x, y in points)

    def dot(self, point: Point, radius: float, words: str) -> str:
        x, y = self.x(point[0]), self.y(point[1])
        return f'<circle class="dot" cx="{x:.1f}" cy="{y:.1f}" r="{radius:.1f}">{tip(words)}</circle>'

    def bar(self, across: Point, up: Point, kind: str, words: str) -> str:
        """A bar between two places on the x axis and two on the y axis."""
        (left, right), (low, high) = across, up
        x, y, width = self.x(left) + 1.5, self.y(high), self.x(right) - self.x(left) - 3
        size = f'x="{x:.1f}" y="{y:.1f}" width="{width:.1f}" height="{self.y(low) - y:.1f}"'
        return f'<rect class="{kind}" {size}>{tip(words)}</rect>'

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
        return mark + text(x + (-7 if kind else 7), BOTTOM - 10, f"kept: epoch {epoch:g}", kind)


def ticks(low: float, high: float, least: float = 0.0) -> list[float]:
    """About five round numbers from ``low`` to ``high``, no closer to each other than ``least``."""
    rough = (high - low) / 5
    power = 10.0 ** math.floor(math.log10(rough))
    step = max(least, next(power * times for times in (1, 2, 5, 10) if power * times >= rough * 0.999))
    return [step * i for i in range(math.ceil(low / step - 1e-9), math.floor(high / step + 1e-9) + 1)]


def compact(value: float) -> str:
    """A number in at most five characters: 0.25, 9,500, 12.4k, 3M."""
    if value >= 1e6:
        return f"{value / 1e6:.3g}M"
    return f"{value / 1e3:.3g}k" if value >= 1e4 else f"{value:,.4g}"


def brief(label: str) -> str:
    return label if len(label) <= LONGEST_LABEL else label[: LONGEST_LABEL - 1] + "…"


def tip(words: str) -> str:
    """What a pointer that rests on a mark is told."""
    return f"<title>{escaped(words)}</title>"


def text(x: float, y: float, words: str, kind: str = "", turned: bool = False) -> str:
    turn = f' transform="rotate(-90 {x:.1f} {y:.1f})"' if turned else ""
    return f'<text x="{x:.1f}" y="{y:.1f}" class="{kind}"{turn}>{escaped(words)}</text>'


def legend(kinds: Mapping[str, str]) -> str:
    """Above a plot, a piece of each kind of line with its name."""
    return "".join(
        f'<path class="line {kind}" d="M{LEFT + 130 * i} 17h24"/>' + text(LEFT + 130 * i + 31, 21, name, "strong")
        for i, (kind, name) in enumerate(kinds.items())
    )


def nothing(title: str, why: str) -> str:
    return picture(title, text(WIDTH / 2, 60, why, "middle strong"), height=110)


def picture(title: str, *parts: str, height: int = HEIGHT) -> str:
    return f'<svg role="img" viewBox="0 0 {WIDTH} {height}">{tip(title)}{"".join(parts)}</svg>'


def document(title: str, head: str, body: str) -> str:
    """One HTML page that stands alone, with no script and nothing fetched; ``head`` and ``body`` are HTML already."""
    return f"""<!doctype html>
<html lang="en">
<head>
<meta charset="utf-8">
<meta name="viewport" content="width=device-width, initial-scale=1">
<meta http-equiv="Content-Security-Policy" content="default-src 'none'; style-src 'unsafe-inline'">
<meta name="color-scheme" content="light dark">
<title>{escaped(title)}</title>
<style>{STYLE.read_text("utf-8")}</style>
</head>
<body>
<header>{head}</header>
<main>
{body}
</main>
</body>
</html>
"""
