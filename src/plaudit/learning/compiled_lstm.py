"""What an LSTM says of texts of any lengths, and its gradients, on a processor's vectors. Knows lstm.c."""

from __future__ import annotations

import ctypes
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from functools import cache
from itertools import pairwise
from pathlib import Path
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn
from torch.autograd.function import once_differentiable

from plaudit.compiled import libraries, opened_here

LIBRARIES = libraries(Path(__file__).with_name("lstm.c"))
TEXTS = 8
"""Texts that one thread has at least: each of its steps reads all weights of the states."""


@cache
def library() -> ctypes.CDLL | None:
    """The fastest compiled functions that this processor can run; None where nothing was compiled for it."""
    return next((found for path in LIBRARIES.values() if (found := functions(path))), None)


def functions(path: Path) -> ctypes.CDLL | None:
    """The compiled functions at ``path``, unless the processor lacks what they use."""
    found = opened_here(path, "plaudit_layout", "plaudit_panel", "plaudit_pack", "plaudit_read", "plaudit_read_back")
    if found is None or found.plaudit_layout() != ctypes.sizeof(_Part):
        return None
    address, number, step = ctypes.c_void_p, ctypes.c_int32, ctypes.c_int64
    found.plaudit_pack.argtypes = (address, number, number, step, step, address)
    found.plaudit_read.argtypes = found.plaudit_read_back.argtypes = (address, address)
    return found


def reads(lstm: nn.LSTM) -> bool:
    """Whether `pooled` takes this LSTM here: one layer on the processor, in float32, whose units fill whole panels."""
    found = library()
    if found is None or lstm.num_layers > 1 or torch.is_autocast_enabled("cpu"):
        return False
    weights = lstm.weight_hh_l0
    return weights.device.type == "cpu" and lstm.hidden_size % int(found.plaudit_panel()) == 0


