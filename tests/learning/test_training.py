from __future__ import annotations

import itertools
import re
import signal
import subprocess
import sys
import time
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch
from safetensors.torch import load as from_safetensors

from plaudit.bundle.bundle import Bundle
from plaudit.bundle.classifier import Classifier
from plaudit.errors import UsageError
from plaudit.learning import training
from plaudit.learning.arithmetic import bfloat16_pays
from plaudit.learning.bundling import GROWTH_OF_LAST
from plaudit.learning.checkpoint import NAME
from plaudit.learning.lines import METRICS
from plaudit.learning.recipes import Recipe
from plaudit.learning.training import Training
from plaudit.learning.watch import Interrupted, Watch
from plaudit.text.encoding import Encoded
from plaudit.text.prepared import Part, Prepared

QUICK = Recipe.of("original", epochs=3, batch_size=64, hidden_dim=16, dropout=0.2, word_dropout=0.1)
EVERYTHING = replace(
    QUICK,
    direction="both",
    pooling="mean and max",
    average=0.9,
    warm_up=0.2,
    adversarial=0.3,
    phrases=100,
    weights="int8",
)


class Killed(BaseException):
    """What a kill looks like from inside: nothing gets to clean up."""


def weights(bundle: Bundle) -> dict[str, torch.Tensor]:
    return from_safetensors(bundle.weights)


def same(left: Bundle, right: Bundle) -> bool:
    return all(torch.equal(value, weights(right)[name]) for name, value in weights(left).items())


@pytest.fixture(scope="module")
def unbroken(prepared: Prepared) -> Bundle:
    return Training(prepared, QUICK, seed=3).run()


def test_same_seed_same_weights_and_another_seed_others(prepared: Prepared, unbroken: Bundle) -> None:
    assert same(unbroken, Training(prepared, QUICK, seed=3).run())
    assert not same(unbroken, Training(prepared, QUICK, seed=4).run())


@pytest.mark.parametrize("after", [1, 5, 18, 25, 40])
def test_a_training_killed_at_any_moment_ends_the_same(
    after: int, prepared: Prepared, unbroken: Bundle, tmp_path: Path
) -> None:
    batches = 0

    def stop() -> bool:
        nonlocal batches
        batches += 1
        if batches == after:
            raise Killed
        return False

    with pytest.raises(Killed):
        Training(prepared, QUICK, 3, tmp_path, Watch(stop=stop)).run()
    resumed = Training(prepared, QUICK, 3, tmp_path).run()
    assert same(unbroken, resumed)
    assert [entry["loss"] for entry in resumed.card.training["history"]] == [
        entry["loss"] for entry in unbroken.card.training["history"]
    ]


@pytest.fixture(scope="module")
def unbroken_with_everything(prepared: Prepared) -> Bundle:
    return Training(prepared, EVERYTHING, seed=3).run()


@pytest.mark.parametrize("after", [3, 25])
def test_average_and_adversarial_steps_go_on_bit_for_bit(
    after: int, prepared: Prepared, unbroken_with_everything: Bundle, tmp_path: Path
) -> None:
    asked = iter([False] * after + [True])
    with pytest.raises(Interrupted):
        Training(prepared, EVERYTHING, 3, tmp_path, Watch(stop=lambda: next(asked))).run()
    resumed = Training(prepared, EVERYTHING, 3, tmp_path).run()
    assert same(unbroken_with_everything, resumed)
    histories = (made.card.training["history"] for made in (unbroken_with_everything, resumed))
    left, right = ([{**entry, "seconds": 0} for entry in history] for history in histories)
    assert left == right


def test_the_average_is_what_is_kept(prepared: Prepared, unbroken: Bundle) -> None:
    averaged = Training(prepared, replace(QUICK, average=0.9), seed=3).run()
    assert not same(averaged, unbroken)
    losses = [[entry["loss"] for entry in made.card.training["history"]] for made in (averaged, unbroken)]
    assert losses[0] == losses[1], "the average is of the weights, and changes none of them"


