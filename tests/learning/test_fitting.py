"""Any recipe on any number of labels, from prepared reviews to verdicts."""

from __future__ import annotations

import math
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from plaudit.bundle.bundle import Bundle
from plaudit.bundle.classifier import UNKNOWN, Classifier
from plaudit.errors import UsageError
from plaudit.learning.bundling import GROWTH_OF_LAST
from plaudit.learning.fitting import fit
from plaudit.learning.preparing import prepare_for
from plaudit.learning.recipes import Recipe
from tests.made import OPINIONS, TINY, made_up

THREE = ("bad", "middling", "good")
OWN = {**TINY, "start": "nothing", "epochs": 6}
RECIPES = {
    "linear": Recipe.of("linear"),
    "lstm": Recipe.of("lstm", **OWN),
    "lstm float32": Recipe.of("lstm", **OWN, weights="float32"),
    "lstm both ways": Recipe.of("lstm", **OWN, direction="both"),
    "lstm both ways float32": Recipe.of("lstm", **OWN, direction="both", weights="float32", adversarial=0.2),
    "lstm backward": Recipe.of("lstm", **OWN, direction="backward"),
    "lstm last state": Recipe.of("lstm", **OWN, pooling="last", weights="float32"),
    "lstm two layers": Recipe.of("lstm", **OWN, layers=2),
}
REVIEWS = made_up(THREE)
TEXTS = [review.text for review in REVIEWS.test]
ODD = ["", "unheard of", "film", "lovely", "dull " * 600, *TEXTS[:9]]


@pytest.fixture(scope="module", params=list(RECIPES))
def classifier(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Classifier:
    """A classifier of three labels, from its folder."""
    recipe = RECIPES[request.param]
    made = fit(prepare_for(recipe, REVIEWS), recipe)
    path = made.save(tmp_path_factory.mktemp("three") / "bundle").path
    assert path is not None
    return Classifier(Bundle.load(path))


def test_three_labels_are_told_apart(classifier: Classifier) -> None:
    assert classifier.classes_ == THREE
    right = [judged == review.label for judged, review in zip(classifier.predict(TEXTS), REVIEWS.test, strict=True)]
    assert np.mean(right) > 0.8


def test_probabilities_of_three_labels_add_up_to_1(classifier: Classifier) -> None:
    shares = classifier.predict_proba([*TEXTS, *ODD])
    assert shares.shape == (len(TEXTS) + len(ODD), 3)
    np.testing.assert_allclose(shares.sum(axis=1), 1, atol=1e-12)
    assert (shares > 0).all()
    for row, verdict in zip(shares, classifier.verdicts([*TEXTS, *ODD]), strict=True):
        assert list(verdict.scores.values()) == row.tolist()
        assert verdict.probability == verdict.scores[verdict.label] == row.max()


def test_contributions_and_bias_add_up_to_the_score_of_the_label_given(classifier: Classifier) -> None:
    for verdict in classifier.verdicts([*TEXTS, *ODD]):
        total = verdict.bias + sum(word.contribution for word in verdict.words)
        assert total == pytest.approx(verdict.score, abs=1e-6)
        logs = {label: math.log(share) for label, share in verdict.scores.items()}
        assert logs[verdict.label] - sum(logs.values()) / 3 == pytest.approx(verdict.score, abs=1e-6)
        assert verdict.score >= 0


def test_contributions_point_toward_the_label_given(classifier: Classifier) -> None:
    """An LSTM may say so a word later; all words together say it anyhow."""
    linear = classifier.card.recipe["kind"] == "linear"
    for text, verdict in zip(TEXTS, classifier.verdicts(TEXTS), strict=True):
        opinion = OPINIONS[THREE.index(verdict.label)]
        own = [word.contribution for word in verdict.words if text[word.start : word.end] in opinion]
        other = [word.contribution for word in verdict.words if text[word.start : word.end] not in opinion]
        assert sum(own) + sum(other) > 0
        if linear:
            assert min(own) > max(other)


def test_no_known_word_gives_the_priors_of_three_labels(classifier: Classifier) -> None:
    card = classifier.card
    for text in ("", "xqzzy vrblgrmpf"):
        verdict = classifier.verdict(text)
        assert list(verdict.scores.values()) == pytest.approx(card.priors, abs=1e-12)
        assert verdict.label == THREE[int(np.argmax(card.priors))]
        assert (verdict.words, verdict.notes, verdict.score) == ((), (UNKNOWN,), verdict.bias)


def test_batches_change_nothing(classifier: Classifier) -> None:
    alone = np.concatenate([classifier.predict_proba([text]) for text in ODD])
    int8 = classifier.card.recipe["weights"] == "int8"
    np.testing.assert_allclose(classifier.predict_proba(ODD), alone, atol=0.02 if int8 else 1e-6)


def test_the_card_is_of_three_labels(classifier: Classifier) -> None:
    card = classifier.card
    assert (card.labels, len(card.priors), len(card.biases)) == (THREE, 3, 3)
    assert card.ngrams == (3 if card.recipe["kind"] == "linear" else 1)
    last = GROWTH_OF_LAST if card.recipe["pooling"] == "last" else 0
    assert card.growth == (0.5 if card.recipe["kind"] == "linear" else last), "not fitted on a few reviews"
    assert 0.8 < card.metrics["validation"]["accuracy"] <= 1
    assert card.training["parameters"] > 0


def test_the_original_is_for_two_labels() -> None:
    recipe = Recipe.of("original")
    with pytest.raises(UsageError, match=r"for two labels, and there are 3 .*: use --recipe lstm or linear"):
        fit(prepare_for(recipe, REVIEWS), recipe)


@pytest.mark.parametrize("name", ["linear", "lstm", "original"])
def test_two_labels_have_one_score(name: str) -> None:
    recipe = Recipe.of("original", **{**OWN, "epochs": 1}) if name == "original" else RECIPES[name]
    reviews = made_up()
    bundle = fit(prepare_for(recipe, reviews), recipe)
    assert len(bundle.card.biases) == 1
    verdict = Classifier(bundle).verdict(reviews.test[0].text)
    assert math.log(verdict.scores["positive"] / verdict.scores["negative"]) == pytest.approx(verdict.score, abs=1e-6)


@pytest.mark.parametrize("name", ["linear", "lstm"])
def test_a_label_that_no_review_has_is_refused(name: str) -> None:
    data = prepare_for(RECIPES[name], REVIEWS)
    with pytest.raises(UsageError, match="reviews hold none of label 'none'"):
        fit(replace(data, about=replace(data.about, labels=(*THREE, "none"))), RECIPES[name])


def test_the_same_seed_gives_the_same_bundle(tmp_path: Path) -> None:
    for name in ("linear", "lstm"):
        data = prepare_for(RECIPES[name], REVIEWS)
        first, second = (fit(data, RECIPES[name], 5) for _ in range(2))
        assert (first.weights, first.network) == (second.weights, second.network)
