"""What `make test` runs: style, types, import contracts, and the tests; says which parts this machine leaves out."""

from __future__ import annotations

import os
import subprocess
import sys
import time
from pathlib import Path

from tests.browser import chromium

ROOT = Path(__file__).parents[1]
CHECKS = {
    "style": ["ruff", "check", "--quiet", "src", "tests", "benchmarks", "docs"],
    "format": ["ruff", "format", "--quiet", "--check", "src", "tests", "benchmarks", "docs"],
    "types": ["mypy", "--no-error-summary"],
    "imports": ["lint-imports", "--no-cache"],
}
PYTEST = [sys.executable, "-m", "pytest", "-q", "-n", str(min(4, os.cpu_count() or 1)), "--dist", "loadfile"]
"""A process a core, each file in one of them; two that train with several threads each would be ten times slower."""


def main() -> int:
    """Runs every check even where an earlier one fails; 0 if all passed."""
    failed = [name for name, command in CHECKS.items() if not _passes(name, command)]
    if "--quick" not in sys.argv:
        browser = chromium()
        if browser is None:
            print("no Chromium here (apt-get install chromium): the page's browser tests are left out", flush=True)
            if os.environ.get("CI"):
                failed.append("browser: CI has to have one")
        if subprocess.run(PYTEST, cwd=ROOT, env={"OMP_NUM_THREADS": "1", **os.environ}, check=False).returncode:
            failed.append("tests")
    print(f"failed: {', '.join(failed)}" if failed else "all passed", flush=True)
    return 1 if failed else 0


def _passes(name: str, command: list[str]) -> bool:
    started = time.perf_counter()
    program = str(Path(sys.executable).parent / command[0])
    done = subprocess.run([program, *command[1:]], cwd=ROOT, capture_output=True, text=True, check=False)
    print(f"{name:<8} {'ok' if done.returncode == 0 else 'FAILED'} ({time.perf_counter() - started:.1f} s)", flush=True)
    if done.returncode:
        print(done.stdout + done.stderr, flush=True)
    return done.returncode == 0


if __name__ == "__main__":
    sys.exit(main())
