"""`plaudit tune`: a search for the settings of a recipe, trial by trial. Knows folders and the terminal."""

from __future__ import annotations

import hashlib
import json
import os
import shlex
import signal
from collections.abc import Callable, Mapping, Sequence
from contextlib import suppress
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

import click

from plaudit.bundle.bundle import Bundle
from plaudit.cli import options as shared
from plaudit.cli.home import LEARNING_PARTS, home
from plaudit.cli.runs import kept_run
from plaudit.cli.stopping import stop_asked
from plaudit.cli.terminal import give, give_json, say, track
from plaudit.errors import MissingExtra, UsageError
from plaudit.learning.distributed import World
from plaudit.learning.preparing import prepare_for
from plaudit.learning.recipes import DEFAULT, Recipe
from plaudit.learning.tuning import PRUNERS, Outcome, Search, Span, need_optuna, usual_spans
from plaudit.learning.watch import Interrupted, Watch
from plaudit.text.prepared import Prepared, Reading
from plaudit.text.reviews import Reviews
from plaudit.text.sources import read_reviews

Epoch = Callable[[Sequence[Mapping[str, float]]], None]


@click.command(
    "tune",
    help="Search the settings of a recipe: train with many, stop the hopeless ones early, tell the best.\n\n"
    f"{shared.REVIEWS_HELP}\n\nWhat counts is the log loss of the validation reviews; the held-out reviews are not"
    " looked at. The first trial has the recipe's own settings. Every trial leaves a run (plaudit runs).\n\nStopped or"
    " killed at any moment, the same command goes on; with more --trials it searches further. A setting that is given,"
    " as --epochs, is the same in every trial.",
    epilog=shared.examples(
        "plaudit tune sample --recipe linear --trials 5",
        "plaudit tune sample --recipe original --trials 8 --epochs 3 --search hidden_dim=16..128",
        "plaudit tune sample --recipe original --trials 8 --search layers=1,2 --search learning_rate=0.001..0.01",
    ),
)
@click.argument("reviews")
@click.option("--trials", default=20, show_default=True, type=click.IntRange(1), help="Trials, with earlier ones.")
@click.option(
    "--search", "searched", multiple=True, metavar="SETTING=VALUES",
    help="A setting to search, and where: hidden_dim=64..512 or layers=1,2.  [default: those that the recipe has of"
    " embedding_dim, hidden_dim, vocab_size, layers, dropout, learning_rate, ngrams, strength]",
)  # fmt: skip
@click.option(
    "--pruner", type=click.Choice(PRUNERS), default=PRUNERS[0], show_default=True,
    help="Which trials are hopeless: those behind the median at the same epoch, by successive halving, or none.",
)  # fmt: skip
@click.option("--seed", default=0, show_default=True, type=click.IntRange(0, 2**31 - 1), help="Seed of all chance.")
@click.option("--json", "as_json", is_flag=True, help="Print the trials, the best, and its command as JSON.")
@shared.column_options
@shared.recipe_options
def command(
    reviews: str,
    trials: int,
    searched: tuple[str, ...],
    pruner: str,
    seed: int,
    as_json: bool,
    recipe: str | None,
    **options: Any,
) -> None:
    columns, fixed = shared.columns_from(options), shared.recipe_settings(options)
    if Recipe.of(recipe or DEFAULT).few:
        fixed = {"few": 0, **fixed}  # what is searched has to be trained
    own = Recipe.of(recipe or DEFAULT, **fixed)
    spans = _spans(own, searched, fixed)
    _check(reviews)
    desk = Desk(read_reviews(reviews, columns, track), own, seed)
    place = home() / "tune" / "studies.db"
    search = Search(place, own, spans, desk.reviews.fingerprint, seed=seed, pruner=pruner)
    desk.study = search.name
    over = "  ".join(f"{span.setting} {span}" for span in spans)
    say(f"study {search.name}, recipe {own.name}, over {over}")
    if earlier := len(search.outcomes()):
        say(f"going on after {earlier} of {trials} trials")
    _walk(search, trials, desk)
    again = ["plaudit", "train", reviews, "--recipe", own.name, "--seed", str(seed)]
    _tell(search, again, fixed, shared.column_flags(columns), as_json)


def _spans(recipe: Recipe, searched: Sequence[str], fixed: Mapping[str, Any]) -> list[Span]:
    """What is searched. Raises UsageError for a setting that is named twice, or given as well."""
    named = [Span.parse(text) for text in searched]
    several = [span.setting for span in named]
    for setting in several:
        if setting in fixed or several.count(setting) > 1:
            raise UsageError(
                f"{setting} is given twice: name it once, to search it or as --{setting.replace('_', '-')}"
            )
    spans = named or [span for span in usual_spans(recipe) if span.setting not in fixed]
    if not spans:
        raise UsageError("there is nothing left to search: name a setting, as in --search hidden_dim=64..512")
    for span in spans:
        span.check(recipe)
    return spans


