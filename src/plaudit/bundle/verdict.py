"""What Plaudit says of a text. Knows nothing of how it was found."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any


@dataclass(frozen=True, slots=True)
class WordContribution:
    """What one word added to the score; ``text[start:end]``, in code points, is the word as it was sent."""

    start: int
    end: int
    contribution: float


@dataclass(frozen=True, slots=True)
class Verdict:
    """A label with its probability, and why.

    ``score`` is ``bias`` plus the contributions of all ``words``: for two labels the log-odds of the second; for more
    the logit of ``label``, the one given, less the mean of all labels' logits.
    ``words`` is empty where no explanation was asked for. ``notes`` are sentences a reader should see.
    """

    label: str
    probability: float
    scores: dict[str, float]
    score: float
    bias: float
    words: tuple[WordContribution, ...]
    words_read: int
    words_total: int
    notes: tuple[str, ...]

    def to_json(self) -> dict[str, Any]:
        return {
            "label": self.label,
            "probability": self.probability,
            "scores": self.scores,
            "score": self.score,
            "bias": self.bias,
            "words": [{"start": word.start, "end": word.end, "contribution": word.contribution} for word in self.words],
            "words_read": self.words_read,
            "words_total": self.words_total,
            "notes": list(self.notes),
        }

    @classmethod
    def from_json(cls, found: dict[str, Any]) -> Verdict:
        """Raises KeyError, TypeError or ValueError for what is not a verdict."""
        if len(found["scores"]) < 2 or found["label"] not in found["scores"]:
            raise ValueError("a verdict has the scores of at least two labels, its own among them")
        return cls(
            label=str(found["label"]),
            probability=float(found["probability"]),
            scores={str(label): float(share) for label, share in found["scores"].items()},
            score=float(found["score"]),
            bias=float(found["bias"]),
            words=tuple(
                WordContribution(int(word["start"]), int(word["end"]), float(word["contribution"]))
                for word in found["words"]
            ),
            words_read=int(found["words_read"]),
            words_total=int(found["words_total"]),
            notes=tuple(str(note) for note in found["notes"]),
        )
