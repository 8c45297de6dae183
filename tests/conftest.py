"""What the tests share: bundles that are trained once, small tables, and the IMDb archive where it is at hand."""

from __future__ import annotations

from pathlib import Path

import pytest

from benchmarks.archive import find
from plaudit.bundle.bundle import Bundle
from plaudit.bundle.classifier import Classifier
from plaudit.learning.fitting import fit
from plaudit.learning.preparing import prepare_for
from plaudit.learning.recipes import Recipe
from plaudit.text.prepared import Prepared, prepare
from plaudit.text.reviews import Reviews
from plaudit.text.sources import read_reviews
from tests.aws import account, credentials, moto_address

__all__ = ["account", "credentials", "moto_address"]

BRIEF = Recipe.of("lstm", epochs=1, phrases=1000, batch_size=32, learning_rate=0.01, least_batches=0, least_steps=0)


@pytest.fixture(scope="session")
def sample() -> Reviews:
    """The reviews that come with Plaudit."""
    return read_reviews("sample")


@pytest.fixture(scope="session")
def prepared(sample: Reviews) -> Prepared:
    """The sample with the original's cleaning."""
    return prepare(sample, Recipe.of("original").reading)


@pytest.fixture(scope="session")
def bundle(sample: Reviews, tmp_path_factory: pytest.TempPathFactory) -> Bundle:
    """A bundle of the recipe `lstm`, trained on the sample for a moment: good enough to judge plain words."""
    made = fit(prepare_for(BRIEF, sample), BRIEF)
    return made.save(tmp_path_factory.mktemp("bundles") / "lstm")


@pytest.fixture(scope="session")
def original_bundle(prepared: Prepared, tmp_path_factory: pytest.TempPathFactory) -> Bundle:
    """A bundle of the recipe `original`, which takes encoded rows too."""
    recipe = Recipe.of("original", epochs=4, batch_size=16, hidden_dim=32)
    return fit(prepared, recipe).save(tmp_path_factory.mktemp("bundles") / "original")


@pytest.fixture(scope="session")
def classifier(bundle: Bundle) -> Classifier:
    return Classifier(bundle)


@pytest.fixture
def onnx_runtime(monkeypatch: pytest.MonkeyPatch) -> None:
    """Bundles are scored as where `Recurrence` cannot be used."""
    monkeypatch.setattr("plaudit.bundle.session.library", lambda: None)


@pytest.fixture(scope="session")
def imdb_archive() -> Path:
    """The IMDb archive; skips where there is none."""
    path = find()
    if path is None:
        pytest.skip("no IMDb archive: name it with PLAUDIT_IMDB")
    return path
