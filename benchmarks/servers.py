"""Servers to be measured: Plaudit's endpoint and its peers, each a tree of processes on a port of this machine."""

from __future__ import annotations

import json
import os
import socket
import subprocess
import sys
import time
import urllib.error
import urllib.request
from collections.abc import Iterable, Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path

import psutil

NAMES = ("plaudit", "starlette", "litserve", "bentoml", "ray_serve")
MODULES = {"starlette": "bare_starlette", "litserve": "lit", "ray_serve": "ray_app"}
HERE = Path(__file__).parents[1]
LONGEST_START, LONGEST_STOP = 120.0, 20.0
FIRST = json.dumps({"texts": ["A wonderful film"]}).encode()
JSON_LINES = "application/jsonlines"
"""Plaudit's answer with label, probability and scores, which is what the peers give."""


@dataclass(frozen=True)
class Server:
    """A server that has answered once, ``seconds`` after it was started."""

    name: str
    address: str
    seconds: float
    process: psutil.Process

    @property
    def _tree(self) -> list[psutil.Process]:
        return [self.process, *self.process.children(recursive=True)]

    def suspend(self) -> None:
        """Keeps it from using the machine until `resume`."""
        for process in self._tree:
            process.suspend()

    def resume(self) -> None:
        for process in reversed(self._tree):
            process.resume()

    @property
    def megabytes(self) -> float:
        return megabytes(self._tree)


def megabytes(processes: Iterable[psutil.Process]) -> float:
    """The memory that processes hold; what several of them share is counted once (PSS)."""
    return float(sum(process.memory_full_info().pss for process in processes)) / 1e6


def _command(name: str, bundle: Path, port: int) -> list[str]:
    if name == "plaudit":
        return [sys.executable, "-m", "plaudit", "serve", str(bundle), "--port", str(port)]
    if name == "bentoml":
        return [str(Path(sys.executable).with_name("bentoml")), "serve", "benchmarks.peers.bento:Reviews", f"-p{port}"]
    return [sys.executable, "-m", f"benchmarks.peers.{MODULES[name]}", str(port)]


@contextmanager
def started(name: str, bundle: Path) -> Iterator[Server]:
    """The server of that name with the bundle; it and all that it started end with the block.

    Raises RuntimeError, with what it said, where it gives no answer.
    """
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    address = f"http://127.0.0.1:{port}/invocations"
    quiet = {"BENTOML_DO_NOT_TRACK": "1", "RAY_USAGE_STATS_ENABLED": "0", "PLAUDIT_BUNDLE": str(bundle)}
    began = time.perf_counter()
    with Path(os.devnull).open("wb") as nowhere:
        process = psutil.Popen(
            _command(name, bundle, port), cwd=HERE, env={**os.environ, **quiet}, stdout=nowhere, stderr=nowhere
        )
    try:
        while not _answers(address):
            if time.perf_counter() - began > LONGEST_START or not process.is_running():
                raise RuntimeError(f"{name} does not answer: {' '.join(process.args)} says why")
            time.sleep(0.002)
        yield Server(name, address, time.perf_counter() - began, process)
    finally:
        _end(process)


def _answers(address: str) -> bool:
    request = urllib.request.Request(address, FIRST, {"Content-Type": "application/json", "Accept": JSON_LINES})
    try:
        with urllib.request.urlopen(request, timeout=10) as answer:
            found = json.loads(answer.read())
    except (urllib.error.URLError, OSError):
        return False
    return "probability" in (found[0] if isinstance(found, list) else found)


def _end(process: psutil.Popen) -> None:
    with suppress(psutil.NoSuchProcess):
        tree = [process, *process.children(recursive=True)]
        for one in tree:
            with suppress(psutil.NoSuchProcess):
                one.resume()
        process.terminate()
        _, left = psutil.wait_procs(tree, LONGEST_STOP)
        for one in left:
            with suppress(psutil.NoSuchProcess):
                one.kill()
    with suppress(subprocess.TimeoutExpired, psutil.TimeoutExpired):
        process.wait(LONGEST_STOP)
