"""A bundle's network as layers, read from the names and shapes of its tensors. Knows no torch and runs nothing.

Tensors of one layer share a name up to the last dot; those of a recurrent layer end in its number as well, and in
``_reverse`` where it reads backward, as torch names them. Any network whose tensors are named so can be read.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass
from math import prod
from typing import Any

from plaudit.bundle.bundle import Bundle
from plaudit.bundle.session import tensors

RECURRENT = re.compile(r"(?:weight|bias)_(?:ih|hh|hr)_l(\d+)(_reverse)?")
GATES = {1: "RNN", 3: "GRU", 4: "LSTM"}
ROUNDING = ("scale", "zero_point")
"""Tensors that only say how others were rounded: they take up bytes, and are no parameters."""


@dataclass(frozen=True)
class Tensor:
    """A tensor as it is stored."""

    name: str
    shape: tuple[int, ...]
    kind: str
    bytes: int

    @property
    def part(self) -> str:
        return self.name.rpartition(".")[2]


@dataclass(frozen=True)
class Layer:
    """A layer: ``inputs`` numbers in, ``outputs`` out; ``operations`` are multiply-adds a word, of weights alone."""

    name: str
    kind: str
    inputs: int
    outputs: int
    operations: int
    tensors: tuple[Tensor, ...]

    @property
    def parameters(self) -> int:
        return sum(prod(tensor.shape) for tensor in self.tensors if tensor.part not in ROUNDING)

    @property
    def bytes(self) -> int:
        return sum(tensor.bytes for tensor in self.tensors)

    def to_json(self) -> dict[str, Any]:
        return {
            "name": self.name,
            "kind": self.kind,
            "inputs": self.inputs,
            "outputs": self.outputs,
            "parameters": self.parameters,
            "operations_a_word": self.operations,
            "bytes": self.bytes,
            "tensors": [
                {"name": each.name, "shape": list(each.shape), "kind": each.kind, "bytes": each.bytes}
                for each in self.tensors
            ],
        }


def layers_of(bundle: Bundle) -> list[Layer]:
    """The layers on a word's way: lookups, recurrent layers, the others. Raises BundleError for damaged weights."""
    groups: dict[str, list[Tensor]] = {}
    for name, value in tensors(bundle).items():
        tensor = Tensor(name, tuple(value.shape), str(value.dtype), value.nbytes)
        groups.setdefault(_layer_name(tensor), []).append(tensor)
    found = [_layer(name, {each.part: each for each in group}, bundle) for name, group in groups.items()]
    order = {"lookup": 0, "table": 0, **dict.fromkeys((*GATES.values(), "recurrent"), 1), "convolution": 2}
    return sorted(found, key=lambda layer: (order.get(layer.kind, 3), layer.name))


def _layer_name(tensor: Tensor) -> str:
    group, dot, part = tensor.name.rpartition(".")
    if match := RECURRENT.fullmatch(part):
        return f"{group}{dot}{match[1]}{' backward' if match[2] else ''}".replace(".", " ")
    return group or part


def _layer(name: str, parts: Mapping[str, Tensor], bundle: Bundle) -> Layer:
    inner = next((each for part, each in parts.items() if part.startswith("weight_hh")), None)
    if inner is not None:
        return _recurrent(name, parts, inner)
    weight = parts.get("weight") or max(parts.values(), key=lambda each: prod(each.shape))
    rows, columns = weight.shape[0] if weight.shape else 1, prod(weight.shape[1:])
    held = tuple(parts.values())
    if len(weight.shape) <= 2 and rows == bundle.vocabulary.size:
        if columns == len(bundle.card.biases):
            return Layer(name, "table", 1, columns, columns, held)
        return Layer(name, "lookup", 1, columns, 0, held)
    if len(weight.shape) == 2:
        return Layer(name, "linear", columns, rows, rows * columns, held)
    if len(weight.shape) == 3:
        return Layer(name, "convolution", weight.shape[1], rows, rows * columns, held)
    return Layer(name, "numbers", prod(weight.shape), prod(weight.shape), prod(weight.shape), held)


def _recurrent(name: str, parts: Mapping[str, Tensor], inner: Tensor) -> Layer:
    """One layer in one direction. Its gates stand in rows, one below the other; each reads the input and the state."""
    inward = next(each for part, each in parts.items() if part.startswith("weight_ih"))
    rows, outputs = inner.shape
    projection = next((each for part, each in parts.items() if part.startswith("weight_hr")), None)
    hidden = projection.shape[1] if projection else outputs
    matrices = [inner, inward, *([projection] if projection else [])]
    operations = sum(prod(each.shape) for each in matrices)
    kind = GATES.get(rows // hidden, "recurrent")
    return Layer(name, kind, inward.shape[1], outputs, operations, tuple(parts.values()))
