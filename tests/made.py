"""Reviews made up from a few words: a training on them takes a second, and what it should learn is known."""

from __future__ import annotations

import random
from collections.abc import Sequence
from typing import Any

from plaudit.text.reviews import Review, Reviews

OPINIONS = (
    "dreadful dull stupid boring awful".split(),
    "usual ordinary middling average plain".split(),
    "lovely warm brilliant moving wonderful".split(),
)
FILLERS = "the film a story with some people and music by night in town who met an old friend there".split()
TINY: dict[str, Any] = {
    "embedding_dim": 8,
    "hidden_dim": 8,
    "batch_size": 16,
    "least_batches": 0,
    "least_steps": 0,
    "phrases": 0,
    "learning_rate": 0.02,
    "embedding_rate": 1.0,
    "precision": "float32",
}
"""Settings that make any recipe a matter of a second."""


def text_of(opinion: Sequence[str], number: int, chance: random.Random, length: int = 10) -> str:
    """Fillers with two words of an opinion among them, and a number of its own."""
    found = [*chance.choices(FILLERS, k=length - 3), *chance.choices(opinion, k=2), f"visitor{number}"]
    chance.shuffle(found)
    return " ".join(found)


def made_up(
    labels: tuple[str, ...] = ("negative", "positive"), train: int = 240, test: int = 60, unlabelled: int = 0
) -> Reviews:
    """Reviews of each of the labels in turn; their opinions leave no doubt."""
    chance = random.Random(0)
    opinions = OPINIONS if len(labels) == 3 else OPINIONS[:: len(OPINIONS) - 1]

    def some(count: int, start: int) -> list[Review]:
        places = [number % len(labels) for number in range(count)]
        return [
            Review(text_of(opinions[place], start + number, chance), labels[place])
            for number, place in enumerate(places)
        ]

    loose = [Review(review.text, "") for review in some(unlabelled, 20_000)]
    return Reviews("made up", "nowhere", labels, some(train, 0), some(test, 10_000), loose)
