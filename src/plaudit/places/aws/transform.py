"""Scoring a lake of reviews with SageMaker's batch transform: files in S3 in, files with verdicts out, nothing left.

A small stack lives as long as the job: the model, and the one role that may read these inputs and write these outputs.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any

from plaudit.errors import PlaceError, UsageError
from plaudit.places.aws import limits, logs
from plaudit.places.aws.account import Account, Refused, told
from plaudit.places.aws.bill import Bill
from plaudit.places.aws.fragments import ARN, HERE, SAME_ACCOUNT, allow, role, tag
from plaudit.places.aws.names import PREFIX, Name
from plaudit.places.aws.packing import digest
from plaudit.places.aws.stack import Stack
from plaudit.places.aws.storage import Object, Storage
from plaudit.places.aws.watching import TRANSFORM, Job
from plaudit.progress import Track, quiet

JSON_SUFFIXES = (".jsonl", ".jsonlines", ".ndjson", ".json")
PAYLOAD_MB = 1
"""Some 8,000 reviews of the sample's length a request, which one core answers in 4.5 s."""
AT_A_TIME = 2
"""Requests under way on a machine: one is sent while the other is answered."""
JOB = re.compile(rf"{PREFIX}-(score-[0-9a-f]{{8}})")


@dataclass(frozen=True)
class Prefix:
    """A place in S3."""

    bucket: str
    key: str

    @classmethod
    def of(cls, uri: str) -> Prefix:
        """Raises UsageError for what is no address in S3."""
        match = re.fullmatch(r"s3://([a-z0-9][a-z0-9.-]{1,61}[a-z0-9])(?:/(.*))?", uri)
        if match is None:
            raise UsageError(f"{uri} is no place in S3: s3://bucket/reviews/ is one")
        return cls(match[1], match[2] or "")

    @property
    def uri(self) -> str:
        return f"s3://{self.bucket}/{self.key}"


@dataclass(frozen=True)
class Lines:
    """How files are cut into requests: JSON lines in large ones, plain text one line a request; all of one kind."""

    json: bool = True
    gzipped: bool = False

    @classmethod
    def of(cls, objects: list[Object], where: str) -> Lines:
        """The kind of the files, by their names. Raises UsageError where there is none, or more than one kind."""
        keys = [found.key for found in objects if not found.key.endswith("/")]
        if not keys:
            raise UsageError(f"there is nothing under {where}: is --region right?")
        kinds = {_kind(key): key for key in keys}
        if len(kinds) > 1:
            one, other = sorted(kinds.values())[:2]
            raise UsageError(f"{where} holds {one} and {other}: the files of one job are all of one kind")
        return next(iter(kinds))


def _kind(key: str) -> Lines:
    name = key.lower().removesuffix(".gz")
    if not name.endswith((*JSON_SUFFIXES, ".txt")):
        raise UsageError(f'{key}: give files of lines, {{"text": "…"}} each as .jsonl, or plain text as .txt')
    return Lines(not name.endswith(".txt"), key.lower().endswith(".gz"))


@dataclass(frozen=True)
class Scoring:
    """One job: from where, to where, on what. ``joined`` puts each verdict beside the line that it is of.

    Raises UsageError where SageMaker would refuse it, or where a second run would score the first one's verdicts.
    """

    name: Name
    source: Prefix
    target: Prefix
    lines: Lines
    instance: str = "ml.m5.xlarge"
    count: int = 1
    joined: bool = True

    def __post_init__(self) -> None:
        limits.instance(self.instance)
        limits.machines(self.count)
        if self.source.bucket == self.target.bucket and self.target.key.startswith(self.source.key):
            raise UsageError(f"{self.target.uri} lies in {self.source.uri}: the next run would score its verdicts")

    @property
    def bill(self) -> Bill:
        """What an hour costs; how long a job runs depends on its reviews."""
        return Bill(3600, self.instance, self.count, "transform")


