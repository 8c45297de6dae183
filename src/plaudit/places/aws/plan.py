"""What is to be deployed, checked against AWS's limits before any call. Knows no service."""

from __future__ import annotations

import math
import re
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from typing import Literal

from plaudit.errors import UsageError
from plaudit.places.aws import limits, prices
from plaudit.places.aws.fragments import digest
from plaudit.places.aws.names import QUEUE, Name
from plaudit.places.aws.parts import Target

To = Literal["sagemaker", "lambda"]
Kind = Literal["serverless", "instance", "async", "function"]
SERVERLESS_MEMORY = (1024, 6144)
SERVERLESS_CONCURRENCY = 200
FUNCTION_MEMORY = (128, 10240)
FRONT_MEMORY = 512
MOST_INSTANCES = 50
BAKE_MINUTES = 2
"""How long an update is watched before what it replaced is let go."""
LOG_DAYS = (1, 3, 5, 7, 14, 30, 60, 90, 120, 150, 180, 365)
SHORTEST_TTL, LONGEST_TTL = timedelta(minutes=15), timedelta(days=30)
OBJECT_DAYS = (1, 7, 30)
"""The spans for which the bucket has lifecycle rules."""
RESERVED = ("base", QUEUE.rstrip("/"))
JOBS = ("train-", "score-")
"""The names of the base, of the queues' folder, and how those of jobs begin."""
NO_BUDGETS = frozenset(
    "af-south-1 ap-east-1 ap-east-2 ap-northeast-3 ap-south-2 ap-southeast-3 ap-southeast-4 ap-southeast-5"
    " ap-southeast-6 ap-southeast-7 ca-west-1 eu-central-2 eu-north-1 eu-south-1 eu-south-2 il-central-1 me-central-1"
    " mx-central-1 us-gov-east-1 us-gov-west-1".split()
)
"""Regions whose CloudFormation knows no budgets."""
NO_ENDPOINTS = ("me-central-1", "us-gov-east-1")
"""Regions whose CloudFormation knows no endpoints of SageMaker."""
SNAPSTART_PYTHON = ("3.12", "3.13")
NO_SNAPSTART = ("ap-southeast-7", "mx-central-1", "us-gov-east-1", "us-gov-west-1", "cn-north-1", "cn-northwest-1")
"""Regions without SnapStart for Python."""