class Packed:
    """A batch's texts as rows without padding: all first words, then all second ones, and so on.

    The texts are dealt out to threads, and each step's rows are those of the first thread, then those of the next. In
    each, the longest text is the first. ``texts`` (rows,) are the places of the rows' texts in the batch.
    """

    def __init__(self, lengths: NDArray[np.int64], threads: int) -> None:
        """``lengths`` (texts,) are at least 1."""
        count = max(1, min(threads, len(lengths) // TEXTS))
        by_length = np.argsort(-lengths, kind="stable")
        dealt = [by_length[thread::count] for thread in range(count)]
        self.order = np.concatenate(dealt)
        self.lengths = lengths[self.order]
        self.firsts = np.cumsum([0, *map(len, dealt)])
        steps = np.arange(lengths.max())
        active = np.stack([(lengths[own] > steps[:, np.newaxis]).sum(1) for own in dealt], axis=1)
        ends = active.cumsum().reshape(active.shape)
        self.active = [own[own > 0].astype(np.int32) for own in active.T]
        self.begins = [own.copy() for own in (ends - active).T]
        self._steps, thread = (np.repeat(each.ravel(), active.ravel()) for each in np.indices(active.shape))
        place = np.arange(len(self._steps)) - (ends - active)[self._steps, thread]
        self.texts = self.order[self.firsts[thread] + place]
        self._lengths = lengths
        after = self._steps > 0
        self.before = ((ends - active)[self._steps - 1, thread] + place)[after]

    def columns(self, *, backward: bool) -> NDArray[np.int64]:
        """The words' places in their texts (rows,), read from the beginning or from the end."""
        return self._lengths[self.texts] - 1 - self._steps if backward else self._steps


def pooled(lstm: nn.LSTM, vectors: Tensor, packed: Packed) -> tuple[Tensor, Tensor]:
    """The mean and the maximum, (texts, hidden) each, of an LSTM's states after words of ``vectors`` (rows, embedding).

    Texts come out as the batch has them. Gradients can be taken once.
    """
    sums = nn.functional.linear(vectors, lstm.weight_ih_l0, lstm.bias_ih_l0 + lstm.bias_hh_l0)
    mean, highest = _Pooled.apply(sums, lstm.weight_hh_l0, packed)  # type: ignore[no-untyped-call]
    places = torch.from_numpy(np.argsort(packed.order))
    return mean[places], highest[places]


class _Part(ctypes.Structure):
    _fields_ = (
        ("begins", ctypes.c_void_p),
        ("active", ctypes.c_void_p),
        ("gates", ctypes.c_void_p),
        ("cells", ctypes.c_void_p),
        ("states", ctypes.c_void_p),
        ("sums", ctypes.c_void_p),
        ("highest", ctypes.c_void_p),
        ("places", ctypes.c_void_p),
        ("carried", ctypes.c_void_p),
        ("steps", ctypes.c_int32),
        ("texts", ctypes.c_int32),
        ("hidden", ctypes.c_int32),
        ("unused", ctypes.c_int32),
    )


@dataclass
class _Run:
    """The arrays of one batch, by row and by text, as lstm.c fills them."""

    packed: Packed
    gates: Tensor
    cells: Tensor
    states: Tensor
    sums: Tensor
    highest: Tensor
    places: Tensor
    carried: Tensor | None = None

    def by(self, function: Callable[[int, int], Any], panels: Tensor) -> None:
        """Has ``function`` do each thread's part."""
        packed, hidden = self.packed, self.cells.shape[1]
        parts = [
            _Part(
                begins.ctypes.data,
                active.ctypes.data,
                *(values.data_ptr() for values in (self.gates, self.cells, self.states)),
                *(values[first:].data_ptr() for values in (self.sums, self.highest, self.places)),
                None if self.carried is None else self.carried[2 * first :].data_ptr(),
                len(active),
                end - first,
                hidden,
            )
            for begins, active, (first, end) in zip(packed.begins, packed.active, pairwise(packed.firsts), strict=True)
        ]
        with ThreadPoolExecutor(len(parts)) as threads:
            for _ in threads.map(lambda part: function(ctypes.addressof(part), panels.data_ptr()), parts):
                pass


class _Pooled(torch.autograd.Function):
    """From the gates' sums (rows, 4 * hidden) of words alone. They are overwritten: what made them needs them no more."""

    @staticmethod
    def forward(ctx: Any, gates: Tensor, inner: Tensor, packed: Packed) -> tuple[Tensor, Tensor]:  # type: ignore[override]
        hidden, texts = inner.shape[1], len(packed.order)
        cells, states = (gates.new_empty((len(gates), hidden)) for _ in range(2))
        sums, highest = (gates.new_empty((texts, hidden)) for _ in range(2))
        run = _Run(
            packed, gates.detach(), cells, states, sums, highest, torch.empty((texts, hidden), dtype=torch.int32)
        )
        run.by(_functions().plaudit_read, _panels(inner.t()))
        ctx.save_for_backward(inner)
        ctx.run = run
        return sums / torch.from_numpy(packed.lengths).unsqueeze(1), highest

    @staticmethod
    @once_differentiable  # type: ignore[misc]
    def backward(ctx: Any, of_mean: Tensor, of_highest: Tensor) -> tuple[Tensor, Tensor, None]:
        run: _Run | None = ctx.run
        if run is None:
            raise RuntimeError("gradients of what compiled functions have read can be taken once")
        ctx.run = None  # its gates become slopes
        (inner,) = ctx.saved_tensors
        run.sums = of_mean / torch.from_numpy(run.packed.lengths).unsqueeze(1)
        run.highest = of_highest.contiguous()
        run.carried = of_mean.new_empty((2 * len(of_mean), of_mean.shape[1]))
        run.by(_functions().plaudit_read_back, _panels(inner))
        return run.gates, run.gates[len(of_mean) :].t() @ run.states[torch.from_numpy(run.packed.before)], None


def _functions() -> ctypes.CDLL:
    found = library()
    assert found is not None, "what `reads` an LSTM is there"
    return found


def _panels(weights: Tensor) -> Tensor:
    """``weights`` (depth, columns) as lstm.c reads them."""
    panels = torch.empty(weights.numel())
    (depth, columns), (down, right) = weights.shape, weights.stride()
    _functions().plaudit_pack(weights.data_ptr(), depth, columns, down, right, panels.data_ptr())
    return panels