def transform_request(scoring: Scoring) -> dict[str, Any]:
    """The body of CreateTransformJob."""
    kind = scoring.lines
    request: dict[str, Any] = {
        "TransformJobName": scoring.name.full,
        "ModelName": scoring.name.full,
        "MaxConcurrentTransforms": AT_A_TIME,
        "MaxPayloadInMB": PAYLOAD_MB,
        "BatchStrategy": "MultiRecord" if kind.json else "SingleRecord",
        "TransformInput": {
            "DataSource": {"S3DataSource": {"S3DataType": "S3Prefix", "S3Uri": scoring.source.uri}},
            "ContentType": "application/jsonlines" if kind.json else "text/plain",
            "CompressionType": "Gzip" if kind.gzipped else "None",
            "SplitType": "Line",
        },
        "TransformOutput": {
            "S3OutputPath": scoring.target.uri,
            "Accept": "application/jsonlines",
            "AssembleWith": "Line",
        },
        "TransformResources": {"InstanceType": scoring.instance, "InstanceCount": scoring.count},
        "Tags": scoring.name.tag_list,
    }
    if kind.json and scoring.joined:
        request["DataProcessing"] = {"JoinSource": "Input"}
    return request


def scoring_template(
    scoring: Scoring, container: Mapping[str, Any], repository: str, own_role: str | None = None
) -> dict[str, Any]:
    """The CloudFormation template of the model, and unless ``own_role`` is given of the role that it takes."""
    model: dict[str, Any] = {
        "Type": "AWS::SageMaker::Model",
        "Properties": {
            "ModelName": scoring.name.full,
            "ExecutionRoleArn": own_role or {"Fn::GetAtt": ["Role", "Arn"]},
            "PrimaryContainer": dict(container),
        },
    }
    resources = {"Model": model}
    if own_role is None:
        resources["Role"] = role("sagemaker.amazonaws.com", _statements(scoring, container, repository), **SAME_ACCOUNT)
    for resource in resources.values():
        tag(resource, scoring.name)
    return {
        "AWSTemplateFormatVersion": "2010-09-09",
        "Description": f"Plaudit: what the scoring job {scoring.name.full} needs while it runs",
        "Resources": resources,
    }


def _statements(scoring: Scoring, container: Mapping[str, Any], repository: str) -> list[dict[str, Any]]:
    archive = Prefix.of(str(container["ModelDataUrl"]))
    buckets = sorted({scoring.source.bucket, scoring.target.bucket})
    group = f"{ARN}:logs:{HERE}:log-group:{TRANSFORM.group}"
    return [
        allow("s3:GetObject", f"{ARN}:s3:::{scoring.source.bucket}/{scoring.source.key}*"),
        allow("s3:GetObject", f"{ARN}:s3:::{archive.bucket}/{archive.key}"),
        allow("s3:ListBucket s3:GetBucketLocation", *(f"{ARN}:s3:::{bucket}" for bucket in buckets)),
        allow("s3:PutObject s3:AbortMultipartUpload", f"{ARN}:s3:::{scoring.target.bucket}/{scoring.target.key}*"),
        allow(
            "logs:CreateLogGroup logs:CreateLogStream logs:PutLogEvents logs:DescribeLogStreams", group, f"{group}:*"
        ),
        allow("cloudwatch:PutMetricData", "*", StringEquals={"cloudwatch:namespace": TRANSFORM.group}),
        allow("ecr:BatchCheckLayerAvailability ecr:GetDownloadUrlForLayer ecr:BatchGetImage", repository),
        allow("ecr:GetAuthorizationToken", "*"),
    ]


