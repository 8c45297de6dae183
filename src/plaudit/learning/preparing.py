"""Reviews prepared as a recipe reads them, and where the encoder is that it starts from. Knows no torch."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from importlib.resources import as_file, files
from pathlib import Path

from plaudit.errors import UsageError
from plaudit.learning.recipes import NOTHING, SHIPPED, Recipe
from plaudit.progress import Track, quiet
from plaudit.text.prepared import Prepared, prepare
from plaudit.text.reviews import Reviews
from plaudit.text.vocabulary import Vocabulary


def prepare_for(recipe: Recipe, reviews: Reviews, track: Track = quiet) -> Prepared:
    """The training half, encoded. Where the recipe starts from an encoder, its words come first."""
    return prepare(reviews, recipe.reading, track, first_words(recipe))


def first_words(recipe: Recipe) -> Vocabulary | None:
    """The words of the encoder that the recipe starts from. Raises UsageError where there is none."""
    if recipe.start == NOTHING:
        return None
    with encoder_folder(recipe.start) as folder:
        try:
            return Vocabulary.load(folder / "vocabulary.txt")
        except (OSError, ValueError) as error:
            what = f"--start {recipe.start}: no encoder there ({error}): plaudit pretrain makes one"
            raise UsageError(what) from None


@contextmanager
def encoder_folder(start: str) -> Iterator[Path]:
    """The folder of the encoder that a recipe's ``start`` names: the shipped one, or a user's own."""
    if start != SHIPPED:
        yield Path(start)
        return
    with as_file(files("plaudit") / "shipped" / "encoder") as folder:
        yield folder
