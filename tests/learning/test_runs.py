from __future__ import annotations

import json
import os
import subprocess
import sys
from dataclasses import replace
from pathlib import Path

import pytest

from plaudit.bundle.bundle import Bundle
from plaudit.errors import UsageError
from plaudit.learning.machine import alive, machine, process_mark
from plaudit.learning.recipes import Recipe
from plaudit.learning.runs import Run, Runs, recording
from plaudit.learning.training import Training
from plaudit.learning.watch import Interrupted, Watch
from plaudit.text.prepared import Prepared

QUICK = Recipe.of("original", epochs=2, batch_size=128, hidden_dim=8, embedding_dim=8)


def train(runs: Runs, prepared: Prepared, folder: Path | None = None, stop_after: int = 10_000) -> Bundle:
    """A training that leaves a run, as `plaudit train` does; it is asked to stop after so many batches."""
    batches = iter(range(stop_after))
    with recording(runs, prepared.about, QUICK, 3, checkpoints=folder) as run:
        watch = Watch(epoch=run.epoch, stop=lambda: next(batches, None) is None)
        bundle = Training(prepared, QUICK, 3, folder, watch).run()
        run.finish(bundle)
    return bundle


def only(runs: Runs) -> Run:
    (run,) = runs.all()
    return run


@pytest.fixture(scope="module")
def trained(prepared: Prepared, tmp_path_factory: pytest.TempPathFactory) -> tuple[Runs, Bundle]:
    runs = Runs(tmp_path_factory.mktemp("runs"))
    return runs, train(runs, prepared)


@pytest.fixture
def runs(tmp_path: Path) -> Runs:
    return Runs(tmp_path / "runs")


def made(id: str, started: str = "2026-01-01T00:00:00Z", **values: object) -> Run:
    run = Run(id=id, started=started, state="finished", recipe=QUICK.to_json(), data={"fingerprint": "x"}, seed=0)
    return replace(run, **values)  # type: ignore[arg-type]


def test_a_training_leaves_a_file_that_a_person_can_read(trained: tuple[Runs, Bundle], prepared: Prepared) -> None:
    runs, bundle = trained
    (file,) = runs.folder.iterdir()
    found = json.loads(file.read_text("utf-8"))
    assert file.name == f"{found['id']}.json"
    assert found["state"] == "finished"
    assert found["recipe"] == QUICK.to_json()
    assert found["data"]["fingerprint"] == prepared.about.fingerprint
    assert (found["data"]["train"], found["data"]["validation"]) == (prepared.about.train, prepared.about.validation)
    assert found["seed"] == 3
    assert [entry["epoch"] for entry in found["history"]] == [1, 2]
    assert found["history"] == bundle.card.training["history"]
    assert found["metrics"] == bundle.card.metrics
    assert found["training"]["parameters"] == bundle.card.training["parameters"]
    assert found["machine"].keys() >= {"cpu", "cores", "gpu", "python", "torch", "plaudit"}
    assert found["started"].endswith("Z")
    assert found["seconds"] > 0
    assert Run.from_json(found) == only(runs)


def test_a_training_that_is_stopped_goes_on_in_the_same_run(runs: Runs, prepared: Prepared, tmp_path: Path) -> None:
    with pytest.raises(Interrupted):
        train(runs, prepared, tmp_path / "checkpoints", stop_after=12)
    before = only(runs)
    assert before.state == "stopped"
    assert "run the same command" in before.reason
    assert len(before.history) == 1
    train(runs, prepared, tmp_path / "checkpoints")
    after = only(runs)
    assert (after.id, after.started, after.state, after.reason) == (before.id, before.started, "finished", "")
    assert after.history[0] == before.history[0]
    assert len(after.history) == 2
    assert after.seconds >= before.seconds


def test_without_a_checkpoint_it_is_another_run(runs: Runs, prepared: Prepared, tmp_path: Path) -> None:
    with pytest.raises(Interrupted):
        train(runs, prepared, tmp_path / "checkpoints", stop_after=2)
    for file in (tmp_path / "checkpoints").iterdir():
        file.unlink()
    train(runs, prepared, tmp_path / "checkpoints")
    assert sorted(run.state for run in runs.all()) == ["finished", "stopped"]


@pytest.mark.parametrize(
    ("error", "state", "reason"),
    [
        (UsageError("the loss is no longer a number"), "failed", "the loss is no longer a number"),
        (ZeroDivisionError(), "failed", "ZeroDivisionError"),
        (KeyboardInterrupt(), "stopped", "KeyboardInterrupt"),
        (Interrupted("stopped in epoch 1\nand more"), "stopped", "stopped in epoch 1"),
    ],
)
def test_a_run_says_why_it_ended(error: BaseException, state: str, reason: str, runs: Runs, prepared: Prepared) -> None:
    def broken() -> None:
        with recording(runs, prepared.about, QUICK, 0):
            assert only(runs).state == "running"
            raise error

    with pytest.raises(type(error)):
        broken()
    assert (only(runs).state, only(runs).reason) == (state, reason)