def deployed_container(account: Account, name: Name) -> dict[str, Any]:
    """Image and archive of a deployment's model. Raises UsageError where there is no deployment, or no model in it."""
    stack = Stack(account, name)
    if stack.describe() is None:
        raise UsageError(f"there is no deployment {name.own} in {account.region}: plaudit status lists what there is")
    models = [held for held, entry in stack.resources().items() if entry["ResourceType"] == "AWS::SageMaker::Model"]
    if not models:
        raise UsageError(f"{name.own} runs in Lambda and has no model at SageMaker: score with --bundle BUNDLE")
    with told(f"asking for the model of {name.own}"):
        found = account.client("sagemaker").describe_model(ModelName=models[0].rsplit("/", 1)[-1])
    container = found["PrimaryContainer"]
    return {key: container[key] for key in ("Image", "ModelDataUrl", "Environment") if container.get(key)}


def sent_container(
    storage: Storage, scoring: Scoring, archive: Path, image: str, track: Track = quiet
) -> dict[str, Any]:
    """Sends ``archive``, a model.tar.gz, for this job alone; the container that runs it in ``image``."""
    key = f"{scoring.name.prefix}{digest(archive)}/model.tar.gz"
    return {"Image": image, "ModelDataUrl": storage.upload(archive, key, track)}


def start(job: Job, scoring: Scoring, template: Mapping[str, Any], new_role: bool = True) -> None:
    """Makes the stack and starts ``job``, which has the scoring's name."""
    Stack(job.account, scoring.name, job.say).apply(template, scoring.name.tags)
    job.create(transform_request(scoring), new_role)


def name_of(job: str) -> Name:
    """What a scoring job's stack and objects are called. Raises UsageError for a job that is not Plaudit's."""
    match = JOB.fullmatch(job)
    if match is None:
        raise UsageError(f"{job} is no scoring job of Plaudit's: {PREFIX}-score-0123abcd would be one")
    return Name(match[1])


def finish(job: Job, storage: Storage, description: Mapping[str, Any]) -> tuple[str, Bill]:
    """Where the verdicts of a job that has ended are, and what it cost; all else of it is removed.

    Raises PlaceError where it failed or was stopped, with the cause, the cost and what to do.
    """
    bill, state = job.bill(description), job.status(description)
    target = str(description["TransformOutput"]["S3OutputPath"])
    lines = logs.tail(*job.log) if state == "Failed" else []
    for line in lines:
        job.say(f"  {line}")
    clean(job, storage)
    if state == "Completed":
        job.say(f"{job.name}: {bill}")
        return target, bill
    done = f"files that were done are in {target}, and the same command scores all again"
    if state == "Stopped":
        raise PlaceError(f"{job.name} was stopped ({bill}); {done}")
    reason = str(description.get("FailureReason") or "SageMaker gives no reason").strip().splitlines()[-1]
    raise PlaceError(f"{job.name} failed: {reason.rstrip('.')} ({bill}); {done}")


def clean(job: Job, storage: Storage) -> None:
    """Removes the stack, the archive and the log; what cannot be removed is said, with the command for it."""
    name = name_of(job.name)
    steps: tuple[tuple[str, Callable[[], object]], ...] = (
        (f"the stack {name.full}", Stack(job.account, name, job.say).delete),
        (storage.uri(name.prefix), partial(storage.remove, name.prefix)),
        (f"the log {job.kind.group}/{job.name}", partial(logs.remove, *job.log)),
    )
    for what, remove in steps:
        try:
            remove()
        except PlaceError as error:
            job.say(f"left behind: {what} ({error}): plaudit down {name.own} removes it")


def listed(account: Account, prefix: Prefix) -> list[Object]:
    """The objects under ``prefix``. Raises UsageError where the bucket is not there or may not be listed."""
    try:
        with told(f"looking for the bucket {prefix.bucket}"):
            account.client("s3").head_bucket(Bucket=prefix.bucket)
    except Refused as refused:
        raise UsageError(f"s3://{prefix.bucket} is not there, or not for this account ({refused.code})") from None
    return Storage(account, prefix.bucket).keys(prefix.key)
