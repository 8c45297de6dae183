"""`plaudit runs`: which trainings there were, which was best, and in what they differ. Knows no training."""

from __future__ import annotations

import shlex
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from datetime import datetime
from pathlib import Path
from typing import Any

import click

from plaudit.bundle.bundle import Bundle
from plaudit.cli import options as shared
from plaudit.cli.aws import columns
from plaudit.cli.home import home
from plaudit.cli.terminal import give, give_json, printable, say, track
from plaudit.errors import UsageError
from plaudit.learning.finding import Condition, changed_settings, differences, fields_of, matching, ordered
from plaudit.learning.recipes import Recipe
from plaudit.learning.runs import Recording, Run, Runs, recording
from plaudit.text.prepared import Preparation

NOTHING = "-"
EPOCH = ("epoch", "loss", "validation_loss", "calibrated_loss", "validation_accuracy", "seconds")


@click.command(
    "runs",
    epilog=shared.examples(
        "plaudit runs",
        "plaudit runs --recipe original --where 'accuracy>0.7' --sort accuracy",
        "plaudit runs --json",
        "plaudit runs --mlflow",
    ),
)
@click.argument("ids", nargs=-1, metavar="[ID]...")
@click.option("--recipe", metavar="NAME", help="Only runs of this recipe.")
@click.option("--data", metavar="NAME", help="Only runs on reviews with this in their name.")
@click.option(
    "--where", multiple=True, metavar="CONDITION",
    help="Only runs for which this holds, as 'accuracy>0.9', 'hidden_dim=200', 'data~imdb'; all that are given.",
)  # fmt: skip
@click.option("--sort", metavar="FIELD", help="The best by this field first.  [default: the newest first]")
@click.option("--reverse", is_flag=True, help="The other way round.")
@click.option("--limit", type=click.IntRange(1), help="So many at most.")
@click.option("--add", type=shared.folder, metavar="BUNDLE", help="Add the run of a bundle that was trained elsewhere.")
@click.option("--mlflow", is_flag=True, help="Bring them into a local MLflow store; later trainings go there as well.")
@click.option("--json", "as_json", is_flag=True, help="Print what was found as JSON.")
def command(
    ids: tuple[str, ...],
    recipe: str | None,
    data: str | None,
    where: tuple[str, ...],
    sort: str | None,
    reverse: bool,
    limit: int | None,
    add: Path | None,
    mlflow: bool,
    as_json: bool,
) -> None:
    """List the runs that trainings left, newest first; show one, or what differs between several.

    Without ID the runs are listed. With one ID, or as much of it as is unique, that run is shown whole; with two or
    more, only the settings and figures in which they differ, side by side.

    A field is any setting of a recipe, a figure of the validation reviews (accuracy, log_loss), one of the held-out
    reviews once plaudit evaluate --save has put it on the bundle's card (test_accuracy), or state, seed, seconds,
    parameters, best_epoch, data, study, cpu, cores, gpu.
    """
    runs = own_runs()
    if ids and (recipe or data or where or sort or reverse or limit or add or mlflow):
        raise UsageError("an ID names one run: leave the other options away")
    if add:
        say(f"run {runs.add(Bundle.load(add)).id} is that of {add}")
    found = runs.with_tests()
    if mlflow:
        _into_mlflow(found)
        return
    if ids:
        _show([runs.find(id) for id in ids], as_json)
        return
    conditions = [Condition.parse(text) for text in where]
    conditions += [Condition("recipe", "=", recipe)] if recipe else []
    conditions += [Condition("data", "~", data)] if data else []
    chosen = matching(found, conditions)
    chosen = ordered(chosen, sort, reverse) if sort else chosen[:: -1 if reverse else 1]
    _list(chosen[:limit], len(found), as_json)


def own_runs() -> Runs:
    """The runs under `home`."""
    return Runs(home() / "runs", say)


@contextmanager
def kept_run(
    wanted: bool,
    about: Preparation,
    recipe: Recipe,
    seed: int,
    checkpoints: Path,
    tags: Mapping[str, str] | None = None,
) -> Iterator[Recording | None]:
    """A run under `home` while the block trains, in MLflow too where there is a store; None if not ``wanted``."""
    if not wanted:
        yield None
        return
    follow = _Follower()
    with recording(own_runs(), about, recipe, seed, checkpoints=checkpoints, tags=tags, listen=follow) as run:
        yield run


