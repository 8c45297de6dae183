"""Texts without a label, with reviews made up from a few words: teachers, their judgement, and the one network."""

from __future__ import annotations

import sys
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch
from safetensors.torch import load as from_safetensors

from plaudit.bundle.bundle import Bundle
from plaudit.bundle.classifier import Classifier
from plaudit.errors import MissingExtra, UsageError
from plaudit.learning import ensemble, pretraining
from plaudit.learning.ensemble import Taught
from plaudit.learning.fitting import fit
from plaudit.learning.network import Network, joined
from plaudit.learning.preparing import prepare_for
from plaudit.learning.pretrained import Pretrained
from plaudit.learning.recipes import Recipe
from plaudit.learning.watch import Interrupted, Watch
from plaudit.text.encoding import Encoded
from plaudit.text.prepared import Prepared
from tests.made import TINY, made_up

REVIEWS = made_up(unlabelled=90)
TEACHERS = ["linear", "vectors", "forward"]
PASSES = {"epochs": 4, "vector_epochs": 4, "teacher_epochs": 3, "labelled_passes": 1, "student_epochs": 4}
SETTINGS = {**TINY, **PASSES, "turns": 0, "direction": "both"}
NONE = np.zeros(1)


@pytest.fixture(scope="module")
def recipe(encoder_folder: Path) -> Recipe:
    return Recipe.of("best", **SETTINGS, start=str(encoder_folder))


@pytest.fixture(scope="module")
def data(recipe: Recipe) -> Prepared:
    return prepare_for(recipe, REVIEWS)


@pytest.fixture(scope="module")
def unbroken(data: Prepared, recipe: Recipe) -> tuple[Bundle, list[str]]:
    """The bundle of an ensemble that nobody stopped, and what it said."""
    lines: list[str] = []
    return fit(data, recipe, 3, watch=Watch(say=lines.append)), lines


@pytest.fixture
def one_way(encoder_folder: Path, tmp_path: Path) -> Path:
    """An encoder that reads forward alone."""
    both = Pretrained.load(encoder_folder)
    replace(both, lstms={"forward": both.lstms["forward"]}).save(tmp_path / "one")
    return tmp_path / "one"


def same(left: Bundle, right: Bundle) -> bool:
    weights = from_safetensors(right.weights)
    return all(torch.equal(value, weights[name]) for name, value in from_safetensors(left.weights).items())


def test_one_network_comes_out_that_reads_both_ways(unbroken: tuple[Bundle, list[str]]) -> None:
    bundle, _ = unbroken
    assert {"lstm.weight_ih_l0", "lstm_backward.weight_ih_l0"} <= set(from_safetensors(bundle.weights))
    assert bundle.card.recipe["name"] == "best"
    classifier, texts = Classifier(bundle), [review.text for review in REVIEWS.test]
    right = [judged == review.label for judged, review in zip(classifier.predict(texts), REVIEWS.test, strict=True)]
    assert np.mean(right) > 0.9
    for verdict in classifier.verdicts(texts[:9]):
        assert verdict.bias + sum(word.contribution for word in verdict.words) == pytest.approx(verdict.score, abs=1e-6)


def test_it_says_what_each_teacher_and_all_of_them_are_worth(
    unbroken: tuple[Bundle, list[str]], data: Prepared
) -> None:
    said = "\n".join(unbroken[1])
    for name in TEACHERS:
        assert f"teacher {name}: accuracy 0." in said or f"teacher {name}: accuracy 1." in said
    assert "teachers together: accuracy" in said
    for name in ("forward", "backward"):
        assert f"student {name}: {len(data.train.texts) + len(data.unlabelled)} texts to learn from" in said
    assert len(data.unlabelled) == 90


@pytest.mark.parametrize(
    ("step", "done"),
    [("vectors", 1), ("forward", 2), ("student forward", 3), ("student backward", 3)],
)
def test_a_stopped_ensemble_goes_on_with_the_step_it_was_in(
    step: str, done: int, data: Prepared, recipe: Recipe, unbroken: tuple[Bundle, list[str]], tmp_path: Path
) -> None:
    said: list[str] = []
    batches = 0

    def stop() -> bool:
        nonlocal batches
        batches += any(line.startswith((f"teacher {step}", f"{step}:")) for line in said)
        return batches == 5

    with pytest.raises(Interrupted, match="run the same command"):
        fit(data, recipe, 3, folder=tmp_path, watch=Watch(say=said.append, stop=stop))
    lines: list[str] = []
    resumed = fit(data, recipe, 3, folder=tmp_path, watch=Watch(say=lines.append))
    assert [line.split()[1].rstrip(":") for line in lines if line.endswith("done before")] == TEACHERS[:done]
    assert any("going on after" in line for line in lines)
    assert same(unbroken[0], resumed)


