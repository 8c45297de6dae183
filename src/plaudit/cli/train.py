"""`plaudit train`: reviews to a bundle. Knows signals and folders; the training itself is in `learning`."""

from __future__ import annotations

import signal
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import asdict
from pathlib import Path
from typing import Any

import click

from plaudit.bundle.bundle import Bundle, free_for_a_bundle
from plaudit.cli import options as shared
from plaudit.cli.home import LEARNING_PARTS
from plaudit.cli.terminal import give_json, say, track
from plaudit.errors import MissingExtra, UsageError
from plaudit.learning.recipes import Recipe, fitting
from plaudit.text.prepared import Prepared, prepare
from plaudit.text.sources import read_reviews


@click.command(
    "train",
    help=f"Train a recipe on reviews and write a bundle.\n\n{shared.REVIEWS_HELP} A folder that plaudit prepare wrote"
    " will do as well.\n\nKilled at any moment, the same command goes on from the last checkpoint.",
    epilog=shared.examples(
        "plaudit train sample --out bundle", "plaudit train sample --out bundle --epochs 3 --hidden-dim 64 --seed 7"
    ),
)
@click.argument("reviews")
@click.option("--out", type=shared.folder, default=Path("bundle"), show_default=True, help="Folder of the bundle.")
@click.option("--seed", default=0, show_default=True, type=click.IntRange(0, 2**31 - 1), help="Seed of all chance.")
@click.option("--json", "as_json", is_flag=True, help="Print the bundle's card as JSON.")
@shared.column_options
@shared.recipe_options
def command(reviews: str, out: Path, seed: int, as_json: bool, recipe: str | None, **options: Any) -> None:
    columns, settings = shared.columns_from(options), shared.recipe_settings(options)
    out = free_for_a_bundle(out)
    if (Path(reviews) / "prepared.json").exists():
        data = Prepared.load(Path(reviews))
        chosen = _as_prepared(data, recipe, settings)
    else:
        found = read_reviews(reviews, columns, track)
        chosen = Recipe.of(recipe or fitting(len(found.train)), **settings)
        data = prepare(found, chosen.reading, track)
    if data.about.duplicates:
        say(f"{data.about.duplicates} reviews are kept out of training: their text stands in a held-out part")
    say(f"recipe {chosen.name}: {data.about.train:,} reviews, {data.about.validation:,} for validation")
    bundle = train(data, chosen, seed, out)
    if as_json:
        give_json(bundle.card.to_json())
    else:
        say(f"bundle in {out}; next: plaudit evaluate {data.about.origin} --bundle {out}{shared.column_flags(columns)}")


def train(data: Prepared, recipe: Recipe, seed: int, out: Path) -> Bundle:
    """Trains with a checkpoint beside ``out`` and writes the bundle there. Ctrl-C and SIGTERM stop it cleanly."""
    out = free_for_a_bundle(out)
    try:
        from plaudit.learning.checkpoint import remove as remove_checkpoint
        from plaudit.learning.training import Training, Watch
    except ModuleNotFoundError as error:
        if error.name in LEARNING_PARTS:
            raise MissingExtra("Training", "train") from None
        raise
    checkpoints = out.with_name(out.name + ".checkpoint")
    with _stop_asked() as stop:
        watch = Watch(lambda line: say(f"  {line}"), track, stop)
        bundle = Training(data, recipe, seed, checkpoints, watch).run().save(out)
    remove_checkpoint(checkpoints)
    return bundle


def _as_prepared(data: Prepared, name: str | None, settings: dict[str, Any]) -> Recipe:
    """The recipe, reading texts as they were prepared. Raises UsageError where a flag says otherwise."""
    reading = asdict(data.about.reading)
    for setting, value in reading.items():
        if settings.get(setting, value) != value:
            flag = setting.replace("_", "-")
            raise UsageError(f"the reviews were prepared with {setting} {value}: prepare them again with --{flag}")
    return Recipe.of(name or fitting(data.about.reviews), **{**settings, **reading})


@contextmanager
def _stop_asked() -> Iterator[Callable[[], bool]]:
    """Whether Ctrl-C or SIGTERM came; a second one stops at once."""
    asked: list[int] = []

    def handler(number: int, frame: object) -> None:
        if asked:
            raise KeyboardInterrupt
        asked.append(number)
        say("\nstopping after this batch …")

    before = {number: signal.signal(number, handler) for number in (signal.SIGINT, signal.SIGTERM)}
    try:
        yield lambda: bool(asked)
    finally:
        for number, previous in before.items():
            signal.signal(number, previous)
