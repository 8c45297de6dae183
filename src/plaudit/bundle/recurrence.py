"""A bundle's LSTM on a processor's vector instructions. Knows the weights' names and recurrence.c, and no texts.

It reads weights.safetensors and gives what ``network.onnx`` gives, two to three times as fast as ONNX Runtime, whose
import it saves besides. Where it cannot be used (another processor, no C compiler when Plaudit was installed, a network
of somebody else's), ONNX Runtime scores.
"""

from __future__ import annotations

import ctypes
from collections.abc import Mapping, Sequence
from functools import cache
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from plaudit.bundle.quantisation import int8_gates, largest
from plaudit.text.vocabulary import NO_WORD

LIBRARY = Path(__file__).with_name("librecurrence.so")
UNITS, GATES, TOGETHER = 16, 4, 4
"""Units of a block, gates of a unit, and inputs that one instruction multiplies in int8: as in recurrence.c."""
EMBEDDING, SCALE = "embedding.weight", "embedding.scale"
LSTMS = {"forward": "lstm", "backward": "lstm_backward"}
PARTS = ("weight_ih", "weight_hh", "bias_ih", "bias_hh")
Singles = NDArray[np.float32]
Ids = NDArray[np.int64]
Array = NDArray[Any]


@cache
def library() -> ctypes.CDLL | None:
    """The compiled functions; None where they were not compiled, or where the processor lacks what they use."""
    try:
        found = ctypes.CDLL(str(LIBRARY))
    except OSError:
        return None
    address, number = ctypes.c_void_p, ctypes.c_int32
    found.plaudit_lstm.argtypes = (address, address, address, number, number, address)
    found.plaudit_project.argtypes = (address, number, number, address, number, address)
    found.plaudit_maxima.argtypes = (address, number, number, address)
    return found if found.plaudit_supported() else None


class Recurrence:
    """Evidence of rows of ids. Safe to use from several threads; a row's evidence does not depend on the others."""

    def __init__(self, stored: Mapping[str, Array], functions: ctypes.CDLL) -> None:
        """Raises KeyError or ValueError where ``stored`` are not the tensors of a network that Plaudit trains."""
        self._functions = functions
        self._table, self._scales = stored[EMBEDDING], stored.get(SCALE)
        ends = None if self._scales is None else largest(self._table, self._scales)
        weights = {name: value.astype(np.float32) for name, value in stored.items() if name not in (EMBEDDING, SCALE)}
        dense, self._bias = weights.pop("dense.weight"), weights.pop("dense.bias", None)
        self._stacks = [
            (stack, way == "backward")
            for way, lstm in LSTMS.items()
            if (stack := _stack(weights, lstm, self._table.shape[1], ends))
        ]
        hidden = [stack[-1].hidden for stack, _ in self._stacks]
        sizes = hidden if self._bias is not None else [*hidden, *hidden]
        if weights or sum(sizes) != dense.shape[1]:
            raise ValueError("these are the weights of another network")
        shares = np.split(dense, np.cumsum(sizes)[:-1], axis=1)
        self._dense = [_aligned(np.pad(share, ((0, 0), (0, -share.shape[1] % UNITS)))) for share in shares]

    @property
    def words(self) -> int:
        """How many ids it knows."""
        return len(self._table)

    def __call__(self, rows: Sequence[Sequence[int]]) -> list[Singles]:
        """The evidence (ids, units) of each row; none for ids that are no words. Raises IndexError for unknown ids."""
        given = [np.asarray(row, dtype=np.int64) for row in rows]
        real = [ids != NO_WORD for ids in given]
        words = [ids[known] for ids, known in zip(given, real, strict=True)]
        order = sorted(range(len(rows)), key=lambda row: -len(words[row]))  # the functions want the longest first
        starts = np.cumsum([0, *(len(words[row]) for row in order)], dtype=np.int64)
        found = [np.zeros((len(ids), len(self._dense[0])), dtype=np.float32) for ids in given]
        if not starts[-1]:
            return found
        vectors = self._vectors(np.concatenate([words[row] for row in order]))
        states = [self._states(vectors, starts, *stack) for stack in self._stacks]
        for row, start, end in zip(order, starts[:-1], starts[1:], strict=True):
            if end > start:
                found[row][real[row]] = self._evidence([each[start:end] for each in states])
        return found

    def _vectors(self, ids: Ids) -> Singles:
        rows = self._table[ids].astype(np.float32, copy=False)
        return rows if self._scales is None else rows * self._scales[ids].astype(np.float32)[:, np.newaxis]

    def _states(self, inputs: Singles, starts: Ids, stack: Sequence[_Layer], backward: bool) -> Singles:
        for layer in stack:
            inputs = layer.states(self._functions, inputs, starts, backward)
        return inputs

    def _evidence(self, states: Sequence[Singles]) -> Singles:
        """The evidence (words, units) of one row's words from each direction's states (words, hidden)."""
        count, ways = len(states[0]), len(states)
        found = np.zeros((count, len(self._dense[0])), dtype=np.float32)
        for each, dense in zip(states, self._dense[:ways], strict=True):
            found += self._product(each, dense)
        if self._bias is not None:
            return np.diff(found + self._bias, axis=0, prepend=np.float32(0))
        found /= count
        for each, dense in zip(states, self._dense[ways:], strict=True):
            places = np.empty(each.shape[1], dtype=np.int32)
            self._functions.plaudit_maxima(each.ctypes.data, *each.shape, places.ctypes.data)
            np.add.at(found, places, (dense * each[places, np.arange(len(places))]).T)
        return found

    def _product(self, states: Singles, weights: Singles) -> Singles:
        found = np.empty((len(states), len(weights)), dtype=np.float32)
        self._functions.plaudit_project(
            states.ctypes.data, *states.shape, weights.ctypes.data, len(weights), found.ctypes.data
        )
        return found


