"""A training on SageMaker from the first upload to the bundle on this disk, and what it leaves behind: nothing unsaid.

Knows one training at a time. What a training is asked to be is in `training_job`, how a job is watched in `watching`.
"""

from __future__ import annotations

import re
import tempfile
from collections.abc import Mapping
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any

from plaudit.bundle.bundle import MANIFEST, Bundle
from plaudit.errors import BundleError, PlaceError, UsageError
from plaudit.places.aws import logs
from plaudit.places.aws.account import Account, told
from plaudit.places.aws.bill import Bill
from plaudit.places.aws.limits import shown
from plaudit.places.aws.names import PREFIX
from plaudit.places.aws.storage import Storage
from plaudit.places.aws.training_job import SOURCES, TrainingPlan, data_name, job_request, reviews_file, send_source
from plaudit.places.aws.unpacking import unpack
from plaudit.places.aws.watching import Job, taken_back
from plaudit.progress import Track, quiet

OWN = re.compile(r"s3://([^/]+)/(train-[0-9a-f]{12}/)output/?")
REASONS = {
    "MaxRuntimeExceeded": "reached its --max-hours",
    "MaxWaitTimeExceeded": "got no spot machine for long enough: leave --spot out, or give it more --max-hours;",
    "Stopped": "was stopped",
}
LARGEST = 5_000_000_000
"""Bytes of a bundle: its network and its weights have 2 GiB each at most, which is what ONNX's format holds."""
CAPACITY = "take another --instance or --region, or try again later"


@dataclass(frozen=True)
class Result:
    """A finished training."""

    job: str
    bundle: Bundle
    bill: Bill


class Stopped(PlaceError):
    """A job that ended before its training did; its checkpoint is kept."""


def start(
    job: Job, storage: Storage, plan: TrainingPlan, reviews: str, *, role: str, new_role: bool = False,
    track: Track = quiet,
) -> None:  # fmt: skip
    """Sends code and data and starts ``job``, which has the plan's name; where that fails, what was sent is taken back.

    Raises UsageError where this very training runs already: two would write one checkpoint.
    """
    account = job.account
    if running := _running(account, plan.digest):
        raise UsageError(f"this very training runs already: plaudit train --attach {running}")
    clean = partial(_remove_objects, job, storage, f"{plan.prefix}data/")
    with reviews_file(reviews, track) as path, taken_back(job, clean):
        source = send_source(storage, plan.libraries, track)
        data = storage.upload(path, f"{plan.prefix}data/{data_name(path)}", track)
        request = job_request(plan, bucket=storage.bucket, region=account.region, role=role, source=source, data=data)
        job.create(request, new_role)


def storage_of(job: Job) -> Storage:
    """Where the objects of a job that was started before are. Raises UsageError for one that is not Plaudit's."""
    return Storage(job.account, _place(job.describe())[0])


def finish(
    job: Job, storage: Storage, description: Mapping[str, Any], out: Path, *, keep: bool = False,
    track: Track = quiet,
) -> Result:  # fmt: skip
    """Fetches the bundle of a job that has ended into ``out``, and removes what the job has in the bucket.

    Raises Stopped or PlaceError where there is no bundle, with the cause, the cost and the next command.
    """
    prefix, bill = _place(description)[1], job.bill(description)
    fetched = _fetched(storage, description, bill, track)
    if fetched is None:
        raise _ending(job, storage, description, keep)
    bundle = fetched.save(out)
    job.say(f"{job.name}: {bill}")
    if keep:
        job.say(f"kept: {storage.uri(prefix)}")
    else:
        _remove(job, storage, prefix)
    return Result(job.name, bundle, bill)


def _running(account: Account, digest: str) -> str | None:
    """A job of this training that may still write; one that is stopping writes its checkpoint."""
    for status in ("InProgress", "Stopping"):
        with told("looking for running jobs"):
            found = account.client("sagemaker").list_training_jobs(NameContains=digest, StatusEquals=status)
        for entry in found["TrainingJobSummaries"]:
            if entry["TrainingJobName"].startswith(PREFIX):
                return str(entry["TrainingJobName"])
    return None


