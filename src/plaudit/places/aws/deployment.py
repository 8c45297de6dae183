"""A deployment: its parts sent, its stack applied, its page asked; earlier revisions kept to go back to."""

from __future__ import annotations

import json
import time
import urllib.error
import urllib.request
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from plaudit.errors import PlaceError, UsageError
from plaudit.places.aws import base, inventory, logs
from plaudit.places.aws.account import Account, Unreached, told
from plaudit.places.aws.images import Image, repository, uri
from plaudit.places.aws.limits import shown
from plaudit.places.aws.names import Name
from plaudit.places.aws.packing import digest
from plaudit.places.aws.plan import BAKE_MINUTES, Parts, Plan
from plaudit.places.aws.prices import dollars, hourly
from plaudit.places.aws.revisions import Ledger, Revision
from plaudit.places.aws.stack import PAUSE, Event, Stack, StackFailed
from plaudit.places.aws.storage import Storage
from plaudit.places.aws.template import ENDING, deployment_template
from plaudit.places.aws.watching import Detached
from plaudit.progress import Track, quiet

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
            self.account,
            self.name,
            self.watch.say,
            self.watch.pause,
            lambda event: log.extend(self._log_of(event, plan)),
        )
        fresh = stack.describe() is None
        try:
            with self._going_on(stack):
                shared = base.ensure(self.account, reaper=plan.ttl is not None, say=self.watch.say)
                parts = self._send(plan, shared, pieces)
                template = deployment_template(plan, parts)
                changed = stack.apply(*self._watched(template, fresh))
                if asked:
                    self._ask(stack, asked, fresh)
        except (Unreached, Detached):
            raise
        except PlaceError as failed:
            raise self._failed(failed, plan, fresh, time.monotonic() - started, log) from None
        keys = tuple(key for key in (parts.function, parts.archive) if key)
        storage = Storage(self.account, shared.bucket)
        number = Ledger(storage, self.name).remember(Revision(0, "", "", keys, pieces.about, plan.days), template)
        if shared.reaper_role:
            # The bucket outlives a stack that deletes itself: its objects go by a lifecycle rule.
            storage.expire(self.name.prefix, plan.days)
        return self._deployed(stack, number, changed)

    def rollback(self, asked: Callable[[str], Any] | None = None) -> Deployed:
        """Applies the revision before the current one; when it ends by itself stays as it is.

        Raises UsageError where there is none, PlaceError with the cause and the next command where it fails.
        """
        stack = Stack(self.account, self.name, self.watch.say, self.watch.pause)
        if stack.describe() is None:
            raise UsageError(f"there is no deployment {self.name.own} in {self.account.region}: plaudit status")
        ledger, revisions = self._ledger(), self.revisions()
        if len(revisions) < 2:
            raise UsageError(f"{self.name.own} has no earlier revision: plaudit status {self.name.own}")
        now, before = revisions[-1], revisions[-2]
        self.watch.say(f"going back to revision {before.number} of {before.when}: {before.about}")
        try:
            with self._going_on(stack):
                changed = stack.apply(*self._watched(self._as_of(before, stack), False))
                if asked:
                    self._ask(stack, asked, False)
        except StackFailed as failed:
            raise PlaceError(f"{failed}\n{self._standing(failed)}") from None
        ledger.write([*revisions[:-2], replace(before, days=now.days)])
        if now.days or before.days:
            ledger.storage.expire(self.name.prefix, now.days)
        return self._deployed(stack, before.number, changed)

    def _as_of(self, revision: Revision, stack: Stack) -> dict[str, Any]:
        """A revision's template, which ends when the stack ends now: an old end may be past, or was given up."""
        found = self._ledger().template(revision)
        live = stack.template()
        for part, name in (("Resources", ENDING), ("Outputs", "Ends")):
            found[part].pop(name, None)
            if ending := live[part].get(name):
                found[part][name] = ending
        return found

    def revisions(self) -> list[Revision]:
        """The revisions that can be gone back to, oldest first; the last one is current."""
        return self._ledger().revisions()

    def _ledger(self) -> Ledger:
        return Ledger(self._storage(), self.name)

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
                stack.apply(*self._watched(self._as_of(revisions[-1], stack), False))
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
            self.watch.say(f"upload    {path.name}, {shown(path.stat().st_size)}{there}")
            # A lifecycle rule counts from an object's writing: where one is to end, it is written again.
            storage.upload(path, keys[-1], self.watch.track, again=plan.ttl is not None)
        return Parts(
            bucket=shared.bucket,
            function=keys[0],
            archive=keys[1] if pieces.archive else "",
            image=uri(pieces.image, self.account.region) if pieces.image else "",
            image_repository=repository(pieces.image, self.account.region, self.account.partition),
            reaper_role=shared.reaper_role or "",
            ends=datetime.now(UTC) + plan.ttl if plan.ttl else None,
        )

    def _watched(
        self, template: dict[str, Any], fresh: bool
    ) -> tuple[dict[str, Any], dict[str, str], dict[str, Any] | None]:
        """What `Stack.apply` takes: the template, the tags, and the alarms that undo an update while it is watched.

        Not an alarm that is on already: an update that mends a fault would be undone by the fault that it mends.
        """
        if fresh:
            return template, self.name.tags, None
        with told("looking at the alarms that undo an update"):
            found = self.account.client("cloudwatch").describe_alarms(AlarmNamePrefix=f"{self.name.full}-")
        alarms = {alarm["AlarmName"]: alarm for alarm in found["MetricAlarms"]}
        on = [name for name, alarm in alarms.items() if alarm["StateValue"] == "ALARM"]
        for name in on:
            self.watch.say(f"the alarm {name} is on already: it does not undo this update")
        watching = [f"{self.name.full}-{what}-errors" for what in ("function", "api")]
        arns = [alarms[name]["AlarmArn"] for name in watching if name in alarms and name not in on]
        triggers = [{"Arn": arn, "Type": "AWS::CloudWatch::Alarm"} for arn in arns]
        rules = {"RollbackTriggers": triggers, "MonitoringTimeInMinutes": BAKE_MINUTES if triggers else 0}
        if f"{self.name.full}-endpoint-errors" in on and "Endpoint" in template["Resources"]:
            template = json.loads(json.dumps(template))
            template["Resources"]["Endpoint"]["Properties"].get("DeploymentConfig", {}).pop(
                "AutoRollbackConfiguration", None
            )
        return template, self.name.tags, rules

    @contextmanager
    def _going_on(self, stack: Stack) -> Iterator[None]:
        """Says of a lost connection and of Ctrl-C that what AWS has begun goes on, where it has begun anything."""
        own = self.name.own
        try:
            yield
        except Unreached as lost:
            raise Unreached(f"{lost}; what AWS has begun goes on: plaudit status {own}") from None
        except KeyboardInterrupt:
            if stack.describe() is None:
                raise Detached(f"stopped before anything was made; what was sent: plaudit down {own}") from None
            raise Detached(
                f"stopped watching; what AWS has begun goes on: plaudit status {own} shows it, plaudit down {own} takes"
                " it back"
            ) from None

    def _standing(self, failed: PlaceError) -> str:
        """How things are after an update that failed."""
        if isinstance(failed, StackFailed) and failed.state != "UPDATE_ROLLBACK_COMPLETE":
            return f"{self.name.own} is left half way ({failed.state}): plaudit down {self.name.own}, then deploy anew"
        return f"{self.name.own} is as it was before; mend the cause, and the same command tries again"

    def _log_of(self, event: Event, plan: Plan) -> list[str]:
        """The last lines of the log of what failed, where it has one."""
        if event.kind != "AWS::SageMaker::Endpoint":
            return []
        return logs.tail(self.account, f"/aws/sagemaker/Endpoints/{plan.endpoint}", "", 10)

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
            lines.append(self._standing(failed))
            return PlaceError("\n".join(lines))
        try:
            inventory.remove(self.account, self.name, self.watch.say, self.watch.pause)
        except PlaceError as left:
            lines.append(str(left))
        else:
            lines.append("nothing is left of it; mend the cause, and the same command tries again")
        return PlaceError("\n".join(lines))

    def _storage(self) -> Storage:
        shared = base.found(self.account)
        if shared is None:
            raise UsageError(f"there is nothing of Plaudit in {self.account.region}: plaudit status --all-regions")
        return Storage(self.account, shared.bucket)


def check(page: str, say: Callable[[str], None], seconds: float = CHECK_SECONDS) -> dict[str, Any]:
    """Asks the page's API for a verdict until one comes.

    Raises PlaceError with its last answer, Unreached where there was none.
    """
    started = time.monotonic()
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
        # A new address is known everywhere within a minute; a cold start may take longer.
        if time.monotonic() - started > (seconds / 3 if isinstance(failed, Unreached) else seconds):
            raise failed
        say("the page does not answer yet; a first answer takes a cold start …")
        time.sleep(min(5.0, seconds / 10))
