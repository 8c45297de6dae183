"""Recipes: every setting of a training under one name. Knows no data."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict, dataclass, field, fields, replace
from typing import Any

from plaudit.errors import UsageError
from plaudit.text.prepared import Reading
from plaudit.text.words import CLEANINGS, Cleaning

SMALL_DATA = 5_000
PRECISIONS = ("auto", "float32", "bfloat16")


def _setting(default: Any, help: str, low: float = 0, high: float = float("inf"), choices: tuple[str, ...] = ()) -> Any:
    return field(default=default, metadata={"help": help, "low": low, "high": high, "choices": choices})


@dataclass(frozen=True)
class Recipe:
    """A named training. A setting is overridden with `Recipe.of(name, setting=value)`."""

    name: str
    about: str
    cleaning: Cleaning = _setting("original", "how a text becomes words", choices=CLEANINGS)
    vocab_size: int = _setting(5000, "ids in the vocabulary, two of them reserved", 3, 1_000_000)
    max_words: int = _setting(500, "words of a review that are read", 1, 100_000)
    embedding_dim: int = _setting(32, "numbers a word becomes", 1, 4096)
    hidden_dim: int = _setting(200, "size of the LSTM's state", 1, 8192)
    layers: int = _setting(1, "LSTM layers", 1, 8)
    dropout: float = _setting(0.0, "share of embedding and state entries set to zero in training", 0, 0.95)
    word_dropout: float = _setting(0.0, "share of words replaced by the infrequent word in training", 0, 0.95)
    epochs: int = _setting(10, "passes over the training reviews", 1, 10_000)
    batch_size: int = _setting(128, "reviews a step", 1, 65_536)
    learning_rate: float = _setting(2e-3, "Adam's first learning rate; it falls to zero in a straight line", 1e-8, 10)
    clip: float = _setting(5.0, "largest norm of a gradient", 1e-6)
    validation: float = _setting(0.1, "share of the training reviews held out for validation", 0.01, 0.5)
    precision: str = _setting(
        "auto", "arithmetic of training; auto takes bfloat16 where the processor has it", choices=PRECISIONS
    )

    def __post_init__(self) -> None:
        for setting in fields(self):
            if not setting.metadata:
                continue
            value, about = getattr(self, setting.name), setting.metadata
            if about["choices"]:
                if value not in about["choices"]:
                    raise UsageError(f"{setting.name} is one of {', '.join(about['choices'])}, not {value!r}")
            elif not about["low"] <= value <= about["high"]:
                raise UsageError(f"{setting.name} lies between {about['low']} and {about['high']}, not {value}")

    @classmethod
    def of(cls, name: str, **settings: Any) -> Recipe:
        """The recipe called ``name`` with single settings changed. Raises UsageError for one that cannot be."""
        if name not in RECIPES:
            raise UsageError(f"there is no recipe {name!r}: the recipes are {', '.join(RECIPES)}")
        unknown = set(settings) - {setting.name for setting in settings_of_a_recipe()}
        if unknown:
            raise UsageError(f"a recipe has no setting {', '.join(sorted(unknown))}")
        return replace(RECIPES[name], **settings)

    @property
    def reading(self) -> Reading:
        return Reading(self.cleaning, self.vocab_size, self.max_words, self.validation)

    def to_json(self) -> dict[str, Any]:
        return {name: value for name, value in asdict(self).items() if name != "about"}


def settings_of_a_recipe() -> list[Any]:
    """The dataclass fields that a user may set, each with its help in ``metadata``."""
    return [setting for setting in fields(Recipe) if setting.metadata]


def fitting(reviews: int) -> str:
    """The recipe for so many training reviews, where the user names none."""
    return "original" if reviews >= SMALL_DATA else "small"


RECIPES: Mapping[str, Recipe] = {
    recipe.name: recipe
    for recipe in (
        Recipe(
            "original",
            "the original's network of 347,401 parameters and its 10 epochs: for thousands of reviews",
            dropout=0.4,
        ),
        Recipe(
            "small",
            "the same network for hundreds of reviews: negation kept, small steps, dropout",
            cleaning="modern",
            dropout=0.3,
            word_dropout=0.1,
            epochs=15,
            batch_size=16,
            learning_rate=3e-3,
        ),
    )
}