def _place(description: Mapping[str, Any]) -> tuple[str, str]:
    """The bucket and the prefix of a training; nothing outside of it is ever removed."""
    match = OWN.fullmatch(description["OutputDataConfig"]["S3OutputPath"])
    if match is None:
        raise UsageError(f"{description['TrainingJobName']} is no training of Plaudit's")
    return match[1], match[2]


def _fetched(storage: Storage, description: Mapping[str, Any], bill: Bill, track: Track) -> Bundle | None:
    """The bundle that the job left; None where it left none.

    Raises PlaceError for a damaged one, which is kept.
    """
    address = (description.get("ModelArtifacts") or {}).get("S3ModelArtifacts", "")
    key = address.removeprefix(f"s3://{storage.bucket}/")
    if not address or not storage.has(key):
        return None
    with tempfile.TemporaryDirectory() as scratch:
        folder = Path(scratch) / "bundle"
        try:
            unpack(storage.download(key, Path(scratch) / "model.tar.gz", track), folder, LARGEST)
            return Bundle.load(folder) if (folder / MANIFEST).exists() else None
        except (BundleError, OSError) as error:
            why = str(error).replace(f"{scratch}/", "")
            name = _place(description)[1].rstrip("/")
            raise PlaceError(
                f"{address} holds no sound bundle: {why} ({bill}); it is kept there: plaudit train --attach"
                f" {description['TrainingJobName']} fetches it again, plaudit down {name} removes it"
            ) from None


def _ending(job: Job, storage: Storage, description: Mapping[str, Any], keep: bool) -> PlaceError:
    """Why there is no bundle, what it cost, what is left and what to do; the rest of what the job left is removed."""
    state, prefix, bill = job.status(description), _place(description)[1], job.bill(description)
    reason = str(description.get("FailureReason") or "").strip()
    lines = logs.tail(*job.log) if state == "Failed" else []
    for line in (*lines, *reason.splitlines()):
        job.say(f"  {line}")
    if not keep:
        for part in ("data/", "output/"):
            _remove_objects(job, storage, prefix + part)
        _remove_log(job)
    checkpoint = storage.keys(f"{prefix}checkpoints/")
    if checkpoint:
        name = prefix.rstrip("/")
        next_step = f"the same command goes on from its checkpoint, plaudit down {name} removes it"
    else:
        next_step = "the same command starts again"
    if state == "Failed":
        why = reason.splitlines()[-1] if reason else "SageMaker gives no reason"
        if "CapacityError" in reason:
            next_step = CAPACITY
        return PlaceError(f"{job.name} failed: {why.rstrip('.')} ({bill}); {next_step}")
    if state == "Completed":
        return PlaceError(f"{job.name} completed, and left no bundle ({bill}); {next_step}")
    secondary = str(description.get("SecondaryStatus") or "Stopped")
    return Stopped(f"{job.name} {REASONS.get(secondary, 'was stopped')} ({bill}); {next_step}")


def _remove(job: Job, storage: Storage, prefix: str) -> None:
    """Removes everything of a training that is done, its log too."""
    _remove_objects(job, storage, prefix)
    _remove_log(job)
    size = shown(sum(found.size for found in storage.keys(SOURCES)))
    job.say(f"what all jobs share stays: the bucket, its role and {size} of code; plaudit down base takes them back")


def _remove_log(job: Job) -> None:
    """All of it has been told; what AWS keeps of it would be billed for good."""
    try:
        logs.remove(*job.log)
    except PlaceError as error:
        job.say(f"left behind: the log {job.kind.group}/{job.name} ({error})")


def _remove_objects(job: Job, storage: Storage, prefix: str) -> None:
    """A bundle that is fetched, or a failure that is to be told, is not lost because something cannot be removed."""
    try:
        storage.remove(prefix)
    except PlaceError as error:
        job.say(f"left behind: {storage.uri(prefix)} ({error})")
