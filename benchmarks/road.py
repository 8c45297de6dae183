"""The whole road, archive to a model: `plaudit train` beside the original's way, which is measured in part and scaled.

The original cleans 50,000 reviews and trains for 10 epochs of 49 batches of 512, every one padded to 500 words.
"""

from __future__ import annotations

import random
import subprocess
import sys
import tempfile
import time
from collections.abc import Sequence
from pathlib import Path

import numpy as np
import torch
from tqdm import tqdm

from benchmarks.oracle import OriginalNetwork, StopWords, train_one_epoch, words_as_written
from benchmarks.plain_network import difference
from benchmarks.results import save, spread
from plaudit.bundle.bundle import Bundle
from plaudit.cli.evaluate import judge
from plaudit.learning.recipes import Recipe
from plaudit.text.encoding import pad
from plaudit.text.prepared import Prepared, prepare
from plaudit.text.sources import read_reviews

SEEDS = (0, 1, 2)
CLEANED, TRAINED = 100, 3
REVIEWS, BATCHES = 50_000, 10 * 49
SMALL = "--embedding-dim 64 --hidden-dim 64 --max-words 250 --epochs 1 --learning-rate 5e-3"
ROADS = {
    "lstm": ["--recipe", "original", "--pooling", "mean and max", *SMALL.split()],
    "linear": ["--recipe", "linear"],
}


def run(archive: Path) -> None:
    """Times both roads of ours and parts of the original's in turn, a seed a round, then judges the bundles."""
    reviews = read_reviews(str(archive))
    data, texts = prepare(reviews, Recipe.of("original").reading), [review.text for review in reviews.train]
    original = []
    seconds: dict[str, list[float]] = {name: [] for name in ROADS}
    accuracies: dict[str, list[float]] = {name: [] for name in ROADS}
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        for seed in tqdm(SEEDS, "roads", file=sys.stderr):
            original.append(_original(texts, data, folder, seed))
            for road, settings in ROADS.items():
                out = folder / f"{road}-{seed}"
                began = time.perf_counter()
                command = [sys.executable, "-m", "plaudit", "train", str(archive), *settings]
                subprocess.run([*command, "--seed", str(seed), "--out", str(out)], check=True, capture_output=True)
                seconds[road].append(time.perf_counter() - began)
                if road != "linear" or not accuracies[road]:  # of a seed nothing in it depends
                    accuracies[road].append(judge(reviews, Bundle.load(out)).metrics.accuracy)
        differs = difference(Bundle.load(folder / f"lstm-{SEEDS[0]}"), reviews)
    whole = [of_words + of_training for of_words, of_training in original]
    save(
        "road",
        {
            "original": {
                "seconds": spread(whole),
                "of_them_words": spread([part for part, _ in original]),
                "of_them_training": spread([part for _, part in original]),
                "measured": f"{CLEANED} of {REVIEWS:,} reviews and {TRAINED} of {BATCHES} batches, scaled",
            },
            "largest_difference_from_the_plain_network": {"reviews": len(reviews.test), "of_a_probability": differs},
            **{
                road: {
                    "command": "plaudit train aclImdb_v1.tar.gz "
                    + " ".join(f'"{word}"' if " " in word else word for word in settings),
                    "seconds": spread(seconds[road]),
                    "times_as_fast": spread([theirs / own for theirs, own in zip(whole, seconds[road], strict=True)]),
                    "seeds": list(SEEDS[: len(accuracies[road])]),
                    "test_accuracy": accuracies[road],
                }
                for road, settings in ROADS.items()
            },
        },
    )


def _original(texts: Sequence[str], data: Prepared, folder: Path, seed: int) -> tuple[float, float]:
    """The seconds that its words and its training take, from parts of them; a first batch warms up."""
    stop_words = StopWords(folder)
    began = time.perf_counter()
    for text in random.Random(seed).sample(texts, CLEANED):
        words_as_written(text, stop_words.words)
    cleaned = time.perf_counter() - began
    reviews = [data.train.texts[at] for at in range(512 * TRAINED)]
    rows = torch.from_numpy(np.hstack([[[max(1, len(review))] for review in reviews], pad(reviews, 500)]))
    labels = torch.from_numpy(data.train.labels[: len(rows)]).float()
    torch.manual_seed(seed)
    network = OriginalNetwork()
    train_one_epoch(network, rows, labels, 1)
    began = time.perf_counter()
    train_one_epoch(network, rows, labels)
    trained = time.perf_counter() - began
    return cleaned * REVIEWS / CLEANED, trained * BATCHES / TRAINED
