"""The deletion curve: whether verdicts hang on the words that they name. Knows texts and verdicts, no classifier."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterable, Sequence
from dataclasses import asdict, dataclass, replace
from itertools import pairwise
from typing import Any

import numpy as np

from plaudit.bundle.verdict import Verdict, WordContribution
from plaudit.progress import Track, quiet

TEXTS = 100
DRAWS = 3
REMOVED = (0.05, 0.1, 0.2, 0.3, 0.5)

Verdicts = Callable[[Sequence[str], bool], Sequence[Verdict]]
"""A verdict for each text, with its words' contributions if the second argument says so."""


@dataclass(frozen=True)
class Removal:
    """What became of verdicts when a share of each text's words was ``removed``.

    ``changed`` is the share of verdicts with another label, ``probability`` the mean of the label first given:
    without the words that count most for it, and ``_at_random`` without as many random ones.
    """

    removed: float
    changed: float
    changed_at_random: float
    probability: float
    probability_at_random: float


@dataclass(frozen=True)
class Deletion:
    """The two curves, from nothing removed on, of ``texts`` texts with ``draws`` random orders of each one's words.

    ``area`` is what lies between the curves of changed verdicts, divided by their width: from -1 to 1, and above
    0 where the words that are said to count do.
    """

    texts: int
    draws: int
    area: float
    curve: list[Removal]

    def to_json(self) -> dict[str, Any]:
        return asdict(self)


def deletion_curve(
    texts: Sequence[str],
    verdicts: Verdicts,
    *,
    most: int = TEXTS,
    draws: int = DRAWS,
    seed: int = 0,
    track: Track = quiet,
) -> Deletion | None:
    """The deletion curve of at most ``most`` of ``texts``, drawn by ``seed``; None where none has a known word.

    Of each text's words a share is removed, rounded up to a whole word: those with the highest contribution
    toward the label given, or random ones. Words that the verdict did not read are left out from the start.
    """
    random = np.random.default_rng(seed)
    drawn = sorted(random.permutation(len(texts))[:most].tolist())
    rows = []
    for text in track([texts[index] for index in drawn], "removing words", len(drawn)):
        (verdict,) = verdicts([text], True)
        if verdict.words:
            orders = [_by_weight(verdict), *(random.permutation(len(verdict.words)).tolist() for _ in range(draws))]
            rows.append(_removals(text, verdict, orders, verdicts))
    if not rows:
        return None
    curve = [_mean(column) for column in zip(*rows, strict=True)]
    return Deletion(len(rows), draws, _area(curve), curve)


def _by_weight(verdict: Verdict) -> list[int]:
    """The indices of the words, the one that counts most toward the label given first."""
    first_of_two = len(verdict.scores) == 2 and verdict.label == next(iter(verdict.scores))
    toward = -1 if first_of_two else 1
    return sorted(range(len(verdict.words)), key=lambda index: -toward * verdict.words[index].contribution)


def _removals(text: str, verdict: Verdict, orders: Sequence[Sequence[int]], verdicts: Verdicts) -> list[Removal]:
    """What became of one verdict, without the first words of the first order and of the others."""
    words = verdict.words
    read = text if verdict.words_read == verdict.words_total else text[: max(word.end for word in words)]
    counts = [math.ceil(share * len(words) - 1e-9) for share in REMOVED]
    left = [_without(read, [words[index] for index in order[:count]]) for count in counts for order in orders]
    answers = verdicts(left, False)
    found = [Removal(0.0, 0.0, 0.0, verdict.probability, verdict.probability)]
    for place, share in enumerate(REMOVED):
        own = answers[place * len(orders) : (place + 1) * len(orders)]
        changed = [float(answer.label != verdict.label) for answer in own]
        kept = [answer.scores[verdict.label] for answer in own]
        at_random = (float(np.mean(values[1:])) for values in (changed, kept))
        found.append(Removal(share, changed[0], next(at_random), kept[0], next(at_random)))
    return found


def _without(text: str, words: Iterable[WordContribution]) -> str:
    """``text`` with a space in the place of each of ``words``."""
    parts, at = [], 0
    for word in sorted(words, key=lambda word: word.start):
        parts.append(text[at : word.start])
        at = word.end
    return " ".join([*parts, text[at:]])


def _mean(removals: Sequence[Removal]) -> Removal:
    means = np.mean([list(asdict(removal).values()) for removal in removals], axis=0).tolist()
    return replace(Removal(*means), removed=removals[0].removed)


def _area(curve: Sequence[Removal]) -> float:
    between = 0.0
    for left, right in pairwise(curve):
        gaps = [removal.changed - removal.changed_at_random for removal in (left, right)]
        between += (right.removed - left.removed) * sum(gaps) / 2
    return between / (curve[-1].removed - curve[0].removed)
