"""C of this project, compiled for a test."""

from __future__ import annotations

import shutil
import subprocess
import sys
from pathlib import Path

import pytest

AVX_512 = ("-mfma", "-mavx512f", "-mavx512bw", "-mavx512dq", "-mavx512vl", "-mavx512vnni")
VECTORS = {"AVX-512": AVX_512, "AVX2": ("-mfma", "-mavx2"), "neither": ()}


def compiled_plainly(source: Path, folder: Path) -> Path | None:
    """What is compiled for processors other than x86-64, compiled for this one; None where no compiler is."""
    made, compiler = folder / f"{source.stem}.so", shutil.which("cc")
    if not compiler:
        return None
    options = ("-std=c11", "-O3", "-ffp-contract=fast", "-shared", "-fPIC")
    subprocess.run([compiler, *options, "-o", str(made), str(source)], check=True, timeout=120)
    return made


def compiled_with_checks(source: Path, vectors: tuple[str, ...], folder: Path) -> Path:
    """The same with the compiler's own check of addresses, for `run_with_checks`."""
    made, compiler = folder / "checked.so", shutil.which("gcc")
    if not compiler:
        pytest.skip("no gcc here")
    build = [compiler, "-g", "-O1", "-fsanitize=address", "-shared", "-fPIC", *vectors, "-o", str(made), str(source)]
    if subprocess.run(build, check=False, capture_output=True, timeout=120).returncode:
        pytest.skip("gcc checks no addresses here")
    return made


def run_with_checks(script: str) -> None:
    """Runs a script that uses such a library, in a process of its own; it must come to its end."""
    where = subprocess.run(["gcc", "-print-file-name=libasan.so"], check=True, capture_output=True, text=True)
    environment = {"LD_PRELOAD": where.stdout.strip(), "ASAN_OPTIONS": "detect_leaks=0", "PATH": ""}
    command = [sys.executable, "-c", f"{script}\nprint('done')"]
    done = subprocess.run(command, env=environment, capture_output=True, text=True, check=False, timeout=120)
    assert done.stdout == "done\n", done.stderr[-2000:]
