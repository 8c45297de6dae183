"""How a network begins as an encoder: its last layer is fitted before anything below it moves. Knows torch, no text.

A layer that suits the encoder does not tear it apart as a random one would (Kumar et al. 2022).
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn

from plaudit.learning.batches import block, by_length
from plaudit.learning.calibration import probabilities
from plaudit.learning.lessons import Lessons
from plaudit.learning.network import Network, start_from
from plaudit.learning.pretrained import load_encoder
from plaudit.learning.recipes import Recipe
from plaudit.text.prepared import Part, Prepared

FEW = 4_000
HALFWAY = 2_000
BATCH = 256
ITERATIONS = 200
STRENGTH = 1.0


def started(
    network: Network, data: Prepared, recipe: Recipe, lessons: Lessons, seed: int
) -> tuple[Mapping[str, Any], NDArray[np.float32]]:
    """Makes ``network`` what the recipe's encoder is; the encoder's card, and the targets of ``lessons``.

    With `FEW` reviews or fewer it begins as what infers document vectors, if the encoder has that, and with a probe.
    What this says of the reviews is mixed into their labels, half and half at `HALFWAY`, more with fewer: a network
    that learns a few hundred labels by heart forgets what it began with.
    """
    encoder = load_encoder(recipe.start)
    reviews, targets = len(data.train.texts), lessons.targets
    projection = encoder.projection(network.directions) if reviews <= FEW and network.pooled else None
    if projection is None:
        start_from(network, data.vocabulary, encoder)
        return encoder.card, targets
    start_from(network, data.vocabulary, replace(encoder, lstms=encoder.inferring))
    said = probe(network, projection, data.train, recipe.max_words)
    share = np.float32(HALFWAY / (HALFWAY + reviews))
    mixed = share * said + (1 - share) * targets[:reviews]
    return encoder.card, np.concatenate([mixed, targets[reviews:]])


def probe(network: Network, projection: Tensor, part: Part, max_words: int) -> NDArray[np.float32]:
    """Fits the network's last layer to ``part``; the probabilities (reviews, labels) that it then gives.

    ``projection`` (vector, states) makes document vectors of what the layer reads.
    """
    device = network.biases.device
    vectors, projection = torch.zeros((len(part.texts), len(projection)), device=device), projection.to(device)
    network.eval()
    with torch.no_grad():
        for batch in by_length(part.texts.lengths, BATCH):
            ids, lengths = (torch.from_numpy(rows).to(device) for rows in block(part.texts, batch, max_words))
            vectors[batch] = network.read(network.embedding(ids), lengths) @ projection.t()
        vectors /= (scale := vectors.norm(dim=1).mean().clamp(min=1e-12))
        weights = regression(vectors, torch.from_numpy(part.labels).to(device), network.biases)
        network.dense.weight.copy_(weights @ projection / scale)
        return probabilities((vectors @ weights.t() + network.biases).double().cpu().numpy())


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
