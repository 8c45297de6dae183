"""What a step of a training moves, and how far. Knows torch, and no text."""

from __future__ import annotations

import torch
from torch import nn

from plaudit.learning.network import Network
from plaudit.learning.recipes import NOTHING, Recipe


def optimizer(network: Network, recipe: Recipe, fitted: bool) -> torch.optim.Adam:
    """Adam for what moves in ``network``, each group of weights with its ``share`` of the learning rate.

    What is known moves slower: after a start from an encoder, all but the last layer.
    """
    rate = recipe.fitted_rate if fitted else 1.0
    slower = rate * (1.0 if recipe.start == NOTHING else recipe.encoder_rate)
    # With a rate of 0 the table moves only where there is no encoder: then it learns like the rest.
    shares = {"dense": rate, "embedding": slower * (recipe.embedding_rate or 1.0), "others": slower}
    groups: dict[float, list[nn.Parameter]] = {}
    for name, value in network.named_parameters():
        if value.requires_grad:
            groups.setdefault(shares.get(name.split(".")[0], slower), []).append(value)
    found = [{"params": values, "share": share} for share, values in groups.items()]
    return torch.optim.Adam(found, lr=recipe.learning_rate, fused=True)


def pace(warm_up: float, done: int, steps: int) -> float:
    """The share of the learning rate after ``done`` of so many ``steps``: up in a straight line, then down to nothing.

    The slanted triangle of Howard and Ruder (2018).
    """
    rising, step = max(1.0, warm_up * steps), done + 1
    return min(step / rising, (steps - done) / (steps - rising + 1))
