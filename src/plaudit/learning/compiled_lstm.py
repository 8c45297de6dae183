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
from plaudit.learning.arithmetic import has_amx

LIBRARIES = libraries(Path(__file__).with_name("lstm.c"))
IN_BFLOAT16 = Path(__file__).with_name("liblstm-avx512bf16.so")
"""The same source for processors that multiply bfloat16 by vectors; its states and gates are kept so."""
TEXTS = 8
"""Texts that one thread has at least: each of its steps reads all weights of the states."""
State = tuple[Tensor, Tensor]


@cache
def library(dtype: torch.dtype = torch.float32) -> ctypes.CDLL | None:
    """The fastest compiled functions for ``dtype`` that this processor can run; None where nothing was compiled for it.

    A processor with AMX has none for bfloat16: torch's own are faster there.
    """
    if dtype == torch.float32:
        return next((found for path in LIBRARIES.values() if (found := functions(path))), None)
    return functions(IN_BFLOAT16) if dtype == torch.bfloat16 and not has_amx() else None


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
    """Whether `pooled` and `streamed` take this LSTM: one layer on the processor, whose units fill whole panels."""
    dtype = torch.get_autocast_dtype("cpu") if torch.is_autocast_enabled("cpu") else torch.float32
    found, weights = library(dtype), lstm.weight_hh_l0
    if found is None or lstm.num_layers > 1 or weights.device.type != "cpu" or weights.dtype != torch.float32:
        return False
    return lstm.hidden_size % int(found.plaudit_panel()) == 0


