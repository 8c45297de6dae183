"""`plaudit check`: what a bundle or an endpoint can and cannot do, case by case. Knows where both answers come from."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import click
import numpy as np

from plaudit.bundle.classifier import Classifier, load
from plaudit.cli import options as shared
from plaudit.cli.home import chosen_bundle
from plaudit.cli.terminal import give, give_json, printable, say, track
from plaudit.errors import PlauditError, UsageError
from plaudit.evaluation.behaviour import Floats, Judge, check, sides
from plaudit.evaluation.behaviour_cases import Suite, built_in, read
from plaudit.evaluation.behaviour_report import page, table
from plaudit.places.remote import RemoteClassifier

CHUNK = 64
PROBE = "A film."


@click.command(
    "check",
    epilog=shared.examples(
        "plaudit check bundle", "plaudit check bundle --capability negation --failures 10",
        "plaudit check bundle --html behaviour.html --at-least 0.8",
        "plaudit check bundle --cases mine.toml --only-cases",
        "plaudit check bundle --as negative=1 --as negative=2 --as positive=4 --as positive=5",
        "plaudit check --endpoint http://127.0.0.1:8080",
    ),
)  # fmt: skip
@click.argument("bundle", type=shared.folder, required=False)
@click.option("--endpoint", metavar="URL", help="Ask this endpoint instead of a bundle.")
@click.option("--cases", "files", type=shared.file, multiple=True, help="A TOML file with cases of your own.")
@click.option("--only-cases", is_flag=True, help="Leave the built-in cases out.")
@click.option(
    "--as", "pairs", metavar="NAME=LABEL", multiple=True, help="Cases call the label LABEL so; several share a name."
)
@click.option("--capability", "words", metavar="NAME", multiple=True, help="Only capabilities with this in their name.")
@click.option(
    "--failures", type=click.IntRange(0), default=3, show_default=True, help="Failures to print for each capability."
)
@click.option(
    "--at-least", "least", metavar="SHARE", type=click.FloatRange(0, 1), help="Exit 1 if fewer of all cases pass."
)
@click.option("--html", type=shared.file, help="Write the results, with every failure, to this file.")
@click.option("--json", "as_json", is_flag=True, help="Print the results as JSON, with every failure.")
def command(
    bundle: Path | None,
    endpoint: str | None,
    files: Sequence[Path],
    only_cases: bool,
    pairs: Sequence[str],
    words: Sequence[str],
    failures: int,
    least: float | None,
    html: Path | None,
    as_json: bool,
) -> None:
    """Run a behavioural suite against BUNDLE: negation, contrast, irony and more, with a pass rate for each.

    If none is named, BUNDLE is the newest that plaudit up made, else Plaudit's own. The built-in
    cases are short English film reviews for the labels negative and positive; docs/behaviour.md says how to write your
    own.
    """
    if endpoint and bundle:
        raise UsageError("give a bundle or --endpoint, not both")
    if only_cases and not files:
        raise UsageError("--only-cases leaves nothing to check without --cases FILE")
    groups = _groups(pairs)
    own = _read_all(files)
    judge, labels, name = _endpoint(endpoint) if endpoint else _bundle(chosen_bundle(bundle))
    groups = groups or _usual(labels, own, only_cases)
    suite = _suite(own, only_cases, [*groups, *labels])
    results = check(suite.only(words) if words else suite, judge, labels, groups)
    if html:
        html.parent.mkdir(parents=True, exist_ok=True)
        html.write_text(page(results, name), "utf-8", "xmlcharrefreplace")
        say(f"report: {html}")
    if as_json:
        give_json(results.to_json())
    else:
        give(printable(table(results, failures)))
    total = results.total
    if least is not None and total.rate < least:
        raise PlauditError(
            f"{total.passed} of {total.cases} cases passed, {total.rate:.4f}: --at-least asks for {least:g}"
        )


def _groups(pairs: Sequence[str]) -> dict[str, list[str]]:
    found: dict[str, list[str]] = {}
    for pair in pairs:
        name, equals, label = pair.partition("=")
        if not (name and equals and label):
            raise UsageError(f"--as takes NAME=LABEL, such as negative=bad, not '{pair}'")
        found.setdefault(name, []).append(label)
    return found


def _read_all(files: Sequence[Path]) -> Suite | None:
    suite: Suite | None = None
    for path in files:
        suite = suite.plus(read(path)) if suite else read(path)
    return suite


def _usual(labels: Sequence[str], own: Suite | None, only_cases: bool) -> dict[str, list[str]]:
    """The names that need no --as; none where all cases use the model's labels as they are."""
    plain = only_cases and own is not None and own.labels <= set(labels)
    return {} if plain else sides(labels)


def _suite(own: Suite | None, only_cases: bool, names: Sequence[str]) -> Suite:
    if own and only_cases:
        return own
    if {"negative", "positive"} <= set(names):
        return built_in().plus(own) if own else built_in()
    cure = f"the built-in cases are for the labels negative and positive, and the model has {', '.join(names)}"
    if own:
        say(f"{cure}: left out (--as negative=LABEL --as positive=LABEL says which is which)")
        return own
    raise UsageError(f"{cure}: say which is which with --as negative=LABEL --as positive=LABEL, or give --cases FILE")


def _bundle(path: Path) -> tuple[Judge, tuple[str, ...], str]:
    classifier: Classifier = load(path)

    def judge(texts: Sequence[str]) -> Floats:
        chunks = [texts[at : at + CHUNK] for at in range(0, len(texts), CHUNK)]
        return np.concatenate([classifier.predict_proba(chunk) for chunk in track(chunks, "checking", len(chunks))])

    return judge, classifier.classes_, classifier.card.name


def _endpoint(url: str) -> tuple[Judge, tuple[str, ...], str]:
    remote = RemoteClassifier(url)
    labels = tuple(remote.verdict(PROBE).scores)

    def judge(texts: Sequence[str]) -> Floats:
        verdicts = track(remote.verdicts(texts), "asking the endpoint", len(texts))
        return np.array([[verdict.scores[label] for label in labels] for verdict in verdicts])

    return judge, labels, url
