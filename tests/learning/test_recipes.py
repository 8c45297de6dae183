from __future__ import annotations

from typing import Any

import pytest

from plaudit.errors import UsageError
from plaudit.learning.recipes import DEFAULT, RECIPES, Recipe, settings_of_a_recipe


def test_the_originals_settings_are_the_originals() -> None:
    recipe = Recipe.of("original")
    found = (recipe.vocab_size, recipe.max_words, recipe.embedding_dim, recipe.hidden_dim, recipe.layers, recipe.epochs)
    assert found == (5000, 500, 32, 200, 1, 10)
    assert (recipe.cleaning, recipe.direction, recipe.pooling, recipe.start) == (
        "original",
        "forward",
        "last",
        "nothing",
    )
    assert (recipe.phrases, recipe.average, recipe.adversarial, recipe.weights) == (0, 0, 0, "float32")


def test_the_recipes_are_four_and_the_default_starts_from_the_encoder() -> None:
    assert list(RECIPES) == ["original", "linear", "lstm", "best"]
    assert DEFAULT == "lstm"
    assert [recipe.kind for recipe in RECIPES.values()] == ["network", "linear", "network", "network"]
    assert [recipe.start for recipe in RECIPES.values()] == ["nothing", "nothing", "encoder", "encoder"]
    assert [recipe.embedding_rate for recipe in RECIPES.values()] == [1, 1, 0, 0]
    assert [bool(recipe.language_epochs) for recipe in RECIPES.values()] == [False, False, False, True]


def test_single_settings_are_overridden() -> None:
    recipe = Recipe.of("lstm", epochs=2, cleaning="original", start="mine/encoder")
    assert (recipe.epochs, recipe.cleaning, recipe.start) == (2, "original", "mine/encoder")
    assert recipe.batch_size == RECIPES["lstm"].batch_size
    assert recipe.reading.start == "mine/encoder"


def test_epochs_that_are_named_are_trained_with_few_reviews_too() -> None:
    assert Recipe.of("lstm").few > 200
    assert Recipe.of("lstm", epochs=3).few == 0
    assert Recipe.of("lstm", epochs=3, few=9).few == 9


@pytest.mark.parametrize(
    ("settings", "sentence"),
    [
        ({"epochs": 0}, "epochs lies between 1"),
        ({"dropout": 1.0}, "dropout lies between 0 and 0.95"),
        ({"cleaning": "none"}, "cleaning is one of original, modern"),
        ({"vocab_size": 2}, "vocab_size lies between 3"),
        ({"learning_rate": float("nan")}, "learning_rate lies between"),
        ({"direction": "sideways"}, "direction is one of forward, backward, both"),
        ({"pooling": "max"}, "pooling is one of last, mean and max"),
        ({"weights": "int4"}, "weights is one of float32, int8"),
        ({"precision": "float16"}, "precision is one of auto"),
        ({"ngrams": 6}, "ngrams lies between 1 and 5"),
        ({"average": 1.0}, "average lies between 0 and 0.9999"),
        ({"phrases": -1}, "phrases is at least 0, not -1"),
        ({"colour": 1}, "no setting colour"),
        ({"kind": "linear"}, "no setting kind"),
    ],
)
def test_a_setting_that_cannot_be_is_refused(settings: dict[str, Any], sentence: str) -> None:
    with pytest.raises(UsageError, match=sentence):
        Recipe.of("original", **settings)


def test_an_unknown_recipe_names_the_known_ones() -> None:
    with pytest.raises(UsageError, match="original, linear, lstm, best"):
        Recipe.of("best-ever")


def test_few_texts_get_smaller_batches_and_more_epochs() -> None:
    recipe = Recipe.of("lstm", batch_size=64, epochs=4, least_batches=50, least_steps=500)
    assert (recipe.for_texts(25_000).batch_size, recipe.for_texts(25_000).epochs) == (64, 4)
    few = recipe.for_texts(800)
    assert (few.batch_size, few.epochs) == (16, 10)
    assert recipe.for_texts(20).batch_size == 8, "no batch is smaller than 8 for want of texts"
    plain = Recipe.of("original", epochs=3)
    assert plain.for_texts(20) == plain.for_texts(25_000) == plain


def test_every_setting_has_help() -> None:
    assert all(setting.metadata["help"] for setting in settings_of_a_recipe())
