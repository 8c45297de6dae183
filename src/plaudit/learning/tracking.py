"""Runs as MLflow runs in a local store, which MLflow's own UI shows. Knows MLflow, and no training.

MLflow takes seconds to import, so it is imported only where a store is opened. It is told to send nothing home.
"""

from __future__ import annotations

import logging
import math
import os
from collections.abc import Iterator, Mapping
from datetime import datetime
from pathlib import Path
from typing import TYPE_CHECKING, Any

from plaudit.errors import MissingExtra
from plaudit.learning.runs import Run

if TYPE_CHECKING:
    from mlflow.entities import Metric
    from mlflow.tracking import MlflowClient

EXPERIMENT = "plaudit"
KEY = "plaudit.run"
STATUS = {"running": "RUNNING", "finished": "FINISHED", "stopped": "KILLED", "failed": "FAILED"}
MOST_METRICS = 1000


class Store:
    """An MLflow store in one SQLite file, which is made where it is not there.

    Raises MissingExtra where MLflow is not installed.
    """

    def __init__(self, path: Path) -> None:
        self.path = path.resolve()
        os.environ["MLFLOW_DISABLE_TELEMETRY"] = "true"
        try:
            from mlflow.tracking import MlflowClient
        except ModuleNotFoundError as error:
            if error.name == "mlflow":
                raise MissingExtra("Tracking with MLflow", "track") from None
            raise
        for name in ("mlflow", "alembic"):  # importing MLflow sets its own levels
            logging.getLogger(name).setLevel(logging.WARNING)
        self.path.parent.mkdir(parents=True, exist_ok=True)
        self._client: MlflowClient = MlflowClient(tracking_uri=self.address)
        self._experiment = self._own_experiment()
        self._known: dict[str, str] = {}

    @property
    def address(self) -> str:
        """What `mlflow ui --backend-store-uri` takes."""
        return f"sqlite:///{self.path}"

    def put(self, run: Run) -> None:
        """Brings the store's run up to date with ``run``: settings, tags, the curves as far as they go, the metrics.

        A run that somebody deleted in MLflow stays deleted.
        """
        id = self._known.get(run.id) or self._found(run.id)
        if id is None:
            id = self._created(run)
        self._known[run.id] = id
        there = self._client.get_run(id)
        if there.info.lifecycle_stage != "active":
            return
        logged = {value.step for value in self._client.get_metric_history(id, "seconds")}
        new = [metric for metric in _metrics(run) if metric.step not in logged or metric.key.startswith("final/")]
        for at in range(0, len(new), MOST_METRICS):
            self._client.log_batch(id, metrics=new[at : at + MOST_METRICS])
        for name, value in _tags(run).items():
            if there.data.tags.get(name) != value:
                self._client.set_tag(id, name, value)
        if run.state == "running":
            self._client.update_run(id, status=STATUS[run.state])
        elif there.info.status != STATUS[run.state]:
            self._client.set_terminated(id, STATUS[run.state], _started(run) + round(run.seconds * 1000))

    def _own_experiment(self) -> str:
        found = self._client.get_experiment_by_name(EXPERIMENT)
        if found is not None:
            return str(found.experiment_id)
        artifacts = (self.path.parent / "mlflow-artifacts").as_uri()
        return str(self._client.create_experiment(EXPERIMENT, artifact_location=artifacts))

    def _found(self, run: str) -> str | None:
        from mlflow.entities import ViewType

        found = self._client.search_runs([self._experiment], f"tags.`{KEY}` = '{run}'", ViewType.ALL)
        return str(found[0].info.run_id) if found else None

    def _created(self, run: Run) -> str:
        from mlflow.entities import Param

        name = f"{run.recipe.get('name')}-{run.id}"
        made = self._client.create_run(self._experiment, _started(run), {KEY: run.id}, run_name=name)
        settings = {("recipe" if name == "name" else name): value for name, value in run.recipe.items()}
        params = [Param(name, str(value)) for name, value in {**settings, "seed": run.seed}.items()]
        for at in range(0, len(params), 100):
            self._client.log_batch(made.info.run_id, params=params[at : at + 100])
        return str(made.info.run_id)


def _started(run: Run) -> int:
    """Milliseconds since 1970."""
    return round(datetime.fromisoformat(run.started).timestamp() * 1000)


def _metrics(run: Run) -> Iterator[Metric]:
    """The curves with the epoch as their step, and the final figures by split."""
    from mlflow.entities import Metric

    at, last = float(_started(run)), 0
    for number, entry in enumerate(run.history, 1):
        last = int(entry.get("epoch", number))
        at += 1000 * float(entry.get("seconds", 0))
        for name, value in _numbers({"seconds": 0, **entry}):
            if name != "epoch":
                yield Metric(name, value, round(at), last)
    for split, figures in run.metrics.items():
        for name, value in _numbers(figures):
            yield Metric(f"final/{split}_{name}", value, round(at), last)


def _numbers(figures: Mapping[str, Any]) -> Iterator[tuple[str, float]]:
    for name, value in figures.items():
        if isinstance(value, int | float) and math.isfinite(value):
            yield name, float(value)


def _tags(run: Run) -> dict[str, str]:
    said = {
        "mlflow.source.name": "plaudit train",
        "mlflow.source.type": "LOCAL",
        "plaudit.data": run.data.get("name"),
        "plaudit.fingerprint": run.data.get("fingerprint"),
        "plaudit.bundle": run.bundle,
        "plaudit.reason": run.reason,
        **{f"plaudit.{name}": value for name, value in run.tags.items()},
        **{f"plaudit.{name}": value for name, value in run.machine.items()},
        **{f"plaudit.{name}": value for name, value in run.training.items()},
    }
    return {name: str(value) for name, value in said.items() if value not in (None, "")}
