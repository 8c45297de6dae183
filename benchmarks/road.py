"""The whole road, archive to a model: `plaudit train` beside the original's way, which is measured in part and scaled.

The original cleans 50,000 reviews and trains for 10 epochs of 49 batches of 512, every one padded to 500 words.
"""

from __future__ import annotations

import random
import subprocess
import sys
import tempfile
import time
from pathlib import Path

import torch
from tqdm import tqdm

from benchmarks.oracle import OriginalNetwork, StopWords, train_one_epoch, words_as_written
from benchmarks.plain_network import difference
from benchmarks.results import save, spread
from plaudit.bundle.bundle import Bundle
from plaudit.cli.evaluate import judge
from plaudit.text.reviews import Reviews
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
    original = []
    seconds: dict[str, list[float]] = {name: [] for name in ROADS}
    accuracies: dict[str, list[float]] = {name: [] for name in ROADS}
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        for seed in tqdm(SEEDS, "roads", file=sys.stderr):
            original.append(_original(reviews, folder, seed))
            for road, settings in ROADS.items():
                out = folder / f"{road}-{seed}"
                began = time.perf_counter()
                command = [sys.executable, "-m", "plaudit", "train", str(archive), *settings]
                subprocess.run([*command, "--seed", str(seed), "--out", str(out)], check=True, capture_output=True)
                seconds[road].append(time.perf_counter() - began)
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
                    "seeds": list(SEEDS),
                    "test_accuracy": accuracies[road],
                }
                for road, settings in ROADS.items()
            },
        },
    )


def _original(reviews: Reviews, folder: Path, seed: int) -> tuple[float, float]:
    """The seconds that its words and its training take, from parts of them."""
    texts = random.Random(seed).sample([review.text for review in reviews.train], CLEANED)
    stop_words = StopWords(folder)
    began = time.perf_counter()
    for text in texts:
        words_as_written(text, stop_words.words)
    cleaned = time.perf_counter()
    rows = torch.randint(2, 5000, (TRAINED * 512, 501))
    rows[:, 0] = 500
    labels = torch.randint(2, (len(rows),)).float()
    torch.manual_seed(seed)
    network = OriginalNetwork()
    began_training = time.perf_counter()
    train_one_epoch(network, rows, labels)
    trained = time.perf_counter() - began_training
    return (cleaned - began) * REVIEWS / CLEANED, trained * BATCHES / TRAINED
