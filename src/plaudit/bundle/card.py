"""A bundle's card: what it is, how it reads a text, and how good it is. Knows no files.

The first eight fields are what scoring needs; the rest is for people, and for training it again.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import asdict, dataclass, field, replace
from typing import Any, cast

from plaudit.text.words import CLEANINGS, Cleaning

USUAL_LENGTH = 200


@dataclass(frozen=True)
class Card:
    """``priors`` are the labels' shares in training.

    ``temperature`` divides what the network says of a text of `USUAL_LENGTH` ids; with the length of a text it rises
    as the power ``growth`` of it: words of a long text repeat each other.

    ``ngrams`` above 1: the vocabulary holds runs of up to so many words, and each that a text has counts once.
    """

    name: str
    labels: tuple[str, ...]
    cleaning: Cleaning
    max_words: int
    priors: tuple[float, ...]
    temperature: float = 1.0
    growth: float = 0.0
    ngrams: int = 1
    recipe: Mapping[str, Any] = field(default_factory=dict)
    data: Mapping[str, Any] = field(default_factory=dict)
    metrics: Mapping[str, Any] = field(default_factory=dict)
    training: Mapping[str, Any] = field(default_factory=dict)
    versions: Mapping[str, str] = field(default_factory=dict)

    def __post_init__(self) -> None:
        if len(self.labels) < 2 or len(set(self.labels)) != len(self.labels):
            raise ValueError(f"a card has two labels or more, each once, not {list(self.labels)}")
        if self.cleaning not in CLEANINGS:
            raise ValueError(f"the cleaning is one of {', '.join(CLEANINGS)}, not {self.cleaning!r}")
        if self.max_words < 1 or self.ngrams < 1:
            raise ValueError(f"max_words and ngrams are at least 1, not {self.max_words} and {self.ngrams}")
        if not all(isinstance(found, Mapping) for found in self.metrics.values()):
            raise ValueError("metrics holds figures by split")
        if len(self.priors) != len(self.labels) or not all(0 < prior < 1 for prior in self.priors):
            raise ValueError("there is one prior a label, between 0 and 1")
        if abs(sum(self.priors) - 1) > 1e-6 or not 0 < self.temperature < math.inf or not abs(self.growth) <= 1:
            raise ValueError("the priors add up to 1, the temperature is above 0, and its growth from -1 to 1")

    @property
    def biases(self) -> tuple[float, ...]:
        """The scores before any word is read: log-odds of ``labels[1]`` for two labels, a logit a label for more."""
        if len(self.labels) == 2:
            return (math.log(self.priors[1] / self.priors[0]),)
        return tuple(math.log(prior) for prior in self.priors)

    def temperature_of(self, ids: int) -> float:
        """The temperature of a text with so many ids."""
        return float(self.temperature * (max(ids, 1) / USUAL_LENGTH) ** self.growth)

    def with_metrics(self, split: str, metrics: Mapping[str, Any]) -> Card:
        return replace(self, metrics={**self.metrics, split: dict(metrics)})

    def to_json(self) -> dict[str, Any]:
        return {**asdict(self), "labels": list(self.labels), "priors": list(self.priors)}

    @classmethod
    def from_json(cls, found: Mapping[str, Any]) -> Card:
        """The card in a parsed card.json. Raises ValueError for one that scoring cannot use."""
        try:
            return cls(
                name=str(found["name"]),
                labels=tuple(str(label) for label in found["labels"]),
                cleaning=cast(Cleaning, found["cleaning"]),
                max_words=int(found["max_words"]),
                priors=tuple(float(prior) for prior in found["priors"]),
                temperature=float(found["temperature"]),
                growth=float(found["growth"]),
                ngrams=int(found["ngrams"]),
                **{part: dict(found[part]) for part in ("recipe", "data", "metrics", "training", "versions")},
            )
        except (KeyError, TypeError, OverflowError) as error:
            raise ValueError(f"a field is missing or of the wrong kind ({error})") from None
