"""What boto3 raises becomes one sentence that says what was being done and what to do next."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest
from botocore.exceptions import ClientError
from botocore.stub import Stubber

from plaudit.errors import PlauditError, UsageError
from plaudit.places.aws.account import Account, Refused, Unreached, told


@contextmanager
def refused(account: Account, code: str, message: str) -> Iterator[Any]:
    client = account.client("sagemaker")
    with Stubber(client) as stub:
        stub.add_client_error("describe_endpoint", code, message, 400)
        yield client


@pytest.mark.parametrize(
    ("code", "message", "exit_code", "sentence"),
    [
        ("ExpiredTokenException", "The security token AKIDSECRET is expired", 2, "aws sso login"),
        ("UnrecognizedClientException", "The security token is invalid", 2, "aws configure"),
        ("AccessDeniedException", "User: x is not authorized", 1, "may not call DescribeEndpoint (User: x is not"),
        ("ResourceLimitExceeded", "The account-level limit is 0 Instances", 1, "ask for more under Service Quotas"),
        ("ThrottlingException", "Rate exceeded", 1, "try again in a minute"),
        ("ValidationException", "Could not find the endpoint.", 1, "asking: Could not find the endpoint"),
    ],
)
def test_each_refusal_says_what_to_do(
    credentials: None, code: str, message: str, exit_code: int, sentence: str
) -> None:
    account = Account()
    with refused(account, code, message) as client, pytest.raises(PlauditError) as caught, told("asking"):
        client.describe_endpoint(EndpointName="x")
    assert sentence in str(caught.value)
    assert caught.value.exit_code == exit_code
    assert "\n" not in str(caught.value)
    assert "AKIDSECRET" not in str(caught.value), "what AWS says of credentials is not passed on"


def test_a_refusal_keeps_its_code(credentials: None) -> None:
    with refused(Account(), "ValidationException", "no") as client, pytest.raises(Refused) as caught, told("x"):
        client.describe_endpoint(EndpointName="x")
    assert caught.value.code == "ValidationException"


def test_no_credentials(credentials: None, monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("AWS_ACCESS_KEY_ID", "AWS_SECRET_ACCESS_KEY"):
        monkeypatch.delenv(name)
    with pytest.raises(UsageError, match="aws configure, aws sso login, or set AWS_PROFILE"):
        _ = Account().id


def test_no_region(credentials: None, monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("AWS_REGION", "AWS_DEFAULT_REGION"):
        monkeypatch.delenv(name)
    with pytest.raises(UsageError, match="--region us-east-1"):
        Account()
    assert Account("eu-west-1").region == "eu-west-1"


@pytest.mark.parametrize("region", ["us-east-9", "us east", "US-EAST-1", "x"])
def test_a_region_that_is_not_there_is_no_outage(credentials: None, region: str) -> None:
    with pytest.raises(UsageError, match=rf"no region '{region}' .*: take .*us-east-1.* pip install --upgrade boto3"):
        Account(region).check_region()


@pytest.mark.parametrize("region", ["us-east-1", "eu-central-2", "cn-north-1", "us-gov-west-1"])
def test_a_region_of_any_partition_is_known(credentials: None, region: str) -> None:
    Account(region).check_region()


def test_a_profile_that_is_not_there(credentials: None) -> None:
    with pytest.raises(UsageError, match="aws configure list-profiles"):
        Account(profile="nobody")


def test_the_region_may_come_from_a_profile(credentials: None, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("AWS_REGION", "AWS_DEFAULT_REGION"):
        monkeypatch.delenv(name)
    (tmp_path / "config").write_text("[profile team]\nregion = eu-north-1\n")
    assert Account(profile="team").region == "eu-north-1"


def test_aws_that_cannot_be_reached(credentials: None, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("AWS_ENDPOINT_URL", "http://127.0.0.1:9")
    client = Account().client("sts", retries={"total_max_attempts": 1})
    with pytest.raises(Unreached, match="asking: AWS cannot be reached"), told("asking"):
        client.get_caller_identity()


def test_regions_are_those_of_the_partition(credentials: None) -> None:
    account = Account()
    assert account.partition == "aws"
    assert {"us-east-1", "eu-central-1"} <= set(account.regions)
    assert not any(region.startswith("cn-") for region in account.regions)
    assert account.beside("eu-west-1").region == "eu-west-1"


def test_an_error_of_ours_is_not_touched() -> None:
    with pytest.raises(ZeroDivisionError), told("dividing"):
        _ = 1 / 0
    assert issubclass(ClientError, Exception)
