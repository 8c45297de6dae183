"""What the command line says and how. Data goes to standard output, talk and progress to standard error."""

from __future__ import annotations

import json
import sys
import time
from collections.abc import Iterable, Iterator
from typing import Any, TypeVar

import click

T = TypeVar("T")
SLOW = 1.0
LOG_SECONDS = 30.0


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
    """A progress bar with an ETA on a terminal, from the second on that the work takes; in a log a line at times."""
    if not sys.stderr.isatty():
        return _logged(items, what, total)
    from tqdm import tqdm

    bar: Iterable[T] = tqdm(
        items, what, total, delay=SLOW, leave=False, dynamic_ncols=True, bar_format="  {l_bar}{bar:20}{r_bar}"
    )
    return bar


def _logged(items: Iterable[T], what: str, total: int | None) -> Iterator[T]:
    """Says every `LOG_SECONDS` how far the work is, so that whoever follows a log sees that it goes on."""
    started = said = time.monotonic()
    for done, item in enumerate(items, 1):
        yield item
        now = time.monotonic()
        if now - said < LOG_SECONDS or done == total:
            continue
        said = now
        left = (now - started) / done * (total - done) if total else 0
        of = f"/{total}  about {_duration(left)} left" if total else ""
        say(f"  {what} {done}{of}")


def _duration(seconds: float) -> str:
    """``seconds`` in words, to within what an estimate is worth."""
    if seconds < 100:
        return f"{seconds:.0f} s"
    return f"{seconds / 60:.0f} min" if seconds < 6000 else f"{seconds / 3600:.1f} h"