def test_what_teachers_of_another_training_left_is_not_taken(
    data: Prepared, recipe: Recipe, unbroken: tuple[Bundle, list[str]], tmp_path: Path
) -> None:
    fit(data, replace(recipe, dropout=0.5, student_epochs=1), 3, folder=tmp_path)
    lines: list[str] = []
    assert same(unbroken[0], fit(data, recipe, 3, folder=tmp_path, watch=Watch(say=lines.append)))
    assert not any("done before" in line for line in lines)


@pytest.mark.parametrize("settings", [{"student_epochs": 5}, {"phrases": 40}, {"turns": 1}])
def test_teachers_that_a_setting_does_not_concern_are_taken(
    settings: dict[str, float], data: Prepared, recipe: Recipe, unbroken: tuple[Bundle, list[str]], tmp_path: Path
) -> None:
    fit(data, recipe, 3, folder=tmp_path)
    lines: list[str] = []
    made = fit(data, replace(recipe, **settings), 3, folder=tmp_path, watch=Watch(say=lines.append))  # type: ignore[arg-type]
    assert [line for line in lines if "done before" in line] == [f"teacher {name}: done before" for name in TEACHERS]
    assert not same(unbroken[0], made)


def test_phrases_are_for_the_student_alone(data: Prepared, recipe: Recipe) -> None:
    lines: list[str] = []
    fit(data, replace(recipe, phrases=40), 3, watch=Watch(say=lines.append))
    fit(data, recipe, 3, watch=Watch(say=(plain := list[str]()).append))
    judged = [line for line in plain if ": accuracy" in line]
    assert [line for line in lines if ": accuracy" in line] == judged
    assert f"student forward: {len(data.train.texts) + len(data.unlabelled) + 40} texts to learn from" in lines


def test_in_a_turn_the_network_learns_from_all_teachers_and_judges_beside_them(
    data: Prepared, recipe: Recipe, unbroken: tuple[Bundle, list[str]], tmp_path: Path
) -> None:
    lines: list[str] = []
    made = fit(data, replace(recipe, turns=1), 3, folder=tmp_path, watch=Watch(say=lines.append))
    taught = [line.split(":")[0].removeprefix("teacher ") for line in lines if ": accuracy" in line]
    assert taught == [*TEACHERS, "teachers together", "forward, turn 1", "teachers together"]
    assert not same(unbroken[0], made)
    again: list[str] = []
    assert same(made, fit(data, replace(recipe, turns=1), 3, folder=tmp_path, watch=Watch(say=again.append)))
    assert sum(line.endswith("done before") for line in again) == 4
    assert set(made.card.training["teachers"]["shares"]) == {*TEACHERS, "forward, turn 1"}
    worst = replace(recipe, turns=1, student_adversarial=0.5)
    fit(data, worst, 3, folder=tmp_path, watch=Watch(say=(of_worst := list[str]()).append))
    assert sum(line.endswith("done before") for line in of_worst) == 4, "the worst step is the last network's alone"


def test_reviews_with_a_label_are_passed_over_more_often_than_those_without(data: Prepared, recipe: Recipe) -> None:
    lines: list[str] = []
    fit(data, replace(recipe, labelled_passes=3), 3, watch=Watch(say=lines.append))
    assert f"student backward: {3 * len(data.train.texts) + len(data.unlabelled)} texts to learn from" in lines


@pytest.fixture
def speaking(recipe: Recipe, monkeypatch: pytest.MonkeyPatch) -> Recipe:
    """The recipe with language models of its own, larger than those that it would start from."""
    monkeypatch.setattr(ensemble, "ENOUGH_TEXTS", 100)
    monkeypatch.setattr(ensemble, "STREAMS", 4)
    monkeypatch.setattr(pretraining, "HELD_OUT", 20)
    return replace(recipe, language_epochs=2, language_dim=12, language_direction="forward")


def test_with_enough_texts_a_language_is_learnt_first_and_read_forward(
    data: Prepared, speaking: Recipe, tmp_path: Path
) -> None:
    lines: list[str] = []
    made = fit(data, speaking, 3, folder=tmp_path, watch=Watch(say=lines.append))
    assert [line.split(":")[0] for line in lines if "perplexity" in line] == ["forward", "forward"]
    assert lines.index("teacher linear") > max(at for at, line in enumerate(lines) if "perplexity" in line)
    weights = from_safetensors(made.weights)
    assert weights["lstm.weight_hh_l0"].shape == (48, 12)
    assert "lstm_backward.weight_hh_l0" not in weights
    assert (made.card.recipe["hidden_dim"], made.card.recipe["direction"]) == (12, "forward")
    again: list[str] = []
    assert same(made, fit(data, speaking, 3, folder=tmp_path, watch=Watch(say=again.append)))
    assert not any("perplexity" in line for line in again)
    assert [line for line in again if "done before" in line] == [
        f"teacher {name}: done before" for name in TEACHERS[:3]
    ]


