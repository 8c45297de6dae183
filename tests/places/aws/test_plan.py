"""A plan: what AWS would refuse is refused before any call, and the limit is named."""

from __future__ import annotations

import re
from datetime import timedelta
from typing import Any

import pytest

from plaudit.errors import UsageError
from plaudit.places.aws.names import Name, bucket_name
from plaudit.places.aws.parts import Target
from plaudit.places.aws.plan import Plan, duration


def plan(**options: Any) -> Plan:
    return Plan(Name(options.pop("name", "reviews")), options.pop("region", "us-east-1"), **options)


@pytest.mark.parametrize(
    ("options", "sentence"),
    [
        ({"memory": 1000}, "1,024 to 6,144 MB in whole GB"),
        ({"memory": 7168}, "1,024 to 6,144 MB in whole GB"),
        ({"concurrency": 0}, "--concurrency 0"),
        ({"concurrency": 201}, "1 to 200"),
        ({"instance": "c5.large"}, "called like ml.c5.large"),
        ({"instance": "ml.t3.medium"}, "for training only"),
        ({"instance": "ml.c5.large", "least": 0}, "an endpoint of this kind keeps 1 to 2 instances"),
        ({"instance": "ml.c5.large", "least": 3, "most": 2}, "--min-instances 3"),
        ({"instance": "ml.c5.large", "most": 51}, "--max-instances 51"),
        ({"to": "lambda", "instance": "ml.c5.large"}, "a function has no instances"),
        ({"to": "lambda", "asynchronous": True}, "a function has no instances"),
        ({"to": "lambda", "function_memory": 64}, "128 to 10,240"),
        ({"to": "sagemaker", "snapstart": True}, "--snapstart is for --to lambda"),
        ({"to": "lambda", "snapstart": True, "target": Target("3.11")}, "takes Python 3.12 or 3.13"),
        ({"to": "lambda", "snapstart": True, "region": "cn-north-1"}, "does not offer SnapStart"),
        ({"rate": 0}, "--rate 0"),
        ({"burst": 5001}, "--burst 5001"),
        ({"budget": 0.5}, "1 or more"),
        ({"budget": float("nan")}, "1 or more"),
        ({"name": "base"}, "is Plaudit's own"),
        ({"name": "async"}, "is Plaudit's own"),
        ({"name": "train-0123"}, "is Plaudit's own"),
        ({"email": "nobody"}, "is no address"),
        ({"log_days": 2}, "CloudWatch keeps logs 1, 3, 5"),
        ({"origins": ("https://a.org/path",)}, "with no path"),
        ({"ttl": timedelta(minutes=1)}, "between 15m and 30d"),
        ({"name": "Reviews"}, "is no name"),
        ({"name": "a--b"}, "is no name"),
        ({"name": "a" * 41}, "41 characters"),
    ],
)
def test_what_aws_would_refuse_is_refused_here_by_name(options: dict[str, Any], sentence: str) -> None:
    with pytest.raises(UsageError, match=re.escape(sentence)):
        plan(**options)


@pytest.mark.parametrize(
    ("options", "kind"),
    [
        ({}, "serverless"),
        ({"instance": "ml.c5.large"}, "instance"),
        ({"asynchronous": True, "least": 0}, "async"),
        ({"to": "lambda"}, "function"),
    ],
)
def test_the_kind_follows_from_the_options(options: dict[str, Any], kind: str) -> None:
    assert plan(**options).kind == kind


@pytest.mark.parametrize(
    ("text", "minutes"), [("30m", 30), ("4h", 240), ("2d", 2880), ("1h30m", 90), ("1d2h3m", 1563), (" 4H ", 240)]
)
def test_spans_of_time(text: str, minutes: int) -> None:
    assert duration(text) == timedelta(minutes=minutes)


@pytest.mark.parametrize("text", ["", "4", "h", "4 hours", "-4h", "4h4h", "1.5h"])
def test_what_is_no_span_of_time(text: str) -> None:
    with pytest.raises(UsageError, match="30m, 4h or 2d"):
        duration(text)


@pytest.mark.parametrize(("hours", "days"), [(1, 1), (24, 1), (25, 7), (24 * 30, 30)])
def test_objects_outlive_a_deployment_that_ends_by_itself_by_as_little_as_the_rules_allow(
    hours: int, days: int
) -> None:
    assert plan(ttl=timedelta(hours=hours)).days == days
    assert plan().days is None


def test_every_name_that_is_made_of_the_longest_one_fits_into_sagemakers_63_characters() -> None:
    longest = Name("a" * 40).full
    assert max(len(f"{longest}-{'0' * 8}"), len(f"{longest}-endpoint-errors")) <= 64
    assert len(f"{longest}-{'0' * 8}") <= 63
    assert len(bucket_name("1" * 12, "ap-southeast-7")) <= 63
