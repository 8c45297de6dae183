"""A bundle's network alone: Plaudit's compiled functions beside ONNX Runtime, on the same ids, on one core, in turn."""

from __future__ import annotations

import statistics
import time
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

from benchmarks.results import spread
from plaudit.bundle.bundle import Bundle
from plaudit.bundle.classifier import BATCH
from plaudit.bundle.recurrence import Recurrence
from plaudit.bundle.session import open_session, scorer
from plaudit.text.encoder import Encoder
from plaudit.text.encoding import pad

ROUNDS, ALONE, TOGETHER = 7, 60, 240
Rows = Sequence[Sequence[int]]


def compare(path: Path, texts: Sequence[str]) -> dict[str, Any] | None:
    """Milliseconds of a review alone, and a review in batches of like length; None where nothing is compiled."""
    bundle = Bundle.load(path)
    card, session, compiled = bundle.card, open_session(bundle), scorer(bundle)
    if not isinstance(compiled, Recurrence):
        return None
    encoder = Encoder(bundle.vocabulary, card.cleaning, card.max_words, card.ngrams)
    rows = [ids for text in texts if (ids := encoder.encode(text))]
    batches = _batches(sorted(rows[:TOGETHER], key=len))
    sides: dict[str, Callable[[Rows], object]] = {
        "plaudit": compiled,
        "onnxruntime": lambda rows: session.run(None, {"ids": pad(rows)}),
    }
    alone: dict[str, list[float]] = {side: [] for side in sides}
    together: dict[str, list[float]] = {side: [] for side in sides}
    for _ in range(ROUNDS):
        for side, score in sides.items():
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
