"""The exported network against torch's, in the runtime that serves it."""

from __future__ import annotations

from dataclasses import replace
from itertools import product

import numpy as np
import onnx
import pytest
import safetensors.numpy
import torch
from numpy.typing import NDArray

from plaudit.bundle.bundle import Bundle
from plaudit.bundle.card import Card
from plaudit.bundle.session import open_session
from plaudit.errors import PlauditError, UsageError
from plaudit.learning import bundling
from plaudit.learning.bundling import ROUGH_TOLERANCE, network_bundle
from plaudit.learning.export import export, export_table, restored
from plaudit.learning.network import Network
from plaudit.learning.recipes import DIRECTIONS, POOLINGS, Recipe
from plaudit.text.vocabulary import Vocabulary

WORDS = 50
VOCABULARY = Vocabulary(tuple(f"word{number}" for number in range(WORDS - 2)))
SMALL = replace(Recipe.of("original"), embedding_dim=6, hidden_dim=10)
CARDS = {
    1: Card("two", ("negative", "positive"), "modern", 500, (0.4, 0.6)),
    3: Card("three", ("a", "b", "c"), "modern", 500, (0.2, 0.3, 0.5)),
}
SHAPES = list(product(DIRECTIONS, POOLINGS, [1, 2], [1, 3]))


def network_of(direction: str, pooling: str, layers: int, units: int) -> Network:
    torch.manual_seed(layers)
    recipe = replace(SMALL, direction=direction, pooling=pooling, layers=layers)
    return Network(recipe, WORDS, np.array(CARDS[units].biases)).eval()


def evidence(made: tuple[bytes, bytes], ids: NDArray[np.int64], units: int) -> NDArray[np.float32]:
    """What the exported network says of ``ids``."""
    (found,) = open_session(Bundle(CARDS[units], VOCABULARY, *made)).run(None, {"ids": ids})
    return np.asarray(found)


def batch(reviews: int, words: int) -> NDArray[np.int64]:
    """Reviews of many lengths, at least one word each, with padding behind."""
    random = np.random.default_rng(reviews)
    ids = random.integers(1, WORDS, (reviews, words))
    ids[np.arange(words) >= random.integers(1, words + 1, (reviews, 1))] = 0
    return ids


@pytest.mark.parametrize(("direction", "pooling", "layers", "units"), SHAPES)
def test_the_exported_network_gives_torchs_evidence_for_any_shape(
    direction: str, pooling: str, layers: int, units: int
) -> None:
    network = network_of(direction, pooling, layers, units)
    made = export(network, int8=False)
    for shape in ((1, 1), (1, 300), (7, 3), (64, 20)):
        ids = batch(*shape)
        found = evidence(made, ids, units)
        with torch.no_grad():
            expected = network(torch.from_numpy(ids)).numpy()
        assert found.shape == (*shape, units)
        np.testing.assert_allclose(found, expected, atol=1e-4)
        assert not found[ids == 0].any()


@pytest.mark.parametrize(("direction", "pooling", "layers", "units"), SHAPES)
def test_int8_says_nearly_the_same(direction: str, pooling: str, layers: int, units: int) -> None:
    network = network_of(direction, pooling, layers, units)
    made = export(network, int8=True)
    for shape in ((1, 1), (16, 40)):
        ids = batch(*shape)
        found = evidence(made, ids, units)
        with torch.no_grad():
            expected = network(torch.from_numpy(ids)).numpy()
        allowed = ROUGH_TOLERANCE * max(1.0, np.abs(expected.sum(1)).max())
        np.testing.assert_allclose(found.sum(1), expected.sum(1), atol=allowed)
        assert not found[ids == 0].any()


def test_int8_weights_are_a_quarter_or_a_half_of_the_bytes() -> None:
    network = network_of("both", "mean and max", 1, 1)
    whole, small = (safetensors.numpy.load(export(network, int8)[0]) for int8 in (False, True))
    assert set(small) == {*whole, "embedding.scale"}
    assert small["embedding.weight"].dtype == np.int8
    assert {value.dtype for name, value in small.items() if name != "embedding.weight"} == {np.dtype(np.float16)}
    assert {value.dtype for value in whole.values()} == {np.dtype(np.float32)}


@pytest.mark.parametrize("int8", [False, True])
def test_weights_come_back_as_torch_names_them(int8: bool) -> None:
    network = network_of("both", "mean and max", 2, 3)
    found = restored(safetensors.numpy.load(export(network, int8)[0]))
    own = network.state_dict()
    assert set(found) == set(own)
    for name, value in own.items():
        assert torch.allclose(found[name], value, atol=0.01 if int8 else 0), name


@pytest.mark.parametrize("int8", [False, True])
def test_the_same_network_exports_to_the_same_bytes(int8: bool) -> None:
    network = network_of("both", "mean and max", 1, 3)
    assert export(network, int8) == export(network, int8)


@pytest.mark.parametrize("int8", [False, True])
def test_the_network_is_sound_onnx(int8: bool) -> None:
    for pooling in POOLINGS:
        _, network = export(network_of("both", pooling, 1, 1), int8)
        names = [node.op_type for node in onnx.load_from_string(network).graph.node]
        assert names.count("DynamicQuantizeLSTM" if int8 else "LSTM") == 2
        assert ("LSTM" if int8 else "DynamicQuantizeLSTM") not in names


@pytest.mark.parametrize("units", [1, 3])
def test_a_table_is_each_words_evidence(units: int) -> None:
    table = np.random.default_rng(0).normal(size=(WORDS, units)).astype(np.float32)
    ids = batch(5, 9)
    np.testing.assert_array_equal(evidence(export_table(table), ids, units), table[ids])


def test_an_export_that_differs_from_torch_is_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    network, other = network_of("forward", "last", 1, 1), network_of("forward", "last", 1, 1)
    assert network_bundle(CARDS[1], VOCABULARY, network, int8=False).card == CARDS[1]
    with torch.no_grad():
        other.dense.bias.add_(0.01)
    monkeypatch.setattr(bundling, "export", lambda network, int8: export(other, int8))
    with pytest.raises(PlauditError, match="differs from the trained one"):
        network_bundle(CARDS[1], VOCABULARY, network, int8=False)


def test_an_int8_export_of_another_network_is_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    network, other = network_of("forward", "mean and max", 1, 1), network_of("forward", "mean and max", 1, 1)
    with torch.no_grad():
        network.dense.weight.mul_(20)
        other.dense.weight.mul_(-20)
    assert network_bundle(CARDS[1], VOCABULARY, network, int8=True).card == CARDS[1]
    monkeypatch.setattr(bundling, "export", lambda network, int8: export(other if int8 else network, int8))
    with pytest.raises(PlauditError, match="differs from the trained one"):
        network_bundle(CARDS[1], VOCABULARY, network, int8=True)


@pytest.mark.parametrize("int8", [False, True])
def test_a_network_that_rounding_decides_is_refused_with_what_helps(int8: bool) -> None:
    torch.manual_seed(0)
    network = Network(replace(SMALL, embedding_dim=32, hidden_dim=200), WORDS, np.array(CARDS[1].biases)).eval()
    with torch.no_grad():
        for weights in network.parameters():
            weights.normal_(0, 2)
    with pytest.raises(UsageError, match=r"weights have run away.*try a smaller --learning-rate"):
        network_bundle(CARDS[1], VOCABULARY, network, int8)
