"""Learning curves: how good each recipe is with 200, 1,000 and 5,000 labelled reviews, five draws of each.

Reviews are drawn from one part of IMDb's training half and judged on films of the other: the test half is not looked
at. The encoder has read all these texts, without their labels.
"""

from __future__ import annotations

import statistics
from pathlib import Path

import numpy as np

from benchmarks.results import save
from plaudit.bundle.classifier import Classifier
from plaudit.cli.terminal import track
from plaudit.learning.fitting import fit
from plaudit.learning.preparing import prepare_for
from plaudit.learning.recipes import Recipe
from plaudit.text.reviews import Reviews, split
from plaudit.text.sources import read_reviews

RECIPES = ("original", "linear", "lstm")
SIZES = (200, 1_000, 5_000)
DRAWS = 5


def run(archive: Path) -> None:
    reviews = read_reviews(str(archive), track=track)
    kept, held = split(reviews.train, 0.2, 1)
    judged = [reviews.train[at] for at in held]
    found: dict[str, dict[str, list[float]]] = {name: {} for name in RECIPES}
    for size in SIZES:
        for draw in range(DRAWS):
            chosen = np.random.default_rng((size, draw)).choice(kept, size, replace=False)
            drawn = Reviews("IMDb", reviews.origin, reviews.labels, [reviews.train[int(at)] for at in chosen], [])
            for name in RECIPES:
                recipe = Recipe.of(name)
                bundle = fit(prepare_for(recipe, drawn), recipe, draw)
                verdicts = Classifier(bundle, threads=0).predict([review.text for review in judged])
                right = np.mean([verdict == review.label for verdict, review in zip(verdicts, judged, strict=True)])
                found[name].setdefault(str(size), []).append(round(float(right), 5))
                print(f"{size:>5} reviews, draw {draw}, {name:<8} {right:.4f}", flush=True)
    means = {name: {size: round(statistics.mean(one), 5) for size, one in by.items()} for name, by in found.items()}
    save("small_data", {"judged": len(judged), "draws": DRAWS, "accuracy": found, "mean": means})