def test_a_language_is_learnt_both_ways_from_an_encoder_that_reads_one(
    data: Prepared, speaking: Recipe, one_way: Path, tmp_path: Path
) -> None:
    lines: list[str] = []
    settings = {"language_direction": "both", "direction": "forward", "turns": 1, "turn_epochs": 2, "student_epochs": 3}
    both = replace(speaking, **settings, start=str(one_way))  # type: ignore[arg-type]
    made = fit(data, both, 3, folder=tmp_path / "steps", watch=Watch(say=lines.append))
    assert [line.split(":")[0] for line in lines if "perplexity" in line] == ["forward"] * 2 + ["backward"]
    assert [line.split(":")[0] for line in lines if "texts to learn from" in line] == [
        "student forward",
        "student backward",
    ]
    weights = from_safetensors(made.weights)
    assert weights["lstm.weight_hh_l0"].shape == weights["lstm_backward.weight_hh_l0"].shape == (48, 12)
    told = made.card.training
    beside = told["beside"]["backward"]
    assert (len(told["history"]), len(beside["history"])) == (3, 3 + 2), "what has no turn makes its passes later"
    assert told["seconds"] == pytest.approx(
        sum(each["seconds"] for each in (*told["history"], *beside["history"])), abs=0.1
    )
    assert told["parameters"] > beside["parameters"]
    again: list[str] = []
    assert same(made, fit(data, both, 3, folder=tmp_path / "steps", watch=Watch(say=again.append)))
    assert not any("perplexity" in line for line in again)


def test_what_reads_both_ways_learns_with_the_same_word_vectors(data: Prepared, recipe: Recipe, tmp_path: Path) -> None:
    fit(data, replace(recipe, embedding_rate=0.0, start="nothing"), 3, folder=tmp_path)
    one, other = (
        from_safetensors((tmp_path / f"student {way}" / "checkpoint.safetensors").read_bytes())
        for way in ("forward", "backward")
    )
    assert torch.equal(one["best.best.embedding.weight"], other["best.best.embedding.weight"])


def test_a_language_can_grow_from_the_encoders(data: Prepared, speaking: Recipe) -> None:
    growing = replace(speaking, language_start="start", turns=0)
    grown, alone = (fit(data, recipe, 3) for recipe in (growing, replace(growing, language_start="nothing")))
    assert from_safetensors(grown.weights)["lstm.weight_hh_l0"].shape == (48, 12)
    assert not same(grown, alone)
    with pytest.raises(UsageError, match="hidden_dim 8: no language model of 8 and 7 grows from it"):
        fit(data, replace(growing, language_dim=7), 3)


@pytest.mark.parametrize("passes", [1, 3])
def test_a_turn_has_passes_of_its_own(passes: int, data: Prepared, recipe: Recipe) -> None:
    lines: list[str] = []
    settings = {"turns": 1, "direction": "forward", "turn_epochs": passes, "student_epochs": 2, "vector_epochs": 0}
    fit(data, replace(recipe, **settings), 3, watch=Watch(say=lines.append))  # type: ignore[arg-type]
    turn = lines[lines.index("teacher forward, turn 1") :]
    assert [line.split()[1] for line in turn if line.startswith("epoch")] == [
        *(f"{epoch}/{passes}" for epoch in range(1, passes + 1)), "1/2", "2/2"
    ]  # fmt: skip


def test_teachers_that_read_no_order_are_taken_with_another_language(
    data: Prepared, speaking: Recipe, tmp_path: Path
) -> None:
    fit(data, speaking, 3, folder=tmp_path)
    lines: list[str] = []
    fit(data, replace(speaking, language_epochs=1), 3, folder=tmp_path, watch=Watch(say=lines.append))
    assert [line for line in lines if "done before" in line] == [
        "teacher linear: done before",
        "teacher vectors: done before",
    ]


def test_with_fewer_texts_the_encoder_is_what_a_network_starts_from(
    data: Prepared, speaking: Recipe, monkeypatch: pytest.MonkeyPatch
) -> None:
    lines: list[str] = []
    few = replace(data, unlabelled=Encoded.of(data.unlabelled[at] for at in range(5)))
    monkeypatch.setattr(ensemble, "ENOUGH_TEXTS", len(data.train.texts) + 6)
    made = fit(few, replace(speaking, weights="float32"), 3, watch=Watch(say=lines.append))
    assert not any("perplexity" in line for line in lines)
    assert from_safetensors(made.weights)["lstm.weight_hh_l0"].shape == (32, 8)


