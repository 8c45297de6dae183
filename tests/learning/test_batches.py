from __future__ import annotations

import numpy as np

from plaudit.learning.batches import WIDTH_STEP, block, by_length, plan_epoch
from plaudit.text.encoding import Encoded

LENGTHS = np.random.default_rng(0).integers(0, 300, 5000)


def test_every_review_with_a_word_is_in_one_batch() -> None:
    plan = plan_epoch(LENGTHS, 64, seed=1, epoch=2)
    assert sorted(np.concatenate(plan).tolist()) == np.flatnonzero(LENGTHS).tolist()
    assert max(len(batch) for batch in plan) == 64


def test_the_plan_depends_on_seed_and_epoch_alone() -> None:
    first, again, later = (plan_epoch(LENGTHS, 64, 1, epoch) for epoch in (0, 0, 1))
    assert all(np.array_equal(a, b) for a, b in zip(first, again, strict=True))
    assert not all(np.array_equal(a, b) for a, b in zip(first, later, strict=True))


def test_padding_costs_next_to_nothing() -> None:
    plan = plan_epoch(LENGTHS, 64, 0, 0)
    padded = sum(len(batch) * LENGTHS[batch].max() for batch in plan)
    shuffled = LENGTHS.max() * len(LENGTHS)
    assert padded / LENGTHS.sum() < 1.1 < shuffled / LENGTHS.sum()


def test_a_block_is_padded_to_few_widths() -> None:
    texts = Encoded.of([[1, 2, 3], [4] * 20, [5]])
    ids, lengths = block(texts, np.array([1, 0]), max_words=500)
    assert ids.shape == (2, 2 * WIDTH_STEP)
    assert lengths.tolist() == [20, 3]
    assert ids[1, :5].tolist() == [1, 2, 3, 0, 0]
    assert block(texts, np.array([1]), max_words=20)[0].shape == (1, 20)


def test_scoring_order_goes_by_length() -> None:
    batches = by_length(LENGTHS, 256)
    assert np.all(np.diff(LENGTHS[np.concatenate(batches)]) >= 0)
