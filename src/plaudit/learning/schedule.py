"""Every setting of a pretraining. Knows no data and no torch."""

from __future__ import annotations

from dataclasses import dataclass

from plaudit.errors import UsageError
from plaudit.text.words import Cleaning

DIRECTIONS = ("forward", "backward")
LEAST = {"vocab_size": 3, "embedding_dim": 1, "hidden_dim": 1, "epochs": 1}


@dataclass(frozen=True)
class Schedule:
    """Every setting of a pretraining. A ``backward`` model reads each text from its end.

    A step reads so many ``words`` in each of ``streams`` places of the corpus, or fewer where it is small.
    """

    direction: str = "forward"
    cleaning: Cleaning = "modern"
    vocab_size: int = 30_000
    embedding_dim: int = 256
    hidden_dim: int = 320
    dropout: float = 0.1
    epochs: int = 4
    streams: int = 128
    words: int = 64
    negatives: int = 1024
    learning_rate: float = 4e-3
    warm_up: float = 0.02
    clip: float = 1.0

    def __post_init__(self) -> None:
        if self.direction not in DIRECTIONS:
            raise UsageError(f"the direction is one of {', '.join(DIRECTIONS)}, not {self.direction!r}")
        for name, least in LEAST.items():
            if getattr(self, name) < least:
                raise UsageError(f"{name} is at least {least}, not {getattr(self, name)}")
        if not self.learning_rate > 0:
            raise UsageError(f"learning_rate lies above 0, not {self.learning_rate}")


@dataclass(frozen=True)
class VectorSettings:
    """Every setting of the document vectors, and of how LSTMs learn to infer them.

    An n-gram of up to ``order`` words stands in at least ``least`` texts. ``negatives`` others are drawn for each one
    that stands in a text; ``sharpness`` is what a cosine is multiplied by. 0 ``epochs``: no vectors at all. The LSTMs
    also learn of up to so many ``phrases`` whether they are positive; one counts for ``phrase_weight`` of a text.
    """

    dim: int = 128
    epochs: int = 24
    order: int = 3
    least: int = 4
    negatives: int = 3
    sharpness: float = 6.0
    rate: float = 1e-3
    regression_epochs: int = 2
    regression_rate: float = 5e-3
    batch_size: int = 64
    phrases: int = 320_000
    phrase_weight: float = 2.0
    span_dropout: float = 0.5
    dropout: float = 0.1
    word_dropout: float = 0.05
    warm_up: float = 0.05
    clip: float = 5.0
