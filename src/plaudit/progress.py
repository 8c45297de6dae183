"""How long work tells that it goes on. Knows no terminal: the command line hands in what prints."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Protocol, TypeVar

T = TypeVar("T")


class Track(Protocol):
    """Passes ``items`` on and tells of them as they go by; ``total`` is how many there will be."""

    def __call__(self, items: Iterable[T], what: str, total: int | None = None) -> Iterable[T]: ...


def quiet(items: Iterable[T], what: str, total: int | None = None) -> Iterable[T]:
    """Tells nothing."""
    return items
