"""The machine and the processes that train on it, as a run tells of them. Knows the operating system only."""

from __future__ import annotations

import os
import platform
import sys
from contextlib import suppress
from pathlib import Path
from typing import Any

from plaudit.bundle.session import usable_cores
from plaudit.version import __version__


def machine() -> dict[str, Any]:
    """The machine that this process runs on."""
    torch = sys.modules.get("torch")
    return {
        "cpu": _cpu(),
        "cores": usable_cores(),
        "gpu": torch.cuda.get_device_name() if torch is not None and torch.cuda.is_available() else None,
        "python": platform.python_version(),
        "torch": str(torch.__version__) if torch is not None else None,
        "plaudit": __version__,
    }


def _cpu() -> str:
    with suppress(OSError):
        for line in Path("/proc/cpuinfo").read_text("utf-8").splitlines():
            if line.startswith("model name"):
                return line.partition(":")[2].strip()
    return platform.processor() or platform.machine()


def process_mark(pid: int) -> str:
    """What tells process ``pid`` from a later one of the same number: on Linux its start, and the boot's."""
    try:
        ticks = Path(f"/proc/{pid}/stat").read_text("utf-8").rpartition(")")[2].split()[19]
        return f"{pid} {ticks} {Path('/proc/sys/kernel/random/boot_id').read_text('utf-8')[:8]}"
    except OSError:
        return str(pid)


def alive(mark: str) -> bool:
    """Whether the process that `process_mark` marked still runs."""
    try:
        pid = int(mark.split(maxsplit=1)[0])
        os.kill(pid, 0)
    except PermissionError:
        pass
    except (OSError, ValueError, IndexError):
        return False
    return process_mark(pid) == mark
