"""`plaudit down`: one command back, and proof that nothing is left."""

from __future__ import annotations

import click

from plaudit.cli import options as shared
from plaudit.cli.aws import account_from, account_options
from plaudit.cli.terminal import give, give_json, say
from plaudit.errors import PlaceError, PlauditError, UsageError


@click.command("down", epilog=shared.examples("plaudit down reviews", "plaudit down --all"))
@click.argument("names", nargs=-1)
@click.option("--all", "everything", is_flag=True, help="Everything of Plaudit's in the region.")
@click.option("--json", "as_json", is_flag=True, help="Print what was taken back as JSON.")
@account_options
def command(names: tuple[str, ...], everything: bool, as_json: bool, region: str | None, profile: str | None) -> None:
    """Take deployments and jobs back: the stack, and what a stack cannot hold.

    Then everything that carries the name's tag is listed, and unless that is nothing the command fails with the list.
    The shared bucket and roles go with the last name.
    """
    from plaudit.places.aws.base import BASE
    from plaudit.places.aws.inventory import remove, take
    from plaudit.places.aws.names import Name

    account = account_from(region, profile)
    if bool(names) == everything:
        raise UsageError("name what to take back, or say --all: plaudit status lists what is there")
    chosen = list(names)
    if everything:
        there = {entry.name for entry in take(account).resources}
        chosen = sorted(there - {BASE.own}) or sorted(there)
    taken, failed = {}, []
    for own in chosen:
        say(f"down      {own} in {account.region}")
        try:
            taken[own] = remove(account, Name(own), say)
        except PlauditError as error:
            failed.append(str(error))
    if as_json:
        give_json({"region": account.region, "taken_back": taken, "failed": failed})
    else:
        for own, number in taken.items():
            give(f"nothing of {own} is left in {account.region}" + ("" if number else ": there was nothing"))
        if not chosen:
            give(f"nothing of Plaudit's is in {account.region}")
    if failed:
        raise PlaceError("\n".join(failed))
