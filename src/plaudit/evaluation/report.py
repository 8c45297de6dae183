"""What metrics look like as a page. Knows metrics and a card; not how either came about."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from plaudit.evaluation import behaviour_report, charts
from plaudit.evaluation.behaviour import Results
from plaudit.evaluation.deletion import Deletion
from plaudit.evaluation.drawing import document, escaped
from plaudit.evaluation.figures import (
    DELETION_HEADS,
    NAMES,
    Stated,
    bin_rows,
    deletion_rows,
    deletion_told,
    figure,
    label_heads,
    label_rows,
    meanings,
)
from plaudit.evaluation.metrics import Metrics
from plaudit.text.markup import LINE_BREAK

OPENING = 600
LONGEST_VALUE = 24
SCORING = ("labels", "cleaning", "max_words", "ngrams", "priors", "temperature", "growth")


@dataclass(frozen=True)
class Mistake:
    """A wrong verdict. ``probability`` is that of ``judged``: how sure the model was."""

    text: str
    label: str
    judged: str
    probability: float


def html_report(
    metrics: Metrics,
    card: Mapping[str, Any],
    title: str,
    mistakes: Sequence[Mistake] = (),
    *,
    deletion: Deletion | None = None,
    behaviour: Results | None = None,
) -> str:
    """One page that stands alone: figures, pictures, the most confident mistakes first, and the model's card."""
    judge = f", judged by {escaped(card['name'])}" if card.get("name") else ""
    head = f'<h1>{escaped(title)}</h1><p class="lead">{metrics.reviews:,} reviews{judge}.</p>'
    body = f"""{_results(metrics)}
{_pictures(metrics)}
{_explanations(deletion)}
{behaviour_report.section(behaviour) if behaviour else ""}
{_training(_part(card, "training"))}
{_reading(metrics, mistakes)}
{_about(card)}"""
    return document(title, head, body)


def _results(metrics: Metrics) -> str:
    told = meanings(metrics)
    rows = "".join(
        f'<tr><th scope="row">{name}</th><td>{figure(getattr(metrics, field))}</td><td>{escaped(told[field])}</td></tr>'
        for field, name in NAMES.items()
    )
    right = sum(row[i] for i, row in enumerate(metrics.confusion))
    figures = (
        f'<p class="figure">{_percent(metrics.accuracy)}</p>'
        f'<p class="lead">{right:,} of {metrics.reviews:,} reviews judged rightly.</p>'
        f'<table class="figures"><caption>Figures</caption><tbody>{rows}</tbody></table>'
    )
    confusion = _shown(charts.confusion_matrix(metrics), "Confusion matrix", "Right verdicts stand on the diagonal.")
    beside = f"<div>{confusion}{_labels(metrics)}</div>"
    return f'<section class="results"><h2 class="hidden">Results</h2><div>{figures}</div>{beside}</section>'


def _labels(metrics: Metrics) -> str:
    if len(metrics.labels) == 2:
        return ""
    return f'<h3 class="below">Label by label</h3>{_table(("Label", *label_heads()), label_rows(metrics), "labels")}'


def _pictures(metrics: Metrics) -> str:
    stated = Stated.by(metrics)
    line = "On the dashed line, as many as was said. The numbers count each bin’s reviews."
    figures = (
        _shown(charts.roc_curve(metrics), "ROC curve", stated.curve if metrics.curve else ""),
        _shown(charts.reliability_diagram(metrics), "Reliability", f"{escaped(stated.question)} {line}"),
        _shown(charts.histogram(metrics), "Histogram", escaped(stated.counted)),
    )
    bins = _table(("Probability", "Reviews", "Mean", f"Share {stated.true}"), bin_rows(metrics), "bins")
    folded = f"<details><summary>The bins in figures</summary>{bins}</details>" if metrics.bins else ""
    return _section("Ranking and calibration", f'<div class="row">{"".join(figures)}</div>{folded}')


