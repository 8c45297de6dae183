"""An LSTM's evidence with NumPy alone, where nothing is compiled."""

from __future__ import annotations

from itertools import pairwise

import numpy as np
from numpy.typing import NDArray

from plaudit.bundle.weights import GATES, Layer, Singles, Way, Weights

Places = NDArray[np.int64]


def evidence(weights: Weights, ids: Places, starts: Places) -> Singles:
    """The evidence (ids, units) of words' ids; text i's begin at ``starts[i]``, and the longest text is first.

    Raises IndexError for ids that the table does not hold.
    """
    if ids.min() < 0:
        raise IndexError("ids are not negative")
    vectors = weights.table[ids].astype(np.float32)
    if weights.scales is not None:
        vectors *= weights.scales[ids][:, np.newaxis]
    found = np.zeros((len(ids), weights.units), dtype=np.float32)
    for backward, way in enumerate(weights.ways):
        if way is not None:
            states = vectors
            for layer in way.layers:
                states = _walk(layer, states, starts, bool(backward))
            _read(way, states, starts, found)
    if weights.bias is None:
        return found
    scores, firsts = found + weights.bias, starts[:-1][np.diff(starts) > 0]
    found[1:] = np.diff(scores, axis=0)  # a word's evidence is the score after it less the score before it
    found[firsts] = scores[firsts]
    return found


def _walk(layer: Layer, inputs: Singles, starts: Places, backward: bool) -> Singles:
    """The states (ids, hidden) of a layer."""
    lengths = np.diff(starts)
    begin, step = (starts[1:] - 1, -1) if backward else (starts[:-1], 1)
    inward = inputs @ layer.inward.T + layer.biases
    states = np.empty((len(inputs), layer.hidden), dtype=np.float32)
    last, cells = (np.zeros((len(lengths), layer.hidden), dtype=np.float32) for _ in range(2))
    active = len(lengths) - np.searchsorted(lengths[::-1], np.arange(lengths[0]), side="right")
    for word, texts in enumerate(active.tolist()):
        places = begin[:texts] + step * word
        gates = inward[places] + last[:texts] @ layer.inner.T
        enter, keep, new, leave = np.split(gates, GATES, axis=1)
        cells = _sigmoid(keep) * cells[:texts] + _sigmoid(enter) * np.tanh(new)
        last = _sigmoid(leave) * np.tanh(cells)
        states[places] = last
    return states


def _sigmoid(values: Singles) -> Singles:
    half = np.float32(0.5)
    return np.asarray(half * np.tanh(half * values) + half)


def _read(way: Way, states: Singles, starts: Places, found: Singles) -> None:
    """Adds to the evidence ``found`` (ids, units) what the states of one direction say."""
    if way.highest is None:
        found += states @ way.dense.T
        return
    lengths = np.diff(starts)
    shares = np.repeat(np.float32(1) / np.maximum(lengths, np.float32(1)), lengths)
    found += (states @ way.dense.T) * shares[:, np.newaxis]
    for begin, end in pairwise(starts.tolist()):
        if begin < end:
            own = states[begin:end]
            np.add.at(found, begin + own.argmax(axis=0), (way.highest * own.max(axis=0)).T)
