"""`plaudit status`: everything of Plaudit's on AWS, its state, age and cost, and what no stack owns."""

from __future__ import annotations

from typing import TYPE_CHECKING

import click

from plaudit.cli import options as shared
from plaudit.cli.aws import account_from, account_options, an_hour, columns
from plaudit.cli.terminal import give, give_json, printable, say, track

if TYPE_CHECKING:
    from plaudit.places.aws.inventory import Inventory, Resource


@click.command(
    "status", epilog=shared.examples("plaudit status", "plaudit status reviews", "plaudit status --all-regions --json")
)
@click.argument("name", required=False)
@click.option("--all-regions", is_flag=True, help="Look in every region that has SageMaker.")
@click.option("--json", "as_json", is_flag=True, help="Print what was found as JSON.")
@account_options
def command(name: str | None, all_regions: bool, as_json: bool, region: str | None, profile: str | None) -> None:
    """Say what of Plaudit's is on AWS: each resource with its state, its age and what it costs an hour.

    What carries Plaudit's tag and is owned by no stack is listed by itself: it would bill on unseen. Exit 1 where
    there is such a thing, or where a service could not be asked.
    """
    from plaudit.places.aws.inventory import everywhere, take
    from plaudit.places.aws.names import Name

    account = account_from(region, profile)
    if name:
        Name(name)
    found = everywhere(account, track) if all_regions else [take(account)]
    if name:
        found = [inventory.of(name) for inventory in found]
    if as_json:
        give_json(
            {
                "resources": [entry.to_json() for inventory in found for entry in inventory.resources],
                "orphans": [entry.to_json() for inventory in found for entry in inventory.orphans],
                "dollars_an_hour": sum(inventory.hourly for inventory in found),
                "unseen": [sentence for inventory in found for sentence in inventory.unseen],
            }
        )
    else:
        _tell(found, name or "Plaudit's", "in any region" if all_regions else f"in {account.region}")
    if any(inventory.orphans or inventory.unseen for inventory in found):
        raise click.exceptions.Exit(1)


def _tell(found: list[Inventory], whose: str, where: str) -> None:
    resources = [entry for inventory in found for entry in inventory.resources]
    orphans = [entry for inventory in found for entry in inventory.orphans]
    if not resources:
        give(f"nothing of {whose} is {where}")
    header = ("NAME", "WHAT", "ID", "STATE", "AGE", "COSTS NOW", "REGION")
    for line in columns([header, *map(_row, resources)] if resources else []):
        give(printable(line))
    if resources:
        together = sum(inventory.hourly for inventory in found)
        unknown = " and what is unknown" if any(entry.hourly is None for entry in resources) else ""
        give(f"together  {an_hour(together)}{unknown}, as far as list prices go")
    if orphans:
        say("\nwhat is marked NO STACK would stay and bill: take it back by name")
        for own in sorted({(entry.name, entry.region) for entry in orphans}):
            say(f"  plaudit down {own[0]} --region {own[1]}")
    for sentence in (sentence for inventory in found for sentence in inventory.unseen):
        say(f"could not look: {sentence}")


def _row(entry: Resource) -> tuple[str, ...]:
    state = entry.state if entry.stack or entry.kind in ("stack", "objects") else f"NO STACK {entry.state}".rstrip()
    return (
        entry.name, entry.kind, entry.id.rsplit(":", 1)[-1], state, _age(entry.age), an_hour(entry.hourly),
        entry.region,
    )  # fmt: skip


def _age(hours: float | None) -> str:
    if hours is None:
        return ""
    if hours < 1:
        return f"{max(0, hours * 60):.0f} min"
    return f"{hours:.0f} h" if hours < 48 else f"{hours / 24:.0f} days"
