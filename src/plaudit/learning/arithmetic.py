"""How this machine computes: which numbers it is fast at, and how it keeps memory. Knows torch and the C library."""

from __future__ import annotations

import contextlib
import ctypes
from collections.abc import Iterator, Mapping
from mmap import PAGESIZE
from pathlib import Path

import torch

M_TRIM_THRESHOLD, M_MMAP_MAX = -1, -4
MOST = 2**31 - 1


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

    One with AMX is. Of those that multiply it by vectors alone (AVX512_BF16), AMD's took half the time of float32, and
    Intel's longer than that. It is not measured anew: a training that goes on has to find the same.
    """
    if precision != "auto":
        return precision == "bfloat16"
    if torch.cuda.is_available():
        return bool(torch.cuda.is_bf16_supported())
    able = _able()
    return has_amx() or (bool(able.get("avx512_bf16")) and "AMD" in str(able.get("cpu_name")))


def has_amx() -> bool:
    """Whether the processor multiplies bfloat16 by tiles."""
    return bool(_able().get("amx_bf16"))


def _able() -> Mapping[str, object]:
    found: Mapping[str, object] = torch.cpu.get_capabilities() if hasattr(torch.cpu, "get_capabilities") else {}
    return found
