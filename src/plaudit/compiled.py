"""What Plaudit has in C, as it was compiled when Plaudit was installed. Knows no function of it."""

from __future__ import annotations

import ctypes
import os
from pathlib import Path


def wanted() -> bool:
    """Whether it may be used: always, but with ``PLAUDIT_COMPILED=0``."""
    return os.environ.get("PLAUDIT_COMPILED") != "0"


def opened(path: Path, *functions: str, kind: type[ctypes.CDLL] = ctypes.CDLL) -> ctypes.CDLL | None:
    """The library at ``path``; None where it is not wanted or not there, is another machine's, or lacks a function."""
    if not wanted():
        return None
    try:
        found = kind(str(path))
    except OSError:
        return None
    return found if all(hasattr(found, name) for name in functions) else None
