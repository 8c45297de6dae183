"""A bundle's card: what it is, how it reads a text, and how good it is. Knows no files.

The first six fields are what scoring needs; the rest is for people, and for training it again.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import asdict, dataclass, field, replace
from typing import Any, cast

from plaudit.text.words import CLEANINGS, Cleaning


@dataclass(frozen=True)
class Card:
    """``prior`` is the share of ``labels[1]`` in training; ``temperature`` divides the network's score."""

    name: str
    labels: tuple[str, ...]
    cleaning: Cleaning
    max_words: int
    prior: float
    temperature: float = 1.0
    recipe: Mapping[str, Any] = field(default_factory=dict)
    data: Mapping[str, Any] = field(default_factory=dict)
    metrics: Mapping[str, Any] = field(default_factory=dict)
    training: Mapping[str, Any] = field(default_factory=dict)
    versions: Mapping[str, str] = field(default_factory=dict)

    def __post_init__(self) -> None:
        if len(self.labels) != 2 or len(set(self.labels)) != 2:
            raise ValueError(f"a card has two labels, not {list(self.labels)}")
        if self.cleaning not in CLEANINGS:
            raise ValueError(f"the cleaning is one of {', '.join(CLEANINGS)}, not {self.cleaning!r}")
        if self.max_words < 1:
            raise ValueError(f"max_words is at least 1, not {self.max_words}")
        if not all(isinstance(found, Mapping) for found in self.metrics.values()):
            raise ValueError("metrics holds figures by split")
        if not 0 < self.prior < 1 or not 0 < self.temperature < math.inf:
            raise ValueError("the prior lies between 0 and 1, and the temperature is above 0")

    @property
    def bias(self) -> float:
        """The score before any word is read: the prior as log-odds of ``labels[1]``."""
        return math.log(self.prior / (1 - self.prior))

    def with_metrics(self, split: str, metrics: Mapping[str, Any]) -> Card:
        return replace(self, metrics={**self.metrics, split: dict(metrics)})

    def to_json(self) -> dict[str, Any]:
        return {**asdict(self), "labels": list(self.labels)}

    @classmethod
    def from_json(cls, found: Mapping[str, Any]) -> Card:
        """The card in a parsed card.json. Raises ValueError for one that scoring cannot use."""
        try:
            return cls(
                name=str(found["name"]),
                labels=tuple(str(label) for label in found["labels"]),
                cleaning=cast(Cleaning, found["cleaning"]),
                max_words=int(found["max_words"]),
                prior=float(found["prior"]),
                temperature=float(found["temperature"]),
                **{part: dict(found[part]) for part in ("recipe", "data", "metrics", "training", "versions")},
            )
        except (KeyError, TypeError, OverflowError) as error:
            raise ValueError(f"a field is missing or of the wrong kind ({error})") from None
