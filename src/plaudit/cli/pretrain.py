"""`plaudit pretrain`: texts without labels to an encoder. Knows signals and folders; the work is in `learning`."""

from __future__ import annotations

import shutil
from dataclasses import fields
from pathlib import Path
from typing import Any

import click

from plaudit.cli import options as shared
from plaudit.cli.home import LEARNING_PARTS
from plaudit.cli.stopping import stop_asked
from plaudit.cli.terminal import give_json, say, track
from plaudit.errors import MissingExtra
from plaudit.learning.schedule import DIRECTIONS, Schedule, VectorSettings
from plaudit.text.prepared import language_texts
from plaudit.text.sources import read_reviews

VALIDATION = 0.1
"""The recipes' own share: what they validate on is not read."""
SETTINGS = {
    "vocab_size": "Ids in the vocabulary, two of them reserved.",
    "embedding_dim": "Numbers a word becomes.",
    "hidden_dim": "Size of the LSTM's state.",
    "epochs": "Passes over the texts.",
    "learning_rate": "Adam's highest learning rate.",
}


def _settings(command: Any) -> Any:
    usual = {setting.name: setting.default for setting in fields(Schedule)}
    for name, help in SETTINGS.items():
        flag = "--" + name.replace("_", "-")
        command = click.option(flag, default=usual[name], show_default=True, help=help)(command)
    return command


@click.command(
    "pretrain",
    help=f"Learn a language from texts, labels unread: write the encoder that training starts from.\n\n"
    f"{shared.REVIEWS_HELP} The training half is learnt from, but for the tenth that validates trainings, and IMDb's"
    " 50,000 reviews without a label; no text of the test half is.\n\nPlaudit comes with an encoder made by `plaudit"
    " pretrain imdb`. Killed at any moment, the same command goes on from the last checkpoint, ten minutes back.",
    epilog=shared.examples(
        "plaudit pretrain imdb --out encoder", "plaudit pretrain mine.jsonl --out mine --epochs 10",
    ),
)  # fmt: skip
@click.argument("reviews")
@click.option("--out", type=shared.folder, default=Path("encoder"), show_default=True, help="Folder of the encoder.")
@click.option("--seed", default=0, show_default=True, type=click.IntRange(0, 2**31 - 1), help="Seed of all chance.")
@click.option(
    "--vector-epochs",
    default=VectorSettings().epochs,
    show_default=True,
    type=click.IntRange(0, 10_000),
    help="Passes that find each text's document vector, which LSTMs then learn to infer: a few hundred labels then"
    " teach more. 0: none, and no 'pretrain' extra needed.",
)
@click.option(
    "--direction",
    default="forward",
    show_default=True,
    type=click.Choice([*DIRECTIONS, "both"]),
    help="Which way it reads a text: that of the trainings that start from it.",
)
@click.option("--json", "as_json", is_flag=True, help="Print the encoder's card as JSON.")
@_settings
@shared.column_options
def command(
    reviews: str, out: Path, seed: int, vector_epochs: int, direction: str, as_json: bool, **options: Any
) -> None:
    columns = shared.columns_from(options)
    try:
        from plaudit.learning.pretrained import free_for_an_encoder
        from plaudit.learning.pretraining import HELD_OUT, Corpus, pretrain
        from plaudit.learning.watch import Watch

        if vector_epochs:
            from plaudit.learning.vector_regression import with_vectors
    except ModuleNotFoundError as error:
        if error.name in LEARNING_PARTS:
            raise MissingExtra("Pretraining", "train") from None
        if error.name == "numba":
            raise MissingExtra("Pretraining with document vectors", "pretrain") from None
        raise
    schedule = Schedule(**options)
    free_for_an_encoder(out)
    texts = language_texts(read_reviews(reviews, columns, track, unlabelled=True), VALIDATION)
    corpus = Corpus.of(texts, schedule, track)
    say(f"{corpus.learnt:,} texts to learn from, {corpus.vocabulary.size:,} ids")
    checkpoints = out.with_name(out.name + ".checkpoint")
    with stop_asked() as asked:
        watch = Watch(lambda line: say(f"  {line}"), track, lambda: bool(asked))
        directions = DIRECTIONS if direction == "both" else (direction,)
        made = pretrain(corpus, schedule, seed, checkpoints, watch, directions=directions)
        if vector_epochs:
            how = VectorSettings(epochs=vector_epochs)
            made = with_vectors(made, corpus.texts, how, held=HELD_OUT, seed=seed, folder=checkpoints, watch=watch)
    made.save(out)
    shutil.rmtree(checkpoints)
    say(f"encoder in {out}; next: plaudit train {reviews} --start {out}")
    if as_json:
        give_json(dict(made.card))
