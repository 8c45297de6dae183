"""A bundle's LSTM on a processor's vector instructions. Knows the weights' names and recurrence.c, and no texts.

It reads weights.safetensors and gives what ``network.onnx`` gives, two to three times as fast as ONNX Runtime, whose
import it saves besides. Where it cannot be used (another processor, no C compiler when Plaudit was installed, a network
of somebody else's), ONNX Runtime scores.
"""

from __future__ import annotations

import ctypes
from collections.abc import Mapping, Sequence
from functools import cache
from itertools import accumulate, chain, pairwise
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from plaudit.bundle.quantisation import int8_gates, largest
from plaudit.compiled import opened
from plaudit.text.vocabulary import NO_WORD

LIBRARY = Path(__file__).with_name("librecurrence.so")
UNITS, GATES, TOGETHER = 16, 4, 4
"""Units of a block, gates of a unit, and inputs that one instruction multiplies in int8: as in recurrence.c."""
UNKNOWN_ID = -2
EMBEDDING, SCALE = "embedding.weight", "embedding.scale"
LSTMS = ("lstm", "lstm_backward")
PARTS = ("weight_ih", "weight_hh", "bias_ih", "bias_hh")
Array = NDArray[Any]
Singles = NDArray[np.float32]


@cache
def library() -> ctypes.CDLL | None:
    """The compiled functions; None where they were not compiled, or where the processor lacks what they use."""
    found = opened(LIBRARY, "plaudit_supported", "plaudit_layout", "plaudit_evidence")
    layout = 1000 * ctypes.sizeof(_Network) + ctypes.sizeof(_Layer)
    if found is None or not found.plaudit_supported() or found.plaudit_layout() != layout:
        return None
    address = ctypes.c_void_p
    found.plaudit_evidence.argtypes = (address, address, address, ctypes.c_int32, address)
    return found


class Recurrence:
    """Evidence of rows of ids. Safe to use from several threads; a row's evidence does not depend on the others."""

    def __init__(self, stored: Mapping[str, Array], functions: ctypes.CDLL) -> None:
        """Raises KeyError or ValueError where ``stored`` are not the tensors of a network that Plaudit trains."""
        weights = {name: value.astype(np.float32) for name, value in stored.items() if name not in (EMBEDDING, SCALE)}
        table, scales, bias = stored[EMBEDDING], stored.get(SCALE), weights.pop("dense.bias", None)
        dense = weights.pop("dense.weight")
        self.words, inputs = table.shape
        self.units = len(dense)
        kind = np.float32 if scales is None else np.int8
        if table.dtype != kind or (scales is not None and scales.shape != (self.words,)):
            raise ValueError("these are no words' vectors")
        if not all(np.isfinite(values).all() for values in stored.values() if values.dtype.kind == "f"):
            raise ValueError("these weights are no numbers")
        ends = None if scales is None else largest(table, scales)
        stacks = [_stack(weights, lstm, inputs, ends) for lstm in LSTMS]
        sizes = [stack[-1].hidden for stack in stacks if stack]
        shape = (self.units, sum(sizes) * (2 if bias is None else 1))
        if weights or not sizes or dense.shape != shape or (bias is not None and bias.shape != shape[:1]):
            raise ValueError("these are the weights of another network")
        self._functions, self._kept = functions, _Kept()
        shares = iter(np.split(dense, np.cumsum(sizes * 2), axis=1))
        means = [next(shares) if stack else None for stack in stacks]
        highest = [next(shares) if stack and bias is None else None for stack in stacks]
        self._network = _Network(
            self._kept.as_it_is(table),
            None if scales is None else self._kept.aligned(scales.astype(np.float32)),
            self.words,
            inputs,
            self.units,
            (_Way * len(LSTMS))(*map(self._kept.way, stacks, means, highest)),
            None if bias is None else self._kept.aligned(bias),
        )

    def __call__(self, rows: Sequence[Sequence[int]]) -> list[Singles]:
        """The evidence (ids, units) of each row, none for ids that are no words. Raises IndexError for unknown ids."""
        if any(NO_WORD in row for row in rows):
            return self._around_gaps(rows)
        order = sorted(range(len(rows)), key=lambda row: -len(rows[row]))  # the functions want the longest first
        starts = [0, *accumulate(len(rows[row]) for row in order)]
        ids = np.fromiter(chain.from_iterable(rows[row] for row in order), np.int64, starts[-1])
        evidence, places = np.empty((len(ids), self.units), dtype=np.float32), np.array(starts, dtype=np.int64)
        if len(ids):
            addresses = (ctypes.addressof(self._network), ids.ctypes.data, places.ctypes.data)
            failed = self._functions.plaudit_evidence(*addresses, len(rows), evidence.ctypes.data)
            if failed:
                raise IndexError(f"ids lie between 0 and {self.words - 1}") if failed == UNKNOWN_ID else MemoryError
        found = {row: evidence[start:end] for row, (start, end) in zip(order, pairwise(starts), strict=True)}
        return [found[row] for row in range(len(rows))]

    def _around_gaps(self, rows: Sequence[Sequence[int]]) -> list[Singles]:
        found = []
        words = self([[id for id in row if id != NO_WORD] for row in rows])
        for row, evidence in zip(rows, words, strict=True):
            found.append(np.zeros((len(row), self.units), dtype=np.float32))
            found[-1][np.asarray(row) != NO_WORD] = evidence
        return found


