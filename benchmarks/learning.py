"""Gradients of networks that learn: the compiled LSTM beside torch's, in each arithmetic, on all cores, in turn."""

from __future__ import annotations

import time
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any
from unittest.mock import patch

import numpy as np
import torch

from benchmarks.results import save, spread
from plaudit.learning import compiled_lstm
from plaudit.learning.arithmetic import bfloat16_pays, made_ready
from plaudit.learning.batches import block, blocks, plan_epoch, thinned
from plaudit.learning.compiled_lstm import library
from plaudit.learning.lessons import lessons
from plaudit.learning.loss import loss_of
from plaudit.learning.network import Network
from plaudit.learning.recipes import Recipe
from plaudit.text.encoding import Encoded, Ids
from plaudit.text.prepared import prepare
from plaudit.text.sources import read_reviews

ROUNDS, BATCHES = 5, 16
UNITS = (320, 512)
RECIPE = Recipe.of("lstm")
KINDS = {"float32": torch.float32, "bfloat16": torch.bfloat16}


def run(archive: Path) -> None:
    """Words a second of forward and backward passes over the same batches of reviews and phrases, five times each."""
    data = prepare(read_reviews(str(archive)), RECIPE.reading)
    own = lessons(data, RECIPE, 0)
    texts = thinned(own.texts, RECIPE.span_dropout, 0, 0)
    batches = plan_epoch(texts.lengths, RECIPE.batch_size, 0, 0, own.phrases)[:BATCHES]
    with made_ready():
        found = {str(units): _compare(units, data.vocabulary.size, texts, batches) for units in UNITS}
    save("learning", {"batches": BATCHES, "threads": torch.get_num_threads(), "units": found})


def _compare(units: int, words: int, texts: Encoded, batches: Sequence[Ids]) -> dict[str, Any]:
    torch.manual_seed(0)
    network = Network(replace(RECIPE, hidden_dim=units), words, np.zeros(1))
    network.embedding.requires_grad_(False)
    count = sum(int(texts.lengths[batch].sum()) for batch in batches)
    sides = [(f"{who}_in_{kind}", who, dtype) for who in ("torch", "plaudit") for kind, dtype in KINDS.items()]
    rates: dict[str, list[float]] = {side: [] for side, who, dtype in sides if who == "torch" or library(dtype)}
    for turn in range(ROUNDS):
        for side, who, dtype in sides:
            if side in rates:
                started = time.perf_counter()
                with patch.object(compiled_lstm, "library", library if who == "plaudit" else lambda _: None):
                    _learn(network, texts, batches, dtype)
                rates[side].append(count / (time.perf_counter() - started))
        line = ", ".join(f"{side} {rate[-1]:,.0f}" for side, rate in rates.items())
        print(f"{units} units, round {turn + 1}, words a second: {line}", flush=True)
    kind = "bfloat16" if bfloat16_pays("auto") else "float32"
    told: dict[str, Any] = {"words_a_second": {side: spread(rate) for side, rate in rates.items()}, "trained_in": kind}
    ours = rates.get(f"plaudit_in_{kind}")  # none with AMX
    for name, theirs in {"": kind, "_as_torch_in_float32": "float32"}.items() if ours else ():
        ratios = [one / other for one, other in zip(ours or (), rates[f"torch_in_{theirs}"], strict=True)]
        told[f"times_as_fast{name}"] = spread(ratios)
    return told


def _learn(network: Network, texts: Encoded, batches: Sequence[Ids], dtype: torch.dtype) -> None:
    """The gradients of every batch, as a training takes them."""
    for batch in batches:
        network.zero_grad(set_to_none=True)
        with torch.autocast("cpu", dtype=torch.bfloat16, enabled=dtype == torch.bfloat16):
            apart = blocks(texts.lengths, batch) if network.pads else [batch]
        for alike in apart:
            ids, lengths = map(torch.from_numpy, block(texts, alike, RECIPE.max_words))
            targets = torch.full((len(alike), 2), 0.5)
            with torch.autocast("cpu", dtype=torch.bfloat16, enabled=dtype == torch.bfloat16):
                logits = network.logits(ids, lengths)
            loss = loss_of(logits.float(), targets, torch.ones(len(alike)) / len(batch))
            loss.backward()  # type: ignore[no-untyped-call]