def test_without_unlabelled_texts_nobody_teaches(recipe: Recipe) -> None:
    lines: list[str] = []
    fit(prepare_for(recipe, made_up()), recipe, watch=Watch(say=lines.append))
    assert [line.split()[0] for line in lines] == ["epoch"] * recipe.epochs


def test_a_network_that_reads_one_way_has_a_teacher_that_does(encoder_folder: Path) -> None:
    lines: list[str] = []
    settings = {**SETTINGS, "direction": "forward", "vector_epochs": 0, "start": str(encoder_folder), "unlabelled": 50}
    recipe = Recipe.of("lstm", **settings)
    made = fit(prepare_for(recipe, REVIEWS), recipe, watch=Watch(say=lines.append))
    assert [line for line in lines if line.startswith("teacher ") and ":" not in line] == [
        "teacher linear",
        "teacher forward",
    ]
    judged = made.card.training["teachers"]
    assert set(judged["accuracy"]) == {"linear", "forward", "together"}
    assert sum(judged["shares"].values()) == pytest.approx(1)
    assert made.card.recipe["unlabelled"] == 50
    assert f"student forward: {made.card.data['train'] + 50} texts to learn from" in lines


def test_three_labels_are_taught_too(recipe: Recipe) -> None:
    labels = ("bad", "middling", "good")
    reviews = made_up(labels, unlabelled=60)
    bundle = fit(prepare_for(recipe, reviews), replace(recipe, teacher_epochs=4))
    classifier, texts = Classifier(bundle), [review.text for review in reviews.test]
    right = [judged == review.label for judged, review in zip(classifier.predict(texts), reviews.test, strict=True)]
    assert np.mean(right) > 0.8
    np.testing.assert_allclose(classifier.predict_proba(texts).sum(axis=1), 1)


def test_an_encoder_that_reads_one_way_is_refused(recipe: Recipe, data: Prepared, encoder_folder: Path) -> None:
    with pytest.raises(UsageError, match="embedding_dim 8 and hidden_dim 8"):
        fit(data, replace(recipe, hidden_dim=9))


def test_the_network_that_begins_says_what_its_two_halves_say_on_average(recipe: Recipe) -> None:
    halves, torch_ids = {}, torch.tensor([[3, 4, 5, 6], [7, 8, 0, 0]])
    lengths = torch.tensor([4, 2])
    torch.manual_seed(0)
    words = torch.randn(20, 8)
    for direction in ("forward", "backward"):
        halves[direction] = Network(replace(recipe, direction=direction), 20, NONE).eval()
        halves[direction].embedding.load_state_dict({"weight": words})
    both = Network(recipe, 20, NONE).eval()
    both.load_state_dict(joined(halves["forward"].state_dict(), halves["backward"].state_dict()))
    with torch.no_grad():
        said = [half.logits(torch_ids, lengths) for half in halves.values()]
        assert torch.allclose(both.logits(torch_ids, lengths), (said[0] + said[1]) / 2, atol=1e-6)


def test_what_a_teacher_says_is_kept_for_its_own_training(tmp_path: Path) -> None:
    said = Taught(np.ones((2, 1)), np.zeros((3, 1)), {"dense.weight": torch.ones(2, 2)})
    said.save(tmp_path / "x.safetensors", "this one")
    found = Taught.load(tmp_path / "x.safetensors", "this one")
    assert found is not None
    np.testing.assert_array_equal(found.validation, said.validation)
    np.testing.assert_array_equal(found.unlabelled, said.unlabelled)
    assert torch.equal(found.weights["dense.weight"], torch.ones(2, 2))
    assert Taught.load(tmp_path / "x.safetensors", "another") is None
    assert Taught.load(tmp_path / "y.safetensors", "this one") is None
    (tmp_path / "x.safetensors").write_bytes(b"noise")
    assert Taught.load(tmp_path / "x.safetensors", "this one") is None


def test_an_encoder_that_lacks_a_direction_is_refused_before_anybody_is_taught(
    data: Prepared, recipe: Recipe, one_way: Path
) -> None:
    lines: list[str] = []
    with pytest.raises(UsageError, match="reads forward and not backward: start from one of plaudit pretrain"):
        fit(data, replace(recipe, start=str(one_way)), watch=Watch(say=lines.append))
    assert lines == []


def test_without_the_extra_for_document_vectors_nobody_is_taught(
    data: Prepared, recipe: Recipe, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setitem(sys.modules, "plaudit.learning.document_vectors", None)
    lines: list[str] = []
    with pytest.raises(MissingExtra, match=r"--vector-epochs.*plaudit\[pretrain\]"):
        fit(data, recipe, watch=Watch(say=lines.append))
    assert lines == []
    assert fit(data, replace(recipe, vector_epochs=0), watch=Watch(say=lines.append)).card.recipe["name"] == "best"
