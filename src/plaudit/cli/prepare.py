"""`plaudit prepare`: reviews to words and ids. Knows no training."""

from __future__ import annotations

from dataclasses import asdict
from pathlib import Path
from typing import Any

import click

from plaudit.cli import options as shared
from plaudit.cli.terminal import give_json, say, track
from plaudit.learning.preparing import prepare_for
from plaudit.learning.recipes import DEFAULT, Recipe
from plaudit.text.prepared import export_csv, free_for_preparation
from plaudit.text.sources import read_reviews


@click.command(
    "prepare",
    help=f"Clean and encode the training reviews, once, for plaudit train.\n\n{shared.REVIEWS_HELP}",
    epilog=shared.examples("plaudit prepare sample --out prepared", "plaudit prepare imdb --out imdb --export csv"),
)
@click.argument("reviews")
@click.option("--out", type=shared.folder, default=Path("prepared"), show_default=True, help="Folder to write.")
@click.option("--export", type=click.Choice(["csv"]), help="Write the original's train.csv too: label, length, ids.")
@click.option("--json", "as_json", is_flag=True, help="Print what was prepared as JSON.")
@shared.column_options
@shared.reading_options
def command(reviews: str, out: Path, recipe: str | None, export: str | None, as_json: bool, **options: Any) -> None:
    free_for_preparation(out)
    columns, chosen = shared.columns_from(options), Recipe.of(recipe or DEFAULT, **shared.recipe_settings(options))
    found = read_reviews(reviews, columns, track, chosen.unlabelled > 0)
    data = prepare_for(chosen, found, track)
    data.save(out)
    say(f"{out}: {data.about.train:,} reviews to train on, {data.about.validation:,} for validation")
    if data.about.duplicates:
        say(f"{data.about.duplicates} reviews are kept out of training: their text stands in a held-out part")
    if export:
        export_csv(found, out / "train.csv", chosen.vocab_size, chosen.max_words, track)
        say(f"{out / 'train.csv'}: all {len(found.train):,} training reviews as label, length and ids")
    if as_json:
        give_json(asdict(data.about))
    else:
        say(f"next: plaudit train {out} --recipe {chosen.name}")
