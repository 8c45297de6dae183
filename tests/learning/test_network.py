from __future__ import annotations

from dataclasses import replace
from itertools import product

import numpy as np
import pytest
import torch

from plaudit.errors import UsageError
from plaudit.learning.network import Network, start_from
from plaudit.learning.pretrained import Pretrained
from plaudit.learning.recipes import DIRECTIONS, POOLINGS, Recipe
from plaudit.text.vocabulary import INFREQUENT, NO_WORD, Vocabulary

RECIPE = replace(Recipe.of("original"), embedding_dim=8, hidden_dim=12)
SHAPES = list(product(DIRECTIONS, POOLINGS, [1, 2], [1, 3]))
TWO = np.array([0.3])
THREE = np.array([-1.0, 0.2, 0.5])


def network_of(direction: str, pooling: str, layers: int, units: int, vocab_size: int = 50) -> Network:
    torch.manual_seed(7)
    recipe = replace(RECIPE, direction=direction, pooling=pooling, layers=layers)
    return Network(recipe, vocab_size, TWO if units == 1 else THREE).eval()


def padded(vocab_size: int = 50) -> tuple[torch.Tensor, torch.Tensor]:
    """Reviews of different lengths in one batch, with padding behind them."""
    lengths = torch.tensor([1, 9, 3, 14])
    ids = torch.randint(1, vocab_size, (4, 16), generator=torch.Generator().manual_seed(1))
    return ids * (torch.arange(16) < lengths.unsqueeze(1)), lengths


def test_the_originals_network_has_its_parameters() -> None:
    assert Network(Recipe.of("original"), 5000, TWO).parameters_count == 347_401


@pytest.mark.parametrize(("direction", "pooling", "layers", "units"), SHAPES)
def test_evidence_and_biases_add_up_to_the_logits(direction: str, pooling: str, layers: int, units: int) -> None:
    network = network_of(direction, pooling, layers, units)
    ids, lengths = padded()
    with torch.no_grad():
        evidence, logits = network(ids), network.logits(ids, lengths)
    assert evidence.shape == (4, 16, units)
    assert torch.allclose(evidence.sum(1) + network.biases, logits, atol=1e-5)
    assert not evidence[ids == NO_WORD].any()
    assert evidence[ids != NO_WORD].any(1).all()


@pytest.mark.parametrize(("direction", "pooling", "layers", "units"), SHAPES)
def test_padding_changes_nothing(direction: str, pooling: str, layers: int, units: int) -> None:
    network = network_of(direction, pooling, layers, units)
    ids, lengths = padded()
    with torch.no_grad():
        together, evidence = network.logits(ids, lengths), network(ids)
        for row, length in enumerate(lengths.tolist()):
            own = ids[row : row + 1, :length]
            assert torch.allclose(network.logits(own, lengths[row : row + 1])[0], together[row], atol=1e-5)
            assert torch.allclose(network(own)[0], evidence[row, :length], atol=1e-5)


def test_the_last_states_evidence_is_what_a_word_changes() -> None:
    network = network_of("forward", "last", 1, 1)
    ids = torch.tensor([[4, 8, 15, 16]])
    with torch.no_grad():
        scores = [network.logits(ids[:, :words], torch.tensor([words])).item() for words in range(1, 5)]
        evidence = network(ids)[0, :, 0]
    np.testing.assert_allclose(evidence[1:], np.diff(scores), atol=1e-6)
    assert torch.allclose(network(torch.tensor([[4, 8]])), network(ids)[:, :2], atol=1e-6)


def test_each_direction_reads_from_its_own_end() -> None:
    forward, backward = network_of("forward", "mean and max", 1, 1), network_of("backward", "mean and max", 1, 1)
    backward.lstms["backward"].load_state_dict(forward.lstms["forward"].state_dict())
    for part in ("embedding", "dense"):
        backward.get_submodule(part).load_state_dict(forward.get_submodule(part).state_dict())
    ids = torch.tensor([[5, 9, 7, 22], [3, 4, 0, 0]])
    turned = torch.tensor([[22, 7, 9, 5], [4, 3, 0, 0]])
    lengths = torch.tensor([4, 2])
    with torch.no_grad():
        assert torch.allclose(forward.logits(ids, lengths), backward.logits(turned, lengths), atol=1e-6)
        assert not torch.allclose(forward.logits(ids, lengths), backward.logits(ids, lengths), atol=1e-6)