@dataclass(frozen=True)
class Plan:
    """Every option of a deployment. Raises UsageError that names the limit where AWS would refuse one.

    Memory is in megabytes; ``rate`` and ``burst`` are requests a second of the public API; ``budget`` is
    in US dollars a month; ``least`` and ``most`` are instances.
    """

    name: Name
    region: str
    to: To = "sagemaker"
    memory: int = 4096
    concurrency: int = 5
    instance: str | None = None
    least: int = 1
    most: int = 2
    asynchronous: bool = False
    function_memory: int = 1769
    target: Target = field(default_factory=Target)
    snapstart: bool = False
    rate: int = 10
    burst: int = 20
    origins: tuple[str, ...] = ("*",)
    budget: float = 10.0
    email: str | None = None
    log_days: int = 14
    ttl: timedelta | None = None

    def __post_init__(self) -> None:
        if self.name.own in RESERVED or self.name.own.startswith(JOBS):
            raise UsageError(f"the name {self.name.own} is Plaudit's own: choose another with --name")
        self._check_endpoint()
        self._check_function()
        self._check_api()

    @property
    def kind(self) -> Kind:
        if self.to == "lambda":
            return "function"
        if self.asynchronous:
            return "async"
        return "instance" if self.instance else "serverless"

    @property
    def endpoint(self) -> str:
        """The endpoint's name; another kind or instance type has another: SageMaker changes neither in place."""
        host = "" if self.kind == "serverless" else self.host
        return f"{self.name.full}-{digest([self.kind, host])}"

    @property
    def days(self) -> int | None:
        """Days after which its objects may go where it deletes itself; None where it stays."""
        return next(days for days in OBJECT_DAYS if timedelta(days=days) >= self.ttl) if self.ttl else None

    @property
    def memory_of_function(self) -> int:
        """MB of the function: its own choice with the classifier inside, little before an endpoint."""
        return self.function_memory if self.to == "lambda" else FRONT_MEMORY

    @property
    def has_budget(self) -> bool:
        return self.region not in NO_BUDGETS

    @property
    def host(self) -> str:
        """The instance behind a real-time or asynchronous endpoint."""
        return self.instance or "ml.c5.large"

    def _check_endpoint(self) -> None:
        if self.to == "sagemaker" and self.region in NO_ENDPOINTS:
            raise UsageError(f"CloudFormation has no endpoints in {self.region}: --to lambda, or another --region")
        low, high = SERVERLESS_MEMORY
        if not low <= self.memory <= high or self.memory % 1024:
            raise UsageError(f"--memory {self.memory}: a serverless endpoint has {low:,} to {high:,} MB in whole GB")
        _between(
            self.concurrency, "--concurrency", (1, SERVERLESS_CONCURRENCY), "a serverless endpoint takes", "at once"
        )
        if self.to == "lambda" and (self.instance or self.asynchronous):
            raise UsageError("--instance and --async are for --to sagemaker: a function has no instances")
        if self.instance:
            limits.instance(self.instance)
        if self.instance and self.instance in prices.INSTANCES and prices.hourly(self.instance, "hosting") is None:
            raise UsageError(f"--instance {self.instance} is for training only: take ml.c5.large, say")
        _between(self.most, "--max-instances", (1, MOST_INSTANCES), "an endpoint has", "instances")
        lowest = 0 if self.asynchronous else 1
        _between(self.least, "--min-instances", (lowest, self.most), "an endpoint of this kind keeps", "instances")

    def _check_function(self) -> None:
        low, high = FUNCTION_MEMORY
        _between(self.function_memory, "--function-memory", (low, high), "a function has", "MB")
        if not self.snapstart:
            return
        if self.to != "lambda":
            raise UsageError("--snapstart is for --to lambda: the function before an endpoint starts fast enough")
        if self.target.python not in SNAPSTART_PYTHON:
            raise UsageError(f"--snapstart takes Python {' or '.join(SNAPSTART_PYTHON)}, not {self.target.python}")
        if self.region in NO_SNAPSTART:
            raise UsageError(f"{self.region} does not offer SnapStart for Python: leave --snapstart out")

    def _check_api(self) -> None:
        _between(self.rate, "--rate", (1, 10_000), "an HTTP API lets", "requests a second through")
        _between(self.burst, "--burst", (1, 5_000), "an HTTP API lets", "requests through at once")
        if not 1 <= self.budget < math.inf:
            raise UsageError("--budget is in US dollars a month, 1 or more")
        if self.email is not None and not re.fullmatch(r"[^@\s]+@[^@\s]+\.[^@\s]+", self.email):
            raise UsageError(f"--email {self.email} is no address")
        if self.log_days not in LOG_DAYS:
            raise UsageError(f"--log-days {self.log_days}: CloudWatch keeps logs {', '.join(map(str, LOG_DAYS))} days")
        for origin in self.origins:
            if not re.fullmatch(r"\*|https?://[^\s/*]+", origin):
                raise UsageError(f"--origin {origin}: an origin is https://host, with no path, or * for all")
        if self.ttl is not None and not SHORTEST_TTL <= self.ttl <= LONGEST_TTL:
            raise UsageError("--ttl is between 15m and 30d")


@dataclass(frozen=True)
class Parts:
    """Where a deployment's parts lie: the keys in the bucket, and the image of the endpoint.

    ``reaper_role`` is the ARN of the role that may delete the stack, and ``ends`` the moment (UTC) when it does.
    """

    bucket: str
    function: str
    archive: str = ""
    image: str = ""
    image_repository: str = ""
    reaper_role: str = ""
    ends: datetime | None = None


def _between(value: int, flag: str, bounds: tuple[int, int], what: str, unit: str) -> None:
    low, high = bounds
    if not low <= value <= high:
        raise UsageError(f"{flag} {value}: {what} {low:,} to {high:,} {unit}")


def duration(text: str) -> timedelta:
    """`4h`, `30m`, `2d` or `1h30m` as a span. Raises UsageError."""
    found = re.fullmatch(r"(?:(\d{1,3})d)?(?:(\d{1,4})h)?(?:(\d{1,5})m)?", text.strip().lower())
    if not found or not any(found.groups()):
        raise UsageError(f"{text!r} is no span of time: write 30m, 4h or 2d")
    days, hours, minutes = (int(part or 0) for part in found.groups())
    return timedelta(days=days, hours=hours, minutes=minutes)
