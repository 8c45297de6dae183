"""Compiles what Plaudit has in C for this machine, where it can; without it Plaudit works, only slower."""

from __future__ import annotations

import os
import platform
import shutil
import subprocess
from pathlib import Path
from typing import Any

from hatchling.builders.hooks.plugin.interface import BuildHookInterface
from packaging.tags import sys_tags

OPTIONS = ("-std=c11", "-O3", "-ffp-contract=fast", "-shared", "-fPIC")
X86 = ("x86_64", "AMD64")
VECTORS = {
    "-avx512": ("-mfma", "-mavx512f", "-mavx512bw", "-mavx512dq", "-mavx512vl", "-mavx512vnni"),
    "-avx2": ("-mfma", "-mavx2"),
    "": (),
}
BFLOAT16 = {"-avx512bf16": (*VECTORS["-avx512"], "-mavx512bf16")}
LIBRARIES = {"src/plaudit/text/libforms.so": ("src/plaudit/text/forms.c", ())}
for room, name, kinds in (("bundle", "recurrence", VECTORS), ("learning", "lstm", VECTORS | BFLOAT16)):
    for kind, options in kinds.items():
        if bool(kind) == (platform.machine() in X86):
            LIBRARIES[f"src/plaudit/{room}/lib{name}{kind}.so"] = (f"src/plaudit/{room}/{name}.c", options)
"""What is made of which source, with which vector instructions; whether a processor has them is asked later."""


class CompilingHook(BuildHookInterface):
    def initialize(self, version: str, build_data: dict[str, Any]) -> None:
        if self.target_name != "wheel":
            return
        compiler = os.environ.get("CC") or shutil.which("cc") or shutil.which("gcc") or shutil.which("clang")
        for name, (source, vectors) in LIBRARIES.items():
            made = Path(self.root, name)
            if compiler and self._compile(compiler.split(), Path(self.root, source), made, vectors):
                build_data["artifacts"].append(name)
                build_data["pure_python"] = False
                build_data["tag"] = f"py3-none-{_platform()}"
            else:
                made.unlink(missing_ok=True)  # it may be of another source

    def _compile(self, compiler: list[str], source: Path, library: Path, vectors: tuple[str, ...]) -> bool:
        part = library.with_name(f".{library.name}.{os.getpid()}")
        command = [*compiler, *OPTIONS, *vectors, "-o", str(part), str(source)]
        try:
            subprocess.run(command, capture_output=True, text=True, check=True)
            part.replace(library)  # whoever has loaded the last one keeps it
        except (OSError, subprocess.CalledProcessError) as error:
            said = getattr(error, "stderr", "") or str(error)
            self.app.display_warning(f"{source.name} was not compiled, so Plaudit does without it: {said[-500:]}")
            return False
        finally:
            part.unlink(missing_ok=True)
        return True


def _platform() -> str:
    """This machine's tag for what is compiled on it, without a promise to other Linuxes."""
    tags = (tag.platform for tag in sys_tags())
    return next(name for name in tags if not name.startswith(("manylinux", "musllinux")))
