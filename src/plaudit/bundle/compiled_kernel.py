"""An LSTM's evidence on a processor's vector instructions. Lays weights out as recurrence.c reads them."""

from __future__ import annotations

import ctypes
import threading
from functools import cache
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from plaudit.bundle.quantisation import int8_gates, largest
from plaudit.bundle.weights import GATES, LSTMS, Array, Layer, Singles, Way, Weights
from plaudit.compiled import libraries, opened_here

LIBRARIES = libraries(Path(__file__).with_name("recurrence.c"))
TOGETHER = 4
"""Inputs that one instruction multiplies in int8."""
Places = NDArray[np.int64]


@cache
def library() -> ctypes.CDLL | None:
    """The fastest compiled functions that this processor can run; None where nothing was compiled for it."""
    return next((found for path in LIBRARIES.values() if (found := functions(path))), None)


def functions(path: Path) -> ctypes.CDLL | None:
    """The compiled functions at ``path``, unless the processor lacks what they use."""
    asked = ("plaudit_layout", "plaudit_units", "plaudit_int8", "plaudit_room", "plaudit_evidence")
    found = opened_here(path, *asked)
    if found is None or found.plaudit_layout() != 1000 * ctypes.sizeof(_Network) + ctypes.sizeof(_Layer):
        return None
    address, number = ctypes.c_void_p, ctypes.c_int32
    found.plaudit_room.argtypes, found.plaudit_room.restype = (address, address, number), ctypes.c_int64
    found.plaudit_evidence.argtypes = (address, address, address, number, address, address)
    return found


class CompiledKernel:
    """From words' ids to their evidence. Safe to use from several threads."""

    def __init__(self, weights: Weights, functions: ctypes.CDLL) -> None:
        self._functions, self._room = functions, _Room()
        self._kept = kept = _Kept(functions.plaudit_units())
        self._words, self._units = len(weights.table), weights.units
        ends = None
        if weights.scales is not None and functions.plaudit_int8():
            ends = largest(weights.table, weights.scales)
        self._network = _Network(
            kept.as_it_is(weights.table),
            None if weights.scales is None else kept.aligned(weights.scales),
            self._words,
            weights.table.shape[1],
            self._units,
            (_Way * len(LSTMS))(*(kept.way(way, ends) for way in weights.ways)),
            None if weights.bias is None else kept.aligned(weights.bias),
        )

    def __call__(self, ids: Places, starts: Places) -> Singles:
        """The evidence (ids, units); text i's ids begin at ``starts[i]``, and the longest text is first.

        Raises IndexError for ids that the table does not hold.
        """
        network, texts, places = ctypes.addressof(self._network), len(starts) - 1, starts.ctypes.data
        room = self._room.of(self._functions.plaudit_room(network, places, texts))
        evidence = np.empty((len(ids), self._units), dtype=np.float32)
        taken = (network, ids.ctypes.data, places, texts, evidence.ctypes.data, room.ctypes.data)
        if self._functions.plaudit_evidence(*taken):
            raise IndexError(f"ids lie between 0 and {self._words - 1}")
        return evidence


class _Room(threading.local):
    """Each thread's memory for what lies between ids and evidence; taken anew, a review took 1.2 ms instead of 0.7."""

    def __init__(self) -> None:
        self._held = np.empty(0, dtype=np.uint8)

    def of(self, size: int) -> NDArray[np.uint8]:
        if len(self._held) < size:
            self._held = np.empty(size, dtype=np.uint8)
        return self._held


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


class _Kept:
    """Arrays laid out as recurrence.c reads them, sizes up to whole blocks. Structures know their addresses alone."""

    def __init__(self, block: int) -> None:
        """``block`` is how many units one is of."""
        self._all: list[object] = []
        self._block = block

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

    def way(self, way: Way | None, ends: float | None) -> _Way:
        """One direction, whose words' vectors lie from ``-ends`` to ``ends`` where products are in int8."""
        if way is None:
            return _Way()
        rounded = ends is not None
        layers = [self._layer(layer, 1.0 if rounded and at else ends) for at, layer in enumerate(way.layers)]
        self._all.append(found := (_Layer * len(layers))(*layers))
        highest = None if way.highest is None else self._wide(way.highest)
        return _Way(ctypes.addressof(found), self._wide(way.dense), highest, len(layers))

    def _wide(self, weights: Singles) -> int:
        return self.aligned(np.pad(weights, ((0, 0), (0, self._missing(weights)))))

    def _missing(self, weights: Array) -> int:
        """How many columns they lack of whole blocks."""
        return int(-weights.shape[1] % self._block)

    def _layer(self, layer: Layer, ends: float | None) -> _Layer:
        inner = self._product(layer.inner, None if ends is None else 1.0)
        biases = self._blocks(layer.biases[:, np.newaxis], 1, 1)
        return _Layer(self._product(layer.inward, ends), inner, biases, inner.inputs, ends is not None)

    def _product(self, weights: Singles, ends: float | None) -> _Product:
        inputs = weights.shape[1] + self._missing(weights)
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
        hidden, block = len(weights) // GATES, self._block
        padded = np.zeros((GATES, hidden + -hidden % block, inputs), dtype=weights.dtype)
        padded[:, :hidden, : weights.shape[1]] = weights.reshape(GATES, hidden, -1)
        parts = padded.reshape(GATES, -1, block, inputs // together, together)
        return self.aligned(parts.transpose(1, 3, 0, 2, 4))
