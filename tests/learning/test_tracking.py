"""Against the real MLflow, in a process of its own that may not open a connection to anywhere."""

from __future__ import annotations

import json
import os
import socket
import subprocess
import sys
import time
import urllib.error
import urllib.request
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest

pytest.importorskip("mlflow.version", reason="the track extra is not installed")

SCRIPT = """
import json, socket, sys
from dataclasses import replace
from pathlib import Path

called = []
def refuse(self, address):
    called.append(str(address))
    raise OSError("no network here")
socket.socket.connect = refuse

from plaudit.learning.recipes import Recipe
from plaudit.learning.runs import Run
from plaudit.learning.tracking import Store

def entry(epoch):
    return {"epoch": epoch, "loss": 1 / epoch, "validation_loss": float("nan"), "seconds": 2.0}

recipe = Recipe.of("original", hidden_dim=64).to_json()
first = Run("aa11", "2026-01-01T10:00:00Z", "running", recipe, {"name": "Mine", "fingerprint": "f00"}, 7,
            machine={"cpu": "a cpu", "gpu": None}, tags={"study": "s1"})
store = Store(Path(sys.argv[1]))
store.put(first)
store.put(replace(first, history=(entry(1),)))
store.put(replace(first, history=(entry(1), entry(2)), seconds=4.5))
done = replace(first, history=(entry(1), entry(2)), seconds=4.5, state="finished", bundle="/b",
               metrics={"validation": {"accuracy": 0.8}})
again = Store(Path(sys.argv[1]))
again.put(done)
again.put(replace(done, metrics={**done.metrics, "test": {"accuracy": 0.7}}))
again.put(replace(first, id="bb22", state="failed", reason="the loss is no longer a number"))

from mlflow.tracking import MlflowClient
client = MlflowClient(tracking_uri=store.address)
experiment = client.get_experiment_by_name("plaudit")
found = []
for run in client.search_runs([experiment.experiment_id]):
    curve = client.get_metric_history(run.info.run_id, "loss")
    found.append({
        "name": run.info.run_name, "status": run.info.status, "params": run.data.params, "tags": run.data.tags,
        "start": run.info.start_time, "end": run.info.end_time,
        "loss": [(each.step, each.value, each.timestamp) for each in curve],
        "metrics": run.data.metrics,
    })
deleted = next(run for run in client.search_runs([experiment.experiment_id]) if run.info.run_name.endswith("bb22"))
client.delete_run(deleted.info.run_id)
Store(Path(sys.argv[1])).put(replace(first, id="bb22", state="failed"))
left = len(client.search_runs([experiment.experiment_id]))
print(json.dumps({"runs": found, "left": left, "called": called}))
"""


@pytest.fixture(scope="module")
def stored(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, dict[str, Any], str]:
    """The store, what MLflow's own client found in it, and what was said meanwhile."""
    path = tmp_path_factory.mktemp("store") / "mlflow.db"
    done = subprocess.run([sys.executable, "-c", SCRIPT, str(path)], capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    return path, json.loads(done.stdout), done.stderr


def run_of(stored: tuple[Path, dict[str, Any], str], id: str) -> dict[str, Any]:
    (found,) = [run for run in stored[1]["runs"] if run["name"].endswith(id)]
    return dict(found)


def test_a_run_is_one_mlflow_run_however_often_it_is_put(stored: tuple[Path, dict[str, Any], str]) -> None:
    assert sorted(run["name"] for run in stored[1]["runs"]) == ["original-aa11", "original-bb22"]
    run = run_of(stored, "aa11")
    assert run["status"] == "FINISHED"
    assert run["params"]["hidden_dim"] == "64"
    assert (run["params"]["recipe"], run["params"]["seed"]) == ("original", "7")
    tags = {name: run["tags"][f"plaudit.{name}"] for name in ("run", "data", "fingerprint", "study", "cpu", "bundle")}
    assert tags == {
        "run": "aa11", "data": "Mine", "fingerprint": "f00", "study": "s1", "cpu": "a cpu", "bundle": "/b",
    }  # fmt: skip


def test_each_epoch_is_one_step_at_its_time(stored: tuple[Path, dict[str, Any], str]) -> None:
    run = run_of(stored, "aa11")
    start = run["start"]
    assert run["loss"] == [[1, 1.0, start + 2000], [2, 0.5, start + 4000]]
    assert run["end"] == start + 4500
    assert "validation_loss" not in run["metrics"], "what is no number is no point of a curve"
    assert run["metrics"]["final/validation_accuracy"] == 0.8
    assert run["metrics"]["final/test_accuracy"] == 0.7


def test_a_failure_says_why_and_what_was_deleted_stays_deleted(stored: tuple[Path, dict[str, Any], str]) -> None:
    run = run_of(stored, "bb22")
    assert run["status"] == "FAILED"
    assert run["tags"]["plaudit.reason"] == "the loss is no longer a number"
    assert stored[1]["left"] == 1


def test_nothing_is_sent_anywhere_and_no_artefacts_are_left(stored: tuple[Path, dict[str, Any], str]) -> None:
    assert stored[1]["called"] == []
    assert [file.name for file in stored[0].parent.iterdir()] == ["mlflow.db"]


@contextmanager
def ui(store: Path) -> Iterator[str]:
    """MLflow's own page on a free port, started as the docs say."""
    with socket.create_server(("127.0.0.1", 0)) as place:
        port = place.getsockname()[1]
    command = [str(Path(sys.executable).parent / "mlflow"), "ui", "--backend-store-uri", f"sqlite:///{store}"]
    running = subprocess.Popen(
        [*command, "--port", str(port), "--workers", "1"],
        cwd=store.parent,
        env={**os.environ, "MLFLOW_DISABLE_TELEMETRY": "true"},
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
        start_new_session=True,
    )
    address = f"http://127.0.0.1:{port}"
    try:
        until = time.monotonic() + 200
        while not answers(f"{address}/health"):
            assert running.poll() is None, "mlflow ui ended"
            assert time.monotonic() < until, "mlflow ui does not answer"
            time.sleep(0.5)
        yield address
    finally:
        os.killpg(running.pid, 15)
        running.wait(60)


def answers(address: str) -> bool:
    try:
        with urllib.request.urlopen(address, timeout=5) as answer:
            return bool(answer.status == 200)
    except (OSError, urllib.error.URLError):
        return False


def test_mlflows_own_page_shows_them(stored: tuple[Path, dict[str, Any], str]) -> None:
    with ui(stored[0]) as address:
        with urllib.request.urlopen(address, timeout=20) as page:
            assert "<title>MLflow</title>" in page.read().decode()
        body = json.dumps({"experiment_ids": ["1"], "filter": "params.hidden_dim = '64'"}).encode()
        asked = urllib.request.Request(
            f"{address}/ajax-api/2.0/mlflow/runs/search", body, {"content-type": "application/json"}
        )
        with urllib.request.urlopen(asked, timeout=20) as answer:
            found = json.loads(answer.read())
    assert [run["info"]["run_name"] for run in found["runs"]] == ["original-aa11"]
