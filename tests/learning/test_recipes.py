from __future__ import annotations

from typing import Any

import pytest

from plaudit.errors import UsageError
from plaudit.learning.recipes import RECIPES, Recipe, fitting, settings_of_a_recipe


def test_the_originals_settings_are_the_originals() -> None:
    recipe = Recipe.of("original")
    found = (recipe.vocab_size, recipe.max_words, recipe.embedding_dim, recipe.hidden_dim, recipe.layers, recipe.epochs)
    assert found == (5000, 500, 32, 200, 1, 10)
    assert recipe.cleaning == "original"


def test_single_settings_are_overridden() -> None:
    recipe = Recipe.of("small", epochs=2, cleaning="original")
    assert (recipe.epochs, recipe.cleaning, recipe.batch_size) == (2, "original", RECIPES["small"].batch_size)


@pytest.mark.parametrize(
    ("settings", "sentence"),
    [
        ({"epochs": 0}, "epochs lies between 1"),
        ({"dropout": 1.0}, "dropout lies between 0 and 0.95"),
        ({"cleaning": "none"}, "cleaning is one of original, modern"),
        ({"vocab_size": 2}, "vocab_size lies between 3"),
        ({"learning_rate": float("nan")}, "learning_rate lies between"),
        ({"colour": 1}, "no setting colour"),
    ],
)
def test_a_setting_that_cannot_be_is_refused(settings: dict[str, Any], sentence: str) -> None:
    with pytest.raises(UsageError, match=sentence):
        Recipe.of("original", **settings)


def test_an_unknown_recipe_names_the_known_ones() -> None:
    with pytest.raises(UsageError, match="original, small"):
        Recipe.of("best-ever")


def test_the_recipe_fits_the_number_of_reviews() -> None:
    assert (fitting(500), fitting(25_000)) == ("small", "original")


def test_every_setting_has_help() -> None:
    assert all(setting.metadata["help"] for setting in settings_of_a_recipe())
