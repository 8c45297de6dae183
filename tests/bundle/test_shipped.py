"""The bundle and the encoder that come with Plaudit."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

import plaudit
from plaudit.bundle import compiled_kernel
from plaudit.bundle.bundle import SHIPPED, Bundle
from plaudit.bundle.classifier import Classifier
from plaudit.evaluation.behaviour import check
from plaudit.evaluation.behaviour_cases import built_in
from plaudit.text import forms

ROOT = Path(__file__).parents[2]
MEGABYTES = 25
UNDERSTOOD = ("negation of good", "negation of bad", "negation at a distance", "contrast")


@pytest.fixture(scope="module")
def shipped() -> Classifier:
    return plaudit.load()


def test_together_they_are_small() -> None:
    assert sum(file.stat().st_size for file in SHIPPED.parent.rglob("*") if file.is_file()) <= MEGABYTES * 1e6


def test_the_card_says_what_it_learnt_from_and_what_it_reaches(shipped: Classifier) -> None:
    card = shipped.card
    assert card.data["train"] > 22_000
    assert card.metrics["test"]["reviews"] == 25_000
    assert card.metrics["test"]["accuracy"] >= 0.93
    assert card.metrics["test"]["calibration_error"] <= 0.015
    assert card.recipe["start"] == "encoder"


@pytest.mark.parametrize("name", ["bundle", "encoder"])
def test_they_hold_words_and_no_sentences(name: str) -> None:
    words = (SHIPPED.parent / name / "vocabulary.txt").read_text("utf-8").splitlines()[2:]
    assert len(words) > 29_000
    assert not [word for word in words if " " in word]
    card = json.loads((SHIPPED.parent / name / "card.json").read_text("utf-8"))
    assert max(map(len, _strings(card))) < 100


def _strings(value: object) -> list[str]:
    if isinstance(value, dict):
        return [found for entry in value.items() for part in entry for found in _strings(part)]
    if isinstance(value, list):
        return [found for part in value for found in _strings(part)]
    return [str(value)]


@pytest.mark.parametrize(
    ("text", "label"),
    [
        ("I expected to hate it, and I did not.", "positive"),
        ("I expected to love it, and I did not.", "negative"),
        ("A wonderful film", "positive"),
        ("Not bad at all.", "positive"),
        ("Not good at all.", "negative"),
        ("I would not call it a good film.", "negative"),
        ("The cast is great, but the film is a bore.", "negative"),
        ("The start is slow, but in the end I loved it.", "positive"),
    ],
)
def test_it_understands_not_and_but(text: str, label: str, shipped: Classifier) -> None:
    assert shipped.predict([text]) == [label]


def test_it_passes_nine_in_ten_of_negation_and_contrast(shipped: Classifier) -> None:
    results = check(built_in(), shipped.predict_proba, shipped.classes_)
    tallies = [tally for tally in results.capabilities() if tally.name in UNDERSTOOD]
    assert len(tallies) == len(UNDERSTOOD)
    assert sum(tally.passed for tally in tallies) >= 0.9 * sum(tally.cases for tally in tallies)


@pytest.mark.parametrize("compiler", ["", "false"])
def test_it_answers_straight_after_installing_without_torch_or_a_compiler(tmp_path: Path, compiler: str) -> None:
    place, source = tmp_path / "installed", tmp_path / "source"
    shutil.copytree(ROOT / "src", source / "src")  # a build takes away what it could not compile anew
    for name in ("pyproject.toml", "hatch_build.py", "README.md", "LICENSE"):
        shutil.copy(ROOT / name, source)
    install = [sys.executable, "-m", "pip", "install", "--quiet", "--no-deps", "--target", str(place), str(source)]
    subprocess.run(install, check=True, timeout=300, env=os.environ | {"CC": compiler})
    for library in (*compiled_kernel.LIBRARIES.values(), forms.LIBRARY):
        compiled = (place / library.relative_to(ROOT / "src")).exists()
        assert compiled == (not compiler and library.exists())
    (place / "torch.py").write_text("raise ImportError('torch is not for predicting')\n", "utf-8")
    done = subprocess.run(
        [sys.executable, "-m", "plaudit", "predict", "I expected to hate it, and I did not."],
        cwd=tmp_path, env={**os.environ, "PYTHONPATH": str(place)}, capture_output=True, text=True, check=False,
        timeout=60,
    )  # fmt: skip
    assert done.returncode == 0, done.stderr
    assert done.stdout.startswith("positive\t")
    assert Bundle.load(place / "plaudit" / "shipped" / "bundle").card.metrics["test"]["reviews"] == 25_000