class _Product(ctypes.Structure):
    _fields_ = (
        ("weights", ctypes.c_void_p),
        ("scales", ctypes.c_void_p),
        ("offsets", ctypes.c_void_p),
        ("range", ctypes.c_float),
        ("inputs", ctypes.c_int32),
    )


class _Layer(ctypes.Structure):
    _fields_ = (
        ("inward", _Product),
        ("inner", _Product),
        ("biases", ctypes.c_void_p),
        ("hidden", ctypes.c_int32),
        ("int8", ctypes.c_int32),
    )


class _Way(ctypes.Structure):
    _fields_ = (
        ("layers", ctypes.c_void_p),
        ("dense", ctypes.c_void_p),
        ("highest", ctypes.c_void_p),
        ("count", ctypes.c_int32),
        ("unused", ctypes.c_int32),
    )


class _Network(ctypes.Structure):
    _fields_ = (
        ("table", ctypes.c_void_p),
        ("scales", ctypes.c_void_p),
        ("words", ctypes.c_int64),
        ("inputs", ctypes.c_int32),
        ("units", ctypes.c_int32),
        ("ways", _Way * len(LSTMS)),
        ("bias", ctypes.c_void_p),
    )


class _Gates:
    """One layer's weights in one direction. Inputs lie from ``-ends`` to ``ends``, where products are in int8."""

    def __init__(self, weights: Sequence[Singles], inputs: int, ends: float | None) -> None:
        self.inward, self.inner, *biases = weights
        self.ends = ends
        self.hidden = self.inner.shape[1]
        gates = GATES * self.hidden
        if [each.shape for each in weights] != [(gates, inputs), (gates, self.hidden), (gates,), (gates,)]:
            raise ValueError("these are no LSTM's weights")
        self.biases = np.add(*biases)


def _stack(weights: dict[str, Singles], lstm: str, inputs: int, ends: float | None) -> list[_Gates]:
    """The layers of one direction, whose tensors it takes out of ``weights``."""
    found: list[_Gates] = []
    while f"{lstm}.{PARTS[0]}_l{len(found)}" in weights:
        parts = [weights.pop(f"{lstm}.{part}_l{len(found)}") for part in PARTS]
        found.append(_Gates(parts, inputs, ends))
        inputs, ends = found[-1].hidden, None if ends is None else 1.0
    return found


class _Kept:
    """Arrays laid out as recurrence.c reads them, sizes up to whole blocks. Structures know their addresses alone."""

    def __init__(self) -> None:
        self._all: list[object] = []

    def as_it_is(self, values: Array) -> int:
        self._all.append(values := np.ascontiguousarray(values))
        return values.ctypes.data

    def aligned(self, values: Array) -> int:
        """A copy that begins where a line of the cache begins."""
        room = np.empty(values.nbytes + 64, dtype=np.uint8)
        begin = -room.ctypes.data % 64
        found = room[begin : begin + values.nbytes].view(values.dtype).reshape(values.shape)
        found[...] = values
        return self.as_it_is(found)

    def way(self, stack: Sequence[_Gates], dense: Singles | None, highest: Singles | None) -> _Way:
        layers = (_Layer * len(stack))(*map(self._layer, stack))
        self._all.append(layers)
        return _Way(ctypes.addressof(layers), self._wide(dense), self._wide(highest), len(stack))

    def _wide(self, weights: Singles | None) -> int | None:
        return None if weights is None else self.aligned(np.pad(weights, ((0, 0), (0, -weights.shape[1] % UNITS))))

    def _layer(self, gates: _Gates) -> _Layer:
        rounded = gates.ends is not None
        inner = self._product(gates.inner, 1.0 if rounded else None)
        biases = self._blocks(gates.biases[:, np.newaxis], 1, 1)
        return _Layer(self._product(gates.inward, gates.ends), inner, biases, inner.inputs, rounded)

    def _product(self, weights: Singles, ends: float | None) -> _Product:
        inputs = weights.shape[1] + -weights.shape[1] % UNITS
        if ends is None:
            return _Product(self._blocks(weights, inputs, 1), None, None, 0, inputs)
        quantised, scales = (each[0] for each in int8_gates(weights[np.newaxis]))
        sums = quantised.sum(axis=0, dtype=np.int32)
        return _Product(
            self._blocks(quantised.T, inputs, TOGETHER),
            self._blocks(scales[:, np.newaxis] * np.float32(ends / 127.5), 1, 1),
            self._blocks(-128 * sums[:, np.newaxis], 1, 1),  # inputs go from 0 to 255, where 128 is nothing
            ends,
            inputs,
        )

    def _blocks(self, weights: Array, inputs: int, together: int) -> int:
        """``weights`` (gates * hidden, inputs) as (blocks, inputs / together, gates, units, together)."""
        hidden = len(weights) // GATES
        padded = np.zeros((GATES, hidden + -hidden % UNITS, inputs), dtype=weights.dtype)
        padded[:, :hidden, : weights.shape[1]] = weights.reshape(GATES, hidden, -1)
        parts = padded.reshape(GATES, -1, UNITS, inputs // together, together)
        return self.aligned(parts.transpose(1, 3, 0, 2, 4))
