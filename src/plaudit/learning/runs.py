"""Runs: what every training leaves behind, one readable file each. Knows a folder; no command line, and no torch."""

from __future__ import annotations

import json
import os
import secrets
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager, suppress
from dataclasses import asdict, dataclass, field, fields, replace
from pathlib import Path
from typing import Any

from plaudit.bundle.bundle import CARD, Bundle
from plaudit.bundle.card import Card
from plaudit.errors import UsageError
from plaudit.learning.machine import alive, machine, process_mark
from plaudit.learning.recipes import Recipe
from plaudit.text.prepared import Preparation

STATES = ("running", "finished", "stopped", "failed")
OF_THE_DATA = ("name", "origin", "fingerprint", "labels", "train", "validation", "test", "duplicates")
OF_THE_TRAINING = ("parameters", "best_epoch", "arithmetic")
Figures = Mapping[str, Any]


@dataclass(frozen=True)
class Run:
    """One training: what it was given, how it went, and what came of it.

    ``started`` is UTC in ISO 8601; ``seconds`` are those of all processes that worked on it, one after another.
    ``history`` has an entry an epoch; ``metrics`` figures by split. ``bundle`` and ``checkpoints`` are paths.
    ``reason`` says why it stopped or failed. ``process`` marks the one that trains, or did last.
    """

    id: str
    started: str
    state: str
    recipe: Figures
    data: Figures
    seed: int
    history: tuple[Figures, ...] = ()
    metrics: Mapping[str, Figures] = field(default_factory=dict)
    training: Figures = field(default_factory=dict)
    seconds: float = 0.0
    machine: Figures = field(default_factory=dict)
    bundle: str | None = None
    checkpoints: str | None = None
    tags: Mapping[str, str] = field(default_factory=dict)
    reason: str = ""
    process: str = ""

    def to_json(self) -> dict[str, Any]:
        return {**asdict(self), "history": list(self.history)}

    @classmethod
    def from_json(cls, found: Mapping[str, Any]) -> Run:
        """Raises ValueError for what is not a run. Fields of a newer version are left aside."""
        known = {entry.name: found[entry.name] for entry in fields(cls) if entry.name in found}
        try:
            run = cls(**{**known, "history": tuple(known.get("history", ()))})
        except TypeError as error:
            raise ValueError(str(error)) from None
        if run.state not in STATES or not all(isinstance(part, dict) for part in (run.recipe, run.data, run.metrics)):
            raise ValueError("a field is of the wrong kind")
        return run

    def finished(self, card: Card, bundle: Path | None) -> Run:
        """The run with what its bundle's card says."""
        return replace(
            self,
            state="finished",
            reason="",
            recipe=dict(card.recipe),
            history=tuple(card.training.get("history", self.history)),
            metrics=dict(card.metrics),
            training={name: card.training[name] for name in OF_THE_TRAINING if name in card.training},
            bundle=str(bundle) if bundle else None,
        )


@dataclass(frozen=True)
class Runs:
    """The runs in a folder, a file each. ``tell`` gets a sentence about a file that is not one."""

    folder: Path
    tell: Callable[[str], None] = lambda sentence: None

    def all(self) -> list[Run]:
        """Every run, newest first. One whose process is gone is no longer running."""
        found = []
        for path in self.folder.glob("*.json"):
            try:
                found.append(_now(Run.from_json(json.loads(path.read_text("utf-8")))))
            except (OSError, ValueError, AttributeError) as error:
                self.tell(f"{path} is left aside, it is not a run: {error}")
        return sorted(found, key=lambda run: (run.started, run.id), reverse=True)

    def find(self, id: str) -> Run:
        """The run whose id begins so. Raises UsageError where none does, or several do."""
        found = [run for run in self.all() if run.id.startswith(id)]
        if not found or not id:
            raise UsageError(f"there is no run {id!r} in {self.folder}: plaudit runs lists those there are")
        if len(found) > 1:
            raise UsageError(f"{id} begins the ids of {len(found)} runs, {found[0].id} and {found[1].id}: give more")
        return found[0]

    def save(self, run: Run) -> None:
        """Writes the run beside its file and swaps them, so that a stop leaves the old one or the new."""
        self.folder.mkdir(parents=True, exist_ok=True)
        part = self.folder / f".{run.id}.part"
        part.write_text(json.dumps(run.to_json(), indent=2, ensure_ascii=False) + "\n", "utf-8")
        part.replace(self.folder / f"{run.id}.json")

    def add(self, bundle: Bundle) -> Run:
        """The run of a bundle that was trained elsewhere, from its card; the one that is there, if it is known."""
        for run in self.all():
            if _made(run, bundle.card):
                return run
        card = bundle.card
        machine = {name: value for name, value in card.versions.items() if name in ("python", "torch", "plaudit")}
        empty = Run(
            id=secrets.token_hex(4),
            started=f"{card.training.get('date', '1970-01-01')}T00:00:00Z",
            state="finished",
            recipe=card.recipe,
            data={**card.data, "labels": list(card.labels)},
            seed=int(card.training.get("seed", 0)),
            seconds=float(card.training.get("seconds", 0)),
            machine=machine,
        )
        added = empty.finished(card, bundle.path.resolve() if bundle.path else None)
        self.save(added)
        return added

    def with_tests(self) -> list[Run]:
        """Every run, with the figures that its bundle's card got since: those of the test half come later."""
        return [self._looked_up(run) for run in self.all()]

    def _looked_up(self, run: Run) -> Run:
        if run.bundle is None or run.state != "finished" or "test" in run.metrics:
            return run
        try:
            card = Card.from_json(json.loads((Path(run.bundle) / CARD).read_text("utf-8")))
        except (OSError, ValueError):
            return run
        if "test" not in card.metrics or not _made(run, card):
            return run
        newer = replace(run, metrics=dict(card.metrics))
        with suppress(OSError):
            self.save(newer)
        return newer