class _Product(ctypes.Structure):
    _fields_ = (
        ("weights", ctypes.c_void_p),
        ("scales", ctypes.c_void_p),
        ("offsets", ctypes.c_void_p),
        ("range", ctypes.c_float),
        ("inputs", ctypes.c_int32),
    )


class _Fields(ctypes.Structure):
    _fields_ = (
        ("inward", _Product),
        ("inner", _Product),
        ("biases", ctypes.c_void_p),
        ("hidden", ctypes.c_int32),
        ("int8", ctypes.c_int32),
    )


class _Layer:
    """One layer in one direction, its weights laid out as recurrence.c reads them: sizes up to whole blocks."""

    def __init__(self, weights: Sequence[Singles], inputs: int, ends: float | None) -> None:
        """``inputs`` numbers a word; they lie from ``-ends`` to ``ends`` where products are in int8."""
        inward, inner, *biases = weights
        self.hidden = inner.shape[1]
        gates = GATES * self.hidden
        if [each.shape for each in weights] != [(gates, inputs), (gates, self.hidden), (gates,), (gates,)]:
            raise ValueError("these are no LSTM's weights")
        self._kept: list[Array] = []  # the structures know their addresses alone
        self._wide = self.hidden + -self.hidden % UNITS
        self._fields = _Fields(
            self._product(inward, ends),
            self._product(inner, None if ends is None else 1.0),
            self._address(self._blocks(np.add(*biases)[:, np.newaxis], 1, 1)),
            self._wide,
            ends is not None,
        )

    def states(self, functions: ctypes.CDLL, inputs: Singles, starts: Ids, backward: bool) -> Singles:
        """The states (words, hidden) after ``inputs`` (words, inputs), both up to whole blocks. Raises MemoryError."""
        missing = self._fields.inward.inputs - inputs.shape[1]
        inputs = np.pad(inputs, ((0, 0), (0, missing))) if missing else inputs
        found = np.empty((len(inputs), self._wide), dtype=np.float32)
        addresses = (ctypes.addressof(self._fields), inputs.ctypes.data, starts.ctypes.data)
        if functions.plaudit_lstm(*addresses, len(starts) - 1, backward, found.ctypes.data):
            raise MemoryError
        return found

    def _product(self, weights: Singles, ends: float | None) -> _Product:
        inputs = weights.shape[1] + -weights.shape[1] % UNITS
        if ends is None:
            return _Product(self._address(self._blocks(weights, inputs, 1)), None, None, 0, inputs)
        quantised, scales = (each[0] for each in int8_gates(weights[np.newaxis]))
        sums = quantised.sum(axis=0, dtype=np.int32)
        return _Product(
            self._address(self._blocks(quantised.T, inputs, TOGETHER)),
            self._address(self._blocks(scales[:, np.newaxis] * np.float32(ends / 127.5), 1, 1)),
            self._address(self._blocks(-128 * sums[:, np.newaxis], 1, 1)),  # inputs are from 0 to 255: 128 is nothing
            ends,
            inputs,
        )

    def _blocks(self, weights: Array, inputs: int, together: int) -> Array:
        """``weights`` (gates * hidden, inputs) as (blocks, inputs / together, gates, units, together)."""
        padded = np.zeros((GATES, self._wide, inputs), dtype=weights.dtype)
        padded[:, : self.hidden, : weights.shape[1]] = weights.reshape(GATES, self.hidden, -1)
        parts = padded.reshape(GATES, -1, UNITS, inputs // together, together)
        return parts.transpose(1, 3, 0, 2, 4)

    def _address(self, values: Array) -> int:
        self._kept.append(_aligned(values))
        return self._kept[-1].ctypes.data


def _stack(weights: dict[str, Singles], lstm: str, inputs: int, ends: float | None) -> list[_Layer]:
    """The layers of one direction, whose tensors it takes out of ``weights``."""
    found: list[_Layer] = []
    while f"{lstm}.{PARTS[0]}_l{len(found)}" in weights:
        parts = [weights.pop(f"{lstm}.{part}_l{len(found)}") for part in PARTS]
        found.append(_Layer(parts, inputs, ends))
        inputs, ends = found[-1].hidden, None if ends is None else 1.0
    return found


def _aligned(values: Array) -> Array:
    """A copy that begins where a line of the cache begins."""
    room = np.empty(values.nbytes + 64, dtype=np.uint8)
    begin = -room.ctypes.data % 64
    found = room[begin : begin + values.nbytes].view(values.dtype).reshape(values.shape)
    found[...] = values
    return found