@dataclass(frozen=True)
class Parts:
    """A batch's words as rows, and who reads which: all first words, then all second ones, and so on.

    The texts are dealt out to threads, and each step's rows are those of the first thread, then those of the next. By
    thread: the row where each of its steps begins (steps,), the texts that have a word then (steps,), and the first of
    its texts, after which the number of all is the last.
    """

    begins: list[NDArray[np.int64]]
    active: list[NDArray[np.int32]]
    firsts: list[int]

    @property
    def texts(self) -> int:
        return self.firsts[-1]

    @classmethod
    def of_streams(cls, steps: int, streams: int, threads: int) -> Parts:
        """Those of texts that all have so many words."""
        count = max(1, min(threads, streams // TEXTS))
        firsts = [streams * thread // count for thread in range(count + 1)]
        begins = [np.arange(steps, dtype=np.int64) * streams + first for first in firsts[:-1]]
        return cls(begins, [np.full(steps, end - first, dtype=np.int32) for first, end in pairwise(firsts)], firsts)


class Packed:
    """A batch's texts as rows without padding. In each thread, the longest text is the first.

    ``texts`` (rows,) are the places of the rows' texts in the batch, ``order`` (texts,) those of the threads' texts.
    """

    def __init__(self, lengths: NDArray[np.int64], threads: int) -> None:
        """``lengths`` (texts,) are at least 1."""
        count = max(1, min(threads, len(lengths) // TEXTS))
        by_length = np.argsort(-lengths, kind="stable")
        dealt = [by_length[thread::count] for thread in range(count)]
        self.order = np.concatenate(dealt)
        self.lengths = lengths[self.order]
        firsts = np.cumsum([0, *map(len, dealt)])
        steps = np.arange(lengths.max())
        active = np.stack([(lengths[own] > steps[:, np.newaxis]).sum(1) for own in dealt], axis=1)
        ends = active.cumsum().reshape(active.shape)
        begins = [own.copy() for own in (ends - active).T]
        self.parts = Parts(begins, [own[own > 0].astype(np.int32) for own in active.T], firsts.tolist())
        self._steps, thread = (np.repeat(each.ravel(), active.ravel()) for each in np.indices(active.shape))
        place = np.arange(len(self._steps)) - (ends - active)[self._steps, thread]
        self.texts = self.order[firsts[thread] + place]
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
    mean, highest = _Pooled.apply(_sums(lstm, vectors), lstm.weight_hh_l0, packed)  # type: ignore[no-untyped-call]
    places = torch.from_numpy(np.argsort(packed.order))
    return mean[places], highest[places]


def streamed(lstm: nn.LSTM, vectors: Tensor, state: State | None) -> tuple[Tensor, State]:
    """The states (time, streams, hidden) of an LSTM after words of ``vectors`` (time, streams, embedding).

    They begin after ``state``, which no gradient reaches; so does what follows after the states at the end, as which
    they come too. Gradients can be taken once.
    """
    steps, streams, _ = vectors.shape
    parts = Parts.of_streams(steps, streams, torch.get_num_threads())
    gates = _sums(lstm, vectors.flatten(0, 1))
    before = tuple(each.detach().squeeze(0) for each in state) if state is not None else None
    states, cells = _Streamed.apply(gates, lstm.weight_hh_l0, before, parts)  # type: ignore[no-untyped-call]
    return states.unflatten(0, (steps, streams)), (states[None, -streams:].detach(), cells.unsqueeze(0))


def _sums(lstm: nn.LSTM, vectors: Tensor) -> Tensor:
    """The gates' sums (rows, 4 * hidden) of words alone. What made them needs them no more: they are overwritten."""
    weights, biases, more = (lstm.get_parameter(f"{name}_l0") for name in ("weight_ih", "bias_ih", "bias_hh"))
    return nn.functional.linear(vectors, weights, biases + more)


class _Part(ctypes.Structure):
    _fields_ = (
        ("begins", ctypes.c_void_p),
        ("active", ctypes.c_void_p),
        ("gates", ctypes.c_void_p),
        ("cells", ctypes.c_void_p),
        ("states", ctypes.c_void_p),
        ("first_states", ctypes.c_void_p),
        ("first_cells", ctypes.c_void_p),
        ("slopes", ctypes.c_void_p),
        ("sums", ctypes.c_void_p),
        ("highest", ctypes.c_void_p),
        ("places", ctypes.c_void_p),
        ("carried", ctypes.c_void_p),
        ("products", ctypes.c_void_p),
        ("steps", ctypes.c_int32),
        ("texts", ctypes.c_int32),
        ("hidden", ctypes.c_int32),
        ("unused", ctypes.c_int32),
    )


@dataclass
class _Run:
    """The arrays of one batch, by row and by text, as lstm.c fills them."""

    parts: Parts
    gates: Tensor
    cells: Tensor
    states: Tensor
    first_states: Tensor | None = None
    first_cells: Tensor | None = None
    slopes: Tensor | None = None
    sums: Tensor | None = None
    highest: Tensor | None = None
    places: Tensor | None = None

    def forward(self, inner: Tensor) -> None:
        products = torch.empty((self.parts.texts, self.gates.shape[1]))
        self._by(self._functions.plaudit_read, inner.t(), products=products)

    def backward(self, inner: Tensor) -> None:
        carried = torch.empty((2 * self.parts.texts, self.cells.shape[1]))
        self._by(self._functions.plaudit_read_back, inner, carried=carried)

    @property
    def _functions(self) -> ctypes.CDLL:
        found = library(self.gates.dtype)
        assert found is not None, "what `reads` an LSTM is there"
        return found

    def _by(
        self,
        function: Callable[[int, int], Any],
        weights: Tensor,
        *,
        products: Tensor | None = None,
        carried: Tensor | None = None,
    ) -> None:
        """Has ``function`` do each thread's part, with ``weights`` (depth, columns)."""
        panels = torch.empty(weights.numel(), dtype=self.gates.dtype)
        (depth, columns), (down, right) = weights.shape, weights.stride()
        self._functions.plaudit_pack(weights.data_ptr(), depth, columns, down, right, panels.data_ptr())
        by_row = {name: getattr(self, name) for name in ("gates", "cells", "states", "slopes")}
        names = ("first_states", "first_cells", "sums", "highest", "places")
        by_text = {name: getattr(self, name) for name in names} | {"products": products}
        parts = [
            _Part(
                begins=begins.ctypes.data,
                active=active.ctypes.data,
                **{name: each.data_ptr() for name, each in by_row.items() if each is not None},
                **{name: each[first:].data_ptr() for name, each in by_text.items() if each is not None},
                carried=None if carried is None else carried[2 * first :].data_ptr(),
                steps=len(active),
                texts=end - first,
                hidden=self.cells.shape[1],
            )
            for begins, active, (first, end) in zip(
                self.parts.begins, self.parts.active, pairwise(self.parts.firsts), strict=True
            )
        ]
        with ThreadPoolExecutor(len(parts)) as threads:
            for _ in threads.map(lambda part: function(ctypes.addressof(part), panels.data_ptr()), parts):
                pass


class _Pooled(torch.autograd.Function):
    """From the gates' sums (rows, 4 * hidden) of words alone."""

    @staticmethod
    def forward(ctx: Any, gates: Tensor, inner: Tensor, packed: Packed) -> State:
        hidden, texts = inner.shape[1], len(packed.order)
        run = _Run(
            packed.parts, gates.detach(), torch.empty((len(gates), hidden)), gates.new_empty((len(gates), hidden))
        )
        run.sums, run.highest = (torch.empty((texts, hidden)) for _ in range(2))
        run.places = torch.empty((texts, hidden), dtype=torch.int32)
        run.forward(inner)
        ctx.save_for_backward(inner)
        ctx.run, ctx.packed = run, packed
        return run.sums / torch.from_numpy(packed.lengths).unsqueeze(1), run.highest.detach()

    @staticmethod
    @once_differentiable
    def backward(ctx: Any, of_mean: Tensor, of_highest: Tensor) -> tuple[Tensor, Tensor, None]:
        run, (inner,) = _taken(ctx), ctx.saved_tensors
        run.sums = of_mean / torch.from_numpy(ctx.packed.lengths).unsqueeze(1)
        run.highest = of_highest.contiguous()
        run.backward(inner)
        of_inner = run.gates[run.parts.texts :].t() @ run.states[torch.from_numpy(ctx.packed.before)]
        return run.gates, of_inner, None


class _Streamed(torch.autograd.Function):
    """From the gates' sums (rows, 4 * hidden) of words alone and the state before; the states, and the last cells."""

    @staticmethod
    def forward(ctx: Any, gates: Tensor, inner: Tensor, before: State | None, parts: Parts) -> State:
        hidden = inner.shape[1]
        states = gates.new_zeros((parts.texts + len(gates), hidden))  # those before the first words come first
        run = _Run(parts, gates.detach(), torch.empty((len(gates), hidden)), states[parts.texts :])
        if before is not None:
            states[: parts.texts] = before[0]
            run.first_states, run.first_cells = states, before[1].float().contiguous()
        run.forward(inner)
        ctx.save_for_backward(inner)
        ctx.run, ctx.before = run, states[: len(gates)]
        cells = run.cells[-parts.texts :].clone()
        ctx.mark_non_differentiable(cells)
        return run.states.detach(), cells

    @staticmethod
    @once_differentiable
    def backward(ctx: Any, of_states: Tensor, _: Tensor) -> tuple[Tensor, Tensor, None, None]:
        run, (inner,) = _taken(ctx), ctx.saved_tensors
        run.slopes = of_states.contiguous()
        run.backward(inner)
        return run.gates, run.gates.t() @ ctx.before, None, None


def _taken(ctx: Any) -> _Run:
    """The run that ``ctx`` has; its gates become slopes, so it is gone from there."""
    run: _Run | None = ctx.run
    if run is None:
        raise RuntimeError("gradients of what compiled functions have read can be taken once")
    ctx.run = None
    return run
