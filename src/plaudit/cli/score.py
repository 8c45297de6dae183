"""`plaudit score`: files of reviews in S3 to files of verdicts. Knows options and talk, no call of AWS's."""

from __future__ import annotations

import secrets
import tempfile
from dataclasses import dataclass
from datetime import date
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from plaudit.cli import options as shared
from plaudit.cli.aws import account_from, account_options, an_hour, columns, image_option, stack_lines
from plaudit.cli.terminal import give, give_json, say, track
from plaudit.errors import UsageError

if TYPE_CHECKING:
    from plaudit.places.aws.account import Account
    from plaudit.places.aws.transform import Scoring
    from plaudit.places.aws.watching import Job

INSTANCE = "ml.m5.xlarge"


@dataclass(frozen=True)
class Model:
    """What is to score: a deployment's model, or a bundle in an image of AWS's or of one's own; ``role`` is an ARN."""

    deployment: str | None
    bundle: Path | None
    image: str | None
    role: str | None


@click.command(
    "score",
    epilog=shared.examples(
        "plaudit score s3://my-lake/reviews/ --name shop --out s3://my-lake/verdicts/",
        "plaudit score s3://my-lake/reviews/ --bundle bundle --out s3://my-lake/verdicts/ --count 4",
        "plaudit score s3://my-lake/reviews/ --bundle bundle --out s3://my-lake/verdicts/ --plan",
        "plaudit score --attach plaudit-score-0123abcd",
    ),
)
@click.argument("reviews", required=False, metavar="S3-PREFIX")
@click.option("--out", metavar="S3-PREFIX", help="Where the verdicts go: NAME.out for each file NAME.")
@click.option("--name", help="Score with the model of this deployment.")
@click.option("--bundle", type=shared.folder, help="Score with this bundle.")
@click.option("--instance", default=INSTANCE, show_default=True, help="A machine of SageMaker's.")
@click.option("--count", default=1, show_default=True, type=click.IntRange(1), help="Machines; they share the files.")
@click.option("--verdicts-only", is_flag=True, help="Leave the lines that were scored out of the output.")
@image_option("Image for --bundle")
@click.option("--role", metavar="ARN", help="The role that reads and writes.  [default: one made for the job]")
@click.option("--plan", is_flag=True, help="Print the job, its stack and what an hour costs; call nothing.")
@click.option("--attach", metavar="JOB", help="Go on watching this job, and clean up after it.")
@click.option("--stop", metavar="JOB", help="Stop this job, and clean up after it.")
@click.option("--json", "as_json", is_flag=True, help="Print the verdicts' place and the cost, or the plan, as JSON.")
@account_options
def command(
    reviews: str | None, out: str | None, name: str | None, bundle: Path | None, instance: str, count: int,
    verdicts_only: bool, image: str | None, role: str | None, region: str | None, profile: str | None, plan: bool,
    attach: str | None, stop: str | None, as_json: bool,
) -> None:  # fmt: skip
    """Score every file under an S3 prefix with SageMaker's batch transform.

    A file is JSON lines, {"text": "…"} with any other fields (.jsonl), or plain text, one review a line (.txt);
    either may be gzipped (.gz). Each line of the output is the line that was scored, with the verdict as
    SageMakerOutput; of plain text, the verdict alone, in the same order.

    The machines are there while the job runs, and everything that was made for it goes with it.
    """
    known = attach or stop
    if known and (reviews or (attach and stop)):
        raise UsageError("--attach and --stop take a job's name and nothing else")
    account = account_from(region, profile, planning=plan)
    if known:
        job = _known(account, known)
        if stop:
            job.stop()
        _finish(job, as_json)
        return
    if reviews is None or out is None:
        raise UsageError("name what to score and where to: plaudit score s3://my-lake/reviews/ --out s3://…")
    if (name is None) == (bundle is None):
        raise UsageError("give --name DEPLOYMENT or --bundle BUNDLE: one of them scores")
    scoring = _scoring(account, reviews, out, instance, count, not verdicts_only, plan)
    model = Model(name, bundle, image, role)
    if plan:
        _show(account, scoring, model, as_json)
    else:
        _finish(_start(account, scoring, model), as_json)


def _scoring(
    account: Account, reviews: str, out: str, instance: str, count: int, joined: bool, plan: bool
) -> Scoring:  # fmt: skip
    """What is asked; the files' kind is read from their names, and for --plan taken to be JSON lines."""
    from plaudit.places.aws.limits import shown
    from plaudit.places.aws.names import Name
    from plaudit.places.aws.transform import Lines, Prefix, Scoring, listed

    source, target = Prefix.of(reviews), Prefix.of(out)
    name = Name(f"score-{secrets.token_hex(4)}")
    asked = Scoring(name, source, target, Lines(), instance, count, joined)
    if plan:
        return asked
    objects = listed(account, source)
    kind = Lines.of(objects, source.uri)
    size = shown(sum(found.size for found in objects))
    files = "1 file" if len(objects) == 1 else f"{len(objects):,} files"
    say(f"{files}, {size}, {'JSON lines' if kind.json else 'one text a line'}")
    return Scoring(name, source, target, kind, instance, count, joined)


