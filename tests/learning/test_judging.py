from __future__ import annotations

from collections.abc import Iterable
from typing import Any

import numpy as np
import pytest
import torch

from plaudit.bundle.compiled_kernel import library
from plaudit.bundle.recurrence import Recurrence
from plaudit.bundle.weights import Weights
from plaudit.learning.distributed import World
from plaudit.learning.export import stored
from plaudit.learning.judging import BATCH, Judge
from plaudit.learning.network import Network
from plaudit.learning.recipes import POOLINGS, Recipe
from plaudit.learning.watch import Watch
from plaudit.text.encoding import Encoded

WORDS = 50
TEXTS = Encoded.of(
    [
        np.random.default_rng(length).integers(1, WORDS, length).astype(np.int32)
        for length in (9, 0, 1, *range(2, 60, 3))
    ]
)
pytestmark = pytest.mark.skipif(library() is None, reason="nothing is compiled for this processor")


def network(units: int = 1, **settings: Any) -> Network:
    torch.manual_seed(0)
    recipe = Recipe.of("original", embedding_dim=16, hidden_dim=24, **settings)
    return Network(recipe, WORDS, np.zeros(units)).eval()


def expected(of: Network, texts: Encoded = TEXTS) -> np.ndarray[Any, Any]:
    """What torch says."""
    with torch.no_grad():
        rows = [of(torch.from_numpy(text.astype(np.int64))[None]).sum((0, 1)).numpy() for text in texts if len(text)]
    rows.insert(1, np.zeros_like(rows[0]))
    return np.array(rows)


@pytest.mark.parametrize("units", [1, 3])
@pytest.mark.parametrize("direction", ["forward", "both"])
@pytest.mark.parametrize("pooling", POOLINGS)
def test_it_says_what_the_network_says_but_for_rounding(units: int, direction: str, pooling: str) -> None:
    made = network(units, direction=direction, pooling=pooling)
    assert Judge.fits(made)
    found, wanted = Judge(made, Watch(), World()).evidence(TEXTS), expected(made)
    assert np.abs(found - wanted).max() < 0.03 * np.abs(wanted).max()
    assert not found[1].any(), "a text without a word is evidence of nothing"


def test_it_says_what_its_bundle_will_say() -> None:
    """Threads and batches leave no trace."""
    made = network(pooling="mean and max")
    kernel = Recurrence(Weights.of(stored(made, int8=True)), library())
    alone = [kernel([text.tolist()])[0].sum(0, dtype=np.float64) for text in TEXTS]
    np.testing.assert_array_equal(Judge(made, Watch(), World()).evidence(TEXTS), alone)


def test_it_tells_how_far_it_is() -> None:
    told: list[tuple[str, int | None]] = []

    def track(items: Iterable[Any], what: str, total: int | None = None) -> Iterable[Any]:
        told.append((what, total))
        return items

    Judge(network(), Watch(track=track), World()).evidence(TEXTS)
    assert told == [("judging texts  batch", -(-(len(TEXTS) - 1) // BATCH))]


def test_where_nothing_is_compiled_torch_judges(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("plaudit.learning.judging.library", lambda: None)
    assert not Judge.fits(network())


@pytest.mark.parametrize("held", [0, 20])
def test_while_it_learns_it_is_judged_by_the_words_that_it_has_then(held: int) -> None:
    made = network(pooling="mean and max")
    whole = Judge(made, Watch(), World()).evidence(TEXTS)
    words = np.unique(np.concatenate([[0, 1], TEXTS.ids])).astype(np.int64)
    made.narrow(words, held)
    own = TEXTS.renumbered(words)
    np.testing.assert_array_equal(Judge(made, Watch(), World()).evidence(own), whole)
    with torch.no_grad():
        moving = made.embedding if made.others is None else made.others
        moving.weight.mul_(2)
    moved = Judge(made, Watch(), World()).evidence(own)
    assert np.abs(moved - whole).max() > 0.01
    np.testing.assert_allclose(moved, expected(made, own), atol=0.03 * np.abs(moved).max())


def test_weights_that_are_no_numbers_are_left_to_torch() -> None:
    made = network()
    assert Judge.fits(made)
    with torch.no_grad():
        made.dense.weight[0, 3] = torch.nan
    assert not Judge.fits(made)
