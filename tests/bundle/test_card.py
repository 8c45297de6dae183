"""The card: what scoring needs is checked, what people read is kept as it is."""

from __future__ import annotations

import json
import math
from dataclasses import replace
from typing import Any

import pytest

from plaudit.bundle.bundle import Bundle
from plaudit.bundle.card import Card

CARD = Card("Films, lstm", ("negative", "positive"), "modern", 500, (0.5, 0.5))


def found(**fields: Any) -> dict[str, Any]:
    return {**CARD.to_json(), **fields}


def test_a_card_goes_through_json_unchanged(bundle: Bundle) -> None:
    for card in (CARD, bundle.card):
        assert Card.from_json(json.loads(json.dumps(card.to_json()))) == card


def test_a_trained_bundle_says_what_it_is_and_how_good(bundle: Bundle) -> None:
    card = bundle.card
    assert card.labels == ("negative", "positive")
    assert (card.cleaning, card.max_words, card.ngrams) == ("modern", 1_000, 1)
    assert (card.recipe["name"], card.recipe["start"], card.recipe["weights"]) == ("lstm", "encoder", "int8")
    assert sum(card.priors) == pytest.approx(1)
    assert card.data["test"] == 100
    assert card.training["parameters"] > 100_000
    assert 0.5 < card.metrics["validation"]["accuracy"] <= 1
    assert set(card.versions) == {"plaudit", "python", "torch", "onnxruntime"}


@pytest.mark.parametrize("prior", [0.1, 0.5, 0.7])
def test_bias_of_two_labels_is_the_second_prior_as_log_odds(prior: float) -> None:
    (bias,) = replace(CARD, priors=(1 - prior, prior)).biases
    assert 1 / (1 + math.exp(-bias)) == pytest.approx(prior, abs=1e-12)


def test_biases_of_more_labels_are_logits_of_their_priors() -> None:
    priors = (0.2, 0.5, 0.3)
    biases = replace(CARD, labels=("a", "b", "c"), priors=priors).biases
    total = sum(math.exp(bias) for bias in biases)
    assert [math.exp(bias) / total for bias in biases] == pytest.approx(priors, abs=1e-12)


def test_metrics_of_a_split_join_those_of_the_others() -> None:
    card = CARD.with_metrics("validation", {"accuracy": 0.8}).with_metrics("test", {"accuracy": 0.7})
    assert card.metrics == {"validation": {"accuracy": 0.8}, "test": {"accuracy": 0.7}}
    assert card.with_metrics("test", {"accuracy": 0.9}).metrics["test"] == {"accuracy": 0.9}
    assert CARD.metrics == {}


@pytest.mark.parametrize("labels", [[], ["positive"], ["good", "good"], ["a", "b", "a"]])
def test_a_card_has_two_labels_or_more_each_once(labels: list[str]) -> None:
    with pytest.raises(ValueError, match="two labels or more, each once"):
        Card.from_json(found(labels=labels))


@pytest.mark.parametrize("cleaning", ["", "Original", None, ["modern"]])
def test_an_unknown_cleaning_is_refused(cleaning: Any) -> None:
    with pytest.raises(ValueError, match="original, modern"):
        Card.from_json(found(cleaning=cleaning))


@pytest.mark.parametrize("name", ["max_words", "ngrams"])
@pytest.mark.parametrize("value", [0, -1])
def test_at_least_one_word_is_read(name: str, value: int) -> None:
    with pytest.raises(ValueError, match="at least 1"):
        Card.from_json(found(**{name: value}))


@pytest.mark.parametrize(
    "fields",
    [
        {"priors": [0, 1]},
        {"priors": [0.5, 1]},
        {"priors": [0.5, 0.4]},
        {"priors": [0.5, math.nan]},
        {"priors": [1.0]},
        {"priors": [0.2, 0.3, 0.5]},
        {"temperature": 0},
        {"temperature": -1.5},
        {"temperature": math.inf},
        {"temperature": math.nan},
    ],
)
def test_numbers_that_cannot_score_are_refused(fields: dict[str, Any]) -> None:
    with pytest.raises(ValueError, match=r"priors? .*(a label|add up to 1)"):
        Card.from_json(found(**fields))


@pytest.mark.parametrize("name", sorted(CARD.to_json()))
def test_a_missing_field_is_named(name: str) -> None:
    without = {field: value for field, value in found().items() if field != name}
    with pytest.raises(ValueError, match=name):
        Card.from_json(without)


@pytest.mark.parametrize(
    "fields",
    [
        {"labels": 2},
        {"max_words": "many"},
        {"max_words": None},
        {"priors": "half"},
        {"priors": 0.5},
        {"priors": []},
        {"ngrams": "many"},
        {"recipe": 5},
        {"metrics": None},
        {"versions": "1.0"},
        {"max_words": math.inf},
    ],
)
def test_a_field_of_the_wrong_kind_is_refused(fields: dict[str, Any]) -> None:
    with pytest.raises(ValueError, match=r"."):
        Card.from_json(found(**fields))


@pytest.mark.parametrize("content", [[], None, "card", 3])
def test_what_is_not_an_object_is_not_a_card(content: Any) -> None:
    with pytest.raises(ValueError, match="missing or of the wrong kind"):
        Card.from_json(content)