def _check(reviews: str) -> None:
    """What would otherwise fail only after the reviews are read."""
    need_optuna()
    if World.from_environment(os.environ).size > 1:
        raise UsageError("a search is one process: start plaudit tune without torchrun, as often as you like")
    if (Path(reviews) / "prepared.json").exists():
        raise UsageError(f"{reviews} is prepared in one way, and a search prepares for itself: name the reviews")
    try:
        import plaudit.learning.fitting  # noqa: F401
    except ModuleNotFoundError as error:
        if error.name in LEARNING_PARTS:
            raise MissingExtra("Training", "train") from None
        raise


@dataclass
class Desk:
    """Where trials are trained: the reviews, prepared once for each way of reading them."""

    reviews: Reviews
    recipe: Recipe
    seed: int
    study: str = ""
    _prepared: dict[Reading, Prepared] = field(default_factory=dict)

    def data(self, recipe: Recipe) -> Prepared:
        if recipe.reading not in self._prepared:
            self._prepared[recipe.reading] = prepare_for(recipe, self.reviews, track)
        return self._prepared[recipe.reading]

    def fit(self, recipe: Recipe, number: int, epoch: Epoch, stop: Callable[[], bool]) -> Bundle:
        """One trial. Its checkpoint stays only where it was interrupted, and so may go on."""
        from plaudit.learning.checkpoint import remove as remove_checkpoint
        from plaudit.learning.fitting import fit

        changed = {name: value for name, value in recipe.to_json().items() if value != self.recipe.to_json()[name]}
        shown = ", ".join(f"{name} {value}" for name, value in changed.items()) or "the recipe's own settings"
        say(f"trial {number}: {shown}")
        data = self.data(recipe)
        digest = hashlib.sha256(json.dumps(recipe.to_json(), sort_keys=True).encode()).hexdigest()[:12]
        folder = home() / "tune" / self.study / digest
        kept = False
        try:
            with kept_run(True, data.about, recipe, self.seed, folder, {"study": self.study}) as run:
                assert run is not None

                def ended(entry: Mapping[str, float]) -> None:
                    run.epoch(entry)
                    epoch(run.run.history)

                watch = Watch(lambda line: say(f"  {line}"), track, stop, ended)
                bundle = fit(data, recipe, self.seed, folder=folder, watch=watch)
                run.finish(bundle)
        except (Interrupted, KeyboardInterrupt):
            kept = True
            raise
        finally:
            if not kept:
                remove_checkpoint(folder)
            for empty in (folder, folder.parent):
                with suppress(OSError):
                    empty.rmdir()
        return bundle


def _walk(search: Search, trials: int, desk: Desk) -> None:
    """Trial by trial until there are enough, or until somebody stops it."""
    with stop_asked() as asked:
        fit = lambda recipe, number, epoch: desk.fit(recipe, number, epoch, lambda: bool(asked))  # noqa: E731
        try:
            for outcome in search.run(trials, fit):
                _tell_trial(search, outcome, trials)
                if asked and len(search.outcomes()) < trials:
                    raise Interrupted("stopped between two trials: run the same command to go on")
        except Interrupted as stopped:
            stopped.exit_code = 128 + (asked or [signal.SIGTERM])[0]
            raise


def _tell_trial(search: Search, outcome: Outcome, trials: int) -> None:
    ended, best = search.outcomes(), search.best()
    mean = sum(found.seconds for found in ended) / len(ended)
    left = mean * (trials - len(ended))
    if outcome.state == "finished":
        line = f"validation loss {outcome.worth:.4f}, accuracy {outcome.notes['accuracy']:.4f}"
    else:
        line = str(outcome.notes.get("reason", outcome.state))
    if best is not None:
        line += f"; best: trial {best.number} with {best.worth:.4f}"
    remaining = f"; about {left:.0f} s left" if left < 100 else f"; about {left / 60:.0f} min left"
    say(f"  {line}" + f"; {len(ended)}/{trials}" + (remaining if len(ended) < trials else ""))


def _tell(search: Search, again: list[str], fixed: Mapping[str, Any], columns: str, as_json: bool) -> None:
    """The best settings, and the command that trains with them."""
    best = search.best()
    if best is None:
        reasons = {str(found.notes.get("reason")) for found in search.outcomes()}
        raise UsageError(f"no trial was finished ({'; '.join(sorted(reasons))}): search elsewhere with --search")
    chosen = search.settings(best.settings)
    flags = [
        part for name, value in {**fixed, **chosen}.items() for part in ("--" + name.replace("_", "-"), str(value))
    ]
    line = shlex.join([*again, *flags]) + columns + " --out bundle"
    if as_json:
        trials = [asdict(found) for found in search.outcomes()]
        figures = {"log_loss": best.worth, "accuracy": best.notes["accuracy"]}
        own = {"trial": best.number, "settings": chosen, "validation": figures}
        give_json({"study": search.name, "trials": trials, "best": own, "command": line})
        return
    figures_told = f"validation loss {best.worth:.4f}, accuracy {best.notes['accuracy']:.4f}"
    say(f"best of {len(search.outcomes())}: trial {best.number}, {figures_told}")
    for name, value in chosen.items():
        give(f"{name} {value}")
    say(f"its runs: plaudit runs --where study={search.name} --sort log_loss; to train with these settings:")
    give(line)
