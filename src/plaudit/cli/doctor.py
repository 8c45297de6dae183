"""`plaudit doctor`: what is installed, where things are, and whether a bundle or an archive is sound."""

from __future__ import annotations

import platform
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from typing import Any

import click

from plaudit.cli import options as shared
from plaudit.cli.home import LEARNING_PARTS, bundles, home
from plaudit.cli.terminal import give, give_json, printable
from plaudit.errors import BundleError
from plaudit.text.download import cache_folder
from plaudit.version import __version__

SERVING_PARTS = ("numpy", "regex", "starlette", "fastapi", "uvicorn", "click", "tqdm")


@click.command(
    "doctor",
    epilog=shared.examples("plaudit doctor", "plaudit doctor bundle --json", "plaudit doctor model.tar.gz"),
)
@click.argument("bundle", type=click.Path(path_type=Path), required=False, metavar="[BUNDLE|ARCHIVE]")
@click.option("--no-run", is_flag=True, help="Do not run an archive's code; take this for one that you do not trust.")
@click.option("--json", "as_json", is_flag=True, help="Print what was found as JSON.")
def command(bundle: Path | None, no_run: bool, as_json: bool) -> None:
    """Say what is installed, where things are, and whether a bundle or an archive is sound.

    Without BUNDLE, every bundle that plaudit up made here is looked at. An ARCHIVE is what plaudit pack makes: its
    files, its bundle, its handlers, its wheels and its size against AWS's images and limits, and an answer of its own
    code in a process with nothing else. No account and no network is needed. Exit 2 if something is wrong.
    """
    if bundle and (bundle.is_file() or bundle.name.endswith((".tar.gz", ".tgz"))) and not bundle.is_dir():
        _look_into(bundle, not no_run, as_json)
        return
    looked_at = [bundle] if bundle else bundles()
    archive = cache_folder() / "aclImdb_v1.tar.gz"
    found: dict[str, Any] = {
        "plaudit": __version__,
        "python": platform.python_version(),
        "machine": platform.machine(),
        "scoring": _scoring(),
        "installed": {name: _version(name) for name in (*SERVING_PARTS, *LEARNING_PARTS, "pyarrow")},
        "home": str(home().absolute()),
        "cache": str(cache_folder()),
        "imdb": str(archive) if archive.exists() else None,
        "bundles": [_examined(path) for path in looked_at],
    }
    if as_json:
        give_json(found)
    else:
        _tell(found)
    if any(not entry["sound"] for entry in found["bundles"]):
        raise click.exceptions.Exit(2)


def _look_into(archive: Path, run: bool, as_json: bool) -> None:
    """An archive that SageMaker would unpack."""
    from plaudit.places.aws.inspection import inspect

    found = inspect(archive, run)
    if as_json:
        give_json(found.to_json())
    else:
        for finding in found.findings:
            mark = {"sound": "", "note": "note: ", "wrong": "wrong: "}[finding.state]
            give(printable(f"{finding.check:<9} {mark}{finding.what}"))
        give(printable(f"{archive} is {found.verdict}"))
    if not found.sound:
        raise click.exceptions.Exit(2)


def _version(name: str) -> str | None:
    try:
        return version(name)
    except PackageNotFoundError:
        return None


def _scoring() -> str:
    """What LSTMs are scored with here."""
    from plaudit.bundle.compiled_kernel import LIBRARIES, library
    from plaudit.compiled import wanted

    found = library()
    if found:
        return f"compiled for {next(name for name, path in LIBRARIES.items() if str(path) == found._name)}"
    faster = "pip install 'plaudit[onnx]' makes it up to ten times as fast"
    by = "ONNX Runtime" if _version("onnxruntime") else f"NumPy; {faster}"
    if not wanted():
        return f"{by} (PLAUDIT_COMPILED is 0)"
    there = any(path.exists() for path in LIBRARIES.values())
    return f"{by} ({'this processor has no AVX2' if there else 'nothing is compiled'})"


def _examined(path: Path) -> dict[str, Any]:
    """Every byte checked, loaded, and made to answer once."""
    try:
        from plaudit.bundle.classifier import load

        classifier = load(path)
        classifier.verdict("A first review.")
    except (BundleError, ImportError) as error:
        return {"path": str(path), "sound": False, "why": str(error)}
    card = classifier.card
    return {
        "path": str(path),
        "sound": True,
        "name": card.name,
        "labels": list(card.labels),
        "metrics": dict(card.metrics),
    }


def _tell(found: dict[str, Any]) -> None:
    give(printable(f"plaudit   {found['plaudit']} on Python {found['python']}, {found['machine']}"))
    give(f"scoring   {found['scoring']}")
    for name, number in found["installed"].items():
        extra = " (only for training: pip install 'plaudit[train]')" if name in (*LEARNING_PARTS, "pyarrow") else ""
        give(printable(f"  {name:<12} {number or 'not installed' + extra}"))
    give(printable(f"work      {found['home']}"))
    give(
        f"cache     {found['cache']}: IMDb is {'there' if found['imdb'] else 'not there; plaudit up imdb downloads it'}"
    )
    for entry in found["bundles"]:
        if entry["sound"]:
            accuracy = entry["metrics"].get("test", {}).get("accuracy")
            shown = f", accuracy {accuracy:.4f} on held-out reviews" if isinstance(accuracy, float) else ""
            give(printable(f"bundle    {entry['path']} is sound: {entry['name']}{shown}"))
        else:
            give(printable(f"bundle    not sound: {entry['why']}"))
    if not found["bundles"]:
        give("bundle    none yet: plaudit up makes one")
