"""The inventory: everything that carries the tag, who owns it, what it costs; and what no stack owns is found."""

from __future__ import annotations

import io
import json
import zipfile
from collections.abc import Callable
from typing import Any

import pytest

from plaudit.errors import PlaceError
from plaudit.places.aws import inventory as module
from plaudit.places.aws import prices
from plaudit.places.aws.account import Account
from plaudit.places.aws.base import BASE, ensure
from plaudit.places.aws.inventory import remove, take
from plaudit.places.aws.kinds import KINDS
from plaudit.places.aws.names import Name, bucket_name
from plaudit.places.aws.storage import Storage

NAME = Name("lost")
TRUST = json.dumps({"Version": "2012-10-17", "Statement": []})
POLICY = json.dumps(
    {"Version": "2012-10-17", "Statement": [{"Effect": "Allow", "Action": "s3:ListBucket", "Resource": "*"}]}
)


@pytest.fixture
def orphans(account: Account) -> dict[str, str]:
    """One thing of each kind that carries the tag and belongs to no stack: its id by its kind."""
    client, tags = account.client, NAME.tag_list
    iam = client("iam").create_role(
        RoleName="plaudit-lost", Path="/plaudit/us-east-1/", AssumeRolePolicyDocument=TRUST, Tags=tags
    )
    client("iam").put_role_policy(RoleName="plaudit-lost", PolicyName="p", PolicyDocument=POLICY)
    zipped = io.BytesIO()
    with zipfile.ZipFile(zipped, "w") as archive:
        archive.writestr("x.py", "")
    client("lambda").create_function(
        FunctionName="plaudit-lost", Runtime="python3.13", Role=iam["Role"]["Arn"], Handler="x.y",
        Code={"ZipFile": zipped.getvalue()}, Tags=NAME.tags,
    )  # fmt: skip
    sagemaker = client("sagemaker")
    image = {"Image": "123456789012.dkr.ecr.us-east-1.amazonaws.com/x:y"}
    sagemaker.create_model(
        ModelName="plaudit-lost", PrimaryContainer=image, ExecutionRoleArn=iam["Role"]["Arn"], Tags=tags
    )
    variant = {
        "VariantName": "all", "ModelName": "plaudit-lost", "InstanceType": "ml.c5.large", "InitialInstanceCount": 2
    }  # fmt: skip
    sagemaker.create_endpoint_config(EndpointConfigName="plaudit-lost", ProductionVariants=[variant], Tags=tags)
    sagemaker.create_endpoint(EndpointName="plaudit-lost", EndpointConfigName="plaudit-lost", Tags=tags)
    client("logs").create_log_group(logGroupName="/aws/lambda/plaudit-lost", tags=NAME.tags)
    api = client("apigatewayv2").create_api(Name="plaudit-lost", ProtocolType="HTTP", Tags=NAME.tags)
    topic = client("sns").create_topic(Name="plaudit-lost-alerts", Tags=tags)["TopicArn"]
    client("cloudwatch").put_metric_alarm(
        AlarmName="plaudit-lost", MetricName="m", Namespace="n", Period=60, EvaluationPeriods=1, Threshold=1,
        ComparisonOperator="GreaterThanThreshold", Statistic="Sum", Tags=tags,
    )  # fmt: skip
    limit = {"Amount": "10", "Unit": "USD"}
    client("budgets").create_budget(
        AccountId=account.id,
        Budget={
            "BudgetName": "plaudit-lost-us-east-1", "BudgetLimit": limit, "TimeUnit": "MONTHLY", "BudgetType": "COST"
        },
    )  # fmt: skip
    client("scheduler").create_schedule(
        Name="plaudit-lost-ends", ScheduleExpression="at(2040-01-01T00:00:00)", FlexibleTimeWindow={"Mode": "OFF"},
        Target={"Arn": "arn:aws:scheduler:::aws-sdk:cloudformation:deleteStack", "RoleArn": iam["Role"]["Arn"]},
    )  # fmt: skip
    return {
        "role": "plaudit-lost", "function": "plaudit-lost", "model": "plaudit-lost", "endpoint": "plaudit-lost",
        "endpoint configuration": "plaudit-lost", "log group": "/aws/lambda/plaudit-lost", "http api": api["ApiId"],
        "topic": topic, "alarm": "plaudit-lost", "budget": "plaudit-lost-us-east-1", "schedule": "plaudit-lost-ends",
    }  # fmt: skip


def test_an_account_without_anything(account: Account) -> None:
    found = take(account)
    assert (found.resources, found.unseen, found.hourly) == ((), (), 0)


def test_what_no_stack_owns_is_found_with_its_cost(account: Account, orphans: dict[str, str]) -> None:
    found = take(account)
    assert {entry.kind: entry.id for entry in found.orphans} == orphans
    assert {entry.name for entry in found.resources} == {"lost"}
    by_kind = {entry.kind: entry for entry in found.resources}
    assert by_kind["endpoint"].hourly == pytest.approx(2 * prices.INSTANCES["ml.c5.large"][0])
    assert by_kind["endpoint"].state == "InService"
    assert by_kind["function"].hourly == 0
    age = by_kind["endpoint"].age
    assert age is not None
    assert 0 <= age < 0.1
    assert found.hourly == pytest.approx(2 * prices.INSTANCES["ml.c5.large"][0] + 0.1 / 730, rel=1e-3)


