"""What is there on AWS that carries Plaudit's tag, who owns it, what it costs; and taking it back.

A resource is owned where a live stack holds it. What no stack owns is what bills for years unseen.
"""

from __future__ import annotations

import time
from collections.abc import Callable
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from typing import Any

from plaudit.errors import PlaceError, UsageError
from plaudit.places.aws.account import Account, Refused, Unreached, told
from plaudit.places.aws.base import BASE
from plaudit.places.aws.finding import GONE, START, Found
from plaudit.places.aws.kinds import KINDS
from plaudit.places.aws.names import TAG, Name
from plaudit.places.aws.stack import Stack, StackFailed
from plaudit.places.aws.storage import Storage
from plaudit.progress import Track, quiet

OTHER = "other"
LOOKS = 20
"""How often, a pause apart, what is deleted is looked for: the services' lists are some seconds behind."""


@dataclass(frozen=True)
class Resource(Found):
    """A thing with the stack that owns it ("" for none) and its region."""

    stack: str = ""
    region: str = ""

    @property
    def age(self) -> float | None:
        """Hours since it was made; None where AWS does not say."""
        return (datetime.now(UTC) - self.created).total_seconds() / 3600 if self.created else None

    def to_json(self) -> dict[str, Any]:
        return {
            "kind": self.kind,
            "id": self.id,
            "name": self.name,
            "state": self.state,
            "stack": self.stack or None,
            "region": self.region,
            "created": self.created.isoformat() if self.created else None,
            "dollars_an_hour": self.hourly,
        }


@dataclass(frozen=True)
class Inventory:
    """``unseen`` are sentences about the services that could not be asked."""

    resources: tuple[Resource, ...]
    unseen: tuple[str, ...] = ()

    def of(self, name: str) -> Inventory:
        """The part of one name."""
        return replace(self, resources=tuple(entry for entry in self.resources if entry.name == name))

    @property
    def orphans(self) -> tuple[Resource, ...]:
        """What no stack owns, and is no stack and no object itself."""
        return tuple(entry for entry in self.resources if not entry.stack and entry.kind not in ("stack", "objects"))

    @property
    def hourly(self) -> float:
        """US dollars an hour while nobody uses anything, as far as prices are known."""
        return sum(entry.hourly or 0 for entry in self.resources)


def take(account: Account, name: str | None = None) -> Inventory:
    """The inventory of a region: of one name, or of everything that carries Plaudit's tag."""
    found: list[Found] = []
    unseen: list[str] = []
    for kind in KINDS:
        try:
            with told(f"looking for each {kind.name}"):
                found += kind.find(account)
        except (Refused, Unreached) as failed:
            unseen.append(str(failed))
    try:
        with told("asking for everything that carries Plaudit's tag"):
            found += _others(account)
    except (Refused, Unreached) as failed:
        unseen.append(str(failed))
    owned = _owned(account, [entry.id for entry in found if entry.kind == "stack"])
    resources = tuple(
        Resource(**vars(entry), stack=_owner(entry, owned), region=account.region)
        for entry in found
        if name is None or entry.name == name
    )
    return Inventory(resources, tuple(unseen))


def _others(account: Account) -> list[Found]:
    """Kinds that the table does not have: somebody put the tag on them, so they are shown."""
    marks = tuple(mark for kind in KINDS for mark in kind.marks)
    client, others = account.client("resourcegroupstaggingapi"), []
    for page in client.get_paginator("get_resources").paginate(TagFilters=[{"Key": TAG}]):
        for entry in page["ResourceTagMappingList"]:
            arn = entry["ResourceARN"]
            # Scaling goes with its endpoint, and is in a stack by another name than its ARN.
            if ":application-autoscaling:" not in arn and not any(mark in arn for mark in marks):
                name = next(tag["Value"] for tag in entry["Tags"] if tag["Key"] == TAG)
                others.append(Found(OTHER, arn, name, "", None, None))
    return others


