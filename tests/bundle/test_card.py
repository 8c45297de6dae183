"""The card: what scoring needs is checked, what people read is kept as it is."""

from __future__ import annotations

import json
import math
from dataclasses import replace
from typing import Any

import pytest

from plaudit.bundle.bundle import Bundle
from plaudit.bundle.card import Card

CARD = Card("Films, small", ("negative", "positive"), "modern", 500, 0.5)


def found(**fields: Any) -> dict[str, Any]:
    return {**CARD.to_json(), **fields}


def test_a_card_goes_through_json_unchanged(bundle: Bundle) -> None:
    for card in (CARD, bundle.card):
        assert Card.from_json(json.loads(json.dumps(card.to_json()))) == card


def test_a_trained_bundle_says_what_it_is_and_how_good(bundle: Bundle) -> None:
    card = bundle.card
    assert card.labels == ("negative", "positive")
    assert (card.cleaning, card.max_words, card.recipe["name"], card.recipe["epochs"]) == ("modern", 500, "small", 5)
    assert card.data["test"] == 100
    assert card.training["parameters"] > 100_000
    assert 0.5 < card.metrics["validation"]["accuracy"] <= 1
    assert set(card.versions) == {"plaudit", "python", "torch", "onnxruntime"}


@pytest.mark.parametrize("prior", [0.1, 0.5, 0.7])
def test_bias_is_the_prior_as_log_odds(prior: float) -> None:
    assert 1 / (1 + math.exp(-replace(CARD, prior=prior).bias)) == pytest.approx(prior, abs=1e-12)


def test_metrics_of_a_split_join_those_of_the_others() -> None:
    card = CARD.with_metrics("validation", {"accuracy": 0.8}).with_metrics("test", {"accuracy": 0.7})
    assert card.metrics == {"validation": {"accuracy": 0.8}, "test": {"accuracy": 0.7}}
    assert card.with_metrics("test", {"accuracy": 0.9}).metrics["test"] == {"accuracy": 0.9}
    assert CARD.metrics == {}


@pytest.mark.parametrize("labels", [[], ["positive"], ["good", "good"], ["a", "b", "c"]])
def test_a_card_has_two_labels(labels: list[str]) -> None:
    with pytest.raises(ValueError, match="two labels"):
        Card.from_json(found(labels=labels))


@pytest.mark.parametrize("cleaning", ["", "Original", None, ["modern"]])
def test_an_unknown_cleaning_is_refused(cleaning: Any) -> None:
    with pytest.raises(ValueError, match="original, modern"):
        Card.from_json(found(cleaning=cleaning))


@pytest.mark.parametrize("max_words", [0, -1])
def test_at_least_one_word_is_read(max_words: int) -> None:
    with pytest.raises(ValueError, match="at least 1"):
        Card.from_json(found(max_words=max_words))


@pytest.mark.parametrize(
    "fields",
    [
        {"prior": 0},
        {"prior": 1},
        {"prior": math.nan},
        {"temperature": 0},
        {"temperature": -1.5},
        {"temperature": math.inf},
        {"temperature": math.nan},
    ],
)
def test_numbers_that_cannot_score_are_refused(fields: dict[str, float]) -> None:
    with pytest.raises(ValueError, match="prior lies between 0 and 1"):
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
        {"prior": "half"},
        {"prior": []},
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
