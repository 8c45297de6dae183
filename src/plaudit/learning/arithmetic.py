"""How this machine computes: which numbers it is fast at, and how it keeps memory. Knows torch and the C library."""

from __future__ import annotations

import contextlib
import ctypes
import time
from collections.abc import Iterator
from functools import cache
from mmap import PAGESIZE
from pathlib import Path

import torch

M_TRIM_THRESHOLD, M_MMAP_MAX = -1, -4
MOST = 2**31 - 1
KINDS = (torch.float32, torch.bfloat16)
PROBES, WORTH_IT = 20, 1.3


@contextlib.contextmanager
def made_ready() -> Iterator[None]:
    """This process as training wants it, in this thread and in those that it starts in the block.

    Numbers below 1e-38 become 0: Adam's averages of a rare word's gradient shrink to such numbers within a thousand
    steps, and a processor needs a hundred times longer for them; pretraining fell to a tenth of its speed. And glibc
    keeps what a step has freed for the next one: mapping it anew was a fifth of a training's time.
    """
    torch.set_flush_denormal(True)
    with contextlib.suppress(OSError, AttributeError):
        library = ctypes.CDLL(None)
        library.mallopt(M_MMAP_MAX, 0)
        library.mallopt(M_TRIM_THRESHOLD, MOST)
    try:
        yield
    finally:
        torch.set_flush_denormal(False)


def resident() -> int:
    """Bytes of memory that this process has; 0 where the system does not say."""
    try:
        return int(Path("/proc/self/statm").read_text().split()[1]) * PAGESIZE
    except OSError:
        return 0


def give_back() -> None:
    """Gives the system the memory that glibc keeps though it is free.

    Batches are of all sizes, and the pieces that one has freed seldom suit the next: of 1.2 GB they made 10. But what
    is given back has to be mapped anew: for 0.6 GB that is a second of a training.
    """
    with contextlib.suppress(OSError, AttributeError):
        ctypes.CDLL(None).malloc_trim(0)


def bfloat16_pays(precision: str) -> bool:
    """Whether to train in bfloat16: as told, or if the GPU or the processor is faster at it.

    A processor with AMX is. One that multiplies it by vectors alone (AVX512_BF16) is asked: AMD's take half the time of
    float32, and Intel's longer than that.
    """
    if precision != "auto":
        return precision == "bfloat16"
    if torch.cuda.is_available():
        return bool(torch.cuda.is_bf16_supported())
    return has_amx() or (_able("avx512_bf16") and times_as_fast_in_bfloat16() > WORTH_IT)


def has_amx() -> bool:
    """Whether the processor multiplies bfloat16 by tiles."""
    return _able("amx_bf16")


@cache
def times_as_fast_in_bfloat16() -> float:
    """How many times as fast as in float32 torch multiplies here in bfloat16: the least times of some, in turn."""
    sides = {kind: (torch.ones((64, 512), dtype=kind), torch.ones((512, 2048), dtype=kind)) for kind in KINDS}
    least = dict.fromkeys(KINDS, float("inf"))
    for _ in range(PROBES):
        for kind, (states, weights) in sides.items():
            began = time.perf_counter()
            states @ weights
            least[kind] = min(least[kind], time.perf_counter() - began)
    return least[torch.float32] / least[torch.bfloat16]


def _able(what: str) -> bool:
    able = torch.cpu.get_capabilities() if hasattr(torch.cpu, "get_capabilities") else {}
    return bool(able.get(what))
