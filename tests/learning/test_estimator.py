from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest
from sklearn.base import clone, is_classifier
from sklearn.model_selection import GridSearchCV, cross_val_score
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import FunctionTransformer
from sklearn.utils.validation import check_is_fitted

import plaudit
from plaudit.errors import UsageError
from plaudit.learning.recipes import DEFAULT
from plaudit.text.reviews import Reviews

QUICK: dict[str, Any] = {"epochs": 3, "hidden_dim": 32, "batch_size": 16, "cleaning": "modern"}


@pytest.fixture(scope="module")
def texts(sample: Reviews) -> list[str]:
    return [review.text for review in sample.train[:300]]


@pytest.fixture(scope="module")
def stars(sample: Reviews) -> list[int]:
    return [5 if review.label == "positive" else 1 for review in sample.train[:300]]


def test_it_keeps_the_labels_as_they_were_given(texts: list[str], stars: list[int], tmp_path: Path) -> None:
    model = plaudit.SentimentClassifier("original", **{**QUICK, "epochs": 10}).fit(texts, stars)
    assert model.classes_.tolist() == [1, 5]
    assert set(model.predict(texts[:20]).tolist()) <= {1, 5}
    assert np.allclose(model.predict_proba(texts[:5]).sum(axis=1), 1)
    assert model.score(texts, stars) > 0.8
    model.save(tmp_path / "bundle")
    loaded = plaudit.load(tmp_path / "bundle")
    assert np.array_equal(loaded.predict_proba(texts[:9]), model.predict_proba(texts[:9]))


def test_scikit_learn_can_clone_search_validate_and_pipe_it(texts: list[str], stars: list[int]) -> None:
    model = plaudit.SentimentClassifier("original", **QUICK)
    assert is_classifier(model)
    assert clone(model).get_params() == model.get_params()
    assert len(cross_val_score(model, texts, stars, cv=2)) == 2
    piped = make_pipeline(FunctionTransformer(lambda rows: [row.strip() for row in rows]), model).fit(texts, stars)
    assert piped.predict(texts[:3]).shape == (3,)
    search = GridSearchCV(model, {"hidden_dim": [8, 16]}, cv=2).fit(texts, stars)
    assert search.best_params_["hidden_dim"] in (8, 16)
    check_is_fitted(search.best_estimator_)


def test_wrong_calls_get_a_sentence(texts: list[str], stars: list[int]) -> None:
    model = plaudit.SentimentClassifier("original", **QUICK)
    with pytest.raises(UsageError, match="call fit first"):
        model.predict(texts)
    with pytest.raises(UsageError, match="one label a text"):
        model.fit(texts, stars[:-1])
    with pytest.raises(UsageError, match="two are needed"):
        model.fit(texts[:3], ["a", "a", "a"])
    with pytest.raises(UsageError, match="the recipe original is for two labels, and there are 3"):
        model.fit(texts, [index % 3 for index in range(len(texts))])
    with pytest.raises(UsageError, match="put the one text into a list"):
        model.fit("a text", ["a"])


def test_it_takes_three_labels(texts: list[str]) -> None:
    stars = [1, 3, 5] * 100
    told = [f"{text} {'bad so good'.split()[index % 3] * 9}" for index, text in enumerate(texts)]
    model = plaudit.SentimentClassifier("linear").fit(told, stars)
    assert model.classes_.tolist() == [1, 3, 5]
    assert model.predict_proba(told[:7]).shape == (7, 3)
    assert np.allclose(model.predict_proba(told[:7]).sum(axis=1), 1)
    assert model.score(told, stars) > 0.9


def test_the_default_is_lstm() -> None:
    assert plaudit.SentimentClassifier().get_params() == {"recipe": None, "seed": 0}
    assert DEFAULT == "lstm"