def test_an_epoch_that_is_trained_again_takes_the_place_of_the_first(runs: Runs, prepared: Prepared) -> None:
    with recording(runs, prepared.about, QUICK, 0) as run:
        for epoch, loss in ((1, 0.5), (2, 0.4), (2, 0.3)):
            run.epoch({"epoch": epoch, "loss": loss})
            assert only(runs).history[-1]["loss"] == loss
    assert [entry["loss"] for entry in only(runs).history] == [0.5, 0.3]
    assert only(runs).state == "stopped"


def test_a_process_that_was_killed_leaves_a_stopped_run(runs: Runs) -> None:
    child = subprocess.Popen([sys.executable, "-c", "input()"], stdin=subprocess.PIPE)
    mark = process_mark(child.pid)
    runs.save(made("a", state="running", process=mark))
    assert only(runs).state == "running"
    assert alive(mark)
    child.kill()
    child.communicate()
    assert not alive(mark)
    assert (only(runs).state, only(runs).reason) == ("stopped", "its process was ended from outside")


def test_a_later_process_with_the_same_number_is_another() -> None:
    mark = process_mark(os.getpid())
    assert alive(mark)
    if len(mark.split()) == 3:
        pid, ticks, boot = mark.split()
        assert not alive(f"{pid} {int(ticks) - 1} {boot}")
    assert not any(alive(strange) for strange in ("", "x", "999999999"))


def test_where_no_run_can_be_written_the_training_goes_on(prepared: Prepared, tmp_path: Path) -> None:
    (tmp_path / "runs").write_text("a file")
    told: list[str] = []
    bundle = train(Runs(tmp_path / "runs", told.append), prepared)
    assert bundle.card.training["best_epoch"] >= 1
    assert len(told) == 1
    assert "leaves no run" in told[0]


def test_what_is_not_a_run_is_left_aside_and_told(runs: Runs) -> None:
    runs.save(made("good"))
    for name, content in (("half", '{"id": "ha'), ("list", "[]"), ("other", '{"id": "x"}'), ("state", None)):
        text = json.dumps({**made("state").to_json(), "state": "odd"}) if content is None else content
        (runs.folder / f"{name}.json").write_text(text)
    told: list[str] = []
    assert [run.id for run in Runs(runs.folder, told.append).all()] == ["good"]
    assert len(told) == 4
    assert all("left aside" in sentence for sentence in told)


def test_fields_of_a_newer_version_do_no_harm(runs: Runs) -> None:
    assert Run.from_json({**made("a").to_json(), "mood": "fine"}) == made("a")


def test_runs_are_found_by_as_much_of_their_id_as_is_unique(runs: Runs) -> None:
    for id in ("ab12", "ab34", "cd56"):
        runs.save(made(id))
    assert runs.find("c").id == "cd56"
    assert runs.find("ab3").id == "ab34"
    with pytest.raises(UsageError, match="begins the ids of 2 runs"):
        runs.find("ab")
    for strange in ("x", ""):
        with pytest.raises(UsageError, match="plaudit runs lists"):
            runs.find(strange)


def test_the_newest_comes_first(runs: Runs) -> None:
    for day, id in ((2, "b"), (3, "c"), (1, "a")):
        runs.save(made(id, f"2026-01-0{day}T00:00:00Z"))
    assert [run.id for run in runs.all()] == ["c", "b", "a"]


def test_figures_of_held_out_reviews_come_from_the_bundle_that_the_run_made(
    runs: Runs, prepared: Prepared, tmp_path: Path
) -> None:
    with recording(runs, prepared.about, QUICK, 3) as run:
        bundle = Training(prepared, QUICK, 3, watch=Watch(epoch=run.epoch)).run().save(tmp_path / "bundle")
        run.finish(bundle)
    assert "test" not in runs.with_tests()[0].metrics
    replace(bundle, card=bundle.card.with_metrics("test", {"accuracy": 0.75})).save(tmp_path / "bundle")
    assert runs.with_tests()[0].metrics["test"] == {"accuracy": 0.75}
    assert only(runs).metrics["test"] == {"accuracy": 0.75}, "it is kept, whatever becomes of the bundle"


def test_a_bundle_of_another_training_in_the_same_place_is_not_asked(
    runs: Runs, trained: tuple[Runs, Bundle], tmp_path: Path
) -> None:
    other = replace(trained[1], card=trained[1].card.with_metrics("test", {"accuracy": 0.75})).save(tmp_path / "bundle")
    runs.save(replace(only(trained[0]), id="mine", seed=99, bundle=str(other.path)))
    assert "test" not in runs.with_tests()[0].metrics


def test_a_bundle_from_elsewhere_gives_its_run_once(runs: Runs, trained: tuple[Runs, Bundle]) -> None:
    added = runs.add(trained[1])
    assert runs.add(trained[1]) == added
    assert only(runs) == added
    original = only(trained[0])
    assert (added.recipe, added.history, added.metrics) == (original.recipe, original.history, original.metrics)
    assert trained[0].add(trained[1]).id == original.id, "one that is known is not added"


def test_the_machine_is_described() -> None:
    found = machine()
    assert found["cpu"]
    assert found["cores"] >= 1
    assert found["torch"] is not None, "it is imported here"
