"""Estimates: what idles for nothing, what does not, and that every line is counted."""

from __future__ import annotations

import pytest

from plaudit.places.aws import prices
from plaudit.places.aws.cost import estimate
from tests.places.aws.test_plan import plan


def test_a_function_costs_next_to_nothing_while_nobody_uses_it() -> None:
    found = estimate(plan(to="lambda"))
    idle = {line.item: line.idle for line in found.lines if line.idle}
    assert set(idle) == {"alarms (the first ten of an account are free)", "logs and objects"}
    assert found.idle is not None
    assert found.idle < 0.25


def test_snapstart_bills_while_idle_by_memory_and_second() -> None:
    found = {line.item: line.idle for line in estimate(plan(to="lambda", snapstart=True, function_memory=1024)).lines}
    assert found["SnapStart's snapshot"] == pytest.approx(0.0000015046 * 730 * 3600)


def test_an_instance_bills_every_hour_of_the_month() -> None:
    found = {line.item: line for line in estimate(plan(instance="ml.c5.large", least=2, most=3)).lines}
    line = found["2 to 3 × ml.c5.large"]
    assert line.idle == pytest.approx(2 * 730 * prices.INSTANCES["ml.c5.large"][0])
    assert line.million == 0


def test_an_asynchronous_endpoint_goes_down_to_nothing() -> None:
    found = {line.item: line for line in estimate(plan(asynchronous=True, least=0)).lines}
    line = found["0 to 2 × ml.c5.large"]
    assert line.idle == 0
    assert line.million
    assert line.million > 0


def test_an_instance_without_a_price_makes_the_sum_unknown_and_not_zero() -> None:
    found = estimate(plan(instance="ml.inf9.48xlarge"))
    assert found.idle is None
    assert found.million is None


def test_serverless_is_by_memory() -> None:
    small, large = (estimate(plan(memory=memory)).million for memory in (1024, 6144))
    assert small is not None
    assert large is not None
    assert small < large


@pytest.mark.parametrize(
    ("amount", "shown"), [(0, "$0"), (1.5, "$1.50"), (1234.5, "$1,234.50"), (0.0023, "$0.0023"), (0.00001, "$0.00001")]
)
def test_amounts_as_they_are_shown(amount: float, shown: str) -> None:
    assert prices.dollars(amount) == shown
