"""One SageMaker job, a training or a batch transform, from its start to its end. Knows neither's request nor results.

What is under way at AWS goes on, whatever happens here: a lost connection is waited for, Ctrl-C only stops watching.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import Any

from plaudit.errors import PlaceError, PlauditError, UsageError
from plaudit.places.aws import logs
from plaudit.places.aws.account import QUOTA, SLOW_DOWN, Account, Refused, Unreached, told
from plaudit.places.aws.bill import Bill

Say = Callable[[str], None]
ENDED = frozenset("Completed Failed Stopped".split())
ROLE_SECONDS = 90
"""How long a role that was just made may be unknown to SageMaker."""


class Detached(PlaceError):
    """Watching was stopped by Ctrl-C: the job goes on."""

    exit_code = 130


class Unsure(PlaceError):
    """It is not known whether a job has started: nothing that it needs may be taken back."""


@dataclass(frozen=True)
class Pace:
    """``seconds`` from one look to the next; after ``patience`` seconds without an answer watching is given up."""

    seconds: float = 10.0
    patience: float = 1800.0
    sleep: Callable[[float], None] = time.sleep
    clock: Callable[[], float] = time.monotonic


@dataclass(frozen=True)
class Kind:
    """What SageMaker calls a sort of job: ``api`` is part of its calls' and fields' names."""

    noun: str
    api: str
    command: str
    resources: str
    ends: tuple[str, str]

    @property
    def group(self) -> str:
        """The log group of all jobs of this sort."""
        return f"/aws/sagemaker/{self.api}Jobs"


TRAINING = Kind("training job", "Training", "plaudit train", "ResourceConfig", ("TrainingStartTime", "TrainingEndTime"))
TRANSFORM = Kind(
    "scoring job", "Transform", "plaudit score", "TransformResources", ("TransformStartTime", "TransformEndTime")
)


@dataclass(frozen=True)
class Job:
    """A job by its name. ``say`` gets its states and its log, line by line."""

    account: Account
    name: str
    kind: Kind
    say: Say = lambda line: None
    pace: Pace = field(default_factory=Pace)

    @property
    def log(self) -> tuple[Account, str, str]:
        """Where its log is: what the functions of `logs` take first."""
        return self.account, self.kind.group, f"{self.name}/"

    @property
    def _called(self) -> dict[str, str]:
        return {f"{self.kind.api}JobName": self.name}

    def create(self, request: Mapping[str, Any], new_role: bool = False) -> None:
        """Starts the job. A ``new_role`` is waited for; an answer that was lost is asked for.

        Raises Refused where SageMaker refuses the request, Unreached where it did not get it, Unsure where that is
        not known.
        """
        until = self.pace.clock() + (ROLE_SECONDS if new_role else 0)
        while True:
            try:
                with told(f"starting the {self.kind.noun} {self.name}"):
                    getattr(self._client, f"create_{self.kind.api.lower()}_job")(**request)
            except Refused as refused:
                if refused.code == "ResourceInUse" and self.describe_or_none():
                    return
                if not _unknown_role(refused) or self.pace.clock() >= until:
                    raise
                self.say("the role is too new for SageMaker: trying again in a moment …")
                self.pace.sleep(self.pace.seconds)
            except Unreached:
                if self.exists():
                    return
                raise
            else:
                return

    def exists(self) -> bool:
        try:
            return self.describe_or_none() is not None
        except Unreached:
            raise Unsure(
                f"AWS gave no answer, so that it is not known whether the {self.kind.noun} {self.name} has started:"
                f" {self.kind.command} --attach {self.name} says so once AWS can be reached"
            ) from None

    def describe(self) -> dict[str, Any]:
        """SageMaker's description. Raises UsageError where there is no such job."""
        found = self.describe_or_none()
        if found is None:
            raise UsageError(f"there is no {self.kind.noun} {self.name} in {self.account.region}: is --region right?")
        return found

    def describe_or_none(self) -> dict[str, Any] | None:
        try:
            with told(f"asking how the {self.kind.noun} {self.name} stands"):
                return dict(getattr(self._client, f"describe_{self.kind.api.lower()}_job")(**self._called))
        except Refused as refused:
            if refused.code in ("ValidationException", "ResourceNotFound") and "not f" in str(refused).lower():
                return None
            raise

    def stop(self) -> None:
        """Asks the job to stop; one that has ended already is left as it is."""
        try:
            with told(f"stopping the {self.kind.noun} {self.name}"):
                getattr(self._client, f"stop_{self.kind.api.lower()}_job")(**self._called)
        except Refused as refused:
            if refused.code != "ValidationException" or self.status(self.describe()) not in ENDED:
                raise

    def status(self, description: Mapping[str, Any]) -> str:
        return str(description[f"{self.kind.api}JobStatus"])

    def bill(self, description: Mapping[str, Any]) -> Bill:
        """What SageMaker bills, by its own count where it tells; while the job runs, the time since its start."""
        first, last = (description.get(end) for end in self.kind.ends)
        ran = int(((last or datetime.now(UTC)) - first).total_seconds()) if first else 0
        billed, trained = description.get("BillableTimeInSeconds"), description.get("TrainingTimeInSeconds")
        resources = description[self.kind.resources]
        return Bill(
            seconds=ran if billed is None else int(billed),
            instance=resources["InstanceType"],
            count=resources["InstanceCount"],
            use=self.kind.api.lower(),
            saved=1 - billed / trained if billed is not None and trained else 0.0,
        )

    def watch(self) -> dict[str, Any]:
        """Tells of the job until it ends; its last description.

        Raises Detached at Ctrl-C, Unreached after a long outage, UsageError where credentials ran out: each says
        how to go on watching.
        """
        description: dict[str, Any] | None = None
        told_of: dict[int, str] = {}
        lines = self._lines()
        with self._goes_on(lambda: description):
            while True:
                description = self._patiently()
                for line in _news(description, self.status(description), told_of):
                    self.say(line)
                for line in next(lines):
                    self.say(f"  {line}")
                if self.status(description) in ENDED:
                    return description
                self.pace.sleep(self.pace.seconds)

    @contextmanager
    def _goes_on(self, description: Callable[[], Mapping[str, Any] | None]) -> Iterator[None]:
        """Whatever ends the watching says that the job does not end with it."""
        again = f"{self.kind.command} --attach {self.name}"
        try:
            yield
        except KeyboardInterrupt:
            known = description()
            raise self.detached("the job goes on" + (f" and {self.bill(known).rate}" if known else "")) from None
        except UsageError as error:
            raise UsageError(f"{error}; the job goes on: {again}") from None
        except Refused as refused:
            raise Refused(f"{refused}; the job goes on: {again}", refused.code) from None

    def detached(self, how: str) -> Detached:
        command = self.kind.command
        return Detached(f"{how}: {command} --attach {self.name} watches it, {command} --stop {self.name} ends it")

    def _patiently(self) -> dict[str, Any]:
        """The job's description, waited for while AWS cannot be reached or asks for fewer calls."""
        since: float | None = None
        while True:
            try:
                return self.describe()
            except (Unreached, Refused) as lost:
                if isinstance(lost, Refused) and lost.code not in SLOW_DOWN:
                    raise
                now = self.pace.clock()
                if since is None:
                    since = now
                    self.say("the connection to AWS is lost; the job goes on, and so does the watching …")
                if now - since >= self.pace.patience:
                    raise Unreached(
                        f"AWS has not been reached for {self.pace.patience / 60:.0f} minutes; the job goes on:"
                        f" {self.kind.command} --attach {self.name}"
                    ) from None
            self.pace.sleep(self.pace.seconds)

    def _lines(self) -> Iterator[list[str]]:
        """The log's new lines; a log that this user may not read is said once."""
        try:
            yield from logs.follow(*self.log)
        except Refused as refused:
            self.say(f"{refused}: the job goes on without its log here")
        while True:
            yield []

    @property
    def _client(self) -> Any:
        return self.account.client("sagemaker")