def test_a_training_that_is_asked_to_stop_goes_on_from_the_batch(
    prepared: Prepared, unbroken: Bundle, tmp_path: Path
) -> None:
    lines: list[str] = []
    asked = iter([False] * 6 + [True])
    with pytest.raises(Interrupted, match="run the same command"):
        Training(prepared, QUICK, 3, tmp_path, Watch(stop=lambda: next(asked))).run()
    resumed = Training(prepared, QUICK, 3, tmp_path, Watch(say=lines.append)).run()
    assert lines[0] == "going on after 0 of 3 epochs and 7 batches"
    assert same(unbroken, resumed)


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGKILL])
def test_a_killed_process_goes_on_and_ends_with_the_same_weights(number: signal.Signals, tmp_path: Path) -> None:
    def command(out: str) -> list[str]:
        settings = ["--epochs", "4", "--batch_size", "64", "--hidden-dim", "16", "--recipe", "original"]
        return [sys.executable, "-m", "plaudit", "train", "sample", "--out", str(tmp_path / out), *settings]

    whole = subprocess.run(command("whole"), capture_output=True, text=True, check=True)
    running = subprocess.Popen(command("broken"), stderr=subprocess.DEVNULL, stdout=subprocess.DEVNULL)
    checkpoint = tmp_path / "broken.checkpoint" / NAME
    while running.poll() is None and not checkpoint.exists():
        time.sleep(0.005)
    running.send_signal(number)
    running.wait(30)
    resumed = subprocess.run(command("broken"), capture_output=True, text=True, check=True)
    if running.returncode:
        assert "going on after" in resumed.stderr
    assert "epoch  4/4" in whole.stderr
    assert same(Bundle.load(tmp_path / "whole"), Bundle.load(tmp_path / "broken"))
    assert not checkpoint.parent.exists()


def test_a_checkpoint_of_another_training_is_not_taken(prepared: Prepared, tmp_path: Path, unbroken: Bundle) -> None:
    with pytest.raises(Interrupted):
        Training(prepared, QUICK, 99, tmp_path, Watch(stop=lambda: True)).run()
    assert same(unbroken, Training(prepared, QUICK, 3, tmp_path).run())


def test_a_damaged_checkpoint_is_not_taken(prepared: Prepared, tmp_path: Path, unbroken: Bundle) -> None:
    (tmp_path / NAME).write_bytes(b"\x10\x00\x00\x00 not a checkpoint")
    assert same(unbroken, Training(prepared, QUICK, 3, tmp_path).run())


def test_a_handful_of_reviews_can_be_learnt_by_heart(prepared: Prepared) -> None:
    few = Part(prepared.train.texts.take(np.arange(16)), prepared.train.labels[:16])
    recipe = Recipe.of("original", epochs=60, batch_size=8, learning_rate=0.01, dropout=0.0)
    bundle = Training(replace(prepared, train=few, validation=few), recipe).run()
    assert bundle.card.metrics["validation"]["accuracy"] == 1.0


def test_few_reviews_are_passed_over_more_often_in_smaller_batches(prepared: Prepared) -> None:
    few = Part(prepared.train.texts.take(np.arange(64)), prepared.train.labels[:64])
    recipe = replace(QUICK, least_batches=4, least_steps=20, epochs=1)
    history = Training(replace(prepared, train=few), recipe).run().card.training["history"]
    assert len(history) == 5


def test_reviews_without_a_word_are_left_aside(prepared: Prepared) -> None:
    empty = Encoded.of([[], *(prepared.train.texts[i] for i in range(1, 200))])
    part = Part(empty, prepared.train.labels[:200])
    bundle = Training(replace(prepared, train=part), QUICK).run()
    assert np.isfinite(bundle.card.training["history"][-1]["loss"])


@pytest.mark.parametrize("part", ["train", "validation"])
def test_a_part_without_a_label_names_both(prepared: Prepared, part: str) -> None:
    own = getattr(prepared, part)
    one = Part(own.texts, np.zeros_like(own.labels))
    data = replace(prepared, train=one) if part == "train" else replace(prepared, validation=one)
    with pytest.raises(UsageError, match=f"{part}.* reviews hold none of label 'positive'"):
        Training(data, QUICK).run()


def test_one_label_alone_cannot_be_trained_on(prepared: Prepared) -> None:
    one = Part(prepared.train.texts, np.ones_like(prepared.train.labels))
    with pytest.raises(UsageError, match="training reviews hold none of label 'negative'"):
        Training(replace(prepared, train=one), QUICK).run()


