"""Training: an epoch of the original's loop and one of ours, on the same reviews, in turn, in one process.

Then what an epoch in bfloat16 learns beside one in float32.
"""

from __future__ import annotations

import time
from collections.abc import Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import torch

from benchmarks.oracle import OriginalNetwork, train_one_epoch
from benchmarks.results import save, spread
from plaudit.bundle.bundle import Bundle
from plaudit.learning.fitting import fit
from plaudit.learning.recipes import Recipe
from plaudit.text.encoding import pad
from plaudit.text.prepared import Prepared, prepare
from plaudit.text.sources import read_reviews

ROUNDS = 3
BATCHES = 6


def run(archive: Path) -> None:
    """Times a share of the original's epoch and a whole epoch of ours, three times each, in turn.

    Every batch of the original's costs the same, since all are padded to 500 words: its epoch is scaled
    from 6 of its batches. Ours is a whole epoch over the same number of reviews, with its pass over the validation
    part, which the original's has not.
    """
    data = prepare(read_reviews(str(archive)), Recipe.of("original").reading)
    texts, labels = data.train.texts, data.train.labels
    lengths = np.maximum(texts.lengths, 1)[:, np.newaxis]
    rows = torch.from_numpy(np.hstack([lengths, pad([texts[i] for i in range(len(texts))], 500)]))
    wanted = torch.from_numpy(labels).float()
    batches = -(-len(rows) // 512)
    original, ours, learnt = [], [], []
    for turn in range(ROUNDS):
        torch.manual_seed(turn)
        network = OriginalNetwork()
        started = time.perf_counter()
        train_one_epoch(network, rows, wanted, BATCHES)
        original.append((time.perf_counter() - started) * batches / BATCHES)
        bundle = _epoch(data, turn, "auto")
        ours.append(bundle.card.training["history"][0]["seconds"])
        learnt.append(bundle.card.training)
        print(f"round {turn + 1}: original {original[-1]:.1f} s an epoch, plaudit {ours[-1]:.1f} s", flush=True)
    save(
        "training",
        {
            "reviews": len(rows),
            "original_seconds_an_epoch": spread(original),
            "original_measured_batches": f"{BATCHES} of its {batches} batches, scaled",
            "plaudit_seconds_an_epoch": spread(ours),
            "arithmetic": learnt[0]["arithmetic"],
            "threads": torch.get_num_threads(),
            "times_as_fast": spread([theirs / own for theirs, own in zip(original, ours, strict=True)]),
            "losses_after_an_epoch": {
                learnt[0]["arithmetic"]: _losses(learnt),
                "float32": _losses([_epoch(data, turn, "float32").card.training for turn in range(ROUNDS)]),
            },
        },
    )


def _epoch(data: Prepared, seed: int, precision: str) -> Bundle:
    return fit(data, replace(Recipe.of("original"), epochs=1, precision=precision), seed)


def _losses(trainings: Sequence[Mapping[str, Any]]) -> dict[str, list[float]]:
    first = [training["history"][0] for training in trainings]
    return {name: [round(entry[name], 4) for entry in first] for name in ("loss", "validation_loss")}
