"""The Lambda function: what its zip weighs, and how long a fresh process takes from its start to an answered event."""

from __future__ import annotations

import json
import shutil
import statistics
import subprocess
import sys
import tempfile
import time
import zipfile
from pathlib import Path

from benchmarks.results import save
from plaudit.learning.fitting import fit
from plaudit.learning.recipes import Recipe
from plaudit.places.aws.function_zip import HANDLER, build
from plaudit.places.aws.limits import FUNCTION_UNZIPPED
from plaudit.places.aws.parts import Target
from plaudit.text.prepared import prepare
from plaudit.text.sources import read_reviews

ROUNDS = 7
EVENT = {
    "version": "2.0",
    "headers": {"content-type": "application/json"},
    "requestContext": {"http": {"method": "POST", "path": "/api/reviews", "sourceIp": "192.0.2.1"}},
    "body": json.dumps({"text": "A wonderful film"}),
    "isBase64Encoded": False,
}
ANSWER = f"""
import importlib, json, sys
sys.path.insert(0, sys.argv[1])
name, _, handler = {HANDLER!r}.rpartition(".")
answer = getattr(importlib.import_module(name), handler)(json.loads(sys.argv[2]), None)
print(answer["statusCode"], flush=True)
"""
ORIGINAL = "import torch, bs4, nltk; print(200, flush=True)"


def run(archive: Path | None) -> None:
    """Builds the zip with the original's network inside, then times fresh processes in turn, after one round to warm
    the disk: with the zip, with the zip without its bytecode, and importing what the original's function needs.
    """
    recipe = Recipe.of("original", epochs=1)
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        bundle = fit(prepare(read_reviews("sample"), recipe.reading), recipe).save(folder / "bundle")
        built = build(folder / "function.zip", bundle.path, target=Target.here())
        with zipfile.ZipFile(built.path) as packed:
            packed.extractall(folder / "task")
        shutil.copytree(folder / "task", folder / "bare", ignore=shutil.ignore_patterns("*.pyc"))
        clean, event = ("-I", "-S", "-B", "-c", ANSWER), json.dumps(EVENT)
        commands = {
            "first_answer": (*clean, str(folder / "task"), event),
            "first_answer_without_bytecode": (*clean, str(folder / "bare"), event),
            "import_torch_bs4_nltk": ("-I", "-B", "-c", ORIGINAL),
        }
        seconds: dict[str, list[float]] = {what: [] for what in commands}
        for turn in range(ROUNDS + 1):
            for what, command in commands.items():
                taken = _seconds_to_200(command)
                if turn:
                    seconds[what].append(taken)
    medians = {what: statistics.median(taken) for what, taken in seconds.items()}
    save(
        "function",
        {
            "bytes_zipped": built.zipped,
            "bytes_unzipped": built.unzipped,
            "share_of_lambdas_limit": round(built.unzipped / FUNCTION_UNZIPPED.most, 3),
            "rounds": ROUNDS,
            "seconds": {
                what: {
                    "median": round(medians[what], 3),
                    "lowest": round(min(taken), 3),
                    "highest": round(max(taken), 3),
                }
                for what, taken in seconds.items()
            },
            "times_as_fast_as_the_originals_imports": round(
                medians["import_torch_bs4_nltk"] / medians["first_answer"], 2
            ),
        },
    )


def _seconds_to_200(command: tuple[str, ...]) -> float:
    """From the start of a fresh Python until it says that it has answered."""
    started = time.perf_counter()
    with subprocess.Popen([sys.executable, *command], stdout=subprocess.PIPE, env={}) as process:
        assert process.stdout
        said = process.stdout.readline()
        taken = time.perf_counter() - started
    if said.strip() != b"200":
        raise RuntimeError(f"the process answered {said!r}")
    return taken
