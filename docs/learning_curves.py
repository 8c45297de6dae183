"""The picture of accuracy against labelled reviews, as an SVG that stands alone. Knows the benchmark's results."""

from __future__ import annotations

import math
import statistics
from collections.abc import Mapping, Sequence

from plaudit.evaluation.drawing import HEIGHT, LEFT, WIDTH, Frame, text, tip

COLOURS = {"original": "#8a6d3b", "linear": "#2a6fb0", "lstm": "#b3261e"}
STYLE = """
svg { background: #fff; font: 13px system-ui, sans-serif; }
text { fill: #333; } .middle { text-anchor: middle; } .end { text-anchor: end; } .strong { font-weight: 600; }
.grid { stroke: #ddd; } .axis { stroke: #888; } polyline, .spread { fill: none; stroke-width: 2.5; }
.dot { fill: currentColor; } g { stroke: currentColor; } g text { fill: currentColor; stroke: none; }
"""


def learning_curves(accuracy: Mapping[str, Mapping[str, Sequence[float]]]) -> str:
    """Each recipe's mean accuracy with so many reviews, from the lowest to the highest of its draws."""
    sizes = [int(size) for size in next(iter(accuracy.values()))]
    values = [value for by_size in accuracy.values() for draws in by_size.values() for value in draws]
    low, high = math.floor(min(values) * 20) / 20, math.ceil(max(values) * 20) / 20
    frame = Frame(math.log10(sizes[0]) - 0.1, math.log10(sizes[-1]) + 0.1, low, high)
    rows = [low + 0.05 * step for step in range(round((high - low) / 0.05) + 1)]
    axes = frame.axes((), rows, "labelled reviews", "accuracy on other films")
    axes += "".join(text(frame.x(math.log10(size)), frame.y(low) + 18, f"{size:,}", "middle") for size in sizes)
    curves = "".join(_curve(frame, name, by_size, place) for place, (name, by_size) in enumerate(accuracy.items()))
    head = f'<svg xmlns="http://www.w3.org/2000/svg" role="img" viewBox="0 0 {WIDTH} {HEIGHT}">'
    return f"{head}{tip('Accuracy with few labelled reviews')}<style>{STYLE}</style>{axes}{curves}</svg>\n"


def _curve(frame: Frame, name: str, by_size: Mapping[str, Sequence[float]], place: int) -> str:
    parts = [text(LEFT + 100 * place, 24, name, "strong")]
    means = [(math.log10(int(size)), statistics.mean(draws)) for size, draws in by_size.items()]
    parts.append(frame.line(means, "line"))
    for point, draws in zip(means, by_size.values(), strict=True):
        x = frame.x(point[0])
        parts.append(f'<path class="spread" d="M{x:.1f} {frame.y(min(draws)):.1f}V{frame.y(max(draws)):.1f}"/>')
        parts.append(frame.dot(point, 4, f"{name}: {point[1]:.4f}"))
    return f'<g style="color: {COLOURS[name]}">{"".join(parts)}</g>'
