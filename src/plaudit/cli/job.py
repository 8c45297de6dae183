"""A SageMaker training job seen from inside: where its data lies, where results go, how it ends. Knows no training.

SageMaker lays a job out under /opt/ml (``SAGEMAKER_BASE_DIR`` says otherwise). Its two front ends, the
sagemaker-training toolkit and the SDK's ModelTrainer, start a script with every hyperparameter as ``--name value``
and name the folders in ``SM_*`` variables, not all of them the same: what either of them says is read.
"""

from __future__ import annotations

import os
import shutil
import tempfile
import traceback
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import click

from plaudit.bundle.bundle import MANIFEST, Bundle, free_for_a_bundle
from plaudit.cli.terminal import printable, say
from plaudit.errors import PlauditError, UsageError
from plaudit.text.imdb import is_imdb_folder

CHANNELS = ("train", "training", "reviews")
SIGNS = ("SAGEMAKER_BASE_DIR", "SM_TRAINING_ENV", "SM_MODEL_DIR", *(f"SM_CHANNEL_{name.upper()}" for name in CHANNELS))
SAGEMAKERS_OWN = ("sagemaker_", "_tuning_objective_metric")
FAILURE_CHARACTERS = 1024


@dataclass(frozen=True)
class Job:
    """The folders of one training job. ``checkpoints`` is None where SageMaker's place for them is not there."""

    channels: tuple[Path, ...]
    model: Path
    checkpoints: Path | None
    failure: Path

    @classmethod
    def from_environment(cls, environ: Mapping[str, str]) -> Job | None:
        """The job that this process is part of; None outside of one."""
        base = Path(environ.get("SAGEMAKER_BASE_DIR") or "/opt/ml")
        if not any(environ.get(sign) for sign in SIGNS) and not (base / "input" / "config").is_dir():
            return None

        def place(variable: str, usual: Path) -> Path:
            return Path(environ.get(variable) or usual)

        data = place("SM_INPUT_DATA_DIR", place("SM_INPUT_DIR", base / "input") / "data")
        named = [Path(value) for name in CHANNELS if (value := environ.get(f"SM_CHANNEL_{name.upper()}"))]
        output = place("SM_OUTPUT_DIR", base / "output")
        return cls(
            channels=(*named, *(data / name for name in CHANNELS)),
            model=place("SM_MODEL_DIR", base / "model"),
            checkpoints=base / "checkpoints" if base.is_dir() else None,
            failure=place("SM_OUTPUT_FAILURE", output / "failure"),
        )

    def reviews(self, named: str | None = None) -> str:
        """The reviews in the job's channel; ``named`` is a file in it, or reviews from elsewhere.

        Raises UsageError where there is no channel, or not one file in it.
        """
        channel = next((folder for folder in self.channels if folder.exists()), None)
        if named is not None:
            inside = channel / named if channel is not None else None
            return str(inside if inside is not None and inside.exists() else named)
        if channel is None:
            raise UsageError(
                f"there is no channel with reviews, neither {self.channels[0]} nor another of {', '.join(CHANNELS)}:"
                " give the job one of these channels, or name the reviews with --reviews"
            )
        return str(_the_one_in(channel))

    def save(self, bundle: Bundle, folder: Path) -> Bundle:
        """Writes the bundle into ``folder``, which stays: a container's model folder may be a mount.

        The manifest comes last, so that half a bundle is not taken for a whole one.
        """
        free_for_a_bundle(folder)
        folder.mkdir(parents=True, exist_ok=True)
        (folder / MANIFEST).unlink(missing_ok=True)
        with tempfile.TemporaryDirectory() as scratch:
            made = bundle.save(Path(scratch) / "bundle").path or Path(scratch)
            for file in sorted(made.iterdir(), key=lambda file: file.name == MANIFEST):
                shutil.copyfile(file, folder / file.name)
        return Bundle.load(folder)

    def fail(self, reason: str) -> None:
        """Leaves ``reason`` where SageMaker looks for it, unless a reason stands there: the first one is the cause."""
        with suppress(OSError):
            if self.failure.parent.parent.is_dir():
                self.failure.parent.mkdir(exist_ok=True)
            with self.failure.open("x", encoding="utf-8") as file:
                file.write(ending(reason))


def ending(text: str, characters: int = FAILURE_CHARACTERS) -> str:
    """The last whole lines of ``text`` that fit; of a last line that does not, its beginning."""
    lines = printable(text).strip().splitlines()
    kept: list[str] = []
    for line in reversed(lines):
        if sum(map(len, kept)) + len(kept) + len(line) > characters:
            break
        kept.insert(0, line)
    return "\n".join(kept) or "".join(lines[-1:])[:characters]


def _the_one_in(folder: Path) -> Path:
    if (folder / "prepared.json").exists() or is_imdb_folder(folder):
        return folder
    if folder.is_file():
        return folder
    found = sorted(entry for entry in folder.iterdir() if not entry.name.startswith((".", "_")))
    if len(found) == 1:
        return _the_one_in(found[0]) if found[0].is_dir() else found[0]
    what = f"holds {found[0].name} and {found[1].name}: name one with --reviews" if found else "is empty"
    raise UsageError(f"{folder} {what}; a channel has one file of reviews, the IMDb archive, or a prepared folder")


class JobCommand(click.Command):
    """A command that a training job can run: a failure, be it in a flag, is left where SageMaker looks for it."""

    def make_context(
        self, info_name: str | None, args: list[str], parent: click.Context | None = None, **extra: Any
    ) -> click.Context:
        job = Job.from_environment(os.environ)
        with _failure_reported(job):
            return super().make_context(info_name, args if job is None else _users(args), parent, **extra)

    def invoke(self, ctx: click.Context) -> Any:
        with _failure_reported(Job.from_environment(os.environ)):
            return super().invoke(ctx)


def _users(arguments: Sequence[str]) -> list[str]:
    """The arguments without the hyperparameters that SageMaker adds for itself."""
    kept, left = [], iter(arguments)
    for argument in left:
        name, equals, _ = argument.removeprefix("--").replace("-", "_").partition("=")
        if argument.startswith("--") and name.startswith(SAGEMAKERS_OWN):
            say(f"{argument} is SageMaker's own, and not for the training")
            if not equals:
                next(left, None)
        else:
            kept.append(argument)
    return kept


@contextmanager
def _failure_reported(job: Job | None) -> Iterator[None]:
    try:
        yield
    except (click.exceptions.Exit, click.Abort):
        raise
    except Exception as error:
        if job is not None and not _a_stop(error):
            job.fail(_reason(error))
        raise


def _a_stop(error: Exception) -> bool:
    """Whether a signal ended the work: by custom its number is the exit status, less 128."""
    return isinstance(error, PlauditError) and error.exit_code > 128


def _reason(error: Exception) -> str:
    if isinstance(error, click.ClickException):
        return error.format_message()
    return str(error) if isinstance(error, PlauditError) else "".join(traceback.format_exception(error))
