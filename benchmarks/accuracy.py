"""Accuracy: the recipe `original` on IMDb with three seeds, and each review's verdict in process and over HTTP.

Each bundle meets the 25,000 test reviews once in process; the first meets them again as raw texts
through a running endpoint, to see that nothing is lost on the way.
"""

from __future__ import annotations

import statistics
import subprocess
import sys
import tempfile
import time
import urllib.error
import urllib.request
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from benchmarks.plain_network import difference
from benchmarks.results import save
from plaudit.bundle.bundle import Bundle
from plaudit.cli.evaluate import judge, judge_remote
from plaudit.cli.terminal import track
from plaudit.cli.train import train
from plaudit.learning.recipes import Recipe
from plaudit.text.prepared import prepare
from plaudit.text.sources import read_reviews
from plaudit.version import __version__

SEEDS = (0, 1, 2)
PORT = 8097


def run(archive: Path) -> None:
    """Trains three bundles, or takes those that an earlier run left, and scores them."""
    work = Path(tempfile.gettempdir()) / "plaudit-accuracy"
    reviews = read_reviews(str(archive), track=track)
    recipe = Recipe.of("original")
    data = prepare(reviews, recipe.reading, track)
    found = []
    for seed in SEEDS:
        path = work / f"seed-{seed}"
        bundle = left_by_an_earlier_run(path, data.about.fingerprint, recipe, seed) or train(data, recipe, seed, path)
        found.append((bundle, judge(reviews, bundle).metrics))
        print(f"seed {seed}: test accuracy {found[-1][1].accuracy:.5f}", flush=True)
    with endpoint(work / f"seed-{SEEDS[0]}") as address:
        remote = judge_remote(reviews, address).metrics
    accuracies = [metrics.accuracy for _, metrics in found]
    save(
        "accuracy",
        {
            "recipe": "original",
            "train": data.about.train,
            "validation": data.about.validation,
            "test": found[0][1].reviews,
            "seeds": list(SEEDS),
            "test_accuracy": accuracies,
            "mean": round(statistics.mean(accuracies), 5),
            "standard_deviation": round(statistics.stdev(accuracies), 5),
            "validation_accuracy": [bundle.card.metrics["validation"]["accuracy"] for bundle, _ in found],
            "roc_auc": [round(metrics.roc_auc or 0, 5) for _, metrics in found],
            "log_loss": [round(metrics.log_loss, 5) for _, metrics in found],
            "calibration_error": [round(metrics.calibration_error, 5) for _, metrics in found],
            "largest_difference_from_the_plain_network": difference(found[0][0], reviews),
            "in_process": {"accuracy": accuracies[0], "confusion": found[0][1].confusion},
            "through_the_endpoint": {"accuracy": remote.accuracy, "confusion": remote.confusion},
        },
    )


def left_by_an_earlier_run(path: Path, fingerprint: str, recipe: Recipe, seed: int) -> Bundle | None:
    """The bundle at ``path``, if it is of the same reviews, settings, seed and version."""
    if not (path / "manifest.json").exists():
        return None
    card = (bundle := Bundle.load(path)).card
    found = (card.data["fingerprint"], dict(card.recipe), card.training["seed"], card.versions["plaudit"])
    return bundle if found == (fingerprint, recipe.to_json(), seed, __version__) else None


@contextmanager
def endpoint(bundle: Path) -> Iterator[str]:
    """A real endpoint in a process of its own."""
    address = f"http://127.0.0.1:{PORT}"
    serving = subprocess.Popen([sys.executable, "-m", "plaudit", "serve", str(bundle), "--port", str(PORT)])
    try:
        for _ in range(300):
            try:
                with urllib.request.urlopen(address + "/ping", timeout=1):
                    break
            except (urllib.error.URLError, OSError):
                time.sleep(0.1)
        yield address
    finally:
        serving.terminate()
        serving.wait(10)