class Recording:
    """A run that is being written: `epoch` after every epoch, `finish` at the end; `recording` makes one."""

    def __init__(self, runs: Runs, run: Run, listen: Callable[[Run], None]) -> None:
        self.run, self._runs, self._listen = run, runs, listen
        self._started, self._before, self._writable = time.perf_counter(), run.seconds, True
        self.change()

    def epoch(self, entry: Mapping[str, float]) -> None:
        """Takes what an epoch measured. One that is trained again takes the place of the earlier one."""
        earlier = (old for old in self.run.history if old.get("epoch", 0) < entry.get("epoch", float("inf")))
        self.change(history=(*earlier, dict(entry)))

    def finish(self, bundle: Bundle) -> None:
        """Takes what the trained bundle's card says."""
        self.run = self.run.finished(bundle.card, bundle.path)
        self.change()

    def change(self, **values: Any) -> None:
        """Writes the run with some fields changed. A training goes on where it cannot be written, and that is told."""
        seconds = round(self._before + time.perf_counter() - self._started, 1)
        self.run = replace(self.run, seconds=seconds, **values)
        if not self._writable:
            return
        try:
            self._runs.save(self.run)
        except OSError as error:
            self._writable = False
            self._runs.tell(f"this training leaves no run: {self._runs.folder}: {error.strerror or error}")
        self._listen(self.run)


@contextmanager
def recording(
    runs: Runs,
    about: Preparation,
    recipe: Recipe,
    seed: int,
    *,
    checkpoints: Path | None = None,
    tags: Mapping[str, str] | None = None,
    listen: Callable[[Run], None] = lambda run: None,
) -> Iterator[Recording]:
    """A run for as long as the block trains. It is finished where `Recording.finish` was called, else it says why not.

    A training that goes on from what is in ``checkpoints`` keeps its run. ``listen`` gets the run whenever it changes.
    """
    run = Run(
        id=secrets.token_hex(4),
        started=time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime()),
        state="running",
        recipe=recipe.to_json(),
        data=json.loads(json.dumps({name: value for name, value in asdict(about).items() if name in OF_THE_DATA})),
        seed=seed,
        machine=machine(),
        checkpoints=str(checkpoints.resolve()) if checkpoints else None,
        tags=dict(tags or {}),
        process=process_mark(os.getpid()),
    )
    kept = Recording(runs, _continued(runs, run), listen)
    try:
        yield kept
    except BaseException as error:
        state = "stopped" if a_stop(error) else "failed"
        kept.change(state=state, reason=(str(error) or type(error).__name__).splitlines()[0])
        raise
    if kept.run.state == "running":
        kept.change(state="stopped", reason="it ended without a bundle")


def a_stop(error: BaseException) -> bool:
    """Whether somebody ended the work rather than a fault: by custom the exit status is then above 128."""
    return not isinstance(error, Exception) or getattr(error, "exit_code", 1) > 128


def _now(run: Run) -> Run:
    if run.state != "running" or alive(run.process):
        return run
    return replace(run, state="stopped", reason="its process was ended from outside")


def _made(run: Run, card: Card) -> bool:
    """Whether this very training made the bundle with this card: its epochs took the same times."""
    own = (list(run.history), run.recipe, run.seed, run.data.get("fingerprint"), run.metrics.get("validation"))
    training, metrics = card.training, card.metrics
    return own == (
        list(training.get("history", [])), card.recipe, training.get("seed", run.seed), card.data.get("fingerprint"),
        metrics.get("validation"),
    )  # fmt: skip


def _continued(runs: Runs, run: Run) -> Run:
    """The earlier run of the same training, if it left a checkpoint to go on from; else ``run``."""
    folder = Path(run.checkpoints) if run.checkpoints else None
    if folder is None or not folder.is_dir() or not any(folder.iterdir()):
        return run
    same = (run.recipe, run.data["fingerprint"], run.seed, run.checkpoints, run.tags)
    for old in runs.all():
        is_same = (old.recipe, old.data.get("fingerprint"), old.seed, old.checkpoints, old.tags) == same
        if is_same and old.state in ("stopped", "failed"):
            return replace(old, state="running", reason="", machine=run.machine, process=run.process)
    return run
