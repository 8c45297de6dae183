"""`plaudit up`: the whole road in one walk, skipping what has not changed. Knows the order of the steps."""

from __future__ import annotations

import hashlib
import json
import time
from dataclasses import dataclass, field, replace
from functools import cached_property
from pathlib import Path
from typing import Any

import click

from plaudit.bundle.bundle import Bundle
from plaudit.cli.evaluate import judge, write_report
from plaudit.cli.home import work_folder
from plaudit.cli.options import (
    REVIEWS_HELP,
    column_options,
    columns_from,
    examples,
    recipe_options,
    recipe_settings,
)
from plaudit.cli.terminal import give_json, say, track
from plaudit.cli.train import train
from plaudit.cli.web import check_free, serve_road
from plaudit.errors import PlauditError, UsageError
from plaudit.learning.preparing import prepare_for
from plaudit.learning.recipes import DEFAULT, Recipe
from plaudit.text.prepared import Prepared
from plaudit.text.reviews import Reviews
from plaudit.text.sources import SAMPLE, read_reviews, source_state
from plaudit.text.tables import Columns
from plaudit.version import __version__


@dataclass
class Walk:
    """One walk along the road: what was asked, and where each step leaves its result."""

    source: str
    columns: Columns
    recipe_name: str | None
    settings: dict[str, Any]
    seed: int
    started: float = field(default_factory=time.perf_counter)

    @cached_property
    def state(self) -> str:
        return _digest(source_state(self.source, track), repr(self.columns), __version__)

    @cached_property
    def reviews(self) -> Reviews:
        """The reviews, read only when a step needs them."""
        return read_reviews(self.source, self.columns, track, self.recipe.unlabelled > 0)

    @cached_property
    def recipe(self) -> Recipe:
        return Recipe.of(self.recipe_name or DEFAULT, **self.settings)

    @property
    def folder(self) -> Path:
        return work_folder(self.source, self.recipe.name)

    def step(self, name: str, line: str) -> None:
        """Tells that a step has passed."""
        seconds = time.perf_counter() - self.started
        say(f"{name:<9} {line}" + (f"  ({seconds:.1f} s)" if seconds >= 0.05 else ""))
        self.started = time.perf_counter()


@click.command(
    "up",
    help="Walk the whole road: reviews, words, training, evaluation, endpoint, page.\n\n" + REVIEWS_HELP + "\n\n"
    "A step whose input has not changed since the last time is skipped. Ctrl-C stops at any moment and loses"
    " nothing: the same command goes on from there.",
    epilog=examples("plaudit up", "plaudit up imdb", "plaudit up mine.csv --label-column stars"),
)
@click.argument("reviews", default=SAMPLE)
@click.option("--host", default="127.0.0.1", show_default=True, help="Address to listen on.")
@click.option("--port", default=8000, show_default=True, help="Port of the page and the public API.")
@click.option("--seed", default=0, show_default=True, type=click.IntRange(0, 2**31 - 1), help="Seed of all chance.")
@click.option("--no-serve", is_flag=True, help="Stop before the page: leave the bundle and the report.")
@click.option("--json", "as_json", is_flag=True, help="Print the bundle's place and its card as JSON.")
@column_options
@recipe_options
def command(
    reviews: str, host: str, port: int, seed: int, no_serve: bool, as_json: bool, recipe: str | None, **options: Any
) -> None:
    walk = Walk(reviews, columns_from(options), recipe, recipe_settings(options), seed)
    if not no_serve:
        check_free(host, port)
    bundle = along(walk)
    if as_json:
        give_json({"bundle": str(walk.folder / "bundle"), "card": bundle.card.to_json()})
    if not no_serve:
        serve_road(bundle, host, port)


def along(walk: Walk) -> Bundle:
    """Reviews to an evaluated bundle; each step is made, or found unchanged."""
    record = _Record(walk.folder / "steps.json")
    needs = _digest(walk.state, repr(walk.recipe.reading))
    _tell_reviews(walk, record.unchanged("words", needs) is not None)
    data = _words(walk, record, needs)
    needs = _digest(needs, json.dumps(walk.recipe.to_json()), str(walk.seed))
    bundle = _train(walk, record, needs, data)
    return _evaluate(walk, record, needs, bundle)


