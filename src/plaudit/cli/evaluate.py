"""`plaudit evaluate`: how good a bundle or an endpoint is on held-out reviews. Knows where both answers come from."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import click
import numpy as np
from numpy.typing import NDArray

from plaudit.bundle.bundle import Bundle
from plaudit.bundle.classifier import Classifier
from plaudit.bundle.verdict import Verdict
from plaudit.cli import options as shared
from plaudit.cli.home import chosen_bundle
from plaudit.cli.terminal import give, give_json, say, track
from plaudit.errors import UsageError
from plaudit.evaluation import behaviour
from plaudit.evaluation.behaviour_cases import built_in
from plaudit.evaluation.deletion import Deletion, Verdicts, deletion_curve
from plaudit.evaluation.figures import deletion_table, table
from plaudit.evaluation.metrics import Metrics, measure
from plaudit.evaluation.report import Mistake, html_report
from plaudit.places.remote import RemoteClassifier
from plaudit.text.reviews import Review, Reviews
from plaudit.text.sources import read_reviews

CHUNK = 512
MISTAKES = 20
Shares = NDArray[np.float64]


@dataclass(frozen=True)
class Results:
    """The metrics on held-out reviews and the mistakes made with most confidence; what else was asked for."""

    metrics: Metrics
    mistakes: tuple[Mistake, ...]
    name: str
    deletion: Deletion | None = None
    behaviour: behaviour.Results | None = None

    def to_json(self) -> dict[str, Any]:
        measured = {"deletion": self.deletion.to_json()} if self.deletion else {}
        return {**self.metrics.to_json(), **measured}


@click.command(
    "evaluate",
    help="Score the held-out reviews of REVIEWS, by a bundle or through a running endpoint.\n\n" + shared.REVIEWS_HELP,
    epilog=shared.examples(
        "plaudit evaluate sample", "plaudit evaluate sample --bundle bundle --html report.html",
        "plaudit evaluate sample --explanations --json", "plaudit evaluate imdb --endpoint http://127.0.0.1:8080",
    ),
)  # fmt: skip
@click.argument("reviews")
@click.option("--bundle", type=shared.folder, help="Default: the newest that plaudit up made, else Plaudit's own.")
@click.option("--endpoint", metavar="URL", help="Send the raw reviews to this endpoint instead.")
@click.option("--all", "everything", is_flag=True, help="Score every review of a file that was not trained on.")
@click.option("--html", type=shared.file, help="Write the report, with pictures, to this file.")
@click.option(
    "--explanations/--no-explanations",
    default=None,
    help="Measure whether verdicts hang on the words they name, on 100 texts.  [default: with --html, not through"
    " an endpoint]",
)
@click.option("--save", is_flag=True, help="Write the figures on the bundle's card.")
@click.option("--json", "as_json", is_flag=True, help="Print the metrics as JSON.")
@shared.column_options
def command(
    reviews: str,
    bundle: Path | None,
    endpoint: str | None,
    everything: bool,
    html: Path | None,
    explanations: bool | None,
    save: bool,
    as_json: bool,
    **options: Any,
) -> None:
    columns = shared.columns_from(options)
    if endpoint and (bundle or save):
        raise UsageError("an endpoint has no card here: give --endpoint alone, or --bundle")
    if save and everything:
        raise UsageError("--save is for held-out reviews: --all may hold some that the bundle was trained on")
    loaded = None if endpoint else Bundle.load(chosen_bundle(bundle))
    found = read_reviews(reviews, columns, track)
    if everything:
        found = replace(found, train=[], test=[*found.train, *found.test])
    say(f"{found.name}: {len(found.test):,} reviews")
    if explanations is None:
        explanations = html is not None and endpoint is None
    results = judge_remote(found, endpoint, explanations) if endpoint else judge(found, _there(loaded), explanations)
    if html:
        results = replace(results, behaviour=_behaviour(loaded))
        write_report(results, loaded.card.to_json() if loaded else {}, html)
        say(f"report: {html}")
    if save:
        sound = _there(loaded)
        if found.fingerprint != sound.card.data.get("fingerprint"):
            raise UsageError("--save is for the reviews that the bundle was trained with: these are others")
        card = sound.card.with_metrics("test", results.metrics.summary())
        replace(sound, card=card).save(_place(sound))
    if as_json:
        give_json(results.to_json())
        return
    give(table(results.metrics))
    if results.deletion:
        give(deletion_table(results.deletion))


def _place(bundle: Bundle) -> Path:
    assert bundle.path is not None
    return bundle.path


def _there(bundle: Bundle | None) -> Bundle:
    assert bundle is not None
    return bundle


def judge(reviews: Reviews, bundle: Bundle, explanations: bool = False) -> Results:
    """Scores the test half in this process, on all cores; measures the deletion curve if ``explanations``."""
    _same(reviews, "bundle", bundle.card.labels)
    classifier = Classifier(bundle)
    texts = [review.text for review in reviews.test]
    chunks = [texts[at : at + CHUNK] for at in range(0, len(texts), CHUNK)]
    found = [classifier.predict_proba(chunk) for chunk in track(chunks, "scoring held-out reviews", len(chunks))]
    shares = np.concatenate(found) if found else np.zeros((0, len(bundle.card.labels)))
    results = _results(reviews, bundle.card.labels, shares)
    return _explained(results, texts, classifier.verdicts) if explanations else results


def judge_remote(reviews: Reviews, url: str, explanations: bool = False) -> Results:
    """Sends the test half's raw texts to an endpoint, one a request; and changed ones if ``explanations``."""
    remote = RemoteClassifier(url)
    texts = [review.text for review in reviews.test]
    verdicts = list(track(remote.verdicts(texts), "asking the endpoint", len(texts)))
    labels = tuple(verdicts[0].scores) if verdicts else reviews.labels
    _same(reviews, "endpoint", labels)
    results = _results(reviews, labels, np.array([[verdict.scores[label] for label in labels] for verdict in verdicts]))

    def ask(texts: Sequence[str], explain: bool) -> list[Verdict]:
        return list(remote.verdicts(texts))

    return _explained(results, texts, ask) if explanations else results


