"""A bundle's LSTM on what is compiled here, or on NumPy. Knows rows of ids, and no texts.

It reads weights.safetensors and gives what ``network.onnx`` gives ONNX Runtime, which is not even imported.
"""

from __future__ import annotations

import ctypes
from collections.abc import Callable, Sequence
from functools import partial
from itertools import accumulate, chain, pairwise

import numpy as np
from numpy.typing import NDArray

from plaudit.bundle import numpy_kernel
from plaudit.bundle.compiled_kernel import CompiledKernel
from plaudit.bundle.weights import Singles, Weights
from plaudit.text.vocabulary import NO_WORD

Places = NDArray[np.int64]
Kernel = Callable[[Places, Places], Singles]
"""From the ids of texts, the longest first, and where each begins, to the evidence (ids, units)."""


class Recurrence:
    """Evidence of rows of ids. Safe to use from several threads.

    A row's evidence does not depend on the others; on NumPy but for rounding.
    """

    def __init__(self, weights: Weights, functions: ctypes.CDLL | None) -> None:
        """On the compiled ``functions``, or on NumPy where there are none."""
        self.words, self.units = len(weights.table), weights.units
        self._kernel: Kernel = (
            CompiledKernel(weights, functions) if functions else partial(numpy_kernel.evidence, weights)
        )

    def __call__(self, rows: Sequence[Sequence[int]]) -> list[Singles]:
        """The evidence (ids, units) of each row, none for ids that are no words. Raises IndexError for unknown ids."""
        if any(NO_WORD in row for row in rows):
            return self._around_gaps(rows)
        order = sorted(range(len(rows)), key=lambda row: -len(rows[row]))
        starts = [0, *accumulate(len(rows[row]) for row in order)]
        ids = np.fromiter(chain.from_iterable(rows[row] for row in order), np.int64, starts[-1])
        none = np.empty((0, self.units), dtype=np.float32)
        evidence = self._kernel(ids, np.array(starts, dtype=np.int64)) if len(ids) else none
        found = {row: evidence[start:end] for row, (start, end) in zip(order, pairwise(starts), strict=True)}
        return [found[row] for row in range(len(rows))]

    def _around_gaps(self, rows: Sequence[Sequence[int]]) -> list[Singles]:
        found = []
        words = self([[id for id in row if id != NO_WORD] for row in rows])
        for row, evidence in zip(rows, words, strict=True):
            found.append(np.zeros((len(row), self.units), dtype=np.float32))
            found[-1][np.asarray(row) != NO_WORD] = evidence
        return found
