"""The parts that run on AWS, gathered without Docker: wheels for another Python and machine, and Plaudit's own code.

The versions are those of pins.txt, so that the same Plaudit gathers the same bytes on any day.
"""

from __future__ import annotations

import platform
import subprocess
import sys
import zipfile
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from importlib.resources import files
from pathlib import Path

from plaudit.errors import PlaceError, UsageError
from plaudit.progress import Track, quiet
from plaudit.text.download import cache_folder

Contents = Mapping[str, bytes]
"""The files of an archive: path to bytes."""

SCORING = ("numpy", "onnxruntime", "regex")
WEB = (
    "annotated-doc", "annotated-types", "anyio", "fastapi", "idna", "mangum", "opentelemetry-api", "pydantic",
    "pydantic_core", "starlette", "typing_extensions", "typing-inspection",
)  # fmt: skip
TRAINING = (
    *SCORING, "click", "ml_dtypes", "onnx", "protobuf", "pyarrow", "safetensors", "tqdm", "typing_extensions",
)  # fmt: skip
VECTORS = ("llvmlite", "numba")
"""What a training with document vectors needs besides."""
SERVER = ("click", "h11", "httptools", "uvicorn")
"""What an image of one's own adds to serve an archive: Lambda and the Ray image have a server of their own."""
PYTHONS = ("3.11", "3.12", "3.13")
MACHINES = ("x86_64", "aarch64")
GLIBC = ("2_34", "2_31", "2_28", "2_27", "2_26", "2_24", "2_17")
"""Amazon Linux 2023 has glibc 2.34."""
UNUSED = (
    "numpy/f2py/", "numpy/_core/include/", "numpy/_core/lib/", "onnxruntime/backend/", "onnxruntime/datasets/",
    "onnxruntime/quantization/", "onnxruntime/tools/", "onnxruntime/transformers/", "onnx/backend/", "onnx/reference/",
    "pyarrow/include/", "pyarrow/src/",
)  # fmt: skip
"""Folders of wheels that nothing of Plaudit's imports; tests, stubs and headers go besides."""


@dataclass(frozen=True)
class Target:
    """What the parts have to run on: a Python such as 3.13, and a machine such as x86_64, on Linux."""

    python: str = "3.13"
    machine: str = "x86_64"

    def __post_init__(self) -> None:
        if self.python not in PYTHONS:
            raise UsageError(f"Python {self.python} has no parts: {', '.join(PYTHONS)} have")
        if self.machine not in MACHINES:
            raise UsageError(f"there are no parts for {self.machine}: {', '.join(MACHINES)} have some")

    @classmethod
    def here(cls) -> Target:
        """This process's own."""
        return cls(f"{sys.version_info.major}.{sys.version_info.minor}", platform.machine().replace("arm64", "aarch64"))

    @property
    def _tag(self) -> str:
        return "cp" + self.python.replace(".", "")

    @property
    def folder(self) -> Path:
        """Where its wheels are kept, once downloaded."""
        return cache_folder() / "wheels" / f"{self._tag}-{self.machine}"

    @property
    def flags(self) -> list[str]:
        """What pip needs to be told to choose wheels for it."""
        platforms = [f"manylinux_{version}_{self.machine}" for version in GLIBC] + [f"manylinux2014_{self.machine}"]
        return [
            "--implementation=cp", f"--python-version={self.python}",
            *(f"--abi={abi}" for abi in (self._tag, "abi3", "none")), *(f"--platform={name}" for name in platforms),
        ]  # fmt: skip


def pins() -> dict[str, str]:
    """The version of each part."""
    lines = files("plaudit.places.aws").joinpath("pins.txt").read_text("utf-8").splitlines()
    return dict(line.split("==") for line in lines if line)


def wheels(names: Iterable[str], target: Target, track: Track = quiet) -> list[Path]:
    """The wheels of ``names`` for ``target``, downloaded where they are not at hand yet.

    Raises PlaceError where pip is missing or finds no wheel.
    """
    versions = pins()
    wanted = [(name, versions[name]) for name in sorted(set(names))]
    missing = [(name, version) for name, version in wanted if _at_hand(name, version, target) is None]
    for name, version in track(missing, f"wheels for Python {target.python} on {target.machine}", len(missing)):
        _download(name, version, target)
    found = [_at_hand(name, version, target) for name, version in wanted]
    assert None not in found
    return [path for path in found if path]


def _at_hand(name: str, version: str, target: Target) -> Path | None:
    written = name.replace("-", "_").lower()
    found = [path for path in target.folder.glob("*.whl") if path.name.lower().startswith(f"{written}-{version}-")]
    return found[0] if found else None


def _download(name: str, version: str, target: Target) -> None:
    target.folder.mkdir(parents=True, exist_ok=True)
    command = [
        sys.executable, "-m", "pip", "download", "--quiet", "--disable-pip-version-check", "--no-deps",
        "--only-binary=:all:", *target.flags, "--dest", str(target.folder), f"{name}=={version}",
    ]  # fmt: skip
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    if done.returncode == 0 and _at_hand(name, version, target):
        return
    if "No module named pip" in done.stderr:
        raise PlaceError("gathering parts needs pip, which this Python lacks: python -m ensurepip")
    reasons = [line for line in done.stderr.splitlines() if line.startswith("ERROR")] or done.stderr.splitlines()
    why = reasons[-1].removeprefix("ERROR: ") if reasons else f"pip ended with {done.returncode}"
    raise PlaceError(f"no wheel of {name} {version} for Python {target.python} on {target.machine}: {why}")


def unpacked(names: Iterable[str], target: Target, track: Track = quiet) -> dict[str, bytes]:
    """The files of the wheels of ``names``, as they would lie in a folder of installed packages."""
    found: dict[str, bytes] = {}
    for wheel in wheels(names, target, track):
        try:
            with zipfile.ZipFile(wheel) as archive:
                for entry in archive.infolist():
                    if not entry.is_dir() and _needed(entry.filename):
                        found[entry.filename] = archive.read(entry)
        except (zipfile.BadZipFile, OSError) as error:
            raise PlaceError(
                f"{wheel} is damaged ({error}): delete it, and the same command fetches it again"
            ) from None
    return found


def _needed(path: str) -> bool:
    folders = path.split("/")[:-1]
    return not (
        path.startswith(UNUSED)
        or path.endswith((".pyi", ".pyc", ".h", ".hpp", ".a", ".pxd", ".pyx", "/RECORD"))
        or any(folder in ("tests", "test", "testing", "__pycache__") for folder in folders[1:])
    )


def package(*rooms: str) -> dict[str, bytes]:
    """Plaudit's own code: what lies beside the rooms, and the rooms that are named, such as `text` or `places/aws`.

    What was compiled for this machine is left out, so that the bytes are the same wherever they are put together.
    """
    root = Path(__file__).parents[2]
    found = {}
    for path in sorted(root.rglob("*")):
        place = path.relative_to(root).as_posix()
        inside = "/" not in place or any(place.startswith(f"{room}/") for room in rooms)
        around = any(room.startswith(place.removesuffix("__init__.py")) for room in rooms if "/" in place)
        wanted = inside or (around and path.name == "__init__.py")
        if wanted and path.is_file() and path.suffix not in (".c", ".so") and "__pycache__" not in path.parts:
            found[f"plaudit/{place}"] = path.read_bytes()
    return found