def _behaviour(bundle: Bundle | None) -> behaviour.Results | None:
    """The built-in behavioural suite, for a bundle with the labels that it is for."""
    groups = behaviour.sides(bundle.card.labels) if bundle else {}
    if bundle is None or not groups:
        return None
    classifier = Classifier(bundle)
    return behaviour.check(built_in(), classifier.predict_proba, classifier.classes_, groups)


def _same(reviews: Reviews, what: str, labels: tuple[str, ...]) -> None:
    """Raises UsageError where reviews have a label that is not known."""
    if not set(reviews.labels) <= set(labels):
        raise UsageError(f"the {what} knows the labels {list(labels)}, the reviews have {list(reviews.labels)}")


def _explained(results: Results, texts: Sequence[str], verdicts: Verdicts) -> Results:
    found = deletion_curve(texts, verdicts, track=track)
    if found is None:
        say("no word of these texts is known to the model: there is no deletion curve")
    return replace(results, deletion=found)


def _results(reviews: Reviews, labels: tuple[str, ...], shares: Shares) -> Results:
    if not len(shares):
        raise UsageError(f"{reviews.origin} has no held-out reviews")
    truth = np.array([labels.index(review.label) for review in reviews.test])
    return Results(measure(shares, truth, labels), _mistakes(reviews.test, labels, shares, truth), reviews.name)


def _mistakes(
    test: Sequence[Review], labels: tuple[str, ...], shares: Shares, truth: NDArray[np.int64]
) -> tuple[Mistake, ...]:
    judged, confidence = shares.argmax(axis=1), shares.max(axis=1)
    wrong = np.flatnonzero(judged != truth)
    worst = wrong[np.argsort(-confidence[wrong], kind="stable")][:MISTAKES]
    return tuple(
        Mistake(test[i].text, test[i].label, labels[int(judged[i])], float(confidence[i])) for i in worst.tolist()
    )


def write_report(results: Results, card: Mapping[str, Any], path: Path) -> None:
    """The report as one HTML file."""
    metrics, mistakes = results.metrics, results.mistakes
    page = html_report(metrics, card, results.name, mistakes, deletion=results.deletion, behaviour=results.behaviour)
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(page, "utf-8", "xmlcharrefreplace")
