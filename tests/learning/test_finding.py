from __future__ import annotations

from typing import Any

import pytest

from plaudit.errors import UsageError
from plaudit.learning.finding import Condition, changed_settings, differences, fields_of, matching, ordered
from plaudit.learning.recipes import Recipe
from plaudit.learning.runs import Run


def run(id: str, accuracy: float | None = None, loss: float = 0.5, **settings: Any) -> Run:
    metrics = {"validation": {"accuracy": accuracy, "log_loss": loss}} if accuracy is not None else {}
    recipe = Recipe.of("original", **settings).to_json()
    return Run(
        id, f"2026-01-01T00:00:0{id}Z", "finished", recipe, {"name": "Mine.csv", "train": 90}, 0, metrics=metrics
    )


ONE = run("1", 0.8, 0.4, hidden_dim=64)
TWO = run("2", 0.9, 0.3, learning_rate=0.01)
NONE = run("3")
ALL = [ONE, TWO, NONE]


@pytest.mark.parametrize(
    ("condition", "ids"),
    [
        ("accuracy>0.85", "2"),
        ("accuracy >= 0.8", "12"),
        ("accuracy<=0.8", "1"),
        ("accuracy != 0.8", "23"),
        ("hidden_dim=64", "1"),
        ("hidden-dim==200", "23"),
        ("recipe=original", "123"),
        ("data~mine", "123"),
        ("data=mine.csv", "123"),
        ("data=other", ""),
        ("state!=finished", ""),
        ("train_reviews<91", "123"),
        ("learning_rate<1e-2", "13"),
    ],
)
def test_conditions(condition: str, ids: str) -> None:
    assert "".join(found.id for found in matching(ALL, [Condition.parse(condition)])) == ids


def test_all_conditions_hold() -> None:
    assert matching(ALL, [Condition.parse("accuracy>0.5"), Condition.parse("log_loss<0.35")]) == [TWO]


@pytest.mark.parametrize("text", ["", "accuracy", "accuracy>", "> 0.9", "accuracy 0.9", "a b = 3"])
def test_what_is_not_a_condition(text: str) -> None:
    with pytest.raises(UsageError, match="is not a condition"):
        Condition.parse(text)


def test_a_field_that_no_run_has_is_named_with_those_there_are() -> None:
    with pytest.raises(UsageError, match=r"no run has a field 'acuracy'.*accuracy.*hidden_dim"):
        matching(ALL, [Condition.parse("acuracy>0.9")])
    with pytest.raises(UsageError, match="no run has a field"):
        ordered(ALL, "acuracy")
    with pytest.raises(UsageError, match="accuracy is a number, and 'high' is none"):
        matching(ALL, [Condition.parse("accuracy>high")])
    assert matching([], [Condition.parse("accuracy>0.9")]) == []


def test_the_best_comes_first_and_those_without_a_value_last() -> None:
    assert ordered(ALL, "accuracy") == [TWO, ONE, NONE]
    assert ordered(ALL, "accuracy", backwards=True) == [ONE, TWO, NONE]
    assert ordered(ALL, "log_loss") == [TWO, ONE, NONE]
    assert ordered(ALL, "hidden-dim")[-1] == ONE
    assert ordered(ALL, "started") == ALL


def test_only_what_differs_is_shown() -> None:
    assert differences([ONE, TWO]) == {
        "hidden_dim": [64, 200], "learning_rate": [0.002, 0.01], "accuracy": [0.8, 0.9], "log_loss": [0.4, 0.3],
    }  # fmt: skip
    assert differences([ONE, ONE]) == {}
    assert differences([ONE, NONE])["accuracy"] == [0.8, None]


def test_a_run_that_is_not_finished_has_the_figures_of_its_best_epoch() -> None:
    history = (
        {"epoch": 1, "calibrated_loss": 0.5, "standard_error": 0.05, "validation_accuracy": 0.7},
        {"epoch": 2, "calibrated_loss": 0.4, "standard_error": 0.05, "validation_accuracy": 0.8},
        {"epoch": 3, "calibrated_loss": 0.6, "standard_error": 0.05, "validation_accuracy": 0.9},
    )
    unfinished = Run("1", "2026-01-01T00:00:00Z", "running", {"name": "original"}, {"name": "x"}, 0, history)
    found = fields_of(unfinished)
    assert (found["accuracy"], found["log_loss"], found["epochs_done"]) == (0.8, 0.4, 3)


def test_figures_by_split_settings_and_tags_have_names_of_their_own() -> None:
    metrics = {"validation": {"accuracy": 0.8, "precision": 0.7}, "test": {"accuracy": 0.9}}
    own = Run(
        "1", "2026-01-01T00:00:00Z", "finished", ONE.recipe, {"name": "x"}, 0, metrics=metrics, tags={"study": "s"}
    )
    found = fields_of(own)
    assert (found["accuracy"], found["test_accuracy"], found["study"]) == (0.8, 0.9, "s")
    assert found["precision"] == "auto", "a setting goes before a figure of the same name"


def test_settings_that_are_not_the_recipes_own() -> None:
    assert changed_settings(ONE) == {"hidden_dim": 64}
    assert changed_settings(Run("1", "2026-01-01T00:00:00Z", "finished", {"name": "gone"}, {}, 0)) == {}
