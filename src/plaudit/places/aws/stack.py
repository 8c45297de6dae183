"""One CloudFormation stack: applied, followed to its end, deleted, and why it failed. Knows no template."""

from __future__ import annotations

import json
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any

from plaudit.errors import PlaceError
from plaudit.places.aws.account import SLOW_DOWN, Account, Refused, Unreached, told
from plaudit.places.aws.names import Name

PAUSE = 3.0
PATIENCE = 600.0
"""Seconds without an answer from AWS after which following is given up; what is under way there goes on."""
TEMPLATE_LIMIT = 51_200
STUCK = ("ROLLBACK_COMPLETE", "ROLLBACK_FAILED", "DELETE_FAILED", "UPDATE_ROLLBACK_FAILED", "CREATE_FAILED")


@dataclass(frozen=True)
class Event:
    """What happened to one resource of a stack."""

    id: str
    resource: str
    kind: str
    state: str
    reason: str


class StackFailed(PlaceError):
    """A stack that did not get where it was sent, and is now in ``state``."""

    def __init__(self, message: str, state: str) -> None:
        super().__init__(message)
        self.state = state


@dataclass
class Stack:
    """The stack of one name. ``say`` gets a line for each resource that is made or removed.

    ``failing`` gets each failure as soon as it is seen, before a rollback has removed what would explain it.
    """

    account: Account
    name: Name
    say: Callable[[str], None] = lambda line: None
    pause: float = PAUSE
    failing: Callable[[Event], None] = lambda event: None
    _before: set[str] = field(default_factory=set)
    _seen: set[str] = field(default_factory=set)

    def describe(self) -> dict[str, Any] | None:
        """The stack as CloudFormation describes it; None where there is none."""
        return self._described(self.name.full)

    def _described(self, which: str) -> dict[str, Any] | None:
        try:
            with told(f"looking for the stack {self.name.full}"):
                (found,) = self._client.describe_stacks(StackName=which)["Stacks"]
        except Refused as refused:
            if refused.code == "ValidationError":
                return None
            raise
        return dict(found)

    def template(self) -> dict[str, Any]:
        """The template of the stack as it stands."""
        with told(f"reading the template of {self.name.full}"):
            found = self._client.get_template(StackName=self.name.full)["TemplateBody"]
        return dict(json.loads(found) if isinstance(found, str) else found)

    def outputs(self) -> dict[str, str]:
        """The stack's outputs; {} where there is no stack."""
        found = self.describe() or {}
        return {entry["OutputKey"]: entry["OutputValue"] for entry in found.get("Outputs", ())}

    def resources(self) -> dict[str, dict[str, Any]]:
        """The stack's resources by their physical ids."""
        with told(f"listing what the stack {self.name.full} holds"):
            pages = self._client.get_paginator("list_stack_resources").paginate(StackName=self.name.full)
            return {
                entry["PhysicalResourceId"]: entry
                for page in pages
                for entry in page["StackResourceSummaries"]
                if entry.get("PhysicalResourceId")
            }

    def apply(
        self, template: Mapping[str, Any], tags: Mapping[str, str], rollback: Mapping[str, Any] | None = None
    ) -> bool:
        """Creates or updates the stack and waits; False where nothing had to change.

        A stack that cannot be created leaves nothing; one that cannot be updated goes back to what it was.
        ``rollback`` is CloudFormation's RollbackConfiguration: alarms that undo an update.
        Raises StackFailed with the first cause.
        """
        body = json.dumps(template, separators=(",", ":"))
        if len(body) > TEMPLATE_LIMIT:
            raise PlaceError(f"the template has {len(body):,} bytes: CloudFormation takes {TEMPLATE_LIMIT:,}")
        before = self.describe()
        if before and before["StackStatus"].endswith("_IN_PROGRESS"):
            self.say(f"the stack {self.name.full} is at work already ({before['StackStatus']}): waiting for it")
            before = self._follow(before["StackId"])
        if before and before["StackStatus"] in STUCK:
            raise PlaceError(
                f"the stack {self.name.full} is left from a failure ({before['StackStatus']}):"
                f" plaudit down {self.name.own}"
            )
        call: dict[str, Any] = {
            "StackName": self.name.full,
            "TemplateBody": body,
            "Capabilities": ["CAPABILITY_IAM"],
            "Tags": [{"Key": key, "Value": value} for key, value in tags.items()],
        }
        if rollback is not None:
            call["RollbackConfiguration"] = dict(rollback)
        live = before if before and before["StackStatus"] != "DELETE_COMPLETE" else None
        identity = self._start(call, live)
        if identity is None:
            return False
        after = self._follow(identity)
        wanted = "UPDATE_COMPLETE" if live else "CREATE_COMPLETE"
        if after["StackStatus"] != wanted:
            raise self._failure(identity, after)
        return True

    def _start(self, call: dict[str, Any], live: dict[str, Any] | None) -> str | None:
        self._remember(live)
        try:
            with told(f"{'updating' if live else 'creating'} the stack {self.name.full}"):
                if live:
                    return str(self._client.update_stack(**call)["StackId"])
                return str(self._client.create_stack(**call, OnFailure="DELETE")["StackId"])
        except Refused as refused:
            if "No updates are to be performed" in str(refused):
                return None
            raise

    def delete(self) -> bool:
        """Deletes the stack and waits; False where there is none. Raises StackFailed with the first cause."""
        before = self.describe()
        if before is None or before["StackStatus"] == "DELETE_COMPLETE":
            return False
        self._remember(before)
        with told(f"deleting the stack {self.name.full}"):
            self._client.delete_stack(StackName=before["StackId"])
        after = self._follow(before["StackId"])
        if after["StackStatus"] != "DELETE_COMPLETE":
            raise self._failure(before["StackId"], after)
        return True

    def _remember(self, live: dict[str, Any] | None) -> None:
        """Events from before are neither told nor taken for a cause."""
        self._before = {event.id for event in self.events(live["StackId"])} if live else set()
        self._seen = set(self._before)

    def events(self, identity: str) -> list[Event]:
        """What happened, oldest first."""
        found: list[Event] = []
        with told(f"reading the events of {self.name.full}"):
            # The newest come first: what was there before need not be read again at every look.
            for page in self._client.get_paginator("describe_stack_events").paginate(StackName=identity):
                found += [_event(entry) for entry in page["StackEvents"]]
                if found and found[-1].id in self._before:
                    break
        return found[::-1]

    def _follow(self, identity: str) -> dict[str, Any]:
        """Waits until the stack rests, telling of each resource; a lost connection is waited for."""
        since, pause = time.monotonic(), self.pause / 10
        while True:
            try:
                found = self._described(identity)
                self._tell(identity)
            except (Unreached, Refused) as lost:
                if isinstance(lost, Refused) and lost.code not in SLOW_DOWN:
                    raise
                if time.monotonic() - since > PATIENCE:
                    raise Unreached(
                        f"{lost}; the stack {self.name.full} goes on at AWS: plaudit status {self.name.own}"
                    ) from None
                self.say("AWS does not answer just now; trying again …")
            else:
                since = time.monotonic()
                if found is None:
                    return {"StackId": identity, "StackStatus": "DELETE_COMPLETE"}
                if not found["StackStatus"].endswith("_IN_PROGRESS"):
                    return found
            time.sleep(pause)
            pause = min(self.pause, 1.5 * pause)

    def _tell(self, identity: str) -> None:
        for event in self.events(identity):
            if event.id in self._seen:
                continue
            self._seen.add(event.id)
            if event.state.endswith("_FAILED"):
                self.failing(event)
            if event.state.endswith(("_COMPLETE", "_FAILED")) and event.kind != "AWS::CloudFormation::Stack":
                why = f": {event.reason}" if event.state.endswith("_FAILED") else ""
                self.say(f"  {event.state.lower().replace('_', ' '):<16} {event.resource} ({event.kind}){why}")

    def _failure(self, identity: str, after: Mapping[str, Any]) -> StackFailed:
        fresh = [event for event in self.events(identity) if event.id not in self._before]
        first = next(
            (
                event
                for event in fresh
                if event.state.endswith("_FAILED")
                and "cancelled" not in event.reason.lower()
                and event.kind != "AWS::CloudFormation::Stack"
            ),
            None,
        )
        state = after["StackStatus"]
        if first is None:
            # An alarm fails no resource: the stack's own event of turning back is what says why.
            turns = [event.reason for event in fresh if event.state.endswith("ROLLBACK_IN_PROGRESS") and event.reason]
            why = turns[0] if turns else str(after.get("StackStatusReason") or state)
            return StackFailed(f"the stack {self.name.full} ended as {state}: {why}", state)
        cause = f"{first.resource} ({first.kind}): {first.reason or first.state}"
        return StackFailed(f"the stack {self.name.full} ended as {state}, because of {cause}", state)

    @property
    def _client(self) -> Any:
        return self.account.client("cloudformation")


def _event(entry: Mapping[str, Any]) -> Event:
    return Event(
        entry["EventId"],
        entry.get("LogicalResourceId", ""),
        entry.get("ResourceType", ""),
        entry.get("ResourceStatus", ""),
        entry.get("ResourceStatusReason", ""),
    )
