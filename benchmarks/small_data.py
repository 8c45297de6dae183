"""Learning curves: how good each recipe is with 200, 1,000 and 5,000 labelled reviews, five draws of each.

Reviews are drawn from one part of IMDb's training half and judged on films of the other: the test half is not looked
at. The encoder has read all these texts, without their labels.
"""

from __future__ import annotations

import hashlib
import itertools
import json
import statistics
import tempfile
from collections.abc import Sequence
from pathlib import Path

import numpy as np

from benchmarks.results import save
from plaudit.bundle.classifier import Classifier
from plaudit.cli.terminal import track
from plaudit.learning.fitting import fit
from plaudit.learning.preparing import encoder_folder, prepare_for
from plaudit.learning.recipes import NOTHING, Recipe
from plaudit.text.reviews import Review, Reviews, split
from plaudit.text.sources import read_reviews

RECIPES = ("original", "linear", "lstm")
SIZES = (200, 1_000, 5_000)
DRAWS = 5
MEASURED = Path(tempfile.gettempdir()) / "plaudit-small-data.json"
"""What a run that was stopped has measured, by draw, size and recipe: the next one goes on from there."""


def run(archive: Path) -> None:
    reviews = read_reviews(str(archive), track=track)
    kept, held = split(reviews.train, 0.2, 1)
    judged = [reviews.train[at] for at in held]
    measured: dict[str, float] = json.loads(MEASURED.read_text()) if MEASURED.exists() else {}
    found: dict[str, dict[str, list[float]]] = {name: {} for name in RECIPES}
    for draw, size, name in itertools.product(range(DRAWS), SIZES, RECIPES):
        recipe = Recipe.of(name)
        of = f"{size:>5} reviews, draw {draw}, {name:<8}"
        key = f"{of} {_digest(recipe)}"
        if key not in measured:
            chosen = np.random.default_rng((size, draw)).choice(kept, size, replace=False)
            drawn = Reviews("IMDb", reviews.origin, reviews.labels, [reviews.train[int(at)] for at in chosen], [])
            measured[key] = round(_accuracy(recipe, drawn, judged, draw), 5)
            MEASURED.write_text(json.dumps(measured))
        found[name].setdefault(str(size), []).append(measured[key])
        print(f"{of} {measured[key]:.4f}", flush=True)
    means = {name: {size: round(statistics.mean(one), 5) for size, one in by.items()} for name, by in found.items()}
    save("small_data", {"judged": len(judged), "draws": DRAWS, "accuracy": found, "mean": means})


def _digest(recipe: Recipe) -> str:
    """The same digest, the same settings and encoder."""
    digest = hashlib.sha256(json.dumps(recipe.to_json()).encode())
    if recipe.start != NOTHING:
        with encoder_folder(recipe.start) as folder:
            for file in sorted(folder.iterdir()):
                digest.update(file.read_bytes())
    return digest.hexdigest()


def _accuracy(recipe: Recipe, drawn: Reviews, judged: Sequence[Review], seed: int) -> float:
    bundle = fit(prepare_for(recipe, drawn), recipe, seed)
    verdicts = Classifier(bundle).predict([review.text for review in judged])
    return float(np.mean([verdict == review.label for verdict, review in zip(verdicts, judged, strict=True)]))
