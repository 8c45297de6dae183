"""The Lambda function's zip, built from wheels without Docker: the same inputs, the same bytes. Knows Lambda's limits.

Lambda's disk is read-only and a wheel has no bytecode, so without it every cold start compiles all that it imports.
Where the function's Python is at hand, the zip carries its bytecode: 0.56 s to the first answer instead of 1.06 s
(benchmarks/results/function.json).
"""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
import tempfile
from dataclasses import dataclass
from pathlib import Path

from plaudit.bundle.bundle import FILES, MANIFEST, Bundle
from plaudit.bundle.card import Card
from plaudit.errors import PlaceError
from plaudit.places.aws.limits import FUNCTION_UNZIPPED
from plaudit.places.aws.packing import digest, write_zip
from plaudit.places.aws.parts import SCORING, WEB, Contents, Target, package, unpacked
from plaudit.progress import Track, quiet

HANDLER = "plaudit.places.aws.function.handler"
ROOMS = ("bundle", "places", "text", "web")
PLACES = tuple(
    f"plaudit/places/{name}.py"
    for name in (
        "__init__", "remote", "aws/__init__", "aws/account", "aws/async_endpoint", "aws/function",
        "aws/sagemaker_endpoint",
    )
)  # fmt: skip
"""Of the places, what the function itself needs: a change of any other makes no other zip."""
UNUSED = ("onnxruntime/capi/libonnxruntime.so", "plaudit/text/sample.jsonl")
"""What nothing here loads: ONNX Runtime's library for C is in its Python module besides (29 MB)."""
TASK = "/var/task"


@dataclass(frozen=True)
class Built:
    """A function's zip: bytes zipped and unzipped, the digest of its content, and whether it carries bytecode."""

    path: Path
    zipped: int
    unzipped: int
    digest: str
    compiled: bool


def build(
    out: Path, bundle: Path | None, card: Card | None = None, target: Target | None = None, track: Track = quiet
) -> Built:
    """Writes the zip to ``out``: with the bundle inside, or without one for a function that asks an endpoint.

    ``card`` is what the page of a function without a bundle tells of the model. ``target`` is Python 3.13 on x86_64
    where none is given. Raises BundleError for a bundle that is not sound, PlaceError for a wheel that cannot be had,
    UsageError for more than Lambda takes.
    """
    if bundle:
        Bundle.load(bundle)
    target = target or Target()
    found = unpacked((*SCORING, *WEB) if bundle else WEB, target, track) | package(*ROOMS)
    contents = {path: content for path, content in found.items() if _needed(path)}
    bytecode = _bytecode(contents, target)
    contents |= bytecode
    if bundle:
        contents |= {f"bundle/{name}": (bundle / name).read_bytes() for name in (*FILES, MANIFEST)}
    elif card:
        contents["card.json"] = json.dumps(card.to_json(), indent=2, ensure_ascii=False).encode()
    unzipped = sum(map(len, contents.values()))
    FUNCTION_UNZIPPED.check(unzipped)
    write_zip(out, contents)
    return Built(out, out.stat().st_size, unzipped, digest(out), bool(bytecode))


def _needed(path: str) -> bool:
    return not path.startswith(UNUSED) and (not path.startswith("plaudit/places/") or path in PLACES)


def _bytecode(contents: Contents, target: Target) -> dict[str, bytes]:
    """The bytecode of all modules; nothing where the target's Python is not at hand."""
    python = _interpreter(target)
    if not python:
        return {}
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        for path, content in contents.items():
            if path.endswith(".py"):
                (folder / path).parent.mkdir(parents=True, exist_ok=True)
                (folder / path).write_bytes(content)
        # By hash and never checked: the zip has no times. One process, one order, one seed: the same bytes.
        command = [
            python, "-s", "-S", "-m", "compileall", "-qq", "-f", "--invalidation-mode", "unchecked-hash",
            "-s", name, "-p", TASK, name,
        ]  # fmt: skip
        own = {name: value for name, value in os.environ.items() if not name.startswith("PYTHON")}
        subprocess.run(command, env=own | {"PYTHONHASHSEED": "0"}, capture_output=True, check=False)
        made = {path.relative_to(folder).as_posix(): path.read_bytes() for path in folder.rglob("*.pyc")}
    if not made:
        raise PlaceError(f"{python} compiled nothing: is it a whole Python {target.python}?")
    return made


def _interpreter(target: Target) -> str | None:
    """A Python of the target's version on this machine: this one, or one on the path that runs."""
    if target.python == "{}.{}".format(*sys.version_info[:2]):
        return sys.executable
    found = shutil.which(f"python{target.python}")
    asked = [found or "", "-I", "-S", "-c", "import sys; print('%d.%d' % sys.version_info[:2])"]
    if found and subprocess.run(asked, capture_output=True, text=True, check=False).stdout.strip() == target.python:
        return found
    return None