class _Follower:
    """Brings a run into the MLflow store, if `plaudit runs --mlflow` made one. A training does not fail with it."""

    def __init__(self) -> None:
        self._put: Callable[[Run], None] | None = None
        self._wanted = store_file().exists()

    def __call__(self, run: Run) -> None:
        if not self._wanted:
            return
        try:
            if self._put is None:
                from plaudit.learning.tracking import Store

                self._put = Store(store_file()).put
            self._put(run)
        except Exception as error:  # MLflow's own errors, SQLAlchemy's, the disk's
            self._wanted = False
            reason = (str(error) or type(error).__name__).splitlines()[0]
            say(f"  not in MLflow: {reason}; plaudit runs --mlflow brings it there later")


def store_file() -> Path:
    """MLflow's store. Where it is there, every training goes there."""
    return home() / "mlflow.db"


def _into_mlflow(found: Sequence[Run]) -> None:
    from plaudit.learning.tracking import Store

    store = Store(store_file())
    for run in track(found[::-1], "to MLflow", len(found)):
        store.put(run)
    say(f"{len(found)} runs are in {store.path}, and every training from now on; to see them:")
    give(f"MLFLOW_DISABLE_TELEMETRY=true mlflow ui --backend-store-uri {shlex.quote(store.address)}")


def _list(chosen: Sequence[Run], of: int, as_json: bool) -> None:
    if as_json:
        give_json([run.to_json() for run in chosen])
        return
    if not of:
        say("there is no run yet: plaudit train sample makes one")
        return
    header = ("ID", "STARTED", "STATE", "RECIPE", "DATA", "ACCURACY", "LOG LOSS", "TEST", "TIME", "CHANGED")
    for line in columns([header, *map(_row, chosen)]):
        give(printable(line))
    if len(chosen) < of:
        say(f"{len(chosen)} of {of} runs")


def _row(run: Run) -> tuple[str, ...]:
    values = fields_of(run)
    changed = " ".join(f"{name}={_short(value)}" for name, value in changed_settings(run).items())
    return (
        run.id, _when(run), run.state, shown(values["recipe"]), shown(values["data"]), shown(values.get("accuracy")),
        shown(values.get("log_loss")), shown(values.get("test_accuracy")), f"{run.seconds:.0f} s", changed,
    )  # fmt: skip


def _short(value: Any) -> str:
    return f"{value:.4g}" if isinstance(value, float) else str(value)


def _when(run: Run) -> str:
    return datetime.fromisoformat(run.started).astimezone().strftime("%Y-%m-%d %H:%M")


def shown(value: Any) -> str:
    """A value as a table shows it."""
    if value is None or value == "":
        return NOTHING
    if isinstance(value, float):
        return f"{value:.4f}" if 0.001 <= abs(value) < 10 else f"{value:.4g}"
    return f"{value:,}" if isinstance(value, int) and not isinstance(value, bool) and value >= 10_000 else str(value)


def _show(chosen: Sequence[Run], as_json: bool) -> None:
    if len(chosen) == 1:
        _show_one(chosen[0], as_json)
        return
    found = differences(chosen)
    if as_json:
        give_json({"runs": [run.id for run in chosen], "differ": found})
        return
    if not found:
        say("these runs differ in nothing")
    rows = [("", *(run.id for run in chosen)), ("started", *map(_when, chosen))]
    rows += [(name, *map(shown, values)) for name, values in found.items()]
    for line in columns(rows):
        give(printable(line))


def _show_one(run: Run, as_json: bool) -> None:
    if as_json:
        give_json(run.to_json())
        return
    rows = [(name, shown(value)) for name, value in fields_of(run).items() if value not in (None, "")]
    rows += [("bundle", run.bundle)] if run.bundle else []
    for line in columns(rows):
        give(printable(line))
    if run.history:
        give("")
        entries = [tuple(shown(entry.get(name)) for name in EPOCH) for entry in run.history]
        for line in columns([tuple(name.replace("_", " ") for name in EPOCH), *entries]):
            give(printable(line))
