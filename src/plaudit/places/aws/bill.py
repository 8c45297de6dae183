"""What a job of SageMaker's costs: seconds, machines, list price. Knows no job and makes no call."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from plaudit.places.aws.prices import dollars, hourly


@dataclass(frozen=True)
class Bill:
    """What a job cost so far. ``seconds`` are of each of ``count`` machines; ``saved`` is spot's share, of 1."""

    seconds: int
    instance: str
    count: int
    use: str
    saved: float = 0.0

    @property
    def an_hour(self) -> float | None:
        """US dollars for all its machines; None where the price is not in the table."""
        price = hourly(self.instance, self.use)
        return None if price is None else price * self.count

    @property
    def dollars(self) -> float | None:
        return None if self.an_hour is None else self.an_hour * self.seconds / 3600

    @property
    def rate(self) -> str:
        """What it costs while it runs."""
        if self.an_hour is None:
            return f"is billed by the second ({self.machines}, which are not in Plaudit's price table)"
        return f"costs {dollars(self.an_hour)} an hour"

    @property
    def machines(self) -> str:
        return f"{self.count} x {self.instance}"

    def __str__(self) -> str:
        price = "a price that is not in Plaudit's table" if self.dollars is None else f"about {dollars(self.dollars)}"
        spot = f", {self.saved:.0%} saved by spot" if self.saved > 0 else ""
        return f"{self.seconds:,} s billed of {self.machines}, {price}{spot}"

    def to_json(self) -> dict[str, Any]:
        return {
            "billable_seconds": self.seconds,
            "instance": self.instance,
            "count": self.count,
            "dollars": None if self.dollars is None else round(self.dollars, 6),
            "spot_saving": round(self.saved, 6),
        }
