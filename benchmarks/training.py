"""Training: one epoch of the original's loop and one of ours, on the same reviews, in turn, in one process."""

from __future__ import annotations

import statistics
import time
from dataclasses import replace
from pathlib import Path

import numpy as np
import torch

from benchmarks.oracle import OriginalNetwork, train_one_epoch
from benchmarks.results import save
from plaudit.learning.fitting import fit
from plaudit.learning.recipes import Recipe
from plaudit.text.encoding import pad
from plaudit.text.prepared import prepare
from plaudit.text.sources import read_reviews

ROUNDS = 3
BATCHES = 12


def run(archive: Path) -> None:
    """Times a share of the original's epoch and a whole epoch of ours, three times each, in turn.

    Every batch of the original's costs the same, since all are padded to 500 words: its epoch is scaled
    from 12 of its batches. Ours is a whole epoch over the same number of reviews, validation included.
    """
    data = prepare(read_reviews(str(archive)), Recipe.of("original").reading)
    texts, labels = data.train.texts, data.train.labels
    lengths = np.maximum(texts.lengths, 1)[:, np.newaxis]
    rows = torch.from_numpy(np.hstack([lengths, pad([texts[i] for i in range(len(texts))], 500)]))
    wanted = torch.from_numpy(labels).float()
    batches = -(-len(rows) // 512)
    original, ours = [], []
    for turn in range(ROUNDS):
        torch.manual_seed(turn)
        network = OriginalNetwork()
        started = time.perf_counter()
        train_one_epoch(network, rows, wanted, BATCHES)
        original.append((time.perf_counter() - started) * batches / BATCHES)
        recipe = replace(Recipe.of("original"), epochs=1)
        started = time.perf_counter()
        bundle = fit(data, recipe, turn)
        ours.append(time.perf_counter() - started)
        print(f"round {turn + 1}: original {original[-1]:.1f} s an epoch, plaudit {ours[-1]:.1f} s", flush=True)
    ratios = [theirs / own for theirs, own in zip(original, ours, strict=True)]
    save(
        "training",
        {
            "reviews": len(rows),
            "original_seconds_an_epoch": [round(value, 1) for value in original],
            "original_measured_batches": f"{BATCHES} of its {batches} batches, scaled",
            "plaudit_seconds_an_epoch": [round(value, 1) for value in ours],
            "arithmetic": bundle.card.training["arithmetic"],
            "threads": torch.get_num_threads(),
            "times_as_fast": {
                "median": round(statistics.median(ratios), 2),
                "lowest": round(min(ratios), 2),
                "highest": round(max(ratios), 2),
            },
        },
    )
