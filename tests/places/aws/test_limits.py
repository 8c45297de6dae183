"""AWS's limits: each refusal names its own, and sizes are shown in one unit."""

from __future__ import annotations

import pytest

from plaudit.errors import UsageError
from plaudit.places.aws import limits
from plaudit.places.aws.limits import MIB, shown


def test_a_limit_is_named_in_its_refusal() -> None:
    limits.FUNCTION_UNZIPPED.check(250 * MIB)
    named = r"262.2 MB is more than a Lambda function's code, unzipped, takes \(262.1 MB, which AWS calls 250 MB\)"
    with pytest.raises(UsageError, match=named):
        limits.FUNCTION_UNZIPPED.check(250 * MIB + 100_000)


@pytest.mark.parametrize(
    ("size", "words"),
    [
        (0, "0 bytes"), (1, "1 byte"), (999, "999 bytes"), (1_000, "1 kB"), (213_400, "213 kB"), (999_499, "999 kB"),
        (999_500, "1.0 MB"), (104_800_000, "104.8 MB"), (999_949_999, "999.9 MB"), (999_950_000, "1.0 GB"),
        (5 * 2**30, "5.4 GB"),
    ],
)  # fmt: skip
def test_sizes_as_people_read_them(size: int, words: str) -> None:
    assert shown(size) == words


@pytest.mark.parametrize(
    "name", ["ml.m5.xlarge", "ml.g4dn.16xlarge", "ml.t2.medium", "ml.p6-b200.48xlarge", "ml.c5.metal"]
)
def test_instance_types(name: str) -> None:
    limits.instance(name)


@pytest.mark.parametrize("name", ["large", "m5.xlarge", "ml.m5", "ml.m5.huge", "ml.M5.xlarge", "ml.m5.xlarge ", ""])
def test_what_is_no_instance_type_is_refused_with_the_flag(name: str) -> None:
    with pytest.raises(UsageError, match=r"^--host .* is no instance type: .* called like ml.c5.large"):
        limits.instance(name, "--host")


def test_a_job_has_a_machine() -> None:
    limits.machines(1)
    with pytest.raises(UsageError, match="--count 0: a job has at least 1 machine"):
        limits.machines(0)
