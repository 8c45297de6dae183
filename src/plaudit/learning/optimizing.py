"""What a step of a training moves, and how far. Knows torch, and no text."""

from __future__ import annotations

import torch

from plaudit.learning.network import Network
from plaudit.learning.recipes import NOTHING, Recipe


def optimizer(network: Network, recipe: Recipe, known: int, fitted: bool) -> torch.optim.Adam:
    """Adam for ``network``, each group of weights with its ``share`` of the learning rate: what is known moves slower.

    The vectors of the first ``known`` words are an encoder's. With an ``embedding_rate`` of 0 they stay as they are;
    where that is all of them, none has a gradient, and else a step takes theirs away.
    """
    rate = recipe.fitted_rate if fitted else 1.0
    slower = rate * (1.0 if recipe.start == NOTHING else recipe.encoder_rate)
    named = dict(network.named_parameters())
    table = named.pop("embedding.weight")
    table.requires_grad_(held(recipe, known) < len(table))
    fresh = [value for name, value in named.items() if name.startswith("dense")]
    inner = [value for name, value in named.items() if not name.startswith("dense")]
    groups = [{"params": inner, "share": slower}, {"params": fresh, "share": rate}]
    if table.requires_grad:
        groups.append({"params": [table], "share": slower * (recipe.embedding_rate or 1.0)})
    return torch.optim.Adam(groups, lr=recipe.learning_rate, fused=True)


def held(recipe: Recipe, known: int) -> int:
    """How many of the ``known`` words' vectors stay as they are."""
    return 0 if recipe.embedding_rate else known


def pace(warm_up: float, done: int, steps: int) -> float:
    """The share of the learning rate after ``done`` of so many ``steps``: up in a straight line, then down to nothing.

    The slanted triangle of Howard and Ruder (2018).
    """
    rising, step = max(1.0, warm_up * steps), done + 1
    return min(step / rising, (steps - done) / (steps - rising + 1))
