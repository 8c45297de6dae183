"""What behavioural results look like, in a terminal and as a page. Knows results; not which model they are of."""

from __future__ import annotations

from collections.abc import Sequence

from plaudit.evaluation.behaviour import SURE, TOLERANCE, Outcome, Results, Tally, log_odds
from plaudit.evaluation.drawing import document, escaped

WIDTH, ROW, NAMES, BARS = 480, 24, 216, 200
LONGEST_NAME = 36
TASKS = {
    "expect": "expected {label}",
    "same": "these must agree",
    "toward": "the second must be more {label} than the first",
    "unsure": f"no label above {SURE:.0%}",
}


def table(results: Results, failures: int = 3) -> str:
    """The pass rates for a terminal, then the first ``failures`` failures of each capability."""
    tallies = [*results.capabilities(), results.total]
    width = max(len("capability"), *(len(tally.name) for tally in tallies))
    lines = [f"{'capability':<{width}}  {'cases':>5}  {'passed':>6}  {'rate':>6}"]
    lines += [f"{tally.name:<{width}}  {_cells(tally)}" for tally in tallies]
    lines += ["", *(f"{tally.name:<{width}}  {_cells(tally)}" for tally in results.kinds())]
    for tally in results.capabilities() if failures else ():
        failed = results.failures(tally.name)
        if failed:
            lines += ["", f"{tally.name}: {_count(tally)}"]
            lines += [line for outcome in failed[:failures] for line in _lines(outcome, results.labels)]
        if len(failed) > failures:
            lines.append(f"  and {len(failed) - failures} more")
    return "\n".join(lines) + "\n"


def _cells(tally: Tally) -> str:
    return f"{tally.cases:>5}  {tally.passed:>6}  {tally.rate:>6.1%}"


def _count(tally: Tally) -> str:
    return f"{tally.cases - tally.passed} of {tally.cases} failed"


def _lines(outcome: Outcome, labels: Sequence[str]) -> list[str]:
    """A failure to read: what was wanted, then each text with what was said to it."""
    said = _said(outcome, labels)
    width = max(map(len, said))
    texts = (" ".join(text.split()) for text in outcome.case.texts)
    return [f"  {_task(outcome)}", *(f"    {own:<{width}}  {text}" for own, text in zip(said, texts, strict=True))]


def _task(outcome: Outcome) -> str:
    return TASKS[outcome.case.kind].format(label=outcome.case.label)


def _said(outcome: Outcome, labels: Sequence[str]) -> list[str]:
    """For each text the verdict; where a score had to rise, the score."""
    if outcome.case.kind == "toward":
        scores = log_odds(outcome.probabilities, list(labels).index(outcome.case.label))
        return [f"score {score:+.3f}" for score in scores]
    pairs = zip(outcome.judged, outcome.probabilities, strict=True)
    return [f"{label} {row[list(labels).index(label)]:.3f}" for label, row in pairs]


def page(results: Results, name: str) -> str:
    """One HTML page that stands alone, with no script and nothing fetched. ``name`` says whose results they are."""
    head = f'<h1>Behaviour</h1><p class="lead">{escaped(name)}</p>'
    return document(f"Behaviour of {name}", head, section(results))


def section(results: Results) -> str:
    """The results as a section of a page that has report.css: rates, a picture of them, every failure to read."""
    total = results.total
    kinds = "; ".join(f"{tally.name} {tally.passed} of {tally.cases}" for tally in results.kinds())
    rows = "".join(
        f'<tr><th scope="row">{escaped(tally.name)}</th><td>{tally.rate:.1%}</td>'
        f"<td>{tally.passed} of {tally.cases}. {escaped(tally.about)}</td></tr>"
        for tally in results.capabilities()
    )
    return (
        '<section><h2>Behavioural tests</h2><div class="results"><div>'
        f'<p class="figure">{total.rate:.1%}</p>'
        f'<p class="lead">{total.passed:,} of {total.cases:,} cases passed.</p>'
        f'<p class="fine">By kind: {kinds}.</p></div>'
        f"<figure><h3>Pass rate</h3>{chart(results)}</figure></div>"
        f'<table class="figures"><caption>Capabilities</caption><tbody>{rows}</tbody></table>'
        f"{_failures(results)}</section>"
    )


def chart(results: Results) -> str:
    """A bar for each capability's pass rate, as inline SVG."""
    tallies = results.capabilities()
    told = " ".join(f"{escaped(tally.name)}: {tally.rate:.1%}." for tally in tallies)
    bars = "".join(_bar(tally, ROW * place) for place, tally in enumerate(tallies))
    head = f'<svg role="img" viewBox="0 0 {WIDTH} {ROW * len(tallies)}"><title>Pass rates. {told}</title>'
    return f"{head}{bars}</svg>"


def _bar(tally: Tally, top: int) -> str:
    name = tally.name if len(tally.name) <= LONGEST_NAME else tally.name[: LONGEST_NAME - 1] + "…"
    middle = top + 16
    return (
        f'<text x="{NAMES}" y="{middle}" class="end">{escaped(name)}</text>'
        f'<rect class="wash" x="{NAMES + 10}" y="{top + 5}" width="{BARS}" height="14"/>'
        f'<rect class="bar-1" x="{NAMES + 10}" y="{top + 5}" width="{BARS * tally.rate:.1f}" height="14"/>'
        f'<text x="{WIDTH}" y="{middle}" class="end">{tally.rate:.0%}</text>'
    )


def _failures(results: Results) -> str:
    parts = []
    for tally in results.capabilities():
        items = "".join(_item(outcome, results.labels) for outcome in results.failures(tally.name))
        if items:
            summary = f"{escaped(tally.name)}: {_count(tally)}"
            parts.append(f'<details><summary>{summary}</summary><ol class="mistakes">{items}</ol></details>')
    note = (
        '<p class="fine">A verdict stands with its probability; where a score had to rise, its log-odds stand. Texts'
        f" that must agree have one label, or probabilities within {TOLERANCE:g}.</p>"
    )
    return f'<h3 class="below">Failures to read</h3>{note}{"".join(parts)}' if parts else ""


def _item(outcome: Outcome, labels: Sequence[str]) -> str:
    pairs = zip(outcome.case.texts, _said(outcome, labels), strict=True)
    texts = "\n".join(f"{escaped(text.strip())} — {escaped(said)}" for text, said in pairs)
    return f'<li><p>{escaped(_task(outcome))}</p><blockquote dir="auto">{texts}</blockquote></li>'
