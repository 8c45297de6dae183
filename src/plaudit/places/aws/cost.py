"""What a deployment will cost, before it is made: a month of nobody, and a million reviews. Calls nothing."""

from __future__ import annotations

from dataclasses import dataclass

from plaudit.places.aws import prices
from plaudit.places.aws.plan import Plan

MILLION = 1_000_000
REVIEW_KB = 3.0
"""A review of 230 words with its answer, in kilobytes."""
ENDPOINT_SECONDS = 0.02
FRONT_SECONDS = 0.05
QUEUE_SECONDS = 0.5
INSIDE_SECONDS = 0.02
"""Assumed seconds a review takes behind an endpoint, in the function before one, before a queue, and by itself."""
REVIEWS_AN_INSTANCE_SECOND = 100
"""Assumed of an instance that is there for the reviews alone."""


@dataclass(frozen=True)
class Line:
    """US dollars of one item: while idle for a month, and for a million reviews. None where no price is known."""

    item: str
    idle: float | None
    million: float | None


@dataclass(frozen=True)
class Estimate:
    lines: tuple[Line, ...]

    @property
    def idle(self) -> float | None:
        """US dollars a month while nobody uses it."""
        return _sum([line.idle for line in self.lines])

    @property
    def million(self) -> float | None:
        """US dollars for a million reviews, on top of what idling costs."""
        return _sum([line.million for line in self.lines])


def _sum(amounts: list[float | None]) -> float | None:
    return None if None in amounts else sum(amount or 0 for amount in amounts)


def estimate(plan: Plan) -> Estimate:
    """The lines of the bill, at list prices of us-east-1, without free tiers."""
    lines = [
        Line("public API", 0, prices.HTTP_API_MILLION),
        _function(plan),
        *([] if plan.to == "lambda" else [_endpoint(plan)]),
        Line("alarms (the first ten of an account are free)", prices.ALARM_MONTH * _alarms(plan), 0),
        *([Line("objects of the queue", 0, 2 * prices.OBJECT_WRITES_MILLION)] if plan.asynchronous else []),
        Line("logs and objects", 0.1 * prices.STORAGE_GB_MONTH, 0.4 * prices.LOG_GB),
    ]
    if plan.snapstart:
        memory = plan.function_memory / 1024
        kept = prices.SNAPSTART_GB_SECOND * memory * prices.HOURS * 3600
        lines.append(Line("SnapStart's snapshot", kept, 0))
    return Estimate(tuple(lines))


def _function(plan: Plan) -> Line:
    inside = plan.to == "lambda"
    memory = plan.memory_of_function / 1024
    each = INSIDE_SECONDS if inside else QUEUE_SECONDS if plan.asynchronous else FRONT_SECONDS
    seconds = each * MILLION
    work = prices.LAMBDA_GB_SECOND[plan.target.machine] * memory * seconds
    return Line("function", 0, prices.LAMBDA_MILLION + work)


def _endpoint(plan: Plan) -> Line:
    if plan.kind == "serverless":
        traffic = prices.SERVERLESS_GB * REVIEW_KB * MILLION / 1e6
        return Line(
            f"serverless endpoint, {plan.memory:,} MB",
            0,
            prices.SERVERLESS_SECOND[plan.memory] * ENDPOINT_SECONDS * MILLION + traffic,
        )
    price = prices.hourly(plan.host, "hosting")
    item = f"{plan.least} to {plan.most} × {plan.host}"
    if price is None:
        return Line(item, None, None)
    busy = MILLION / REVIEWS_AN_INSTANCE_SECOND / 3600 * price
    # An instance that runs anyway does the work for nothing more.
    return Line(item, price * plan.least * prices.HOURS, busy if plan.least == 0 else 0)


def _alarms(plan: Plan) -> int:
    """Two on function and page, one on an endpoint of instances, two that scaling makes, one that wakes it up."""
    if plan.to == "lambda" or plan.kind == "serverless":
        return 2
    return 3 + 2 * (plan.most > plan.least) + (plan.asynchronous and plan.least == 0)
