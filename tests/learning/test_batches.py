from __future__ import annotations

import numpy as np

from plaudit.learning.batches import SPAN, WIDTH_STEP, block, blocks, by_length, plan_epoch, thinned
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
    texts = Encoded.of([[1, 2, 3], [4] * 40, [5] * 9])
    ids, lengths = block(texts, np.array([1, 0]), max_words=500)
    assert ids.shape == (2, 3 * WIDTH_STEP)
    assert lengths.tolist() == [40, 3]
    assert ids[1, :5].tolist() == [1, 2, 3, 0, 0]
    assert block(texts, np.array([1]), max_words=40)[0].shape == (1, 40)
    assert block(texts, np.array([2]), max_words=500)[0].shape == (1, 12), "short texts are cut closer"


def test_texts_of_a_batch_that_are_short_are_padded_with_their_like() -> None:
    lengths = np.array([40, 4, 9, 200, 33, 32, 12, 8])
    assert [part.tolist() for part in blocks(lengths, np.arange(8))] == [[1, 7], [2, 6], [5], [0, 3, 4]]
    assert [part.tolist() for part in blocks(lengths, np.array([3, 0]))] == [[3, 0]]


def test_scoring_order_goes_by_length() -> None:
    batches = by_length(LENGTHS, 256)
    assert np.all(np.diff(LENGTHS[np.concatenate(batches)]) >= 0)


def _texts() -> Encoded:
    lengths = np.random.default_rng(0).integers(0, 400, 300)
    return Encoded.of(np.arange(1, length + 1) for length in lengths)


def test_runs_of_words_are_left_out_and_the_others_keep_their_order() -> None:
    texts = _texts()
    thin = thinned(texts, 0.5, seed=0, epoch=0)
    assert 0.45 < len(thin.ids) / len(texts.ids) < 0.6
    for at in range(len(texts)):
        assert (np.diff(thin[at]) > 0).all()
        assert len(thin[at]) > 0 or not len(texts[at])
        gaps = np.flatnonzero(np.diff(thin[at]) > 1)
        assert (np.diff(gaps) >= SPAN).all(), "what stays between two gaps is at least one run"


def test_a_short_text_stays_whole_and_nothing_is_left_out_of_a_share_of_nothing() -> None:
    texts = _texts()
    thin = thinned(texts, 0.9, seed=0, epoch=0)
    for at in np.flatnonzero(texts.lengths < 3 * SPAN):
        assert thin[int(at)].tolist() == texts[int(at)].tolist()
    assert thinned(texts, 0.0, seed=0, epoch=0) is texts


def test_what_is_left_out_depends_on_seed_and_epoch_alone() -> None:
    texts = _texts()
    first, again, later, other = (thinned(texts, 0.5, *of).ids.tolist() for of in ((0, 0), (0, 0), (0, 1), (1, 0)))
    assert first == again
    assert first != later
    assert first != other
