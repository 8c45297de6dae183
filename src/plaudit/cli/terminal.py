"""What the command line says and how. Data goes to standard output, talk and progress to standard error."""

from __future__ import annotations

import json
import sys
from collections.abc import Iterable
from typing import Any, TypeVar

import click

T = TypeVar("T")
SLOW = 1.0


def say(line: str = "") -> None:
    """A line of talk."""
    click.echo(printable(line), err=True)


def printable(text: str) -> str:
    """``text`` without what would steer a terminal: a stranger's bundle or file may hold such characters."""
    return "".join(c if c.isprintable() or c in "\n\t" else "\ufffd" for c in text)


def give(line: str) -> None:
    """A line of data."""
    click.echo(line)


def give_json(value: Any) -> None:
    click.echo(json.dumps(value, indent=2, ensure_ascii=False))


def track(items: Iterable[T], what: str, total: int | None = None) -> Iterable[T]:
    """A progress bar with an ETA on a terminal, from the second on that the work takes; nothing in a log."""
    if not sys.stderr.isatty():
        return items
    from tqdm import tqdm

    bar: Iterable[T] = tqdm(
        items, what, total, delay=SLOW, leave=False, dynamic_ncols=True, bar_format="  {l_bar}{bar:20}{r_bar}"
    )
    return bar
