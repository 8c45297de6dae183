from __future__ import annotations

from dataclasses import replace
from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray
from safetensors.numpy import save

from plaudit.bundle.bundle import Bundle
from plaudit.bundle.layers import Layer, layers_of
from plaudit.errors import BundleError

Array = NDArray[np.float32]


def zeros(*shape: int) -> Array:
    return np.zeros(shape, dtype=np.float32)


def recurrent(name: str, layer: str, inputs: int, hidden: int, gates: int = 4) -> dict[str, Array]:
    return {
        f"{name}.weight_ih_l{layer}": zeros(gates * hidden, inputs),
        f"{name}.weight_hh_l{layer}": zeros(gates * hidden, hidden),
        f"{name}.bias_ih_l{layer}": zeros(gates * hidden),
        f"{name}.bias_hh_l{layer}": zeros(gates * hidden),
    }


def layers(bundle: Bundle, tensors: dict[str, Array]) -> list[Layer]:
    return layers_of(replace(bundle, weights=save(tensors)))


def test_the_originals_network(original_bundle: Bundle) -> None:
    embedding, lstm, dense = layers_of(original_bundle)
    size = original_bundle.vocabulary.size
    assert (embedding.kind, embedding.outputs, embedding.parameters, embedding.operations) == (
        "lookup",
        32,
        size * 32,
        0,
    )
    assert (lstm.kind, lstm.inputs, lstm.outputs) == ("LSTM", 32, 32)
    assert lstm.operations == 4 * 32 * (32 + 32)
    assert lstm.parameters == lstm.operations + 2 * 4 * 32
    assert (dense.kind, dense.inputs, dense.outputs, dense.operations) == ("linear", 32, 1, 32)
    assert sum(layer.parameters for layer in (embedding, lstm, dense)) == original_bundle.card.training["parameters"]
    assert sum(layer.bytes for layer in (embedding, lstm, dense)) == 4 * original_bundle.card.training["parameters"]


def test_layers_directions_and_gates_are_read_from_names_and_shapes(original_bundle: Bundle) -> None:
    size = original_bundle.vocabulary.size
    tensors = {
        "head.weight": zeros(1, 24),
        "words.weight": zeros(size, 16),
        **recurrent("lstm", "0", 16, 12),
        **recurrent("lstm", "0_reverse", 16, 12),
        **recurrent("lstm", "1", 24, 12),
        **recurrent("reader.gru", "0", 16, 8, gates=3),
        "filter.weight": zeros(5, 16, 3),
        "norm.weight": zeros(16),
    }
    found = [(layer.name, layer.kind, layer.inputs, layer.outputs) for layer in layers(original_bundle, tensors)]
    assert found == [
        ("words", "lookup", 1, 16),
        ("lstm 0", "LSTM", 16, 12),
        ("lstm 0 backward", "LSTM", 16, 12),
        ("lstm 1", "LSTM", 24, 12),
        ("reader gru 0", "GRU", 16, 8),
        ("filter", "convolution", 16, 5),
        ("head", "linear", 24, 1),
        ("norm", "numbers", 16, 16),
    ]


def test_a_projection_counts_and_changes_what_comes_out(original_bundle: Bundle) -> None:
    tensors = {
        "lstm.weight_ih_l0": zeros(40, 6),
        "lstm.weight_hh_l0": zeros(40, 3),
        "lstm.weight_hr_l0": zeros(3, 10),
    }
    (layer,) = layers(original_bundle, tensors)
    assert (layer.kind, layer.inputs, layer.outputs) == ("LSTM", 6, 3)
    assert layer.operations == 40 * 6 + 40 * 3 + 30


def test_a_linear_model_is_a_table_of_evidence(original_bundle: Bundle) -> None:
    size = original_bundle.vocabulary.size
    (layer,) = layers(original_bundle, {"embedding.weight": zeros(size, 1)})
    assert (layer.kind, layer.outputs, layer.parameters, layer.operations) == ("table", 1, size, 1)


def test_what_only_says_how_weights_were_rounded_is_no_parameter(original_bundle: Bundle) -> None:
    size = original_bundle.vocabulary.size
    tensors: dict[str, NDArray[Any]] = {
        "embedding.weight": np.zeros((size, 4), dtype=np.int8),
        "embedding.scale": np.zeros(size, np.float16),
    }
    (layer,) = layers_of(replace(original_bundle, weights=save(tensors)))
    assert layer.parameters == size * 4
    assert layer.bytes == size * 4 + size * 2
    assert {tensor.kind for tensor in layer.tensors} == {"int8", "float16"}


def test_damaged_weights_are_named(original_bundle: Bundle) -> None:
    with pytest.raises(BundleError, match=r"weights\.safetensors does not hold weights"):
        layers_of(replace(original_bundle, weights=b"\x05\x00\x00\x00\x00\x00\x00\x00hello"))
