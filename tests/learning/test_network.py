from __future__ import annotations

from dataclasses import replace

import pytest
import torch

from plaudit.learning.network import Network
from plaudit.learning.recipes import Recipe

RECIPE = replace(Recipe.of("original"), embedding_dim=8, hidden_dim=12)


def test_the_originals_network_has_its_parameters() -> None:
    assert Network(Recipe.of("original"), 5000).parameters_count == 347_401


def test_padding_changes_no_score() -> None:
    network = Network(RECIPE, 50).eval()
    ids = torch.tensor([[5, 9, 7, 0, 0, 0, 0, 0]])
    with torch.no_grad():
        alone = network.final(ids[:, :3], torch.tensor([3]))
        padded = network.final(ids, torch.tensor([3]))
        every = network(ids)[:, 2]
    assert torch.allclose(alone, padded, atol=1e-6)
    assert torch.allclose(alone, every, atol=1e-6)


def test_the_score_after_a_word_does_not_know_the_next_ones() -> None:
    network = Network(RECIPE, 50).eval()
    with torch.no_grad():
        short, long = network(torch.tensor([[4, 8]])), network(torch.tensor([[4, 8, 15, 16]]))
    assert torch.allclose(short, long[:, :2], atol=1e-6)


def test_dropout_is_for_training_alone() -> None:
    network = Network(replace(RECIPE, dropout=0.5, word_dropout=0.5), 50)
    ids, lengths = torch.arange(1, 41).reshape(2, 20), torch.tensor([20, 20])
    assert not torch.equal(network.final(ids, lengths), network.final(ids, lengths))
    network.eval()
    assert torch.equal(network.final(ids, lengths), network.final(ids, lengths))


@pytest.mark.parametrize("layers", [1, 2])
def test_forget_gates_start_open_and_words_short(layers: int) -> None:
    torch.manual_seed(0)
    network = Network(replace(RECIPE, layers=layers), 5000)
    for layer in range(layers):
        bias = getattr(network.lstm, f"bias_ih_l{layer}")
        assert bias[12:24].mean() > 0.5 > bias[:12].abs().mean()
    assert network.embedding.weight[1:].norm(dim=1).mean().item() == pytest.approx(1, abs=0.05)
    assert network.embedding.weight[0].abs().sum() == 0
