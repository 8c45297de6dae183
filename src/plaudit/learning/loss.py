"""What a network is trained to lower, plain and at the worst place nearby. Knows torch."""

from __future__ import annotations

import torch
from torch import Tensor, nn

from plaudit.learning.network import Network


def loss_of(logits: Tensor, targets: Tensor, parts: Tensor) -> Tensor:
    """Cross-entropy in nats of ``logits`` (n, units) against ``targets`` (n, labels), shares of each label.

    Each text's counts by its part (n,): parts that add up to 1 give a mean.
    """
    if logits.shape[1] == 1:
        each = nn.functional.binary_cross_entropy_with_logits(logits[:, 0], targets[:, 1], reduction="none")
    else:
        each = nn.functional.cross_entropy(logits, targets, reduction="none")
    return each @ parts


def worst_case(
    network: Network, batch: tuple[Tensor, Tensor, slice, int], targets: Tensor, parts: Tensor, length: float
) -> Tensor:
    """Adds the gradients of the loss, and of the loss a step of ``length`` up its slope; the plain loss.

    The step is in the word vectors of each review (Miyato et al. 2017), in multiples of their mean length.
    """
    ids, lengths, share, reviews = batch
    vectors = network.vectors(ids, share, reviews)
    plain = vectors.detach().requires_grad_()
    loss = loss_of(network.logits_of_vectors(plain, lengths, share, reviews).float(), targets, parts)
    loss.backward()  # type: ignore[no-untyped-call]
    slope = plain.grad
    assert slope is not None
    real = torch.arange(ids.shape[1], device=ids.device) < lengths.unsqueeze(1)
    unit = (plain.detach().norm(dim=2) * real).sum(1) / lengths * length
    steps = slope * (unit / (slope.flatten(1).norm(dim=1) + 1e-12)).view(-1, 1, 1)
    moved = (plain.detach() + steps).requires_grad_()
    worse = loss_of(network.logits_of_vectors(moved, lengths, share, reviews).float(), targets, parts)
    worse.backward()  # type: ignore[no-untyped-call]
    assert moved.grad is not None
    if vectors.requires_grad:
        vectors.backward(slope + moved.grad)  # type: ignore[no-untyped-call]
    return loss.detach()