def _unknown_role(refused: Refused) -> bool:
    text = str(refused).lower()
    return refused.code == "ValidationException" and "role" in text and ("assume" in text or "trust" in text)


def _news(description: Mapping[str, Any], status: str, told_of: dict[int, str]) -> Iterator[str]:
    """A line for each state that was not told of yet, or whose message changed."""
    steps = description.get("SecondaryStatusTransitions") or [{"Status": status, "StatusMessage": ""}]
    for number, step in enumerate(steps):
        message = str(step.get("StatusMessage") or "").strip()
        line = f"{step['Status'].lower():<12} {message}".rstrip()
        if step["Status"] == "Interrupted":
            line += " (spot took the machine back; the job resumes from its checkpoint)"
        if told_of.get(number) != line:
            told_of[number] = line
            yield line


@contextmanager
def taken_back(job: Job, clean: Callable[[], None]) -> Iterator[None]:
    """Runs ``clean`` where the block, which is to start ``job``, fails; what it raises says that nothing is billed.

    Raises Detached where Ctrl-C came too late.
    """
    try:
        yield
    except Unsure:
        raise
    except KeyboardInterrupt:
        if job.exists():
            raise job.detached("the job has started") from None
        clean()
        raise
    except PlauditError as error:
        clean()
        error.args = (f"{error}; the job did not start, so nothing is billed{_cure(error)}",)
        raise
    except BaseException:
        clean()
        raise


def _cure(error: PlauditError) -> str:
    """What to do about a refusal, where AWS's own words do not say so."""
    text = str(error).lower()
    if not isinstance(error, Refused) or error.code in QUOTA | SLOW_DOWN:
        return ""
    if "role" in text:
        return ": name a role that SageMaker may take, or leave --role out"
    return ": take another --image" if "image" in text or "ecr" in text else ""
