"""Batches of reviews of like length, so that padding costs next to nothing. Knows no network.

oneDNN runs an LSTM fast on dense input only (packed sequences are 12 to 60 times slower), so a batch
is padded to its longest review, rounded up to a few widths.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from plaudit.text.encoding import Encoded, Ids, pad

WIDTH_STEP, SHORT_STEP = 16, 4
POOL = 50
SHORTS = (8, 12, 32)
SHORT = max(SHORTS)
SPAN = 25


def plan_epoch(lengths: Ids, batch_size: int, seed: int, epoch: int, beside: int = 0) -> list[Ids]:
    """The epoch's batches as indices, the same for the same seed and epoch.

    Reviews are shuffled, sorted by length within pools of 50 batches, and the batches shuffled again. The last
    ``beside`` texts are dealt out to these batches evenly, on top of ``batch_size``. A text without a word is in none.
    """
    random = np.random.default_rng((seed, epoch))
    reviews = len(lengths) - beside
    order = random.permutation(np.flatnonzero(lengths[:reviews]))
    batches: list[Ids] = []
    for start in range(0, len(order), batch_size * POOL):
        pool = order[start : start + batch_size * POOL]
        pool = pool[np.argsort(lengths[pool], kind="stable")]
        batches += [pool[at : at + batch_size] for at in range(0, len(pool), batch_size)]
    batches = [batches[at] for at in random.permutation(len(batches))]
    if not beside:
        return batches
    dealt = np.array_split(reviews + random.permutation(np.flatnonzero(lengths[reviews:])), len(batches))
    return [np.concatenate(pair) for pair in zip(batches, dealt, strict=True)]


def thinned(texts: Encoded, share: float, seed: int, epoch: int) -> Encoded:
    """``texts`` with a ``share`` of their runs of `SPAN` words left out, each epoch others.

    A text of fewer than three runs stays whole, as does one that would lose all.
    """
    if not share:
        return texts
    random, lengths = np.random.default_rng((seed, epoch, SPAN)), texts.lengths
    text = np.repeat(np.arange(len(texts)), lengths)
    place = np.arange(len(texts.ids)) - texts.offsets[text] + random.integers(SPAN, size=len(texts))[text]
    first = np.ones(len(place), dtype=np.bool_)
    first[1:] = (np.diff(place // SPAN) != 0) | (np.diff(text) != 0)
    run = np.cumsum(first) - 1
    kept = (random.random(int(first.sum())) >= share)[run] | (lengths < 3 * SPAN)[text]
    kept |= (np.bincount(text[kept], minlength=len(texts)) == 0)[text]
    offsets = np.concatenate([[0], np.cumsum(np.bincount(text[kept], minlength=len(texts)))])
    return Encoded(texts.ids[kept], offsets)


def blocks(lengths: Ids, batch: Ids) -> list[Ids]:
    """``batch`` as the texts of up to each of `SHORTS` words and the longer ones, which are padded apart.

    Phrases have 9 words and one in a hundred of them 30: padded together, 70 % of their time would go to padding.
    """
    place = np.searchsorted(SHORTS, lengths[batch])
    return [batch[place == at] for at in range(len(SHORTS) + 1) if (place == at).any()]


def by_length(lengths: Ids, batch_size: int) -> list[Ids]:
    """All reviews that have a word, shortest first, in batches: for scoring."""
    order = np.argsort(lengths, kind="stable")
    order = order[lengths[order] > 0]
    return [order[at : at + batch_size] for at in range(0, len(order), batch_size)]


def block(texts: Encoded, batch: Ids, max_words: int, share: slice = slice(None)) -> tuple[Ids, NDArray[np.int64]]:
    """The padded ids (reviews, width) and lengths (reviews,) of the batch's ``share``, as wide as the whole batch."""
    rows = [texts[int(index)] for index in batch[share]]
    lengths = texts.lengths[batch]
    longest = int(lengths.max())
    step = WIDTH_STEP if longest > SHORT else SHORT_STEP
    width = min(max_words, -(-longest // step) * step)
    return pad(rows, width), lengths[share]
