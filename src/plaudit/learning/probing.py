"""How a network begins as an encoder, its last layer fitted. Knows torch, no text.

A network whose last layer is chance learns a few reviews by heart and forgets what it began with (Kumar et al. 2022).
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from typing import Any, NamedTuple

import torch
from torch import Tensor, nn

from plaudit.learning.batches import block, by_length
from plaudit.learning.calibration import log_loss
from plaudit.learning.network import Network, start_from
from plaudit.learning.pretrained import load_encoder
from plaudit.learning.recipes import Recipe
from plaudit.text.prepared import Part, Prepared

BATCH = 256
ITERATIONS = 200
STRENGTH = 1.0


class Beginning(NamedTuple):
    """What a network began as: an encoder's ``card`` or a digest of weights; how many ``words`` it has a vector of.

    These words come first. ``loss`` is the mean loss in nats that fitting the last layer left; None where it was not
    fitted.
    """

    card: Mapping[str, Any]
    words: int
    loss: float | None = None


def started(network: Network, data: Prepared, recipe: Recipe) -> Beginning:
    """Makes ``network`` what the recipe's encoder is.

    It becomes what infers document vectors, its last layer fitted; or the language model of an encoder without that.
    """
    encoder = load_encoder(recipe.start)
    projection = encoder.projection(network.directions) if network.pooled else None
    if projection is None:
        start_from(network, data.vocabulary, encoder)
        return Beginning(encoder.card, encoder.vocabulary.size)
    start_from(network, data.vocabulary, replace(encoder, lstms=encoder.inferring))
    loss = probe(network, projection, data.train, recipe.max_words)
    return Beginning(encoder.card, encoder.vocabulary.size, loss)


def probe(network: Network, projection: Tensor, part: Part, max_words: int) -> float:
    """Fits the network's last layer to ``part``; its mean loss in nats.

    ``projection`` (vector, states) makes document vectors of what the layer reads.
    """
    device = network.biases.device
    vectors, projection = torch.zeros((len(part.texts), len(projection)), device=device), projection.to(device)
    network.eval()
    with torch.no_grad():
        for batch in by_length(part.texts.lengths, BATCH):
            ids, lengths = (torch.from_numpy(rows).to(device) for rows in block(part.texts, batch, max_words))
            vectors[batch] = network.read(network.embedding(ids), lengths) @ projection.t()
        weights = regression(vectors, torch.from_numpy(part.labels).to(device), network.biases)
        network.dense.weight.copy_(weights @ projection)
        return log_loss((vectors @ weights.t() + network.biases).double().cpu().numpy(), part.labels)


def regression(vectors: Tensor, labels: Tensor, biases: Tensor) -> Tensor:
    """The weights (units, dim) of a logistic regression of ``labels`` (n,) on ``vectors`` (n, dim) beside ``biases``.

    The mean loss plus half the squared norm of the weights over `STRENGTH` times n is lowest there.
    """
    with torch.enable_grad():
        weights = torch.zeros((len(biases), vectors.shape[1]), device=vectors.device, requires_grad=True)
        optimizer = torch.optim.LBFGS([weights], max_iter=ITERATIONS, line_search_fn="strong_wolfe")

        def closure() -> Tensor:
            optimizer.zero_grad()
            logits = vectors @ weights.t() + biases
            if len(biases) == 1:
                loss = nn.functional.binary_cross_entropy_with_logits(logits[:, 0], labels.to(logits.dtype))
            else:
                loss = nn.functional.cross_entropy(logits, labels)
            loss = loss + weights.square().sum() / (2 * STRENGTH * len(labels))
            loss.backward()  # type: ignore[no-untyped-call]
            return loss

        optimizer.step(closure)  # type: ignore[no-untyped-call]
    return weights.detach()
