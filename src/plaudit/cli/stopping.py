"""Ctrl-C and SIGTERM as a wish to stop after the current batch. Knows signals only."""

from __future__ import annotations

import signal
from collections.abc import Iterator
from contextlib import contextmanager

from plaudit.cli.terminal import say


@contextmanager
def stop_asked(leads: bool = True, alone: bool = True) -> Iterator[list[int]]:
    """The signals that asked for a stop: Ctrl-C and SIGTERM. ``alone``, a second Ctrl-C stops at once.

    torchrun passes on what its processes may have got already, and SIGKILL comes if they take too long.
    Only a process that ``leads`` says so.
    """
    asked: list[int] = []

    def handler(number: int, frame: object) -> None:
        if asked and number == signal.SIGINT and alone:
            raise KeyboardInterrupt
        if not asked and leads:
            say("\nstopping after this batch …")
        asked.append(number)

    before = {number: signal.signal(number, handler) for number in (signal.SIGINT, signal.SIGTERM)}
    try:
        yield asked
    finally:
        for number, previous in before.items():
            signal.signal(number, previous)