def _show(account: Account, scoring: Scoring, model: Model, as_json: bool) -> None:
    from plaudit.places.aws.names import ACCOUNT_PLACEHOLDER, bucket_name
    from plaudit.places.aws.transform import scoring_template, transform_request

    image, repository = _image(account, model.image)
    archive = f"s3://{bucket_name(ACCOUNT_PLACEHOLDER, account.region)}/{scoring.name.prefix}model.tar.gz"
    if model.deployment:
        say(f"image and archive stand for those of {model.deployment}, which are asked for when it runs")
    template = scoring_template(scoring, {"Image": image, "ModelDataUrl": archive}, repository, model.role)
    say(f"{ACCOUNT_PLACEHOLDER} stands for your account; nothing is asked or sent")
    hourly = scoring.bill.an_hour
    if as_json:
        rounded = None if hourly is None else round(hourly, 6)
        give_json({"request": transform_request(scoring), "template": template, "dollars_an_hour": rounded})
        return
    rows = {
        "job": scoring.name.full,
        "reviews": scoring.source.uri,
        "verdicts": scoring.target.uri,
        "model": f"the deployment {model.deployment}" if model.deployment else f"the bundle {model.bundle}",
        "machines": scoring.bill.machines,
        "image": image,
        "cost": f"{an_hour(hourly)} while it runs, and nothing afterwards",
    }
    for line in (*columns(rows.items()), *stack_lines(scoring.name.full, template)):
        give(line)
    say("--json prints request and template, and without --plan this is scored")


def _image(account: Account, name: str | None) -> tuple[str, str]:
    """The image's address, and its repository for the role."""
    from plaudit.places.aws import images

    chosen = images.choose("serve", "cpu", name)
    if warning := chosen.warning(date.today()):
        say(f"plaudit: {warning}")
    return images.uri(chosen, account.region), images.repository(chosen, account.region, account.partition)


def _start(account: Account, scoring: Scoring, model: Model) -> Job:
    """Sends what is missing, makes the job's stack and starts it; a start that fails leaves nothing."""
    from plaudit.places.aws import base, transform
    from plaudit.places.aws.storage import Storage
    from plaudit.places.aws.watching import TRANSFORM, Job, taken_back

    job = Job(account, scoring.name.full, TRANSFORM, say)
    storage = Storage(account, base.ensure(account, say=say).bucket)
    with taken_back(job, partial(transform.clean, job, storage)):
        container, repository = _container(account, storage, scoring, model)
        template = transform.scoring_template(scoring, container, repository, model.role)
        transform.start(job, scoring, template, new_role=model.role is None)
    say(f"job {job.name}: it {scoring.bill.rate} while it runs")
    say(f"Ctrl-C stops watching, not the job: plaudit score --attach {job.name}")
    return job


def _container(
    account: Account, storage: Any, scoring: Scoring, model: Model
) -> tuple[dict[str, Any], str]:  # fmt: skip
    """The container that scores, and its image's repository for the role."""
    from plaudit.places.aws.names import Name
    from plaudit.places.aws.transform import deployed_container, sent_container

    if model.deployment is not None:
        found = deployed_container(account, Name(model.deployment))
        return found, _image(account, found["Image"])[1]
    from plaudit.places.aws.archive import pack

    assert model.bundle is not None
    image, place = _image(account, model.image)
    with tempfile.TemporaryDirectory() as scratch:
        packed = pack(model.bundle, Path(scratch) / "model.tar.gz", track=track)
        return sent_container(storage, scoring, packed.path, image, track), place


def _known(account: Account, name: str) -> Job:
    from plaudit.places.aws.transform import name_of
    from plaudit.places.aws.watching import TRANSFORM, Job

    name_of(name)
    job = Job(account, name, TRANSFORM, say)
    job.describe()
    return job


def _finish(job: Job, as_json: bool) -> None:
    from plaudit.places.aws.names import bucket_name
    from plaudit.places.aws.storage import Storage
    from plaudit.places.aws.transform import finish

    account = job.account
    storage = Storage(account, bucket_name(account.id, account.region))
    target, bill = finish(job, storage, job.watch())
    if as_json:
        give_json({"job": job.name, "verdicts": target, **bill.to_json()})
    else:
        give(target)