def test_a_loss_that_is_no_number_stops_the_training(prepared: Prepared, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("plaudit.learning.training.log_loss", lambda scores, labels: float("nan"))
    with pytest.raises(UsageError, match="smaller --learning-rate"):
        Training(prepared, QUICK).run()


def test_the_card_tells_how_the_bundle_was_made(unbroken: Bundle, prepared: Prepared) -> None:
    card = unbroken.card
    assert card.recipe["hidden_dim"] == 16
    assert card.data["fingerprint"] == prepared.about.fingerprint
    assert card.training["seed"] == 3
    assert len(card.training["history"]) == 3
    assert card.versions["torch"] == torch.__version__


def test_validation_figures_are_those_of_the_bundle_as_it_is_served(unbroken: Bundle, prepared: Prepared) -> None:
    """QUICK reads the last state, whose temperature grows with a text's length."""
    part, card = prepared.validation, unbroken.card
    shares = Classifier(unbroken).proba_of_ids([row.tolist() for row in part.texts])
    loss = -np.log(shares[np.arange(len(part.labels)), part.labels]).mean()
    assert card.growth == GROWTH_OF_LAST
    assert card.temperature_of(400) > card.temperature == card.temperature_of(200) > card.temperature_of(50)
    assert card.metrics["validation"]["log_loss"] == pytest.approx(loss, abs=1e-5)


@pytest.mark.parametrize("rate", [2e-3, 0.05])
def test_the_last_epoch_that_chance_cannot_tell_from_the_best_is_kept(rate: float, prepared: Prepared) -> None:
    training = Training(prepared, replace(QUICK, epochs=6, learning_rate=rate), seed=1).run().card.training
    history = training["history"]
    lowest = min(history, key=lambda entry: float(entry["calibrated_loss"]))
    bar = lowest["calibrated_loss"] + lowest["standard_error"]
    assert training["best_epoch"] == max(entry["epoch"] for entry in history if entry["calibrated_loss"] <= bar)


def test_metrics_are_found_in_the_line_of_an_epoch_and_in_no_other(prepared: Prepared) -> None:
    lines: list[str] = []
    bundle = Training(prepared, replace(QUICK, epochs=12), watch=Watch(say=lines.append)).run()
    keys = {"train:loss": "loss", "validation:loss": "validation_loss", "validation:accuracy": "validation_accuracy"}
    assert METRICS.keys() == keys.keys()
    for line, entry in zip(lines, bundle.card.training["history"], strict=True):
        for name, expression in METRICS.items():
            assert re.findall(expression, f"  {line}") == [f"{entry[keys[name]]:.4f}"]
    for other in ("epoch 3/10  batch 120/391  about 2 min left", "going on after 1 of 3 epochs and 4 batches"):
        assert not any(re.search(expression, other) for expression in METRICS.values())


def test_a_long_epoch_leaves_checkpoints_on_its_way(
    prepared: Prepared, unbroken: Bundle, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("plaudit.learning.training.CHECKPOINT_SECONDS", 0)
    batches = iter(range(100))

    def stop() -> bool:
        if next(batches) == 7:
            raise Killed
        return False

    with pytest.raises(Killed):
        Training(prepared, QUICK, 3, tmp_path, Watch(stop=stop)).run()
    lines: list[str] = []
    resumed = Training(prepared, QUICK, 3, tmp_path, Watch(say=lines.append)).run()
    assert lines[0] == "going on after 0 of 3 epochs and 7 batches"
    assert same(unbroken, resumed)


@pytest.mark.parametrize(("beyond", "gives"), [(0, False), (1, True)])
def test_free_memory_is_given_back_once_the_process_has_grown(
    beyond: int, gives: bool, prepared: Prepared, unbroken: Bundle, monkeypatch: pytest.MonkeyPatch
) -> None:
    happened: list[str] = []
    held = itertools.chain([2**30], itertools.repeat(2**30 + training.ROOM + beyond))

    def looked() -> int:
        happened.append("looked")
        return next(held)

    monkeypatch.setattr(training, "resident", looked)
    monkeypatch.setattr(training, "give_back", lambda: happened.append("gave"))
    assert same(Training(prepared, QUICK, seed=3).run(), unbroken)
    assert happened[:3] == ["gave", "looked", "looked"], "what came before is no growth"
    assert ("gave" in happened[3:]) == gives


def test_two_layers_export_and_score(prepared: Prepared) -> None:
    bundle = Training(prepared, Recipe.of("original", epochs=1, layers=2, hidden_dim=8)).run()
    verdict = Classifier(bundle).verdict("A wonderful film with a moving story")
    assert verdict.bias + sum(word.contribution for word in verdict.words) == pytest.approx(verdict.score, abs=1e-9)


@pytest.mark.parametrize("precision", ["float32", "bfloat16"])
def test_precision_is_what_was_asked_for(precision: str, prepared: Prepared) -> None:
    bundle = Training(prepared, replace(QUICK, epochs=1, precision=precision)).run()
    assert bundle.card.training["arithmetic"] == precision
    assert bfloat16_pays(precision) == (precision == "bfloat16")
