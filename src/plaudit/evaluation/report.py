"""What metrics look like, in a terminal and as a page. Knows metrics and a card; not how either came about."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any
from unicodedata import east_asian_width

from plaudit.evaluation import charts
from plaudit.evaluation.charts import escaped
from plaudit.evaluation.metrics import Metrics
from plaudit.text.markup import LINE_BREAK

STYLE = Path(__file__).with_name("report.css")
OPENING = 600
LONGEST_VALUE = 24
SCORING = ("labels", "cleaning", "max_words", "prior", "temperature")
MEASURES = (
    ("accuracy", "Accuracy", "share of reviews judged rightly"),
    ("precision", "Precision", "share of those judged “{second}” that are"),
    ("recall", "Recall", "share of the “{second}” that were judged so"),
    ("f1", "F1", "harmonic mean of precision and recall"),
    ("roc_auc", "ROC AUC", "chance that a “{second}” review scores above a “{first}” one"),
    ("log_loss", "Log loss", "mean surprise at the true label, in nats; 0 is perfect, 0.693 a coin’s"),
    ("brier", "Brier score", "mean squared error of the probability; 0 is perfect, 0.25 a coin’s"),
    ("calibration_error", "Calibration error", "mean gap between what was said and what came true, over 15 bins"),
)


@dataclass(frozen=True)
class Mistake:
    """A wrong verdict. ``probability`` is that of ``judged``: how sure the model was."""

    text: str
    label: str
    judged: str
    probability: float


def table(metrics: Metrics) -> str:
    """The figures and the confusion matrix for a terminal."""
    figures = [("Reviews", f"{metrics.reviews:,}")]
    figures += [(name, _figure(getattr(metrics, field))) for field, name, _ in MEASURES]
    labels = [_printable(label) for label in metrics.labels]
    confusion = [("", *(f"judged {label}" for label in labels))]
    for label, row in zip(labels, metrics.confusion, strict=True):
        confusion.append((f"labelled {label}", *(f"{count:,}" for count in row)))
    return f"{_aligned(figures)}\n\n{_aligned(confusion)}\n"


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


def _figure(value: float | None) -> str:
    return "-" if value is None else f"{value:.4f}"


def html_report(metrics: Metrics, card: Mapping[str, Any], title: str, mistakes: Sequence[Mistake] = ()) -> str:
    """One page that stands alone: figures, pictures, the most confident mistakes first, and the model's card."""
    judge = f", judged by {escaped(card['name'])}" if card.get("name") else ""
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
<header><h1>{escaped(title)}</h1><p class="lead">{metrics.reviews:,} reviews{judge}.</p></header>
<main>
{_results(metrics)}
{_pictures(metrics)}
{_training(_part(card, "training"))}
{_reading(metrics, mistakes)}
{_about(card)}
</main>
</body>
</html>
"""


def _results(metrics: Metrics) -> str:
    names = {"first": metrics.labels[0], "second": metrics.labels[1]}
    rows = "".join(
        f'<tr><th scope="row">{name}</th><td>{_figure(getattr(metrics, field))}</td>'
        f"<td>{escaped(meaning.format(**names))}</td></tr>"
        for field, name, meaning in MEASURES
    )
    right = sum(metrics.confusion[i][i] for i in (0, 1))
    figures = (
        f'<p class="figure">{_percent(metrics.accuracy)}</p>'
        f'<p class="lead">{right:,} of {metrics.reviews:,} reviews judged rightly.</p>'
        f'<table class="figures"><caption>Figures</caption><tbody>{rows}</tbody></table>'
    )
    confusion = _shown(charts.confusion_matrix(metrics), "Confusion matrix", "Right verdicts stand on the diagonal.")
    return f'<section class="results"><h2 class="hidden">Results</h2><div>{figures}</div>{confusion}</section>'


def _pictures(metrics: Metrics) -> str:
    second = f"“{escaped(metrics.labels[1])}”"
    figures = (
        _shown(
            charts.roc_curve(metrics), "ROC curve", "The dot is the verdict as given, at 0.5." if metrics.curve else ""
        ),
        _shown(
            charts.reliability_diagram(metrics),
            "Reliability",
            f"Of reviews given a probability of {second}, how many are? On the dashed line, as many as was said. "
            "The numbers count each bin’s reviews.",
        ),
        _shown(charts.histogram(metrics), "Histogram", f"Reviews by their probability of {second} and true label."),
    )
    return _section("Ranking and calibration", f'<div class="row">{"".join(figures)}</div>{_bins(metrics)}')


def _bins(metrics: Metrics) -> str:
    rows = "".join(
        f'<tr><th scope="row">{found.low:.3f}–{found.high:.3f}</th><td>{found.reviews:,}</td>'
        f"<td>{found.mean_probability:.3f}</td><td>{found.share_positive:.3f}</td></tr>"
        for found in metrics.bins
    )
    names = ("Probability", "Reviews", "Mean", f"Share {escaped(metrics.labels[1])}")
    head = "".join(f'<th scope="col">{name}</th>' for name in names)
    body = f'<table class="bins"><thead><tr>{head}</tr></thead><tbody>{rows}</tbody></table>'
    return f"<details><summary>The bins in figures</summary>{body}</details>" if rows else ""


def _training(training: Mapping[str, Any]) -> str:
    history = [entry for entry in training.get("history") or () if isinstance(entry, Mapping)]
    facts = _definitions({name: value for name, value in training.items() if name != "history"})
    if not history:
        return _section("Training", facts) if facts else ""
    facts = f"<div><h3>Run</h3>{facts}</div>" if facts else ""
    best = training.get("best_epoch")
    loss = _shown(charts.training_loss(history, best), "Loss", "Mean log loss of each epoch.")
    accuracy = _shown(charts.training_accuracy(history, best), "Accuracy", "Of the reviews held out for validation.")
    return _section("Training", f'<div class="row">{loss}{accuracy}{facts}</div>')


def _reading(metrics: Metrics, mistakes: Sequence[Mistake]) -> str:
    surest = sorted(mistakes, key=lambda mistake: -mistake.probability)
    items = "".join(_mistake(mistake, int(mistake.judged == metrics.labels[1])) for mistake in surest)
    note = '<p class="fine">Wrong verdicts, the most confident first.</p>'
    return _section("Mistakes to read", f'{note}<ol class="mistakes">{items}</ol>') if items else ""


def _mistake(mistake: Mistake, toward: int) -> str:
    opening, rest = _folded(mistake.text.replace(LINE_BREAK, "\n").strip() or "(no text)")
    more = f" …<details><summary>The rest</summary>{escaped(rest)}</details>" if rest else ""
    return (
        f'<li><p class="toward-{toward}"><strong>{escaped(mistake.judged)}</strong> {_percent(mistake.probability)}'
        f" <span>labelled {escaped(mistake.label)}</span></p>"
        f'<blockquote dir="auto">{escaped(opening)}{more}</blockquote></li>'
    )


def _folded(text: str) -> tuple[str, str]:
    """A text's opening, which ends with a word where it can, and the rest."""
    if len(text) <= OPENING:
        return text, ""
    space = text.rfind(" ", OPENING // 2, OPENING)
    cut = space if space > 0 else OPENING
    return text[:cut], text[cut:].strip()


def _about(card: Mapping[str, Any]) -> str:
    groups = {
        "Scoring": {name: card[name] for name in SCORING if name in card},
        **{name.capitalize(): _part(card, name) for name in ("recipe", "data", "versions")},
    }
    lists = "".join(f"<div><h3>{name}</h3>{_definitions(part)}</div>" for name, part in groups.items() if part)
    return _section("The model’s card", f'<div class="card">{lists}</div>') if lists else ""


def _part(card: Mapping[str, Any], name: str) -> Mapping[str, Any]:
    part = card.get(name)
    return part if isinstance(part, Mapping) else {}


def _definitions(values: Mapping[str, Any]) -> str:
    pairs = "".join(_pair(name.replace("_", " "), _value(value)) for name, value in values.items())
    return f"<dl>{pairs}</dl>" if pairs else ""


def _pair(name: str, value: str) -> str:
    kind = "wide" if len(value) > LONGEST_VALUE else "short"
    return f'<div class="{kind}"><dt>{escaped(name)}</dt><dd>{escaped(value)}</dd></div>'


def _value(value: object) -> str:
    if value is None:
        return "-"
    if isinstance(value, int) and not isinstance(value, bool):
        return f"{value:,}"
    if isinstance(value, float):
        return f"{value:.6g}"
    if isinstance(value, list | tuple):
        return ", ".join(_value(item) for item in value)
    return str(value)


def _percent(share: float) -> str:
    """A share as a percentage, never rounded to none or all of it."""
    return ">99.9%" if 0.9995 <= share < 1 else "<0.1%" if 0 < share < 0.0005 else f"{share:.1%}"


def _section(heading: str, body: str) -> str:
    return f"<section><h2>{heading}</h2>{body}</section>"


def _shown(picture: str, heading: str, caption: str) -> str:
    return f"<figure><h3>{heading}</h3>{picture}<figcaption>{caption}</figcaption></figure>"
