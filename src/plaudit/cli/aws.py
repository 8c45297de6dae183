"""Options and words that the steps on AWS share. Knows click; boto3 is imported only where AWS is called."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from typing import TYPE_CHECKING, Any, TypeVar

import click

if TYPE_CHECKING:
    from plaudit.places.aws.account import Account

F = TypeVar("F", bound=Callable[..., Any])


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


def account_from(region: str | None, profile: str | None) -> Account:
    """The account that boto3 finds. Raises UsageError where the extra, a region or a profile is missing."""
    from plaudit.places.aws.account import Account

    return Account(region, profile)


def columns(rows: Iterable[tuple[str, ...]]) -> list[str]:
    """Rows as lines, each column as wide as its widest entry."""
    several = list(rows)
    widths = [max(len(row[at]) for row in several) for at in range(len(several[0]))] if several else []
    return ["  ".join(cell.ljust(width) for cell, width in zip(row, widths, strict=True)).rstrip() for row in several]


def an_hour(hourly: float | None) -> str:
    """What a thing costs an hour, as it is shown."""
    from plaudit.places.aws.prices import HOURS, dollars

    if hourly is None:
        return "unknown"
    if hourly < 1e-5:
        return "nothing"
    return f"{dollars(hourly)} an hour" if hourly >= 0.01 else f"{dollars(hourly * HOURS)} a month"
