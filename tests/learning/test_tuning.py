from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from types import SimpleNamespace
from typing import Any, cast

import pytest

from plaudit.bundle.bundle import Bundle
from plaudit.errors import UsageError
from plaudit.learning.recipes import RECIPES, Recipe
from plaudit.learning.training import Training
from plaudit.learning.tuning import Hopeless, Search, Span, usual_spans
from plaudit.learning.watch import Interrupted, Watch
from plaudit.text.prepared import Prepared

pytest.importorskip("optuna", reason="the tune extra is not installed")

Epoch = Callable[[Sequence[Mapping[str, float]]], None]
RECIPE = Recipe.of("original", epochs=4)
SPANS = [Span.parse("hidden_dim=8..256"), Span.parse("learning_rate=0.0001..0.1"), Span.parse("layers=1,2")]


def search(path: Path, spans: list[Span] = SPANS, **options: Any) -> Search:
    return Search(path / "studies.db", RECIPE, spans, "fingerprint", **options)


def worth(recipe: Recipe) -> float:
    """A loss with its least at 64 and 0.01."""
    return abs(recipe.hidden_dim - 64) / 256 + abs(recipe.learning_rate - 0.01) + 0.01 * recipe.layers


def fit(recipe: Recipe, number: int, epoch: Epoch) -> Bundle:
    """Stands in for a training: its loss falls towards `worth`."""
    history = []
    for at in range(1, recipe.epochs + 1):
        history.append({"epoch": at, "calibrated_loss": worth(recipe) + 1 / at})
        epoch(history)
    figures = {"accuracy": 0.5, "log_loss": worth(recipe)}
    return cast(Bundle, SimpleNamespace(card=SimpleNamespace(metrics={"validation": figures})))


def settings(found: Search) -> list[tuple[Any, ...]]:
    return [tuple(sorted(outcome.settings.items())) for outcome in found.outcomes()]


@pytest.fixture(scope="module")
def unbroken(tmp_path_factory: pytest.TempPathFactory) -> Search:
    found = search(tmp_path_factory.mktemp("study"))
    assert len(list(found.run(14, fit))) == 14
    return found


@pytest.mark.parametrize(
    ("text", "span"),
    [
        ("hidden_dim=64..512", Span("hidden_dim", 64, 512)),
        ("hidden-dim = 64 .. 512", Span("hidden_dim", 64, 512)),
        ("dropout=0..0.6", Span("dropout", 0.0, 0.6)),
        ("dropout=.1...5", Span("dropout", 0.1, 0.5)),
        ("learning_rate=1e-4..1e-2", Span("learning_rate", 1e-4, 1e-2)),
        ("layers=1,2", Span("layers", choices=(1, 2))),
        ("cleaning=original,modern", Span("cleaning", choices=("original", "modern"))),
        ("hidden_dim=64", Span("hidden_dim", choices=(64,))),
    ],
)
def test_what_to_search_is_written_as_a_range_or_as_choices(text: str, span: Span) -> None:
    assert Span.parse(text) == span


@pytest.mark.parametrize(
    ("text", "sentence"),
    [
        ("hidden_dim", "is not SETTING=LOW"),
        ("hiden_dim=1..2", "with a setting of a recipe: .*hidden_dim"),
        ("hidden_dim=few..many", "takes int values"),
        ("hidden_dim=512..64", "has to rise"),
        ("hidden_dim=", "takes int values"),
        ("hidden_dim=1..2..3", "takes int values"),
    ],
)
def test_what_cannot_be_searched_is_said(text: str, sentence: str) -> None:
    with pytest.raises(UsageError, match=sentence):
        Span.parse(text)


def test_ends_that_no_recipe_takes_are_named_before_the_first_trial(tmp_path: Path) -> None:
    with pytest.raises(UsageError, match="layers lies between 1 and 8, not 9"):
        search(tmp_path, [Span.parse("layers=1..9")])


def test_what_is_usual_fits_the_kind_of_recipe() -> None:
    names = {span.setting for span in usual_spans(Recipe.of("original"))}
    assert names == {"embedding_dim", "hidden_dim", "vocab_size", "layers", "dropout", "learning_rate"}
    assert "hidden_dim" not in {span.setting for span in usual_spans(Recipe.of("linear"))}
    assert not {span.setting for span in usual_spans(Recipe.of("lstm"))} & {"embedding_dim", "hidden_dim"}
    for name in RECIPES:
        assert usual_spans(Recipe.of(name))
        for span in usual_spans(Recipe.of(name)):
            span.check(Recipe.of(name))


