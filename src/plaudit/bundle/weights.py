"""The tensors of weights.safetensors as an LSTM's, checked. Knows their names, and not what multiplies them."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

EMBEDDING, SCALE = "embedding.weight", "embedding.scale"
LSTMS = ("lstm", "lstm_backward")
PARTS = ("weight_ih", "weight_hh", "bias_ih", "bias_hh")
GATES = 4
Array = NDArray[Any]
Singles = NDArray[np.float32]


@dataclass(frozen=True)
class Layer:
    """``inward`` (4 * hidden, inputs), ``inner`` (4 * hidden, hidden) and ``biases`` (4 * hidden,).

    The gates are in torch's order: input, forget, cell, output.
    """

    inward: Singles
    inner: Singles
    biases: Singles

    @property
    def hidden(self) -> int:
        return int(self.inner.shape[1])


@dataclass(frozen=True)
class Way:
    """The layers of one direction, and what reads the last one's states, or their mean: ``dense`` (units, hidden).

    ``highest`` (units, hidden) reads their maxima, where these are read.
    """

    layers: Sequence[Layer]
    dense: Singles
    highest: Singles | None


@dataclass(frozen=True)
class Weights:
    """``table`` (words, inputs) are words' vectors; int8, where each has one of the ``scales`` (words,).

    ``ways`` are forward and backward. ``bias`` (units,) is there where the last states are read.
    """

    table: Array
    scales: Singles | None
    ways: tuple[Way | None, Way | None]
    bias: Singles | None
    units: int

    @classmethod
    def of(cls, stored: Mapping[str, Array]) -> Weights:
        """Raises KeyError or ValueError where ``stored`` are not the tensors of an LSTM that Plaudit trains."""
        weights = {name: value.astype(np.float32) for name, value in stored.items() if name not in (EMBEDDING, SCALE)}
        table, scales, bias = stored[EMBEDDING], stored.get(SCALE), weights.pop("dense.bias", None)
        dense = weights.pop("dense.weight")
        words, inputs = table.shape
        kind = np.float32 if scales is None else np.int8
        if table.dtype != kind or (scales is not None and scales.shape != (words,)):
            raise ValueError("these are no words' vectors")
        if not all(np.isfinite(values).all() for values in stored.values() if values.dtype.kind == "f"):
            raise ValueError("these weights are no numbers")
        stacks = [_stack(weights, lstm, inputs) for lstm in LSTMS]
        sizes = [stack[-1].hidden for stack in stacks if stack]
        shape = (len(dense), sum(sizes) * (2 if bias is None else 1))
        if weights or not sizes or dense.shape != shape or (bias is not None and bias.shape != shape[:1]):
            raise ValueError("these are the weights of another network")
        shares = iter(np.split(dense, np.cumsum(sizes * 2), axis=1))
        means = [next(shares) if stack else None for stack in stacks]
        highest = [next(shares) if stack and bias is None else None for stack in stacks]
        forward, backward = (
            None if mean is None else Way(stack, mean, most)
            for stack, mean, most in zip(stacks, means, highest, strict=True)
        )
        return cls(table, None if scales is None else scales.astype(np.float32), (forward, backward), bias, len(dense))


def _stack(weights: dict[str, Singles], lstm: str, inputs: int) -> list[Layer]:
    """The layers of one direction, whose tensors it takes out of ``weights``."""
    found: list[Layer] = []
    while f"{lstm}.{PARTS[0]}_l{len(found)}" in weights:
        inward, inner, *biases = (weights.pop(f"{lstm}.{part}_l{len(found)}") for part in PARTS)
        gates = GATES * inner.shape[-1]
        if [each.shape for each in (inward, inner, *biases)] != [
            (gates, inputs),
            (gates, inner.shape[-1]),
            (gates,),
            (gates,),
        ]:
            raise ValueError("these are no LSTM's weights")
        found.append(Layer(inward, inner, np.add(*biases)))
        inputs = found[-1].hidden
    return found