def _tell_reviews(walk: Walk, unchanged: bool) -> None:
    if unchanged:
        walk.step("reviews", "nothing changed, skipped")
        return
    found = walk.reviews
    walk.step("reviews", f"{found.name}: {len(found.train):,} to train on, {len(found.test):,} held out")


def _words(walk: Walk, record: _Record, needs: str) -> Prepared:
    folder, recipe = walk.folder / "prepared", walk.recipe
    if record.unchanged("words", needs):
        try:
            found = Prepared.load(folder)
        except UsageError:
            say("words     what was prepared is damaged: once more")
        else:
            walk.step("words", "nothing changed, skipped")
            return found
    record.drop("words")
    data = prepare_for(recipe, walk.reviews, track)
    data.save(folder)
    record.done("words", needs)
    line = f"{data.vocabulary.size - 2:,} words have an id, with the {recipe.cleaning} cleaning"
    if data.about.duplicates:
        line += f"; {data.about.duplicates} reviews stand in a held-out part too and are kept out of training"
    walk.step("words", line)
    return data


def _train(walk: Walk, record: _Record, needs: str, data: Prepared) -> Bundle:
    path = walk.folder / "bundle"
    if record.unchanged("train", needs):
        try:
            found = Bundle.load(path)
        except PlauditError as error:
            say(f"train     {error}")
        else:
            walk.step("train", "nothing changed, skipped")
            return found
    record.drop("train")
    say(f"train     recipe {walk.recipe.name}: {data.about.train:,} reviews, {data.about.validation:,} for validation")
    bundle = train(data, walk.recipe, walk.seed, path)
    record.done("train", needs)
    best = bundle.card.training.get("best_epoch")
    epoch = f", from epoch {best}" if best else ""
    walk.step("train", f"{bundle.card.training['parameters']:,} parameters{epoch}, in {path}")
    return bundle


def _evaluate(walk: Walk, record: _Record, needs: str, bundle: Bundle) -> Bundle:
    report = walk.folder / "report.html"
    unchanged = record.unchanged("evaluate", needs) and report.exists() and "test" in bundle.card.metrics
    if not unchanged:
        record.drop("evaluate")
        results = judge(walk.reviews, bundle, explanations=True)
        write_report(results, bundle.card.to_json(), report)
        card = bundle.card.with_metrics("test", results.metrics.summary())
        bundle = replace(bundle, card=card).save(walk.folder / "bundle")
        record.done("evaluate", needs)
    metrics = bundle.card.metrics["test"]
    line = f"accuracy {metrics['accuracy']:.4f} on {metrics['reviews']:,} held-out reviews; {report}"
    walk.step("evaluate", f"nothing changed, skipped: {line}" if unchanged else line)
    return bundle


@dataclass
class _Record:
    """What each step was last made from, so that an unchanged one is skipped."""

    path: Path

    def _read(self) -> dict[str, Any]:
        try:
            found = json.loads(self.path.read_text("utf-8"))
        except (OSError, ValueError):
            return {}
        return found if isinstance(found, dict) else {}

    def unchanged(self, step: str, needs: str) -> str | None:
        """What the step noted when it was made from the same ``needs``; None where it has to be made."""
        entry = self._read().get(step)
        if isinstance(entry, dict) and entry.get("needs") == needs:
            return str(entry.get("made"))
        return None

    def done(self, step: str, needs: str, made: str = "made") -> None:
        self._write({**self._read(), step: {"needs": needs, "made": made}})

    def drop(self, step: str) -> None:
        """Forgets a step before its files are replaced: a stop in between must not leave it looking made."""
        if step in (found := self._read()):
            self._write({name: entry for name, entry in found.items() if name != step})

    def _write(self, found: dict[str, Any]) -> None:
        self.path.parent.mkdir(parents=True, exist_ok=True)
        part = self.path.with_suffix(".part")
        part.write_text(json.dumps(found, indent=2) + "\n", "utf-8")
        part.replace(self.path)


def _digest(*parts: str) -> str:
    return hashlib.sha256("\x1f".join(parts).encode()).hexdigest()