def test_every_kind_of_orphan_is_taken_back_by_name(account: Account, orphans: dict[str, str]) -> None:
    lines: list[str] = []
    assert remove(account, NAME, lines.append, 0.01) == len(orphans)
    assert take(account).resources == ()
    for identity in orphans.values():
        assert any(identity in line for line in lines)


def test_things_of_others_are_neither_shown_nor_touched(account: Account) -> None:
    client = account.client
    client("logs").create_log_group(logGroupName="/aws/lambda/theirs", tags={"team": "other"})
    client("logs").create_log_group(logGroupName="/aws/lambda/plaudit-like", tags={"team": "other"})
    client("logs").put_retention_policy(logGroupName="/aws/lambda/plaudit-like", retentionInDays=7)
    client("sns").create_topic(Name="plaudit-like")
    client("iam").create_role(RoleName="plaudit-like", AssumeRolePolicyDocument=TRUST)
    assert take(account).resources == ()
    assert remove(account, Name("like"), pause=0.01) == 0
    assert client("iam").get_role(RoleName="plaudit-like")
    assert len(client("logs").describe_log_groups()["logGroups"]) == 2


def test_a_log_group_that_a_service_wrote_again_is_found_by_its_name(account: Account) -> None:
    account.client("logs").create_log_group(logGroupName="/aws/sagemaker/Endpoints/plaudit-lost")
    (found,) = take(account).orphans
    assert (found.kind, found.name, found.state) == ("log group", "lost", "kept for ever")


def test_a_resource_of_another_kind_that_carries_the_tag_is_shown_and_fails_down(account: Account) -> None:
    queue = account.client("sqs").create_queue(QueueName="strange", tags=NAME.tags)["QueueUrl"]
    (found,) = take(account).resources
    assert (found.kind, found.id.rsplit(":", 1)[-1]) == ("other", "strange")
    with pytest.raises(PlaceError, match=r"1 thing of lost left(?s:.)*strange(?s:.)*plaudit down lost"):
        remove(account, NAME, pause=0.01)
    account.client("sqs").delete_queue(QueueUrl=queue)


def test_what_refuses_to_go_is_listed_and_the_command_fails(
    account: Account, orphans: dict[str, str], monkeypatch: pytest.MonkeyPatch
) -> None:
    def stays(account: Account, name: str) -> None:
        account.client("sagemaker").describe_endpoint(EndpointName="nothing-of-this-name")

    kinds = tuple(
        kind if kind.name != "endpoint" else type(kind)(kind.name, kind.find, stays, kind.marks) for kind in KINDS
    )
    monkeypatch.setattr(module, "KINDS", kinds)
    with pytest.raises(PlaceError, match=r"1 thing of lost left(?s:.)*endpoint +plaudit-lost"):
        remove(account, NAME, pause=0.01)


def test_a_service_that_may_not_be_asked_is_told_and_hides_nothing_else(
    account: Account, orphans: dict[str, str], monkeypatch: pytest.MonkeyPatch
) -> None:
    from botocore.exceptions import ClientError

    def denied(account: Account) -> Any:
        raise ClientError({"Error": {"Code": "AccessDeniedException", "Message": "no"}}, "DescribeBudgets")

    kinds = tuple(kind if kind.name != "budget" else type(kind)("budget", denied, kind.remove) for kind in KINDS)
    monkeypatch.setattr(module, "KINDS", kinds)
    found = take(account)
    assert len(found.resources) == len(orphans) - 1
    assert found.unseen == ("looking for each budget: this account's user may not call DescribeBudgets (no)",)
    with pytest.raises(PlaceError, match="DescribeBudgets"):
        remove(account, NAME, pause=0.01)


def test_the_base_goes_with_the_last_name_and_not_before(account: Account) -> None:
    base = ensure(account, training=True)
    storage = Storage(account, bucket_name(account.id, account.region))
    storage.put("one/x", b"1")
    storage.put("async/two/in/x", b"1")
    storage.put("base/source.tar.gz", b"1")
    assert {entry.name for entry in take(account).resources} == {"base", "one", "two"}
    with pytest.raises(PlaceError, match="the base is in use: plaudit down one two"):
        remove(account, BASE, pause=0.01)
    remove(account, Name("one"), pause=0.01)
    assert storage.has("async/two/in/x")
    assert account.client("s3").head_bucket(Bucket=base.bucket)
    remove(account, Name("two"), pause=0.01)
    assert take(account).resources == ()
    assert account.client("s3").list_buckets()["Buckets"] == []
    assert account.client("iam").list_roles()["Roles"] == []


def test_the_base_grows_by_what_is_asked_for_and_never_shrinks(account: Account) -> None:
    first = ensure(account)
    assert (first.training_role, first.reaper_role) == (None, None)
    second = ensure(account, training=True)
    third = ensure(account, reaper=True)
    assert third.training_role == second.training_role
    assert third.reaper_role
    assert ensure(account) == third
    block = account.client("s3").get_public_access_block(Bucket=first.bucket)["PublicAccessBlockConfiguration"]
    assert all(block.values())


def test_regions_without_anything_are_left_out(
    account: Account, orphans: dict[str, str], monkeypatch: pytest.MonkeyPatch
) -> None:
    regions: Callable[[Account], list[str]] = lambda self: ["us-east-1", "eu-west-1"]  # noqa: E731
    monkeypatch.setattr(Account, "regions", property(regions))
    (found,) = module.everywhere(account)
    assert {entry.region for entry in found.resources} == {"us-east-1"}
