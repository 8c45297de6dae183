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
from plaudit.cli import options as shared
from plaudit.cli.home import chosen_bundle
from plaudit.cli.terminal import give, give_json, say, track
from plaudit.errors import UsageError
from plaudit.evaluation.metrics import Metrics, measure
from plaudit.evaluation.report import Mistake, html_report, table
from plaudit.places.remote import RemoteClassifier
from plaudit.text.reviews import Review, Reviews
from plaudit.text.sources import read_reviews

CHUNK = 512
MISTAKES = 20
Shares = NDArray[np.float64]


@dataclass(frozen=True)
class Results:
    """The metrics on held-out reviews, and the mistakes that were made with most confidence."""

    metrics: Metrics
    mistakes: tuple[Mistake, ...]
    name: str


@click.command(
    "evaluate",
    help="Score the held-out reviews of REVIEWS, by a bundle or through a running endpoint.\n\n" + shared.REVIEWS_HELP,
    epilog=shared.examples(
        "plaudit evaluate sample", "plaudit evaluate sample --bundle bundle --html report.html",
        "plaudit evaluate imdb --endpoint http://127.0.0.1:8080",
    ),
)  # fmt: skip
@click.argument("reviews")
@click.option("--bundle", type=shared.folder, help="Default: the newest that plaudit up made.")
@click.option("--endpoint", metavar="URL", help="Send the raw reviews to this endpoint instead.")
@click.option("--all", "everything", is_flag=True, help="Score every review of a file that was not trained on.")
@click.option("--html", type=shared.file, help="Write the report, with pictures, to this file.")
@click.option("--save", is_flag=True, help="Write the figures on the bundle's card.")
@click.option("--json", "as_json", is_flag=True, help="Print the metrics as JSON.")
@shared.column_options
def command(
    reviews: str,
    bundle: Path | None,
    endpoint: str | None,
    everything: bool,
    html: Path | None,
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
    results = judge_remote(found, endpoint) if endpoint else judge(found, _there(loaded))
    if html:
        write_report(results, loaded.card.to_json() if loaded else {}, html)
        say(f"report: {html}")
    if save:
        sound = _there(loaded)
        if found.fingerprint != sound.card.data.get("fingerprint"):
            raise UsageError("--save is for the reviews that the bundle was trained with: these are others")
        card = sound.card.with_metrics("test", results.metrics.summary())
        replace(sound, card=card).save(_place(sound))
    if as_json:
        give_json(results.metrics.to_json())
    else:
        give(table(results.metrics))


def _place(bundle: Bundle) -> Path:
    assert bundle.path is not None
    return bundle.path


def _there(bundle: Bundle | None) -> Bundle:
    assert bundle is not None
    return bundle


def judge(reviews: Reviews, bundle: Bundle) -> Results:
    """Scores the test half in this process, on all cores."""
    if set(reviews.labels) != set(bundle.card.labels):
        raise UsageError(
            f"the bundle knows the labels {list(bundle.card.labels)}, the reviews have {list(reviews.labels)}"
        )
    classifier = Classifier(bundle, threads=0)
    texts = [review.text for review in reviews.test]
    chunks = [texts[at : at + CHUNK] for at in range(0, len(texts), CHUNK)]
    found = [classifier.predict_proba(chunk)[:, 1] for chunk in track(chunks, "scoring held-out reviews", len(chunks))]
    shares = np.concatenate(found) if found else np.zeros(0)
    return _results(reviews, bundle.card.labels, shares)


def judge_remote(reviews: Reviews, url: str) -> Results:
    """Sends the test half's raw texts to an endpoint, one a request."""
    remote = RemoteClassifier(url)
    verdicts = list(
        track(remote.verdicts([review.text for review in reviews.test]), "asking the endpoint", len(reviews.test))
    )
    labels = tuple(verdicts[0].scores) if verdicts else reviews.labels
    if set(labels) != set(reviews.labels):
        raise UsageError(f"the endpoint knows the labels {list(labels)}, the reviews have {list(reviews.labels)}")
    return _results(reviews, labels, np.array([verdict.scores[labels[1]] for verdict in verdicts]))


def _results(reviews: Reviews, labels: tuple[str, ...], shares: Shares) -> Results:
    if not len(shares):
        raise UsageError(f"{reviews.origin} has no held-out reviews")
    truth = np.array([labels.index(review.label) for review in reviews.test])
    return Results(measure(shares, truth, labels), _mistakes(reviews.test, labels, shares, truth), reviews.name)


def _mistakes(
    test: Sequence[Review], labels: tuple[str, ...], shares: Shares, truth: NDArray[np.int64]
) -> tuple[Mistake, ...]:
    judged = (shares > 0.5).astype(int)
    confidence = np.where(judged == 1, shares, 1 - shares)
    wrong = np.flatnonzero(judged != truth)
    worst = wrong[np.argsort(-confidence[wrong], kind="stable")][:MISTAKES]
    return tuple(
        Mistake(test[i].text, test[i].label, labels[int(judged[i])], float(confidence[i])) for i in worst.tolist()
    )


def write_report(results: Results, card: Mapping[str, Any], path: Path) -> None:
    """The report as one HTML file."""
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(html_report(results.metrics, card, results.name, results.mistakes), "utf-8", "xmlcharrefreplace")