def _table(heads: Sequence[str], rows: Sequence[Sequence[str]], about: str) -> str:
    head = "".join(f'<th scope="col">{escaped(name)}</th>' for name in heads)
    body = "".join(
        f'<tr><th scope="row">{escaped(row[0])}</th>{"".join(f"<td>{escaped(cell)}</td>" for cell in row[1:])}</tr>'
        for row in rows
    )
    table = f'<table class="bins"><thead><tr>{head}</tr></thead><tbody>{body}</tbody></table>'
    return f'<div class="scroll" role="group" aria-label="{about}" tabindex="0">{table}</div>'


def _explanations(deletion: Deletion | None) -> str:
    if deletion is None:
        return ""
    picture = _shown(charts.deletion_curve(deletion), "Deletion curve", deletion_told(deletion))
    note = (
        '<p class="fine">Verdicts with another label, and the mean probability of the label first given: without the'
        f" words that count most for it, and without as many random ones ({deletion.draws} draws a text).</p>"
    )
    table = f"<div><h3>In figures</h3>{_table(DELETION_HEADS, deletion_rows(deletion), 'deletion curve')}{note}</div>"
    return _section("Do verdicts hang on the words they name?", f'<div class="results">{picture}{table}</div>')


def _training(training: Mapping[str, Any]) -> str:
    facts = _definitions({name: value for name, value in training.items() if name not in ("history", "beside")})
    curves = _curves(training)
    if not curves:
        return _section("Training", facts) if facts else ""
    facts = f"<div><h3>Run</h3>{facts}</div>" if facts else ""
    others = {name: one for name, one in _part(training, "beside").items() if isinstance(one, Mapping)}
    beside = (f'<div class="row">{_curves(one, f", {escaped(name)}")}</div>' for name, one in others.items())
    return _section("Training", f'<div class="row">{curves}{facts}</div>{"".join(beside)}')


def _curves(training: Mapping[str, Any], of: str = "") -> str:
    history = [entry for entry in training.get("history") or () if isinstance(entry, Mapping)]
    if not history:
        return ""
    best = training.get("best_epoch")
    loss = _shown(charts.training_loss(history, best), f"Loss{of}", "Mean log loss of each epoch.")
    accuracy = charts.training_accuracy(history, best)
    return loss + _shown(accuracy, f"Accuracy{of}", "Of the reviews held out for validation.")


def _reading(metrics: Metrics, mistakes: Sequence[Mistake]) -> str:
    surest = sorted(mistakes, key=lambda mistake: -mistake.probability)
    kinds = {label: f"toward-{i}" for i, label in enumerate(metrics.labels)} if len(metrics.labels) == 2 else {}
    items = "".join(_mistake(mistake, kinds.get(mistake.judged, "")) for mistake in surest)
    note = '<p class="fine">Wrong verdicts, the most confident first.</p>'
    return _section("Mistakes to read", f'{note}<ol class="mistakes">{items}</ol>') if items else ""


def _mistake(mistake: Mistake, kind: str) -> str:
    opening, rest = _folded(mistake.text.replace(LINE_BREAK, "\n").strip() or "(no text)")
    more = f" …<details><summary>The rest</summary>{escaped(rest)}</details>" if rest else ""
    return (
        f'<li><p class="{kind}"><strong>{escaped(mistake.judged)}</strong> {_percent(mistake.probability)}'
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
    flat: dict[str, object] = {}
    for name, value in values.items():
        flat |= {f"{name} {part}": own for part, own in value.items()} if isinstance(value, Mapping) else {name: value}
    pairs = "".join(_pair(name.replace("_", " "), _value(value)) for name, value in flat.items())
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
    if isinstance(value, Mapping):
        return "; ".join(f"{name} {_value(item)}" for name, item in value.items())
    return str(value)


def _percent(share: float) -> str:
    """A share as a percentage, never rounded to none or all of it."""
    return ">99.9%" if 0.9995 <= share < 1 else "<0.1%" if 0 < share < 0.0005 else f"{share:.1%}"


def _section(heading: str, body: str) -> str:
    return f"<section><h2>{heading}</h2>{body}</section>"


def _shown(picture: str, heading: str, caption: str) -> str:
    return f"<figure><h3>{heading}</h3>{picture}<figcaption>{caption}</figcaption></figure>"
