"""The classifier as a scikit-learn estimator: texts and labels in, predictions out. Knows no files.

It follows scikit-learn's conventions without needing scikit-learn, so `cross_val_score` and pipelines work.
"""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from plaudit.bundle.bundle import Bundle
from plaudit.bundle.classifier import Classifier
from plaudit.errors import UsageError
from plaudit.learning.fitting import fit
from plaudit.learning.preparing import prepare_for
from plaudit.learning.recipes import DEFAULT, Recipe
from plaudit.text.reviews import Review, Reviews


class SentimentClassifier:
    """A recipe as an estimator. ``settings`` override single settings of the recipe, as in `Recipe.of`.

    ``recipe`` None takes `lstm`. After `fit`: ``classes_``, the
    labels in order; ``bundle_``, what `save` writes.
    """

    def __init__(self, recipe: str | None = None, seed: int = 0, **settings: Any) -> None:
        self.recipe, self.seed, self.settings = recipe, seed, settings

    def fit(self, X: Sequence[str], y: Sequence[Any]) -> SentimentClassifier:  # noqa: N803
        """Trains on texts (n,) and labels (n,). Raises UsageError for what cannot be trained on."""
        texts = _texts(X)
        if len(texts) != len(y):
            raise UsageError(f"{len(texts)} texts and {len(y)} labels: there has to be one label a text")
        self.classes_, places = np.unique(np.asarray(y), return_inverse=True)
        if len(self.classes_) < 2:
            raise UsageError(f"every text has the same label, {self.classes_.tolist()}: two are needed")
        names = tuple(str(label) for label in self.classes_)
        found = [Review(text, names[place]) for text, place in zip(texts, places, strict=True)]
        reviews = Reviews("texts in memory", "fit", names, found, [])
        recipe = Recipe.of(self.recipe or DEFAULT, **self.settings)
        data = prepare_for(recipe, reviews)
        self.bundle_: Bundle = fit(data, recipe, self.seed)
        self._classifier = Classifier(self.bundle_)
        return self

    def predict_proba(self, X: Sequence[str]) -> NDArray[np.float64]:  # noqa: N803
        """The probability of each label: an array (n, labels) in the order of ``classes_``."""
        if not hasattr(self, "_classifier"):
            raise UsageError("this classifier is not fitted yet: call fit first")
        return self._classifier.predict_proba(_texts(X))

    def predict(self, X: Sequence[str]) -> NDArray[Any]:  # noqa: N803
        best = self.predict_proba(X).argmax(axis=1)
        labels: NDArray[Any] = self.classes_[best]
        return labels

    def score(self, X: Sequence[str], y: Sequence[Any]) -> float:  # noqa: N803
        """The accuracy on texts and labels."""
        return float(np.mean(self.predict(X) == np.asarray(y)))

    def save(self, path: str | Path) -> None:
        """Writes the bundle, for `plaudit.load` and `plaudit serve`."""
        self.bundle_.save(Path(path))

    def get_params(self, deep: bool = True) -> dict[str, Any]:
        return {"recipe": self.recipe, "seed": self.seed, **self.settings}

    def set_params(self, **params: Any) -> SentimentClassifier:
        for name, value in params.items():
            if name in ("recipe", "seed"):
                setattr(self, name, value)
            else:
                self.settings[name] = value
        return self

    def __sklearn_is_fitted__(self) -> bool:
        return hasattr(self, "_classifier")

    def __sklearn_tags__(self) -> Any:
        """What scikit-learn asks an estimator about itself; only scikit-learn calls this."""
        from sklearn.utils import ClassifierTags, InputTags, Tags, TargetTags

        return Tags(
            estimator_type="classifier",
            target_tags=TargetTags(required=True),
            classifier_tags=ClassifierTags(multi_class=False),
            input_tags=InputTags(two_d_array=False, string=True),
        )


def _texts(found: Sequence[str]) -> list[str]:
    if isinstance(found, str):
        raise UsageError("X is a list of texts: put the one text into a list")
    return [str(text) for text in found]
