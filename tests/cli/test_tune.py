"""`plaudit tune` on the sample, in processes of their own."""

from __future__ import annotations

import json
import shlex
import signal
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from plaudit.bundle.bundle import Bundle

pytest.importorskip("optuna", reason="the tune extra is not installed")

SEARCH = (
    "tune", "sample", "--recipe", "original", "--epochs", "3", "--batch-size", "128", "--embedding-dim", "8",
    "--search", "hidden_dim=4..32", "--search", "learning_rate=0.001..0.05", "--search", "vocab_size=500,1000",
)  # fmt: skip


def plaudit(*arguments: str, cwd: Path) -> subprocess.CompletedProcess[str]:
    command = [sys.executable, "-m", "plaudit", *arguments]
    return subprocess.run(command, cwd=cwd, capture_output=True, text=True, check=False)


def runs(cwd: Path, *arguments: str) -> list[dict[str, Any]]:
    return list(json.loads(plaudit("runs", "--json", *arguments, cwd=cwd).stdout))


@pytest.fixture(scope="module")
def tuned(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, dict[str, Any], str]:
    """The folder of a finished search, what it gave, and what it said."""
    folder = tmp_path_factory.mktemp("tuned")
    done = plaudit(*SEARCH, "--trials", "6", "--json", cwd=folder)
    assert done.returncode == 0, done.stderr
    return folder, json.loads(done.stdout), done.stderr


def test_trials_are_told_with_the_time_that_is_left(tuned: tuple[Path, dict[str, Any], str]) -> None:
    _, found, said = tuned
    assert said.count("trial ") >= 6
    assert "6/6" in said
    assert " left" in said
    assert "best: trial" in said
    assert len(found["trials"]) == 6
    assert {trial["state"] for trial in found["trials"]} <= {"finished", "hopeless"}


def test_reviews_are_prepared_once_for_each_way_of_reading(tuned: tuple[Path, dict[str, Any], str]) -> None:
    folder = tuned[0]
    assert {run["recipe"]["vocab_size"] for run in runs(folder)} == {500, 1000}
    assert len({run["data"]["fingerprint"] for run in runs(folder)}) == 1


def test_every_trial_leaves_a_run_of_the_study(tuned: tuple[Path, dict[str, Any], str]) -> None:
    folder, found, _ = tuned
    left = runs(folder, "--where", f"study={found['study']}", "--sort", "log_loss")
    assert len(left) == 6
    best = next(run for run in left if run["state"] == "finished")
    assert best["metrics"]["validation"]["log_loss"] == found["best"]["validation"]["log_loss"]
    hopeless = [trial for trial in found["trials"] if trial["state"] == "hopeless"]
    assert len([run for run in left if run["reason"].startswith("hopeless")]) == len(hopeless)
    assert [file.name for file in (folder / ".plaudit" / "tune").iterdir()] == ["studies.db"]


def test_the_command_trains_the_best_trial_again(tuned: tuple[Path, dict[str, Any], str]) -> None:
    folder, found, _ = tuned
    program, *arguments = shlex.split(found["command"])
    assert program == "plaudit"
    done = plaudit(*arguments, cwd=folder)
    assert done.returncode == 0, done.stderr
    metrics = Bundle.load(folder / "bundle").card.metrics["validation"]
    assert metrics["log_loss"] == pytest.approx(found["best"]["validation"]["log_loss"], abs=1e-9)
    assert metrics["accuracy"] == found["best"]["validation"]["accuracy"]


def test_the_same_command_again_has_nothing_left_to_do(tuned: tuple[Path, dict[str, Any], str]) -> None:
    folder, found, _ = tuned
    before = len(runs(folder))
    done = plaudit(*SEARCH, "--trials", "6", cwd=folder)
    assert "going on after 6 of 6 trials" in done.stderr
    assert done.stdout.splitlines()[-1] == found["command"]
    assert f"hidden_dim {found['best']['settings']['hidden_dim']}" in done.stdout
    assert len(runs(folder)) == before


def test_a_search_that_is_stopped_goes_on_with_the_same_command(tmp_path: Path) -> None:
    search = (*SEARCH, "--trials", "2", "--epochs", "40", "--pruner", "none")
    running = subprocess.Popen(
        [sys.executable, "-m", "plaudit", *search], cwd=tmp_path, stderr=subprocess.PIPE, text=True
    )
    assert running.stderr is not None
    for line in running.stderr:
        if "epoch " in line:
            break
    running.send_signal(signal.SIGINT)
    _, said = running.communicate(timeout=100)
    assert running.returncode == 130
    assert "run the same command" in said
    (stopped,) = runs(tmp_path)
    assert stopped["state"] == "stopped"
    done = plaudit(*search, "--json", cwd=tmp_path)
    assert done.returncode == 0, done.stderr
    assert "going on after" in done.stderr
    assert len(json.loads(done.stdout)["trials"]) == 2
    left = runs(tmp_path)
    assert len(left) == 2
    assert stopped["id"] in {run["id"] for run in left if run["state"] == "finished"}


def test_linear_is_searched_too(tmp_path: Path) -> None:
    done = plaudit(
        "tune", "sample", "--recipe", "linear", "--trials", "2", "--vocab-size", "5000", "--json", cwd=tmp_path
    )
    assert done.returncode == 0, done.stderr
    assert set(json.loads(done.stdout)["best"]["settings"]) == {"ngrams", "strength"}


@pytest.mark.parametrize(
    ("arguments", "sentence"),
    [
        (("--search", "hidden_dim=4..8", "--hidden-dim", "6"), "hidden_dim is given twice"),
        (("--search", "layers=1,2", "--search", "layers=1..3"), "layers is given twice"),
        (("--search", "layers=1..9"), "layers lies between 1 and 8"),
        (("--search", "mood=1..2"), "with a setting of a recipe"),
    ],
)
def test_a_mistake_gets_one_sentence_before_anything_is_done(
    arguments: tuple[str, ...], sentence: str, tmp_path: Path
) -> None:
    done = plaudit("tune", "sample", "--recipe", "original", *arguments, cwd=tmp_path)
    assert done.returncode == 2
    assert sentence in done.stderr
    assert "Traceback" not in done.stderr
    assert list(tmp_path.iterdir()) == []


def test_prepared_reviews_are_not_searched(tmp_path: Path) -> None:
    (tmp_path / "ready").mkdir()
    (tmp_path / "ready" / "prepared.json").write_text("{}")
    done = plaudit("tune", "ready", "--recipe", "original", cwd=tmp_path)
    assert done.returncode == 2
    assert "name the reviews" in done.stderr


def test_without_optuna_the_extra_is_named(tmp_path: Path) -> None:
    code = "import sys; sys.modules['optuna'] = None; from plaudit.cli.main import main; main(sys.argv[1:])"
    done = subprocess.run(
        [sys.executable, "-c", code, "tune", "sample"], cwd=tmp_path, capture_output=True, text=True, check=False
    )
    assert done.returncode == 2
    assert "pip install 'plaudit[tune]'" in done.stderr
