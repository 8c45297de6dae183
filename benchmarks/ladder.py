"""The ladder: every recipe from the IMDb archive to its figures on the test half. Hours; a recipe's bundle is kept.

    make bench ONLY=ladder                     what has no figures yet
    python -m benchmarks.ladder lstm 0 1 2     one recipe with these seeds
    python -m benchmarks.ladder speed          one review's time anew, for all bundles that are kept

Each training is the command a user would give, in a process of its own, so that time and memory are a user's.
"""

from __future__ import annotations

import statistics
import sys
import tempfile
import time
from pathlib import Path
from typing import Any

import numpy as np

from benchmarks.archive import find
from benchmarks.processes import timed
from benchmarks.results import load, processor, save
from plaudit.bundle.bundle import MANIFEST, Bundle
from plaudit.bundle.classifier import Classifier
from plaudit.cli.terminal import track
from plaudit.evaluation.behaviour import check
from plaudit.evaluation.behaviour_cases import built_in
from plaudit.evaluation.metrics import measure
from plaudit.text.reviews import Reviews
from plaudit.text.sources import read_reviews

SEEDS = {"original": (0, 1, 2), "linear": (0,), "lstm": (0, 1, 2), "best": (0,)}
WORDS = 200
SHORT = 5
"""One in so many reviews, the shortest, is called short."""
ROUNDS, TIMES = 20, 15
CHUNK = 2_500


def run(archive: Path) -> None:
    """Every recipe that has no figures for its seeds yet."""
    before = (load("ladder") or {}).get("recipes", {})
    for name, seeds in SEEDS.items():
        if set(before.get(name, {}).get("seeds", ())) < set(seeds):
            climb(archive, name, seeds)


def climb(archive: Path, name: str, seeds: tuple[int, ...]) -> None:
    """Trains ``name`` with each of ``seeds`` and scores each bundle once on the test half."""
    reviews = read_reviews(str(archive), track=track)
    found = [_figures(reviews, *_trained(archive, name, seed)) for seed in seeds]
    accuracies = [entry["accuracy"] for entry in found]
    entry = {
        "seeds": list(seeds),
        "mean": round(statistics.mean(accuracies), 5),
        "standard_deviation": round(statistics.stdev(accuracies), 5) if len(found) > 1 else None,
        "command": f"plaudit train {archive.name} --recipe {name} --seed N",
        "bundles": found,
    }
    recipes = (load("ladder") or {}).get("recipes", {})
    save("ladder", {"recipes": {**recipes, name: entry}})
    speeds(archive)


def _trained(archive: Path, name: str, seed: int) -> tuple[Bundle, dict[str, Any]]:
    """The bundle of an earlier run, else a new one, with the seconds, the memory and the machine that it took."""
    path = _folder(name, seed)
    cost = path.with_suffix(".cost")
    if not (path / MANIFEST).exists() or not cost.exists():
        command = ["train", str(archive), "--recipe", name, "--seed", str(seed), "--out", str(path)]
        taken, held = timed("plaudit", *command, quiet=False)
        cost.write_text(f"{taken:.1f} {held:.0f} {processor()}")
    seconds, megabytes, machine = cost.read_text().split(" ", 2)
    figures = {"seconds": float(seconds), "peak_megabytes": float(megabytes), "seed": seed, "trained_on": machine}
    return Bundle.load(path), figures


def _folder(name: str, seed: int) -> Path:
    return Path(tempfile.gettempdir()) / "plaudit-ladder" / f"{name}-{seed}"


def _figures(reviews: Reviews, bundle: Bundle, cost: dict[str, Any]) -> dict[str, Any]:
    classifier = Classifier(bundle)
    texts = [review.text for review in reviews.test]
    parts = [texts[at : at + CHUNK] for at in range(0, len(texts), CHUNK)]
    shares = np.concatenate([classifier.predict_proba(part) for part in track(parts, "judging", len(parts))])
    truth = np.array(reviews.label_ids(reviews.test))
    metrics = measure(shares[:, 1], truth, reviews.labels)
    short = np.argsort([len(text.split()) for text in texts], kind="stable")[: len(texts) // SHORT]
    of_short = measure(shares[short, 1], truth[short], reviews.labels)
    results = check(built_in(), classifier.predict_proba, classifier.classes_)
    by_capability = {entry.name: round(entry.rate, 4) for entry in results.capabilities()}
    return {
        **cost,
        "accuracy": round(metrics.accuracy, 5),
        "calibration_error": round(metrics.calibration_error, 5),
        "calibration_error_of_short": round(of_short.calibration_error, 5),
        "log_loss": round(metrics.log_loss, 5),
        "validation_accuracy": round(bundle.card.metrics["validation"]["accuracy"], 5),
        "bytes": sum(file.stat().st_size for file in bundle.path.iterdir()) if bundle.path else None,
        "behaviour": round(results.total.rate, 4),
        "behaviour_by_capability": by_capability,
    }


def speeds(archive: Path) -> None:
    """Milliseconds for one review of 200 words, on one core, for all bundles that are kept, in turn.

    The median of the quietest round: they meet the same machine.
    """
    recipes = (load("ladder") or {}).get("recipes", {})
    of_all = {(name, seed): _folder(name, seed) for name in recipes for seed in recipes[name]["seeds"]}
    kept = {place: Classifier(Bundle.load(path)) for place, path in of_all.items() if (path / MANIFEST).exists()}
    texts = (review.text for review in read_reviews(str(archive), track=track).test)
    text = next(text for text in texts if len(text.split()) == WORDS)
    rounds = [{place: _taken(one, text) for place, one in kept.items()} for _ in track(range(ROUNDS), "timing", ROUNDS)]
    for name, recipe in recipes.items():
        for entry in recipe["bundles"]:
            if (place := (name, entry["seed"])) in kept:
                entry["milliseconds_a_review"] = round(min(found[place] for found in rounds) * 1000, 3)
    save("ladder", {"recipes": recipes})


def _taken(classifier: Classifier, text: str) -> float:
    """Seconds for ``text``, the median of one round."""

    def once() -> float:
        started = time.perf_counter()
        classifier.predict_proba([text])
        return time.perf_counter() - started

    return statistics.median(once() for _ in range(TIMES))


if __name__ == "__main__":
    archive = find()
    if archive is None:
        sys.exit("the IMDb archive is needed: plaudit up imdb downloads it, or name it with PLAUDIT_IMDB")
    if sys.argv[1] == "speed":
        speeds(archive)
    else:
        climb(archive, sys.argv[1], tuple(map(int, sys.argv[2:])) or SEEDS[sys.argv[1]])
