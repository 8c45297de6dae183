"""What Plaudit has in C, as it was compiled when Plaudit was installed. Knows no function of it."""

from __future__ import annotations

import ctypes
import os
from pathlib import Path


def wanted() -> bool:
    """Whether it may be used: always, but with ``PLAUDIT_COMPILED=0``."""
    return os.environ.get("PLAUDIT_COMPILED") != "0"


def libraries(source: Path) -> dict[str, Path]:
    """What the C file ``source`` is compiled for, where it uses a processor's vectors, the fastest first."""
    kinds = {"AVX-512": "-avx512", "AVX2": "-avx2", "this machine": ""}
    return {name: source.with_name(f"lib{source.stem}{kind}.so") for name, kind in kinds.items()}


def opened(path: Path, *functions: str, kind: type[ctypes.CDLL] = ctypes.CDLL) -> ctypes.CDLL | None:
    """The library at ``path``; None where it is not wanted or not there, is another machine's, or lacks a function."""
    if not wanted():
        return None
    try:
        found = kind(str(path))
    except OSError:
        return None
    return found if all(hasattr(found, name) for name in functions) else None


def opened_here(path: Path, *functions: str) -> ctypes.CDLL | None:
    """The same of `libraries`; None too where the processor lacks what it was compiled for."""
    found = opened(path, "plaudit_supported", *functions)
    return found if found is not None and found.plaudit_supported() else None