def test_the_first_of_equal_words_holds_the_maxima() -> None:
    network = network_of("forward", "mean and max", 1, 1)
    with torch.no_grad():
        for lstm in network.lstms.values():
            weights = dict(lstm.named_parameters())
            weights["weight_hh_l0"].zero_()
            for name in ("weight_ih_l0", "bias_ih_l0", "bias_hh_l0"):
                weights[name][12:24] = -50  # nothing is remembered: the same word gives the same state
        evidence = network(torch.tensor([[6, 6, 6]]))[0, :, 0]
        alone = network(torch.tensor([[6]]))[0, 0, 0]
    assert evidence.sum() == pytest.approx(alone.item(), abs=1e-6)
    assert evidence[1] == pytest.approx(evidence[2].item(), abs=1e-6)
    assert evidence[0] != pytest.approx(evidence[1].item(), abs=1e-6)


@pytest.mark.parametrize("pooling", POOLINGS)
def test_dropout_is_for_training_alone(pooling: str) -> None:
    network = Network(replace(RECIPE, pooling=pooling, dropout=0.5, word_dropout=0.5), 50, TWO)
    ids, lengths = torch.arange(1, 41).reshape(2, 20), torch.tensor([20, 20])
    assert not torch.equal(network.logits(ids, lengths), network.logits(ids, lengths))
    network.eval()
    assert torch.equal(network.logits(ids, lengths), network.logits(ids, lengths))


def test_a_pooled_network_drops_the_same_entries_of_all_words_of_a_review() -> None:
    network = Network(replace(RECIPE, pooling="mean and max", dropout=0.5, word_dropout=0.0), 50, TWO)
    torch.manual_seed(0)
    dropped = network.vectors(torch.randint(1, 50, (3, 10)), slice(None), 3) == 0
    assert torch.equal(dropped.any(1), dropped.all(1))
    assert dropped.any()
    assert not torch.equal(dropped[0], dropped[1])


@pytest.mark.parametrize("layers", [1, 2])
def test_forget_gates_start_open_and_words_short(layers: int) -> None:
    torch.manual_seed(0)
    network = Network(replace(RECIPE, layers=layers, direction="both"), 5000, TWO)
    for lstm in network.lstms.values():
        for layer in range(layers):
            bias = getattr(lstm, f"bias_ih_l{layer}")
            assert bias[12:24].mean() > 0.5 > bias[:12].abs().mean()
    assert network.embedding.weight[1:].norm(dim=1).mean().item() == pytest.approx(1, abs=0.05)
    assert network.embedding.weight[0].abs().sum() == 0


def test_biases_stay_as_they_are() -> None:
    network = network_of("forward", "last", 1, 3)
    assert torch.allclose(network.biases, torch.from_numpy(THREE).float())
    assert "biases" not in network.state_dict()
    assert not network.biases.requires_grad


def encoder_of(directions: tuple[str, ...] = ("forward", "backward"), hidden: int = 12) -> Pretrained:
    torch.manual_seed(3)
    lstms = {name: dict(torch.nn.LSTM(8, hidden).state_dict()) for name in directions}
    return Pretrained({"directions": []}, Vocabulary(("good", "bad", "film")), torch.randn(5, 8), lstms)


@pytest.mark.parametrize("direction", DIRECTIONS)
def test_a_network_starts_from_an_encoder(direction: str) -> None:
    encoder, vocabulary = encoder_of(), Vocabulary(("film", "unheard", "good"))
    network = Network(replace(RECIPE, direction=direction), vocabulary.size, TWO)
    start_from(network, vocabulary, encoder)
    known = encoder.embedding[[NO_WORD, INFREQUENT, 4, INFREQUENT, 2]]
    assert torch.equal(network.embedding.weight, known)
    for name, lstm in network.lstms.items():
        assert all(torch.equal(value, encoder.lstms[name][key]) for key, value in lstm.state_dict().items())


@pytest.mark.parametrize(
    ("settings", "sentence"),
    [
        ({"embedding_dim": 9}, "embedding_dim 8 and hidden_dim 12"),
        ({"hidden_dim": 10}, "embedding_dim 8 and hidden_dim 12.*--start nothing"),
        ({"direction": "backward"}, "reads forward and not backward"),
        ({"direction": "both"}, "reads forward and not backward"),
    ],
)
def test_an_encoder_that_does_not_fit_is_refused(settings: dict[str, int | str], sentence: str) -> None:
    vocabulary = Vocabulary(("good",))
    network = Network(replace(RECIPE, **settings), vocabulary.size, TWO)  # type: ignore[arg-type]
    with pytest.raises(UsageError, match=sentence):
        start_from(network, vocabulary, encoder_of(("forward",)))
