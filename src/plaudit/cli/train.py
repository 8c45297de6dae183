"""`plaudit train`: reviews to a bundle. Knows signals and folders; the training itself is in `learning`."""

from __future__ import annotations

import os
import signal
from contextlib import suppress
from dataclasses import asdict, replace
from pathlib import Path
from typing import Any

import click

from plaudit.bundle.bundle import Bundle, free_for_a_bundle
from plaudit.cli import options as shared
from plaudit.cli.home import LEARNING_PARTS
from plaudit.cli.job import Job, JobCommand
from plaudit.cli.runs import kept_run
from plaudit.cli.stopping import stop_asked
from plaudit.cli.terminal import give_json, say, track
from plaudit.cli.train_on import sagemaker_from, sagemaker_options, train_on_sagemaker
from plaudit.errors import MissingExtra, UsageError
from plaudit.learning.distributed import World
from plaudit.learning.preparing import prepare_for
from plaudit.learning.recipes import DEFAULT, Recipe
from plaudit.progress import quiet
from plaudit.text.prepared import Prepared
from plaudit.text.sources import read_reviews


@click.command(
    "train",
    cls=JobCommand,
    help=f"Train a recipe on reviews and write a bundle.\n\n{shared.REVIEWS_HELP} A folder that plaudit prepare wrote"
    " will do as well.\n\nKilled at any moment, the same command goes on from the last checkpoint.\n\nIn a SageMaker"
    " training job REVIEWS are those of the job's channel, and what is made goes where SageMaker collects it. Under"
    " torchrun every process takes its share of each batch.\n\n--on sagemaker sends the reviews and this package to"
    " AWS, trains there, fetches the bundle and says what it cost.",
    epilog=shared.examples(
        "plaudit train sample --out bundle",
        "plaudit train sample --out bundle --epochs 3 --hidden-dim 64 --seed 7",
        "plaudit train sample --on sagemaker --spot --plan",
    ),
)
@click.argument("reviews", required=False)
@click.option("--reviews", "named", metavar="REVIEWS", help="The same as REVIEWS, or a file's name in a job's channel.")
@click.option("--out", type=shared.folder, help="Folder of the bundle.  [default: bundle; in a job its model folder]")
@click.option(
    "--checkpoints", type=shared.folder, help="Folder of the checkpoint.  [default: beside --out; in a job its own]"
)
@click.option("--seed", default=0, show_default=True, type=click.IntRange(0, 2**31 - 1), help="Seed of all chance.")
@click.option("--json", "as_json", is_flag=True, help="Print the bundle's card, or the plan, as JSON.")
@shared.column_options
@sagemaker_options
@shared.recipe_options
def command(
    reviews: str | None,
    named: str | None,
    out: Path | None,
    checkpoints: Path | None,
    seed: int,
    as_json: bool,
    recipe: str | None,
    **options: Any,
) -> None:
    job, leads = Job.from_environment(os.environ), World.from_environment(os.environ).leads
    columns, settings = shared.columns_from(options), shared.recipe_settings(options)
    if elsewhere := sagemaker_from(options):
        there = out or Path("bundle")
        made = train_on_sagemaker(reviews or named, columns, recipe, settings, seed, there, elsewhere)
        if made and as_json:
            give_json(made.card.to_json())
        return
    reviews = _source(reviews, named, job)
    out = free_for_a_bundle(out or (job.model if job else Path("bundle")))
    follow = track if leads else quiet
    if (Path(reviews) / "prepared.json").exists():
        data = Prepared.load(Path(reviews))
        chosen = _as_prepared(data, recipe, settings)
    else:
        chosen = Recipe.of(recipe or DEFAULT, **settings)
        found = read_reviews(reviews, columns, follow, chosen.unlabelled > 0)
        data = prepare_for(chosen, found, follow)
    if leads and data.about.duplicates:
        say(f"{data.about.duplicates} reviews are kept out of training: their text stands in a held-out part")
    if leads:
        say(f"recipe {chosen.name}: {data.about.train:,} reviews, {data.about.validation:,} for validation")
    bundle = train(data, chosen, seed, out, checkpoints, job)
    if leads and as_json:
        give_json(bundle.card.to_json())
    elif leads:
        next_step = f"plaudit evaluate {data.about.origin} --bundle {out}{shared.column_flags(columns)}"
        say(f"bundle in {out}" + ("" if job else f"; next: {next_step}"))


def _source(reviews: str | None, named: str | None, job: Job | None) -> str:
    """What to train on: what was named, else a job's channel."""
    if reviews is not None and named is not None:
        raise UsageError(f"give the reviews once, as {reviews} or as --reviews {named}")
    if reviews is not None:
        return reviews
    if job is not None:
        return job.reviews(named)
    if named is None:
        raise UsageError("name the reviews: plaudit train sample, or plaudit train with a file of your own")
    return named


def train(
    data: Prepared, recipe: Recipe, seed: int, out: Path, checkpoints: Path | None = None, job: Job | None = None
) -> Bundle:
    """Trains with a checkpoint in ``checkpoints`` and writes the bundle to ``out``.

    Ctrl-C and SIGTERM stop it cleanly. Every process that torchrun started calls it; the first one writes.
    """
    out = free_for_a_bundle(out)
    try:
        from plaudit.learning.checkpoint import remove as remove_checkpoint
        from plaudit.learning.fitting import fit
        from plaudit.learning.watch import Interrupted, Watch
    except ModuleNotFoundError as error:
        if error.name in LEARNING_PARTS:
            raise MissingExtra("Training", "train") from None
        raise
    beside = out.with_name(out.name + ".checkpoint")
    folder = checkpoints or (job.checkpoints if job else None) or beside
    with (
        World.from_environment(os.environ).joined() as world,
        stop_asked(world.leads, world.size == 1) as asked,
        kept_run(world.leads and job is None, data.about, recipe, seed, folder) as run,
    ):
        watch = Watch(stop=lambda: bool(asked))
        if world.leads:
            watch = replace(watch, say=lambda line: say(f"  {line}"), track=track)
        if run:
            watch = replace(watch, epoch=run.epoch)
        try:
            bundle = fit(data, recipe, seed, folder=folder, watch=watch, world=world)
        except Interrupted as stopped:
            stopped.exit_code = 128 + (asked or [signal.SIGTERM])[0]
            raise
        if world.leads:
            bundle = job.save(bundle, out) if job else bundle.save(out)
            if run:
                run.finish(bundle)
            remove_checkpoint(folder)
        if world.leads and folder == beside:
            with suppress(OSError):
                folder.rmdir()
    return bundle


def _as_prepared(data: Prepared, name: str | None, settings: dict[str, Any]) -> Recipe:
    """The recipe, reading texts as they were prepared. Raises UsageError where a flag says otherwise."""
    reading = asdict(data.about.reading)
    for setting, value in reading.items():
        if settings.get(setting, value) != value:
            flag = setting.replace("_", "-")
            raise UsageError(f"the reviews were prepared with {setting} {value}: prepare them again with --{flag}")
    return Recipe.of(name or DEFAULT, **{**settings, **reading})
