"""A bundle's network alone: Plaudit's own functions beside ONNX Runtime, on the same ids, on one core, in turn."""

from __future__ import annotations

import statistics
import time
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

from benchmarks.results import spread
from plaudit.bundle.bundle import Bundle
from plaudit.bundle.classifier import BATCH
from plaudit.bundle.compiled_kernel import LIBRARIES, functions, library
from plaudit.bundle.recurrence import Recurrence
from plaudit.bundle.session import open_session, tensors
from plaudit.bundle.weights import Weights
from plaudit.text.encoder import Encoder
from plaudit.text.encoding import pad

ROUNDS, ROUNDS_OF_ALL, ALONE, TOGETHER = 7, 1, 60, 240
Rows = Sequence[Sequence[int]]


def compare(path: Path, texts: Sequence[str]) -> dict[str, Any] | None:
    """Milliseconds of a review alone, and a review in batches of like length; None where nothing is compiled."""
    bundle = Bundle.load(path)
    best = library()
    if best is None:
        return None
    card, session, weights = bundle.card, open_session(bundle), Weights.of(tensors(bundle))
    encoder = Encoder(bundle.vocabulary, card.cleaning, card.max_words, card.ngrams)
    rows = [ids for text in texts if (ids := encoder.encode(text))]
    batches = _batches(sorted(rows[:TOGETHER], key=len))
    sides: dict[str, Callable[[Rows], object]] = {
        "plaudit": Recurrence(weights, best),
        "onnxruntime": lambda rows: session.run(None, {"ids": pad(rows)}),
        "plaudit_with_numpy": Recurrence(weights, None),
    }
    if avx2 := functions(LIBRARIES["AVX2"]):
        sides["plaudit_with_avx2"] = Recurrence(weights, avx2)
    alone: dict[str, list[float]] = {side: [] for side in sides}
    together: dict[str, list[float]] = {side: [] for side in sides}
    for turn in range(ROUNDS):
        for side, score in list(sides.items())[: None if turn < ROUNDS_OF_ALL else 2]:
            alone[side].append(statistics.median(_milliseconds(score, [row]) for row in rows[:ALONE]))
            together[side].append(sum(_milliseconds(score, batch) for batch in batches) / min(len(rows), TOGETHER))
    return {
        "ids_a_review": round(statistics.mean(map(len, rows[:TOGETHER]))),
        **_sides("milliseconds_of_a_review_alone", alone),
        **_sides("milliseconds_of_a_review_in_batches", together),
    }


def _batches(rows: Rows) -> list[Rows]:
    return [rows[at : at + BATCH] for at in range(0, len(rows), BATCH)]


def _milliseconds(score: Callable[[Rows], object], rows: Rows) -> float:
    began = time.perf_counter()
    score(rows)
    return (time.perf_counter() - began) * 1e3


def _sides(name: str, found: dict[str, list[float]]) -> dict[str, Any]:
    ratios = [theirs / ours for ours, theirs in zip(found["plaudit"], found["onnxruntime"], strict=True)]
    return {name: {**{side: spread(times) for side, times in found.items()}, "times_as_fast": spread(ratios)}}
