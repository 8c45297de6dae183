"""Options and words that the steps on AWS share. Knows click; boto3 is imported only where AWS is called."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from typing import TYPE_CHECKING, Any, TypeVar

import click

from plaudit.cli.terminal import say

if TYPE_CHECKING:
    from plaudit.places.aws.account import Account

F = TypeVar("F", bound=Callable[..., Any])
PLANNED = "us-east-1"


def account_options(command: F) -> F:
    """--region and --profile."""
    for option in (
        click.option(
            "--profile", metavar="NAME", help="A profile of AWS's own configuration.  [default: AWS's choice]"
        ),
        click.option("--region", metavar="NAME", help="AWS region, such as us-east-1.  [default: AWS's choice]"),
    ):
        command = option(command)
    return command


def image_option(whose: str) -> Callable[[F], F]:
    """--image."""
    return click.option(
        "--image", metavar="NAME", help=f"{whose}: a name of docs/archive.md's table, or the URI of your own."
    )


def python_option(about: str) -> Callable[[F], F]:
    """--python, of those that there are parts for."""
    from plaudit.places.aws.parts import PYTHONS, Target

    return click.option("--python", type=click.Choice(PYTHONS), default=Target.python, show_default=True, help=about)


def machine_option(about: str) -> Callable[[F], F]:
    """--machine, of those that there are parts for; x86-64 is x86_64 too, as for all of Plaudit's flags."""
    from plaudit.places.aws.parts import MACHINES, Target

    kind = click.Choice(MACHINES)
    shown = f"[{'|'.join(MACHINES)}]"
    return click.option("--machine", type=kind, metavar=shown, default=Target.machine, show_default=True, help=about)


def account_from(region: str | None, profile: str | None, planning: bool = False) -> Account:
    """The account that boto3 finds; a plan, which calls nothing, is made for `PLANNED` where no region is set.

    Raises UsageError where the extra or a profile is missing, and for a region that is missing or not there.
    """
    from plaudit.places.aws.account import Account, NoRegion

    try:
        found = Account(region, profile)
    except NoRegion:
        if not planning:
            raise
        say(f"no AWS region is set: this plan is for {PLANNED}; --region plans for another")
        found = Account(PLANNED, profile)
    found.check_region()
    return found


def columns(rows: Iterable[tuple[str, ...]]) -> list[str]:
    """Rows as lines, each column as wide as its widest entry."""
    several = list(rows)
    widths = [max(len(row[at]) for row in several) for at in range(len(several[0]))] if several else []
    return ["  ".join(cell.ljust(width) for cell, width in zip(row, widths, strict=True)).rstrip() for row in several]


def stack_lines(title: str, template: Mapping[str, Any]) -> list[str]:
    """What a stack is made of, as a plan shows it."""
    resources = template["Resources"].items()
    return [f"stack {title}", *columns((f"  {name}", entry["Type"]) for name, entry in resources)]


def an_hour(hourly: float | None) -> str:
    """What a thing costs an hour, as it is shown."""
    from plaudit.places.aws.prices import HOURS, dollars

    if hourly is None:
        return "unknown"
    if hourly < 1e-5:
        return "nothing"
    return f"{dollars(hourly)} an hour" if hourly >= 0.01 else f"{dollars(hourly * HOURS)} a month"
