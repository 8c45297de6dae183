"""What every peer serves: the bundle that PLAUDIT_BUNDLE names, read and scored by Plaudit's own code."""

from __future__ import annotations

import os
from collections.abc import Sequence
from typing import Any

import plaudit
from plaudit.bundle.classifier import Classifier


def load() -> Classifier:
    return plaudit.load(os.environ["PLAUDIT_BUNDLE"])


def answer(model: Classifier, texts: Sequence[str]) -> list[dict[str, Any]]:
    """What Plaudit's endpoint says of each text in JSON Lines: label, probability, scores and notes."""
    return [
        {"label": found.label, "probability": found.probability, "scores": found.scores, "notes": list(found.notes)}
        for found in model.verdicts(texts, explain=False)
    ]
