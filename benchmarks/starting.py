"""From a process's start to its first answer, the memory it then holds, and what lies on the disk for it.

Plaudit's endpoint and its peers answer over HTTP with the bundle that comes with Plaudit; the original's process
imports what it needs, loads its model, and answers one review without HTTP.
"""

from __future__ import annotations

import json
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterable
from importlib.metadata import Distribution, PackageNotFoundError, distribution
from pathlib import Path

import psutil
import torch
from packaging.requirements import Requirement
from packaging.utils import canonicalize_name
from tqdm import tqdm

import plaudit
from benchmarks.oracle import OriginalNetwork
from benchmarks.results import save, spread
from benchmarks.servers import megabytes, started
from plaudit.bundle.bundle import SHIPPED

ROUNDS = 3
ORIGINAL = ("torch", "pandas", "nltk", "beautifulsoup4")
NEEDED = {
    "plaudit": ("plaudit",),
    "starlette": ("plaudit", "starlette", "uvicorn[standard]"),
    "litserve": ("plaudit", "litserve"),
    "bentoml": ("plaudit", "bentoml"),
    "ray_serve": ("plaudit", "ray[serve]"),
    "original": ORIGINAL,
}


def run(archive: Path | None) -> None:
    """Starts each in turn, alone, after one round to warm the disk."""
    seconds: dict[str, list[float]] = {name: [] for name in NEEDED}
    memory: dict[str, list[float]] = {name: [] for name in NEEDED}
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        torch.save(OriginalNetwork().state_dict(), folder / "model.pth")
        (folder / "words.json").write_text(json.dumps({"wonder": 2, "film": 3}), "utf-8")
        for turn in tqdm(range(ROUNDS + 1), "starting", file=sys.stderr):
            for side in NEEDED:
                taken, held = _original(folder) if side == "original" else _server(side)
                if turn:
                    seconds[side].append(taken)
                    memory[side].append(held)
    save(
        "starting",
        {
            "rounds": ROUNDS,
            "seconds_to_the_first_answer": {side: spread(taken) for side, taken in seconds.items()},
            "times_as_fast": _ratios(seconds),
            "megabytes_of_memory": {side: spread(held) for side, held in memory.items()},
            "times_as_little_memory": _ratios(memory),
            "megabytes_on_disk": {side: round(installed(names)) for side, names in NEEDED.items()},
            "megabytes_of_numpy": round(installed(["numpy"], alone=True)),
        },
    )


def _ratios(found: dict[str, list[float]]) -> dict[str, dict[str, float]]:
    return {
        side: spread([theirs / ours for theirs, ours in zip(of_side, found["plaudit"], strict=True)])
        for side, of_side in found.items()
        if side != "plaudit"
    }


def _server(name: str) -> tuple[float, float]:
    with started(name, SHIPPED) as server:
        return server.seconds, server.megabytes


def _original(folder: Path) -> tuple[float, float]:
    began = time.perf_counter()
    command = [sys.executable, "-m", "benchmarks.peers.original", str(folder)]
    with psutil.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE) as process:
        said = process.stdout.readline()
        taken = time.perf_counter() - began
        if "probability" not in json.loads(said or "{}"):
            raise RuntimeError(f"the original's process answered {said!r}")
        return taken, megabytes([process])


def installed(names: Iterable[str], alone: bool = False) -> float:
    """The megabytes of the files of installed distributions, with all that they require unless ``alone``."""
    todo, seen, total = [Requirement(name) for name in names], dict[str, set[str]](), 0
    while todo:
        wanted = todo.pop()
        name, extras = canonicalize_name(wanted.name), {"", *wanted.extras}
        new = extras - seen.get(name, set())
        if not new:
            continue
        try:
            found = distribution(name)
        except PackageNotFoundError:
            raise SystemExit(f"{name} is not installed, so its size is not known: make bench installs it") from None
        if name not in seen:
            total += sum(path.stat().st_size for path in _files(found))
        seen[name] = extras | seen.get(name, set())
        for line in () if alone else found.requires or ():
            needed = Requirement(line)
            if needed.marker is None or any(needed.marker.evaluate({"extra": extra}) for extra in new):
                todo.append(needed)
    return total / 1e6


def _files(found: Distribution) -> Iterable[Path]:
    if found.name == "plaudit":  # installed in place, so that its own list does not hold its files
        return [path for path in Path(plaudit.__file__).parent.rglob("*") if path.is_file()]
    return [path for entry in found.files or () if (path := Path(str(entry.locate()))).is_file()]
