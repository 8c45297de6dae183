"""A deployment: its parts sent, its stack applied, its page asked; earlier revisions kept to go back to."""

from __future__ import annotations

import json
import time
import urllib.error
import urllib.request
from collections.abc import Callable
from dataclasses import asdict, dataclass, field
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from plaudit.errors import PlaceError, UsageError
from plaudit.places.aws import base, inventory, logs
from plaudit.places.aws.account import Account, Unreached, told
from plaudit.places.aws.images import Image, repository_arn, uri
from plaudit.places.aws.names import Name
from plaudit.places.aws.packing import digest
from plaudit.places.aws.plan import Parts, Plan
from plaudit.places.aws.prices import dollars, hourly
from plaudit.places.aws.stack import PAUSE, Event, Stack
from plaudit.places.aws.storage import Storage
from plaudit.places.aws.template import deployment_template
from plaudit.progress import Track, quiet

KEPT = 5
"""Revisions that can be gone back to."""
BAKE_MINUTES = 2
CHECK_SECONDS = 180
REVIEW = "A wonderful film"


@dataclass(frozen=True)
class Watch:
    """How a deployment tells of itself. ``pause`` is in seconds between two looks at a stack."""

    say: Callable[[str], None] = lambda line: None
    track: Track = quiet
    pause: float = PAUSE


@dataclass(frozen=True)
class Pieces:
    """What a deployment is made of on this machine: the function's zip, and the archive and image of an endpoint.

    ``about`` says in a few words which bundle it is.
    """

    function: Path
    archive: Path | None = None
    image: Image | None = None
    about: str = ""


@dataclass(frozen=True)
class Revision:
    """One template that has been applied, with the keys of its parts; ``about`` says what of."""

    number: int
    when: str
    template: str
    keys: tuple[str, ...]
    about: str


@dataclass(frozen=True)
class Deployed:
    """``page`` is the address of the page and the public API; ``changed`` is False where all was there already."""

    name: str
    page: str
    kind: str
    revision: int
    changed: bool
    outputs: dict[str, str]


