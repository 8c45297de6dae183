from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
import torch
from torch import Tensor

from plaudit.learning.loss import loss_of, worst_case
from plaudit.learning.network import Network
from plaudit.learning.recipes import Recipe

RECIPE = replace(Recipe.of("original"), embedding_dim=8, hidden_dim=12, dropout=0.0, pooling="mean and max")
ALL = slice(None)


def batch(reviews: int = 6) -> tuple[Tensor, Tensor, slice, int]:
    lengths = torch.tensor([1, 9, 3, 14, 2, 5])[:reviews]
    ids = torch.randint(1, 50, (reviews, 16), generator=torch.Generator().manual_seed(1))
    return ids * (torch.arange(16) < lengths.unsqueeze(1)), lengths, ALL, reviews


def network_of(units: int, **settings: float | str) -> Network:
    torch.manual_seed(0)
    return Network(replace(RECIPE, **settings), 50, np.zeros(units))  # type: ignore[arg-type]


def shares(labels: int) -> Tensor:
    return torch.eye(labels)[torch.tensor([0, 1, 1, 0, 1, 0]) % labels]


def alike(texts: int = 6) -> Tensor:
    """The parts of texts that count alike."""
    return torch.full((texts,), 1 / texts)


def gradients(network: Network) -> dict[str, Tensor]:
    found = {name: value.grad.clone() for name, value in network.named_parameters() if value.grad is not None}
    network.zero_grad()
    return found


def plain(network: Network, targets: Tensor) -> Tensor:
    ids, lengths, share, reviews = batch()
    return loss_of(network.logits(ids, lengths, share, reviews), targets, alike())


def test_one_unit_is_two_labels() -> None:
    logits, targets = torch.randn(9, 1), torch.softmax(torch.randn(9, 2), 1)
    both = torch.cat([torch.zeros_like(logits), logits], 1)
    assert torch.allclose(loss_of(logits, targets, alike(9)), torch.nn.functional.cross_entropy(both, targets))


@pytest.mark.parametrize("labels", [2, 3])
def test_each_text_counts_by_its_part(labels: int) -> None:
    logits, targets = torch.randn(4, 1 if labels == 2 else labels), torch.softmax(torch.randn(4, labels), 1)
    each = torch.stack([loss_of(logits[[at]], targets[[at]], torch.ones(1)) for at in range(4)])
    parts = torch.tensor([0.5, 0.0, 0.25, 0.25])
    assert torch.allclose(loss_of(logits, targets, parts), (each * parts).sum())


@pytest.mark.parametrize("labels", [2, 3])
def test_no_opinion_costs_what_a_die_does(labels: int) -> None:
    logits = torch.zeros(5, 1 if labels == 2 else labels)
    assert loss_of(logits, torch.eye(labels)[[0, 1, 0, 1, 1]], alike(5)).item() == pytest.approx(np.log(labels))


@pytest.mark.parametrize("units", [1, 3])
def test_a_worst_case_gives_the_plain_loss_and_every_weight_a_finite_gradient(units: int) -> None:
    network, targets = network_of(units), shares(2 if units == 1 else 3)
    loss = worst_case(network, batch(), targets, alike(), 0.5)
    assert loss.item() == pytest.approx(plain(network, targets).item(), abs=1e-6)
    found = gradients(network)
    assert set(found) == {name for name, _ in network.named_parameters()}
    assert all(torch.isfinite(value).all() and value.any() for value in found.values())
    assert not found["embedding.weight"][0].any(), "padding stays nothing"


def test_no_step_at_all_is_the_plain_gradient_twice() -> None:
    network, targets = network_of(1), shares(2)
    worst_case(network, batch(), targets, alike(), 0.0)
    twice = gradients(network)
    plain(network, targets).backward()  # type: ignore[no-untyped-call]
    for name, value in gradients(network).items():
        assert torch.allclose(twice[name], 2 * value, atol=1e-6), name


def test_the_step_goes_where_the_loss_is_higher() -> None:
    network, targets = network_of(1), shares(2)
    vectors: list[Tensor] = []
    taken = network.logits_of_vectors

    def noted(given: Tensor, *rest: object) -> Tensor:
        vectors.append(given.detach())
        return taken(given, *rest)  # type: ignore[arg-type]

    network.logits_of_vectors = noted  # type: ignore[method-assign, assignment]
    worst_case(network, batch(), targets, alike(), 0.2)
    before, after = (loss_of(taken(given, *batch()[1:]), targets, alike()).item() for given in vectors)
    assert after > before
    _, lengths, *_ = batch()
    moved = vectors[1] - vectors[0]
    wanted = vectors[0].norm(dim=2).sum(1) / lengths * 0.2
    assert torch.allclose(moved.flatten(1).norm(dim=1), wanted, rtol=1e-3)


def test_gradients_of_the_parts_of_a_batch_add_up_to_the_batchs() -> None:
    """As several processes take one step together."""
    network, targets = network_of(1), shares(2)
    ids, lengths, _, reviews = batch()
    worst_case(network, batch(), targets, alike(), 0.5)
    whole = gradients(network)
    parts = (slice(0, None, 2), slice(1, None, 2))
    found = []
    for share in parts:
        worst_case(network, (ids[share], lengths[share], share, reviews), targets[share], alike()[share], 0.5)
        found.append(gradients(network))
    for name, value in whole.items():
        assert torch.allclose(found[0][name] + found[1][name], value, atol=1e-6), name


@pytest.mark.parametrize("units", [1, 3])
def test_steps_against_the_worst_case_lower_the_loss(units: int) -> None:
    network, targets = network_of(units, dropout=0.1), shares(2 if units == 1 else 3)
    optimizer = torch.optim.Adam(network.parameters(), 0.02)
    losses = []
    for _ in range(30):
        optimizer.zero_grad()
        losses.append(worst_case(network, batch(), targets, alike(), 0.3).item())
        optimizer.step()
    assert np.isfinite(losses).all()
    assert losses[-1] < losses[0] / 3
