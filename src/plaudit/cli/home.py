"""Where the command line keeps its work, and which bundle is meant when none is named. Knows folders only."""

from __future__ import annotations

import os
import re
from pathlib import Path

from plaudit.bundle.bundle import SHIPPED

LEARNING_PARTS = ("torch", "onnx", "onnxruntime", "safetensors")


def home() -> Path:
    """``PLAUDIT_HOME``, else ``.plaudit`` in the current folder."""
    return Path(os.environ.get("PLAUDIT_HOME") or ".plaudit")


def work_folder(source: str, recipe: str) -> Path:
    """The folder of one source and one recipe under `home`."""
    name = Path(source).name.removesuffix(".gz").removesuffix(".tar")
    return home() / f"{re.sub(r'[^A-Za-z0-9._-]+', '-', name)}-{recipe}"


def bundles() -> list[Path]:
    """The finished bundles under `home`, newest first."""
    manifests = sorted(home().glob("*/bundle/manifest.json"), key=lambda path: path.stat().st_mtime, reverse=True)
    return [manifest.parent for manifest in manifests]


def chosen_bundle(named: Path | None) -> Path:
    """The bundle that was named, else ``PLAUDIT_BUNDLE``, else the newest, else the one that comes with Plaudit."""
    if named is not None:
        return named
    if from_environment := os.environ.get("PLAUDIT_BUNDLE"):
        return Path(from_environment)
    found = bundles()
    return found[0] if found else SHIPPED
