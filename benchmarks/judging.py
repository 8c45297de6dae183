"""Reviews judged by networks that learn: the functions that serve them beside torch, on all cores, in turn."""

from __future__ import annotations

import time
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import torch

from benchmarks.results import save, spread
from plaudit.learning.distributed import World
from plaudit.learning.judging import Judge, evidence_of
from plaudit.learning.network import Network
from plaudit.learning.recipes import Recipe
from plaudit.learning.watch import Watch
from plaudit.text.encoding import Encoded
from plaudit.text.prepared import prepare
from plaudit.text.sources import read_reviews

ROUNDS, REVIEWS = 5, 1_000
UNITS = (320, 512, 640)
RECIPE = Recipe.of("lstm")
PLAIN = replace(RECIPE, weights="float32")
"""What is not rounded is judged by torch."""


def run(archive: Path) -> None:
    """Words a second of networks of several sizes, five times each, in turn; their weights are of chance."""
    data = prepare(read_reviews(str(archive)), RECIPE.reading)
    texts = data.train.texts.take(range(REVIEWS))
    found = {str(units): _compare(units, data.vocabulary.size, texts) for units in UNITS}
    save("judging", {"reviews": len(texts), "threads": torch.get_num_threads(), "units": found})


def _compare(units: int, words: int, texts: Encoded) -> dict[str, Any]:
    network = Network(replace(RECIPE, hidden_dim=units), words, np.zeros(1)).eval()
    sides: dict[str, Callable[[], object]] = {
        "torch": lambda: evidence_of(network, texts, PLAIN, Watch(), World()),
        "torch_in_bfloat16": lambda: evidence_of(network, texts, PLAIN, Watch(), World(), bfloat16=True),
        "plaudit": lambda: Judge(network, Watch(), World()).evidence(texts),
    }
    rates: dict[str, list[float]] = {side: [] for side in sides}
    for turn in range(ROUNDS):
        for side, judge in sides.items():
            started = time.perf_counter()
            judge()
            rates[side].append(texts.ids.size / (time.perf_counter() - started))
        told = ", ".join(f"{side} {rate[-1]:,.0f}" for side, rate in rates.items())
        print(f"{units} units, round {turn + 1}, words a second: {told}", flush=True)
    ratios = [ours / max(theirs) for *theirs, ours in zip(*rates.values(), strict=True)]
    return {
        "words_a_second": {side: spread(rate) for side, rate in rates.items()},
        "times_as_fast": spread(ratios),
    }
