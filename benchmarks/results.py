"""What a benchmark found, on disk: figures, and the machine and versions they were measured with."""

from __future__ import annotations

import json
import os
import platform
import statistics
import time
from collections.abc import Sequence
from importlib.metadata import version
from pathlib import Path
from typing import Any

FOLDER = Path(__file__).parent / "results"
PARTS = ("torch", "onnxruntime", "numpy", "beautifulsoup4", "nltk", "starlette", "uvicorn", "httptools")


def processor() -> str:
    """The processor's name, and how many cores may be used."""
    try:
        lines = Path("/proc/cpuinfo").read_text("utf-8").splitlines()
        name = next(line.split(":", 1)[1].strip() for line in lines if line.startswith("model name"))
    except (OSError, StopIteration):
        name = platform.processor() or platform.machine()
    return f"{name}, {len(os.sched_getaffinity(0))} cores"


def stolen() -> float:
    """Seconds that others had this machine's processors while they were wanted here, since it started; Linux only."""
    try:
        return int(Path("/proc/stat").read_text("utf-8").split("\n", 1)[0].split()[8]) / os.sysconf("SC_CLK_TCK")
    except (OSError, IndexError):
        return 0.0


BEGAN, STOLEN = time.monotonic(), stolen()


def share_stolen() -> float:
    """What share of the processors' time others had since this program began."""
    return round((stolen() - STOLEN) / ((time.monotonic() - BEGAN) * (os.cpu_count() or 1)), 3)


def spread(found: Sequence[float]) -> dict[str, float]:
    """The median of several measurements, and how far they lie apart."""
    return {
        key: float(f"{of(found):.4g}") for key, of in (("median", statistics.median), ("lowest", min), ("highest", max))
    }


def save(name: str, figures: dict[str, Any]) -> None:
    """Writes results/NAME.json and prints it."""
    found = {
        "benchmark": name,
        "command": f"make bench ONLY={name}",
        "date": time.strftime("%Y-%m-%d", time.gmtime()),
        "machine": processor(),
        "share_of_the_processors_that_others_had": share_stolen(),
        "versions": {"python": platform.python_version(), **{part: version(part) for part in PARTS}},
        **figures,
    }
    FOLDER.mkdir(exist_ok=True)
    text = json.dumps(found, indent=2, ensure_ascii=False)
    (FOLDER / f"{name}.json").write_text(text + "\n", "utf-8")
    print(text)


def load(name: str) -> dict[str, Any] | None:
    """What `save` wrote last; None where the benchmark was never run."""
    path = FOLDER / f"{name}.json"
    found: dict[str, Any] | None = json.loads(path.read_text("utf-8")) if path.exists() else None
    return found