def _owned(account: Account, stacks: list[str]) -> dict[str, str]:
    """Physical ids to the stack that holds them."""
    found: dict[str, str] = {}
    for stack in stacks:
        try:
            held = Stack(account, Name(stack.removeprefix(START))).resources()
        except (Refused, UsageError):  # gone since it was listed, or no stack of ours
            continue
        found |= {identity: stack for identity, entry in held.items() if entry["ResourceStatus"] != "DELETE_COMPLETE"}
    return found


def _owner(entry: Found, owned: dict[str, str]) -> str:
    if entry.kind == "objects":
        return ""
    return next(
        (stack for identity, stack in owned.items() if identity == entry.id or identity.endswith(f"/{entry.id}")), ""
    )


def remove(account: Account, name: Name, say: Callable[[str], None] = lambda line: None, pause: float = 3.0) -> int:
    """Deletes a deployment or a job: its stack, then whatever else carries its name. How many things it was.

    Takes the base back with the last of them. Raises PlaceError that lists what is left, unless that is nothing.
    """
    number, stuck = len(take(account, name.own).resources), ""
    if name.own == BASE.own:
        _empty(account)
    try:
        Stack(account, name, say, pause).delete()
    except StackFailed as failed:
        # What keeps a stack from going is removed by itself, and the stack is tried once more.
        stuck = str(failed)
    _remove_each(account, name, say)
    if stuck:
        Stack(account, name, say, pause).delete()
    left, patience = take(account, name.own), time.monotonic() + LOOKS * pause
    while number and left.resources and time.monotonic() < patience:
        time.sleep(pause)
        left = take(account, name.own)
    if left.resources or left.unseen:
        listed = "".join(f"\n  {entry.kind:<22} {entry.id}  {entry.state}" for entry in left.resources)
        unseen = "".join(f"\n  {sentence}" for sentence in left.unseen)
        count = "1 thing" if len(left.resources) == 1 else f"{len(left.resources)} things"
        raise PlaceError(
            f"{count} of {name.own} left{': ' + stuck if stuck else ''}{listed}{unseen}\n"
            f"the same command tries again: plaudit down {name.own}"
        )
    if name.own != BASE.own and _unused(account):
        say("base      nothing else uses it: taken back too")
        number += remove(account, BASE, say, pause)
    return number


def _empty(account: Account) -> None:
    """Empties the bucket before the base's stack goes. Raises PlaceError where something still uses the base."""
    there = take(account).resources
    users = sorted({entry.name for entry in there} - {BASE.own})
    if users:
        raise PlaceError(f"the base is in use: plaudit down {' '.join(users)}")
    for entry in there:
        if entry.kind == "bucket":
            Storage(account, entry.id).remove("")


def _unused(account: Account) -> bool:
    everything = take(account)
    names = {entry.name for entry in everything.resources}
    return names == {BASE.own} and not everything.unseen


def _remove_each(account: Account, name: Name, say: Callable[[str], None]) -> None:
    for entry in take(account, name.own).resources:
        kind = next((kind for kind in KINDS if kind.name == entry.kind), None)
        if kind is None or entry.kind == "stack":
            continue
        try:
            with told(f"removing the {entry.kind} {entry.id}"):
                kind.remove(account, entry.id)
        except Refused as refused:
            if not any(word in f"{refused.code} {refused}" for word in GONE):
                say(f"  {refused}")
            continue
        say(f"  removed          {entry.id} ({entry.kind})")


def everywhere(account: Account, track: Track = quiet) -> list[Inventory]:
    """The inventory of each region that has SageMaker; a region that is switched off counts as empty."""
    found = []
    with told("checking the credentials at home"):
        account.client("sts").get_caller_identity()
    for region in track(account.regions, "looking in each region", len(account.regions)):
        try:
            inventory = take(account.beside(region))
        except UsageError:
            continue  # the same credentials are good at home: this region is switched off for the account
        except PlaceError as error:
            inventory = Inventory((), (f"{region}: {error}",))
        if inventory.resources or inventory.unseen:
            found.append(inventory)
    return found
