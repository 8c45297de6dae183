"""Plaudit takes labelled reviews to a live sentiment web app.

    import plaudit
    classifier = plaudit.load("path/to/bundle")
    classifier.predict_proba(["A wonderful film."])

Importing this module imports nothing else; torch is imported only to train.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from plaudit.version import __version__

__all__ = ["Classifier", "SentimentClassifier", "Verdict", "__version__", "load"]

if TYPE_CHECKING:
    from plaudit.bundle.classifier import Classifier, load
    from plaudit.bundle.verdict import Verdict
    from plaudit.learning.estimator import SentimentClassifier

HOMES = {
    "Classifier": "plaudit.bundle.classifier",
    "SentimentClassifier": "plaudit.learning.estimator",
    "Verdict": "plaudit.bundle.verdict",
    "load": "plaudit.bundle.classifier",
}


def __getattr__(name: str) -> Any:
    if name not in HOMES:
        raise AttributeError(f"module 'plaudit' has no attribute {name!r}")
    from importlib import import_module

    return getattr(import_module(HOMES[name]), name)
