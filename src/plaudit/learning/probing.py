"""A linear probe: the last layer, fitted before anything below it moves. Knows torch, and no text.

A network that starts from an encoder then begins with a layer that suits it, not with one that would tear it apart
(Kumar et al. 2022): with a few hundred labels the difference is large.
"""

from __future__ import annotations

import numpy as np
import torch
from torch import Tensor, nn

from plaudit.learning.batches import block, by_length
from plaudit.learning.network import Network
from plaudit.learning.pretrained import Pretrained
from plaudit.text.encoding import Encoded
from plaudit.text.prepared import Part

PROBED = 4_000
BATCH = 256
ITERATIONS = 200
STRENGTH = 1.0


def probe(network: Network, encoder: Pretrained, part: Part, max_words: int, seed: int) -> None:
    """Fits the last layer of a network that has just begun as ``encoder`` to up to `PROBED` reviews of ``part``.

    The encoder's projection makes document vectors of what the layer reads; where there is none, it stays as it is.
    """
    projection = encoder.projection(network.directions)
    if projection is None or not network.pooled:
        return
    chosen = np.random.default_rng(seed).permutation(np.flatnonzero(part.texts.lengths))[:PROBED]
    texts, device = Encoded.of(part.texts[int(index)] for index in chosen), network.biases.device
    vectors = torch.zeros((len(texts), len(projection)), device=device)
    projection = projection.to(device)
    network.eval()
    with torch.no_grad():
        for batch in by_length(texts.lengths, BATCH):
            ids, lengths = (torch.from_numpy(rows).to(device) for rows in block(texts, batch, max_words))
            vectors[batch] = network.read(network.embedding(ids), lengths) @ projection.t()
        scale = vectors.norm(dim=1).mean().clamp(min=1e-12)
        weights = regression(vectors / scale, torch.from_numpy(part.labels[chosen]).to(device), network.biases)
        network.dense.weight.copy_(weights @ projection / scale)


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
