"""Compiles src/plaudit/bundle/recurrence.c for this machine, where it can; without it Plaudit works, only slower."""

from __future__ import annotations

import os
import platform
import shutil
import subprocess
import sysconfig
from pathlib import Path
from typing import Any

from hatchling.builders.hooks.plugin.interface import BuildHookInterface

SOURCE, LIBRARY = Path("src/plaudit/bundle/recurrence.c"), Path("src/plaudit/bundle/librecurrence.so")
VECTORS = ("-mfma", "-mavx512f", "-mavx512bw", "-mavx512dq", "-mavx512vl", "-mavx512vnni")
"""What the source is written for; whether a processor has it is asked when it is loaded."""


class RecurrenceHook(BuildHookInterface):
    def initialize(self, version: str, build_data: dict[str, Any]) -> None:
        compiler = os.environ.get("CC") or shutil.which("cc") or shutil.which("gcc") or shutil.which("clang")
        if self.target_name != "wheel" or not compiler or platform.machine() not in ("x86_64", "AMD64"):
            return
        library = Path(self.root, LIBRARY)
        made = library.with_name(f".{library.name}.{os.getpid()}")
        options = ["-std=c11", "-O3", "-shared", "-fPIC", *VECTORS, "-o", str(made), str(Path(self.root, SOURCE))]
        try:
            ended = subprocess.run([*compiler.split(), *options], capture_output=True, text=True, check=False)
            if ended.returncode:
                self.app.display_warning(f"{SOURCE} was not compiled, so ONNX Runtime scores: {ended.stderr[-500:]}")
                return
            made.replace(library)
        finally:
            made.unlink(missing_ok=True)
        build_data["artifacts"].append(str(LIBRARY))
        build_data["pure_python"] = False
        build_data["tag"] = f"py3-none-{sysconfig.get_platform().replace('-', '_').replace('.', '_')}"
