"""Runs as a user meets them: trainings in processes of their own, then `plaudit runs`."""

from __future__ import annotations

import json
import os
import signal
import sqlite3
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

import pytest

from plaudit.cli.runs import shown

QUICK = ("--recipe", "original", "--batch-size", "128", "--embedding-dim", "8")


def plaudit(*arguments: str | Path, cwd: Path) -> subprocess.CompletedProcess[str]:
    command = [sys.executable, "-m", "plaudit", *map(str, arguments)]
    return subprocess.run(command, cwd=cwd, capture_output=True, text=True, check=False)


def listed(cwd: Path, *arguments: str) -> list[dict[str, Any]]:
    done = plaudit("runs", "--json", *arguments, cwd=cwd)
    assert done.returncode == 0, done.stderr
    return list(json.loads(done.stdout))


@pytest.fixture(scope="module")
def here(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder in which there were two trainings, the first of them evaluated."""
    folder = tmp_path_factory.mktemp("trained")
    first = plaudit("train", "sample", "--out", "first", "--hidden-dim", "8", "--epochs", "2", *QUICK, cwd=folder)
    assert first.returncode == 0, first.stderr
    second = ("--hidden-dim", "16", "--epochs", "1", "--seed", "5")
    assert plaudit("train", "sample", "--out", "second", *second, *QUICK, cwd=folder).returncode == 0
    evaluated = plaudit("evaluate", "sample", "--bundle", "first", "--save", cwd=folder)
    assert evaluated.returncode == 0, evaluated.stderr
    return folder


def test_every_training_leaves_a_run_and_the_newest_comes_first(here: Path) -> None:
    second, first = listed(here)
    assert (first["recipe"]["hidden_dim"], second["recipe"]["hidden_dim"]) == (8, 16)
    assert {run["state"] for run in (first, second)} == {"finished"}
    assert Path(first["bundle"]) == (here / "first").resolve()
    assert first["metrics"]["test"]["accuracy"] > 0
    assert "test" not in second["metrics"]
    assert len(first["history"]) == 2
    assert {file.suffix for file in (here / ".plaudit" / "runs").iterdir()} == {".json"}


def test_the_table(here: Path) -> None:
    done = plaudit("runs", cwd=here)
    head, second, first = done.stdout.splitlines()
    assert head.split()[:4] == ["ID", "STARTED", "STATE", "RECIPE"]
    assert "hidden_dim=16" in second
    assert "seed" not in second.split("hidden_dim")[1]
    assert "hidden_dim=8 epochs=2" in first
    assert done.stderr == ""


def test_filters_and_order(here: Path) -> None:
    def dims(*arguments: str) -> list[int]:
        return [run["recipe"]["hidden_dim"] for run in listed(here, *arguments)]

    assert dims("--where", "hidden_dim>8") == [16]
    assert dims("--where", "hidden_dim>=8", "--where", "epochs=2") == [8]
    assert dims("--where", "test_accuracy>0") == [8]
    assert dims("--recipe", "original", "--data", "sample") == [16, 8]
    assert dims("--recipe", "linear") == []
    assert dims("--sort", "seed") == [16, 8]
    assert dims("--sort", "hidden-dim", "--reverse") == [8, 16]
    assert dims("--reverse") == [8, 16]
    assert dims("--limit", "1") == [16]
    assert "1 of 2 runs" in plaudit("runs", "--where", "epochs=1", cwd=here).stderr


def test_one_run_is_shown_whole_by_the_start_of_its_id(here: Path) -> None:
    second, first = listed(here)
    length = next(n for n in range(1, 9) if first["id"][:n] != second["id"][:n])
    done = plaudit("runs", first["id"][:length], cwd=here)
    assert done.stdout.split()[:2] == ["id", first["id"]]
    assert "test_accuracy" in done.stdout
    assert "epoch  loss" in done.stdout
    assert json.loads(plaudit("runs", first["id"], "--json", cwd=here).stdout) == first


def test_two_runs_show_only_what_differs(here: Path) -> None:
    second, first = listed(here)
    found = json.loads(plaudit("runs", first["id"], second["id"], "--json", cwd=here).stdout)
    assert found["runs"] == [first["id"], second["id"]]
    assert found["differ"]["hidden_dim"] == [8, 16]
    assert found["differ"]["seed"] == [0, 5]
    assert "batch_size" not in found["differ"]
    assert "fingerprint" not in found["differ"]
    done = plaudit("runs", first["id"], second["id"], cwd=here)
    assert [line.split() for line in done.stdout.splitlines() if line.startswith("hidden_dim")] == [
        ["hidden_dim", "8", "16"]
    ]


@pytest.mark.parametrize(
    ("arguments", "sentence"),
    [
        (("zz",), "plaudit runs lists those there are"),
        (("ab", "--sort", "accuracy"), "leave the other options away"),
        (("--where", "acuracy>1"), "no run has a field 'acuracy'"),
        (("--where", "what"), "is not a condition"),
        (("--sort", "mood"), "no run has a field 'mood'"),
        (("--add", "nowhere"), "there is no bundle"),
    ],
)
def test_a_mistake_gets_one_sentence(arguments: tuple[str, ...], sentence: str, here: Path) -> None:
    done = plaudit("runs", *arguments, cwd=here)
    assert done.returncode == 2
    assert sentence in done.stderr
    assert done.stdout == ""
    assert "Traceback" not in done.stderr


def test_without_a_run_the_next_command_is_named(tmp_path: Path) -> None:
    done = plaudit("runs", cwd=tmp_path)
    assert (done.returncode, done.stdout) == (0, "")
    assert "plaudit train sample" in done.stderr
    assert listed(tmp_path) == []
    assert list(tmp_path.iterdir()) == []


def test_a_run_of_a_bundle_from_elsewhere_is_added_once(here: Path, tmp_path: Path) -> None:
    for _ in range(2):
        (run,) = listed(tmp_path, "--add", str(here / "first"))
        assert run["recipe"]["hidden_dim"] == 8
        assert run["metrics"]["test"]["accuracy"] > 0


def test_a_training_that_is_stopped_leaves_a_run_too(tmp_path: Path) -> None:
    command = [sys.executable, "-m", "plaudit", "train", "sample", "--out", "slow", "--epochs", "2000", *QUICK]
    running = subprocess.Popen(command, cwd=tmp_path, stderr=subprocess.PIPE, text=True)
    assert running.stderr is not None
    for line in running.stderr:
        if "epoch" in line:
            break
    running.send_signal(signal.SIGINT)
    running.communicate(timeout=100)
    assert running.returncode == 130
    (stopped,) = listed(tmp_path)
    assert stopped["state"] == "stopped"
    assert stopped["history"]


def test_a_killed_training_is_not_said_to_run(tmp_path: Path) -> None:
    command = [sys.executable, "-m", "plaudit", "train", "sample", "--epochs", "2000", *QUICK]
    running = subprocess.Popen(command, cwd=tmp_path, stderr=subprocess.DEVNULL)
    until = time.monotonic() + 100
    while not list((tmp_path / ".plaudit" / "runs").glob("*.json")):
        assert time.monotonic() < until
        time.sleep(0.05)
    assert [run["state"] for run in listed(tmp_path)] == ["running"]
    running.kill()
    running.wait()
    assert [run["state"] for run in listed(tmp_path)] == ["stopped"]


def test_once_asked_for_runs_are_in_mlflow_as_well(here: Path, tmp_path: Path) -> None:
    pytest.importorskip("mlflow.version", reason="the track extra is not installed")
    home = tmp_path / "a home"
    environment = {**os.environ, "PLAUDIT_HOME": str(home)}

    def call(*arguments: str) -> subprocess.CompletedProcess[str]:
        command = [sys.executable, "-m", "plaudit", *arguments]
        return subprocess.run(command, cwd=tmp_path, env=environment, capture_output=True, text=True, check=True)

    call("runs", "--add", str(here / "first"))
    told = call("runs", "--mlflow")
    assert told.stdout == f"MLFLOW_DISABLE_TELEMETRY=true mlflow ui --backend-store-uri 'sqlite:///{home}/mlflow.db'\n"
    trained = call("train", "sample", "--epochs", "1", "--hidden-dim", "8", *QUICK)
    assert "MLflow" not in trained.stderr
    assert "INFO" not in told.stderr + trained.stderr
    with sqlite3.connect(home / "mlflow.db") as store:
        statuses = store.execute("select status from runs order by start_time").fetchall()
        params = store.execute("select value from params where key = 'hidden_dim'").fetchall()
        curves = store.execute("select count(*) from metrics where key = 'validation_loss'").fetchone()
    store.close()
    assert statuses == [("FINISHED",), ("FINISHED",)]
    assert params == [("8",), ("8",)]
    assert curves == (3,)


def test_training_does_not_import_mlflow_unasked(tmp_path: Path) -> None:
    code = "import sys; from plaudit.cli.main import road; road(sys.argv[1:], standalone_mode=False)"
    code += "; print([name for name in ('mlflow', 'optuna') if name in sys.modules])"
    arguments = ("train", "sample", "--epochs", "1", "--hidden-dim", "8", *QUICK)
    done = subprocess.run(
        [sys.executable, "-c", code, *arguments], cwd=tmp_path, capture_output=True, text=True, check=True
    )
    assert done.stdout.strip() == "[]"


@pytest.mark.parametrize(
    ("value", "text"),
    [
        (None, "-"),
        ("", "-"),
        (0.91234, "0.9123"),
        (12345, "12,345"),
        (2026, "2026"),
        (0.00012, "0.00012"),
        (True, "True"),
    ],
)
def test_values_as_a_table_shows_them(value: object, text: str) -> None:
    assert shown(value) == text
