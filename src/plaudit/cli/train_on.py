"""`plaudit train --on sagemaker`: the same training on AWS's machines. Knows options and talk, no call of AWS's."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, fields
from datetime import date
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypeVar

import click

from plaudit.bundle.bundle import Bundle, free_for_a_bundle
from plaudit.cli.aws import account_from, account_options, columns, image_option
from plaudit.cli.terminal import give, give_json, say, track
from plaudit.errors import UsageError
from plaudit.text.tables import Columns

if TYPE_CHECKING:
    from plaudit.places.aws.account import Account
    from plaudit.places.aws.training_job import TrainingPlan
    from plaudit.places.aws.watching import Job

F = TypeVar("F", bound=Callable[..., Any])
INSTANCE = "ml.m5.xlarge"
MAX_HOURS = 4.0
OF_ANY_JOB = frozenset("region profile keep attach stop".split())
"""What may be said beside --attach or --stop."""


@dataclass(frozen=True)
class OnSageMaker:
    """What was asked of SageMaker; ``attach`` and ``stop`` are names of jobs that were started before."""

    instance: str = INSTANCE
    count: int = 1
    spot: bool = False
    max_hours: float = MAX_HOURS
    image: str | None = None
    role: str | None = None
    region: str | None = None
    profile: str | None = None
    plan: bool = False
    keep: bool = False
    attach: str | None = None
    stop: str | None = None


def sagemaker_options(command: F) -> F:
    """--on sagemaker, and what it needs to know."""
    for option in (
        click.option("--keep", is_flag=True, help="Leave the job's data, checkpoint and log on AWS."),
        click.option("--plan", is_flag=True, help="Print the job and what it costs at most; call nothing."),
        account_options,
        click.option("--role", metavar="ARN", help="The role that the job takes.  [default: Plaudit's own]"),
        image_option("Training image"),
        click.option("--stop", metavar="JOB", help="Stop this job, and fetch what it left."),
        click.option("--attach", metavar="JOB", help="Go on watching this job, and fetch its bundle."),
        click.option("--max-hours", type=click.FloatRange(min=0.02), help=_help("max_hours", "The job is ended then.")),
        click.option("--spot", is_flag=True, help="Spare machines: cheaper, and taken back at times; the job resumes."),
        click.option("--count", type=click.IntRange(1), help=_help("count", "Machines; several train together.")),
        click.option(
            "--instance",
            help=_help("instance", "A machine; ml.g5.xlarge has a GPU, for which a new account has no quota yet."),
        ),
        click.option("--on", type=click.Choice(["sagemaker"]), help="Train on AWS instead of here."),
    ):
        command = option(command)
    return command


def _help(name: str, about: str) -> str:
    return f"{about}  [default: {getattr(OnSageMaker(), name)}]"


def sagemaker_from(options: dict[str, Any]) -> OnSageMaker | None:
    """Takes the options of SageMaker out of ``options``; None where the training is to run here.

    Raises UsageError where one of them is given without --on sagemaker.
    """
    on = options.pop("on", None)
    given = {option.name: options.pop(option.name, None) for option in fields(OnSageMaker)}
    given = {name: value for name, value in given.items() if value not in (None, False)}
    if on is None and not given:
        return None
    wanted = OnSageMaker(**given)
    if wanted.attach and wanted.stop:
        raise UsageError("give --attach or --stop, not both")
    if (wanted.attach or wanted.stop) and (more := [name for name in given if name not in OF_ANY_JOB]):
        raise UsageError(f"--{more[0].replace('_', '-')} is for a job that is to start, not for --attach or --stop")
    if on is None and not (wanted.attach or wanted.stop):
        raise UsageError(f"--{next(iter(given)).replace('_', '-')} is for --on sagemaker")
    return wanted


def train_on_sagemaker(
    reviews: str | None, columns: Columns, recipe: str | None, settings: dict[str, Any], seed: int, out: Path,
    options: OnSageMaker,
) -> Bundle | None:  # fmt: skip
    """The bundle of a training on SageMaker, written to ``out``; None for --plan, and for a job that was stopped."""
    known = options.attach or options.stop
    if known and (reviews or recipe or settings):
        raise UsageError("--attach and --stop take a job's name: its reviews and its recipe are what they were")
    out = free_for_a_bundle(out)
    account = account_from(options.region, options.profile, planning=options.plan)
    if known:
        return _go_on(account, known, out, options)
    if reviews is None:
        raise UsageError("name the reviews: plaudit train sample --on sagemaker")
    plan = _planned(reviews, columns, recipe, settings, seed, account.region, options)
    if options.plan:
        _show(account, plan, options)
        return None
    return _run(account, plan, reviews, out, options)


def _planned(
    reviews: str, columns: Columns, recipe: str | None, settings: dict[str, Any], seed: int, region: str,
    options: OnSageMaker,
) -> TrainingPlan:  # fmt: skip
    """The plan for reviews that are read here first: what is wrong with them costs nothing yet."""
    from plaudit.learning.recipes import DEFAULT, Recipe
    from plaudit.places.aws import images, training_job
    from plaudit.text.sources import locate, read_reviews
    from plaudit.version import __version__

    path = locate(reviews, track)
    if path and (path / "prepared.json").exists():
        raise UsageError(f"{reviews} is a prepared folder: a job on SageMaker takes the reviews themselves")
    size = path.stat().st_size if path and path.is_file() else 0
    fleet = training_job.Fleet(
        options.instance, options.count, options.spot, int(options.max_hours * 3600), training_job.volume_for(size)
    )
    found = read_reviews(reviews, columns, track)
    chosen = Recipe.of(recipe or DEFAULT, **settings)
    image = images.choose("train", fleet.accelerator, options.image)
    if warning := image.warning(date.today()):
        say(f"plaudit: {warning}")
    flags = {"recipe": chosen.name, "seed": seed, **settings, **_column_flags(columns)}
    digest = training_job.digest_of(found.fingerprint, chosen.to_json(), seed, image.name, __version__)
    say(f"recipe {chosen.name}: {len(found.train):,} reviews of {found.name}")
    vectors = chosen.vector_epochs > 0
    return training_job.TrainingPlan(digest, flags, images.uri(image, region), fleet, vectors)


def _column_flags(columns: Columns) -> dict[str, str]:
    """The columns as hyperparameters, where they are not the usual ones."""
    given = {
        "text_column": (columns.text, Columns.text),
        "label_column": (columns.label, Columns.label),
        "split_column": (columns.split, Columns.split),
        "positive": (columns.positive, Columns.positive),
    }
    return {name: value for name, (value, usual) in given.items() if value is not None and value != usual}


def _show(account: Account, plan: TrainingPlan, options: OnSageMaker) -> None:
    """Prints what is asked, with an account's number that stands for the user's, and the most that it can cost."""
    from plaudit.places.aws.names import ACCOUNT_PLACEHOLDER, PREFIX, bucket_name
    from plaudit.places.aws.training_job import job_request, source_key

    region, bucket = account.region, bucket_name(ACCOUNT_PLACEHOLDER, account.region)
    own = f"arn:{account.partition}:iam::{ACCOUNT_PLACEHOLDER}:role/{PREFIX}/{region}/{PREFIX}-base-TrainingRole"
    role = options.role or own
    request = job_request(
        plan, bucket=bucket, region=region, role=role, source=f"s3://{bucket}/{source_key(plan.libraries)}",
        data=f"s3://{bucket}/{plan.prefix}data/",
    )  # fmt: skip
    bill = plan.fleet.at_most
    say(f"{ACCOUNT_PLACEHOLDER} stands for your account; nothing is asked or sent")
    if click.get_current_context().params.get("as_json"):
        give_json({"request": request, "at_most": bill.to_json()})
        return
    rows = {
        "job": plan.job,
        "flags": ", ".join(f"{name} {value}" for name, value in plan.flags.items()),
        "machines": f"{bill.machines}, {plan.fleet.volume_gb} GB of disk each",
        "image": plan.image,
        "role": role,
        "place": f"s3://{bucket}/{plan.prefix}",
        "cost": f"at most {bill}" + ("; spot takes less" if plan.fleet.spot else ""),
    }
    for line in columns(rows.items()):
        give(line)
    say("--json prints the request, and without --plan this is trained")


def _run(account: Account, plan: TrainingPlan, reviews: str, out: Path, options: OnSageMaker) -> Bundle:
    from plaudit.places.aws import base, training
    from plaudit.places.aws.storage import Storage
    from plaudit.places.aws.watching import TRAINING, Job

    ground = base.ensure(account, training=options.role is None, say=say)
    role = options.role or ground.training_role
    assert role is not None
    storage, job = Storage(account, ground.bucket), Job(account, plan.job, TRAINING, say)
    training.start(job, storage, plan, reviews, role=role, new_role=options.role is None, track=track)
    say(f"job {job.name}: {plan.fleet.at_most.rate}, at most {plan.fleet.at_most}")
    say(f"Ctrl-C stops watching, not the job: plaudit train --attach {job.name}")
    return _watched(job, out, options)


def _go_on(account: Account, name: str, out: Path, options: OnSageMaker) -> Bundle | None:
    from plaudit.places.aws.training import Stopped, storage_of
    from plaudit.places.aws.watching import TRAINING, Job

    job = Job(account, name, TRAINING, say)
    storage_of(job)
    if options.stop is None:
        return _watched(job, out, options)
    job.stop()
    say("asked the job to stop; it may take two minutes to leave its checkpoint")
    try:
        return _watched(job, out, options)
    except Stopped as stopped:
        say(str(stopped))
        return None


def _watched(job: Job, out: Path, options: OnSageMaker) -> Bundle:
    from plaudit.places.aws.training import finish, storage_of

    description = job.watch()
    return finish(job, storage_of(job), description, out, keep=options.keep, track=track).bundle
