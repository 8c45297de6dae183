"""Verdicts as JSON, there and back."""

from __future__ import annotations

import json
from dataclasses import FrozenInstanceError
from typing import Any

import pytest

from plaudit.bundle.classifier import Classifier
from plaudit.bundle.verdict import Verdict, WordContribution

VERDICT = Verdict(
    label="positive",
    probability=0.75,
    scores={"negative": 0.25, "positive": 0.75},
    score=1.0986122886681098,
    bias=0.0,
    words=(WordContribution(2, 11, 1.0986122886681098),),
    words_read=1,
    words_total=1,
    notes=("A note.",),
)


def test_json_is_what_the_api_promises() -> None:
    assert VERDICT.to_json() == {
        "label": "positive",
        "probability": 0.75,
        "scores": {"negative": 0.25, "positive": 0.75},
        "score": 1.0986122886681098,
        "bias": 0.0,
        "words": [{"start": 2, "end": 11, "contribution": 1.0986122886681098}],
        "words_read": 1,
        "words_total": 1,
        "notes": ["A note."],
    }


def test_a_verdict_goes_through_json_unchanged(classifier: Classifier) -> None:
    for verdict in (VERDICT, *classifier.verdicts(["A wonderful film", "", "Dull \U0001f600 and slow"])):
        assert Verdict.from_json(json.loads(json.dumps(verdict.to_json()))) == verdict


@pytest.mark.parametrize("name", sorted(VERDICT.to_json()))
def test_a_missing_field_is_an_error(name: str) -> None:
    found = VERDICT.to_json()
    del found[name]
    with pytest.raises(KeyError, match=name):
        Verdict.from_json(found)


@pytest.mark.parametrize(
    "fields",
    [{"probability": "high"}, {"score": None}, {"words": 3}, {"words": [3]}, {"words_read": "x"}, {"notes": None}],
)
def test_a_field_of_the_wrong_kind_is_an_error(fields: dict[str, Any]) -> None:
    with pytest.raises((KeyError, TypeError, ValueError)):
        Verdict.from_json({**VERDICT.to_json(), **fields})


def test_nothing_of_a_verdict_can_be_set() -> None:
    with pytest.raises(FrozenInstanceError):
        VERDICT.label = "negative"  # type: ignore[misc]
    with pytest.raises(FrozenInstanceError):
        VERDICT.words[0].start = 0  # type: ignore[misc]