@dataclass
class Deployment:
    """The deployment of one name in one account and region."""

    account: Account
    name: Name
    watch: Watch = field(default_factory=Watch)

    def deploy(self, plan: Plan, pieces: Pieces, asked: Callable[[str], Any] | None = None) -> Deployed:
        """Sends the pieces, applies the stack, and waits until it stands.

        ``asked`` gets the page's address and raises PlaceError where it does not answer, as `check` does. A
        deployment that fails leaves nothing; an update that fails leaves what was before. Raises PlaceError
        with the cause, the cost so far and the next command.
        """
        started = time.monotonic()
        log: list[str] = []
        stack = Stack(
            self.account, self.name, self.watch.say, self.watch.pause, lambda event: log.extend(self._log_of(event))
        )
        fresh = stack.describe() is None
        try:
            shared = base.ensure(self.account, reaper=plan.ttl is not None, say=self.watch.say)
            parts = self._send(plan, shared, pieces)
            template = deployment_template(plan, parts)
            changed = stack.apply(template, plan.name.tags, None if fresh else self._rollback_rules())
            if asked:
                self._ask(stack, asked, fresh)
        except Unreached as lost:
            raise Unreached(f"{lost}; what AWS has begun goes on: plaudit status {self.name.own}") from None
        except KeyboardInterrupt:
            self.watch.say(
                f"\nstopped watching; what AWS has begun goes on: plaudit status {self.name.own}, plaudit down "
                f"{self.name.own}"
            )
            raise
        except PlaceError as failed:
            raise self._failed(failed, plan, fresh, time.monotonic() - started, log) from None
        keys = tuple(key for key in (parts.function, parts.archive) if key)
        storage = Storage(self.account, shared.bucket)
        number = self._remember(storage, template, keys, pieces.about)
        if shared.reaper_role:
            # The bucket outlives a stack that deletes itself: its objects go by a lifecycle rule.
            storage.expire(self.name.prefix, plan.days)
        return self._deployed(stack, number, changed)

    def rollback(self) -> Deployed:
        """Applies the revision before the current one. Raises UsageError where there is none."""
        storage, revisions = self._storage(), self.revisions()
        if len(revisions) < 2:
            raise UsageError(f"{self.name.own} has no earlier revision: plaudit status {self.name.own}")
        before = revisions[-2]
        self.watch.say(f"going back to revision {before.number} of {before.when}: {before.about}")
        template = json.loads(storage.get(before.template))
        stack = Stack(self.account, self.name, self.watch.say, self.watch.pause)
        changed = stack.apply(template, self.name.tags, self._rollback_rules())
        self._write(storage, revisions[:-1])
        self._tidy(storage, revisions[:-1])
        return self._deployed(stack, before.number, changed)

    def revisions(self) -> list[Revision]:
        """The revisions that can be gone back to, oldest first; the last one is current."""
        storage, key = self._storage(), self._ledger
        if not storage.has(key):
            return []
        return [Revision(**{**entry, "keys": tuple(entry["keys"])}) for entry in json.loads(storage.get(key))]

    def _deployed(self, stack: Stack, number: int, changed: bool) -> Deployed:
        outputs = stack.outputs()
        return Deployed(self.name.own, outputs.get("Page", ""), outputs.get("To", ""), number, changed, outputs)

    def _ask(self, stack: Stack, asked: Callable[[str], Any], fresh: bool) -> None:
        """A page that answers with failures undoes the deployment; one that cannot be reached from here does not."""
        try:
            asked(stack.outputs().get("Page", ""))
        except Unreached as lost:
            self.watch.say(f"check     {lost}; the stack stands")
        except PlaceError:
            if not fresh and (revisions := self.revisions()):
                self.watch.say("check     the page fails: going back to what was before")
                before = json.loads(self._storage().get(revisions[-1].template))
                stack.apply(before, self.name.tags, self._rollback_rules())
            raise

    def _send(self, plan: Plan, shared: base.Base, pieces: Pieces) -> Parts:
        storage = Storage(self.account, shared.bucket)
        keys = []
        for what, path in (("function", pieces.function), ("archive", pieces.archive)):
            if path is None:
                continue
            end = "".join(path.suffixes[-2:]) if path.name.endswith(".tar.gz") else path.suffix
            keys.append(f"{self.name.prefix}{what}/{digest(path)}{end}")
            there = ", there already" if storage.has(keys[-1]) else ""
            self.watch.say(f"upload    {path.name}, {path.stat().st_size / 1e6:,.1f} MB{there}")
            storage.upload(path, keys[-1], self.watch.track)
        return Parts(
            bucket=shared.bucket,
            function=keys[0],
            archive=keys[1] if pieces.archive else "",
            image=uri(pieces.image, self.account.region) if pieces.image else "",
            image_repository=_repository(pieces.image, self.account),
            reaper_role=shared.reaper_role or "",
            ends=datetime.now(UTC) + plan.ttl if plan.ttl else None,
        )

    def _rollback_rules(self) -> dict[str, Any]:
        """An update is undone when the function fails while it is watched; not by an alarm that is on already.

        An update that mends a broken function would be undone by the fault that it mends.
        """
        name = f"{self.name.full}-function-errors"
        with told("looking at the alarm that undoes an update"):
            found = self.account.client("cloudwatch").describe_alarms(AlarmNames=[name])["MetricAlarms"]
        watching = [alarm for alarm in found if alarm["StateValue"] != "ALARM"]
        if found and not watching:
            self.watch.say(f"the alarm {name} is on already: it does not undo this update")
        triggers = [{"Arn": alarm["AlarmArn"], "Type": "AWS::CloudWatch::Alarm"} for alarm in watching]
        return {"RollbackTriggers": triggers, "MonitoringTimeInMinutes": BAKE_MINUTES if triggers else 0}

    def _log_of(self, event: Event) -> list[str]:
        """The last lines of the log of what failed, where it has one."""
        if event.kind != "AWS::SageMaker::Endpoint":
            return []
        return logs.tail(self.account, f"/aws/sagemaker/Endpoints/{self.name.full}", "", 10)

    def _failed(self, failed: PlaceError, plan: Plan, fresh: bool, seconds: float, log: list[str]) -> PlaceError:
        """The sentence for a deployment that failed; what a first one left is taken back."""
        lines = [str(failed)]
        if log:
            lines += ["the endpoint's log ends with:", *(f"  {line}" for line in log)]
        if plan.kind in ("instance", "async") and (price := hourly(plan.host, "hosting")):
            lines.append(f"cost so far: at most {dollars(price * max(1, plan.least) * seconds / 3600)}")
        else:
            lines.append("cost so far: nothing, or less than a cent")
        if not fresh:
            lines.append(f"{self.name.own} is as it was before; mend the cause, and the same command tries again")
            return PlaceError("\n".join(lines))
        try:
            inventory.remove(self.account, self.name, self.watch.say, self.watch.pause)
        except PlaceError as left:
            lines.append(str(left))
        else:
            lines.append("nothing is left of it; mend the cause, and the same command tries again")
        return PlaceError("\n".join(lines))

    @property
    def _ledger(self) -> str:
        return f"{self.name.prefix}revisions.json"

    def _storage(self) -> Storage:
        shared = base.found(self.account)
        if shared is None:
            raise UsageError(f"there is nothing of Plaudit in {self.account.region}: plaudit status --all-regions")
        return Storage(self.account, shared.bucket)

    def _remember(self, storage: Storage, template: dict[str, Any], keys: tuple[str, ...], about: str) -> int:
        revisions = self.revisions()
        body = json.dumps(template, indent=1).encode()
        if revisions and json.loads(storage.get(revisions[-1].template)) == template:
            return revisions[-1].number
        number = revisions[-1].number + 1 if revisions else 1
        key = f"{self.name.prefix}templates/{number}.json"
        storage.put(key, body)
        now = datetime.now(UTC).strftime("%Y-%m-%d %H:%M UTC")
        kept = [*revisions, Revision(number, now, key, keys, about)][-KEPT:]
        self._write(storage, kept)
        self._tidy(storage, kept)
        return number

    def _write(self, storage: Storage, revisions: list[Revision]) -> None:
        storage.put(self._ledger, json.dumps([asdict(entry) for entry in revisions], indent=1).encode())

    def _tidy(self, storage: Storage, revisions: list[Revision]) -> None:
        """Removes the parts that no kept revision uses."""
        used = {key for entry in revisions for key in (entry.template, *entry.keys)}
        for part in ("function", "archive", "templates"):
            for found in storage.keys(f"{self.name.prefix}{part}/"):
                if found.key not in used:
                    storage.remove(found.key)


def _repository(image: Image | None, account: Account) -> str:
    return (repository_arn(image, account.region, account.partition) if image else None) or "*"


def check(page: str, say: Callable[[str], None], seconds: float = CHECK_SECONDS) -> dict[str, Any]:
    """Asks the page's API for a verdict until one comes.

    Raises PlaceError with its last answer, Unreached where there was none.
    """
    deadline = time.monotonic() + seconds
    body = json.dumps({"text": REVIEW}).encode()
    while True:
        request = urllib.request.Request(f"{page}api/reviews", body, {"content-type": "application/json"})
        try:
            with urllib.request.urlopen(request, timeout=35) as answer:
                found: dict[str, Any] = json.load(answer)
            return found
        except urllib.error.HTTPError as error:
            answer_was = error.read(500).decode("utf-8", "replace")
            failed = PlaceError(f"{page} gives no verdict ({error.code} {answer_was})")
        except (OSError, ValueError) as error:
            failed = Unreached(f"{page} cannot be reached from here ({getattr(error, 'reason', error)})")
        if time.monotonic() > deadline:
            raise failed
        say("the page does not answer yet; a first answer takes a cold start …")
        time.sleep(min(5.0, seconds / 10))