def test_the_first_trial_has_the_recipes_own_settings_and_the_best_is_found(unbroken: Search) -> None:
    first, *_ = unbroken.outcomes()
    assert first.settings == {"hidden_dim": 200, "learning_rate": 0.002, "layers": 1}
    best = unbroken.best()
    assert best is not None
    assert best.worth == min(found.worth or 9 for found in unbroken.outcomes() if found.state == "finished")
    assert best.worth is not None
    assert first.worth is not None
    assert best.worth < first.worth


def test_hopeless_trials_are_cut_short_and_never_the_best(unbroken: Search) -> None:
    hopeless = [found for found in unbroken.outcomes() if found.state == "hopeless"]
    assert hopeless
    assert all("hopeless after epoch" in found.notes["reason"] for found in hopeless)
    assert not any(found.state == "hopeless" for found in [unbroken.best()] if found)


def test_no_pruner_finishes_every_trial(tmp_path: Path) -> None:
    found = search(tmp_path, pruner="none")
    assert {outcome.state for outcome in found.run(8, fit)} == {"finished"}


def test_a_search_that_was_interrupted_draws_the_same_settings(unbroken: Search, tmp_path: Path) -> None:
    def interrupted(recipe: Recipe, number: int, epoch: Epoch) -> Bundle:
        if number == 6:
            raise Interrupted("stopped in epoch 1/4")
        return fit(recipe, number, epoch)

    with pytest.raises(Interrupted):
        list(search(tmp_path).run(14, interrupted))
    again = search(tmp_path)
    assert len(again.outcomes()) == 6
    list(again.run(14, fit))
    assert settings(again) == settings(unbroken)
    assert list(search(tmp_path).run(14, fit)) == [], "there are enough"


def test_a_trial_whose_process_was_killed_comes_again(tmp_path: Path) -> None:
    killed = search(tmp_path)
    trial = killed._study.ask({span.setting: span.distribution() for span in SPANS})
    trial.set_user_attr("process", "999999999")
    list(search(tmp_path).run(1, fit))
    (outcome,) = search(tmp_path).outcomes()
    assert outcome.settings == trial.params


def test_settings_that_cannot_be_trained_are_told_and_the_search_goes_on(tmp_path: Path) -> None:
    def sometimes(recipe: Recipe, number: int, epoch: Epoch) -> Bundle:
        if number % 2:
            raise UsageError("the loss is no longer a number")
        return fit(recipe, number, epoch)

    found = search(tmp_path)
    states = [outcome.state for outcome in found.run(4, sometimes)]
    assert states == ["finished", "failed", "finished", "failed"]
    assert found.outcomes()[1].notes["reason"] == "the loss is no longer a number"


def test_a_fault_ends_the_search_and_loses_no_trial(tmp_path: Path) -> None:
    def broken(recipe: Recipe, number: int, epoch: Epoch) -> Bundle:
        raise ZeroDivisionError

    with pytest.raises(ZeroDivisionError):
        list(search(tmp_path).run(3, broken))
    assert search(tmp_path).outcomes() == []


def test_another_question_is_another_study(tmp_path: Path) -> None:
    names = {
        search(tmp_path).name,
        search(tmp_path, seed=1).name,
        search(tmp_path, SPANS[:1]).name,
        search(tmp_path, [Span.parse("hidden_dim=8..255"), *SPANS[1:]]).name,
        search(tmp_path, pruner="none").name,
        Search(tmp_path / "studies.db", RECIPE, SPANS, "other reviews").name,
    }
    assert len(names) == 6
    assert search(tmp_path, list(reversed(SPANS))).name == search(tmp_path).name


def test_numbers_can_be_typed(unbroken: Search) -> None:
    found = unbroken.settings({"learning_rate": 0.00123456789, "hidden_dim": 64, "dropout": 0.3})
    assert found == {"learning_rate": 0.001235, "hidden_dim": 64, "dropout": 0.3}


def test_a_training_can_be_cut_short_after_an_epoch_and_leaves_its_checkpoint(
    prepared: Prepared, tmp_path: Path
) -> None:
    def give_up(entry: Mapping[str, float]) -> None:
        if entry["epoch"] == 2:
            raise Hopeless("hopeless after epoch 2")

    recipe = Recipe.of("original", epochs=4, hidden_dim=8, batch_size=256)
    with pytest.raises(Hopeless):
        Training(prepared, recipe, 0, tmp_path, Watch(epoch=give_up)).run()
    lines: list[str] = []
    Training(prepared, recipe, 0, tmp_path, Watch(say=lines.append)).run()
    assert lines[0] == "going on after 2 of 4 epochs and 0 batches"
