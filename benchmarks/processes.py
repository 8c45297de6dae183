"""What a command takes in a process of its own."""

from __future__ import annotations

import os
import subprocess
import sys
import tempfile
import time
from pathlib import Path

PEAK = """
import atexit, os, re, runpy, sys

def tell():
    with open("/proc/self/status") as status, open(os.environ["PLAUDIT_BENCHMARK_PEAK"], "w") as told:
        told.write(re.search(r"VmHWM:\\s+(\\d+) kB", status.read())[1])

atexit.register(tell)
del sys.argv[0]
runpy.run_module(sys.argv[0], run_name="__main__", alter_sys=True)
"""


def timed(*arguments: str, quiet: bool = True) -> tuple[float, float]:
    """The seconds that ``python -m`` with these arguments takes, and the megabytes that it holds at most.

    It says itself how many: what the system tells of an ended process is never less than its parent held. If
    ``quiet``, nothing else that it says is shown.
    """
    began = time.perf_counter()
    with tempfile.NamedTemporaryFile() as told:
        environment = {**os.environ, "PYTHONPATH": str(Path(__file__).parents[1]), "PLAUDIT_BENCHMARK_PEAK": told.name}
        command = [sys.executable, "-c", PEAK, *arguments]
        subprocess.run(command, env=environment, check=True, capture_output=quiet)
        return time.perf_counter() - began, int(told.read()) / 1e3
