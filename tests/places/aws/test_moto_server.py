"""Our templates through CloudFormation on loopback: made, changed, failing, rolled back, deleted, nothing left."""

from __future__ import annotations

import io
import json
import urllib.request
import zipfile
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest

from plaudit.errors import PlaceError
from plaudit.places.aws.account import Account
from plaudit.places.aws.base import BASE, Base, ensure
from plaudit.places.aws.names import TAG, Name
from plaudit.places.aws.plan import Parts, Plan
from plaudit.places.aws.stack import Stack, StackFailed
from plaudit.places.aws.storage import Storage
from plaudit.places.aws.template import deployment_template

NAME = Name("reviews")
PLANS = {
    "function": Plan(NAME, "us-east-1", to="lambda"),
    "serverless": Plan(NAME, "us-east-1"),
    "instance": Plan(NAME, "us-east-1", instance="ml.c5.large", least=1, most=3),
    "async": Plan(NAME, "us-east-1", asynchronous=True, least=0, ttl=timedelta(hours=4)),
}
IMAGE = "763104351884.dkr.ecr.us-east-1.amazonaws.com/ray:x"
HERE = "us-east-1:123456789012"
PING = "The primary container for production variant all did not pass the ping health check."


@pytest.fixture
def shared(account: Account) -> Base:
    """The base, with two function zips in its bucket."""
    made = ensure(account, training=True, reaper=True)
    for number in (1, 2):
        content = io.BytesIO()
        with zipfile.ZipFile(content, "w") as archive:
            archive.writestr("app.py", f"VERSION = {number}")
        Storage(account, made.bucket).put(f"reviews/function/{number}.zip", content.getvalue())
    return made


def template(plan: Plan, shared: Base, revision: int = 1) -> dict[str, Any]:
    archive = "" if plan.to == "lambda" else f"reviews/archive/{revision}.tar.gz"
    parts = Parts(
        bucket=shared.bucket,
        function=f"reviews/function/{revision}.zip",
        archive=archive,
        image=IMAGE,
        image_repository="arn:aws:ecr:us-east-1:763104351884:repository/ray",
        reaper_role=shared.reaper_role or "",
        ends=datetime(2099, 1, 1, tzinfo=UTC) if plan.ttl else None,
    )
    return deployment_template(plan, parts)


def stack_of(account: Account) -> Stack:
    return Stack(account, NAME, pause=0.01)


def held(account: Account) -> dict[str, str]:
    """Physical ids by logical ones."""
    found = account.client("cloudformation").list_stack_resources(StackName=NAME.full)["StackResourceSummaries"]
    return {entry["LogicalResourceId"]: entry["PhysicalResourceId"] for entry in found}


def there(account: Account) -> dict[str, list[str]]:
    """What each service holds of the deployment, asked one by one; services without anything are left out."""
    client = account.client
    scalable = {"ServiceNamespace": "sagemaker"}
    scaling = client("application-autoscaling")
    found = {
        "stacks": [entry["StackName"] for entry in client("cloudformation").describe_stacks()["Stacks"]],
        "functions": [entry["FunctionName"] for entry in client("lambda").list_functions()["Functions"]],
        "roles": [entry["RoleName"] for entry in client("iam").list_roles()["Roles"]],
        "apis": [entry["ApiId"] for entry in client("apigatewayv2").get_apis()["Items"]],
        "alarms": [entry["AlarmName"] for entry in client("cloudwatch").describe_alarms()["MetricAlarms"]],
        "groups": [entry["logGroupName"] for entry in client("logs").describe_log_groups()["logGroups"]],
        "topics": [entry["TopicArn"] for entry in client("sns").list_topics()["Topics"]],
        "budgets": [
            entry["BudgetName"] for entry in client("budgets").describe_budgets(AccountId=account.id).get("Budgets", ())
        ],
        "schedules": [entry["Name"] for entry in client("scheduler").list_schedules()["Schedules"]],
        "models": [entry["ModelName"] for entry in client("sagemaker").list_models()["Models"]],
        "configs": [
            entry["EndpointConfigName"] for entry in client("sagemaker").list_endpoint_configs()["EndpointConfigs"]
        ],
        "endpoints": [entry["EndpointName"] for entry in client("sagemaker").list_endpoints()["Endpoints"]],
        "targets": [entry["ResourceId"] for entry in scaling.describe_scalable_targets(**scalable)["ScalableTargets"]],
        "policies": [entry["PolicyName"] for entry in scaling.describe_scaling_policies(**scalable)["ScalingPolicies"]],
    }
    ours = {kind: [name for name in names if BASE.full not in name] for kind, names in found.items()}
    return {kind: names for kind, names in ours.items() if names}


def fail(address: str, kind: str, reason: str = PING, times: int = 1) -> None:
    body = json.dumps({"type": kind, "reason": reason, "times": times}).encode()
    urllib.request.urlopen(urllib.request.Request(f"{address}/plaudit-fail", body)).close()


def alias(account: Account) -> str:
    return str(account.client("lambda").get_alias(FunctionName=NAME.full, Name="live")["FunctionVersion"])


@pytest.mark.parametrize("kind", PLANS)
def test_physical_ids_and_attributes_are_cloudformations(account: Account, shared: Base, kind: str) -> None:
    plan, stack = PLANS[kind], stack_of(account)
    assert stack.apply(template(plan, shared), NAME.tags)
    ids = held(account)
    assert set(ids) == set(template(plan, shared)["Resources"])
    assert ids["Function"] == ids["FunctionLogs"].rpartition("/")[2] == NAME.full
    assert ids["FunctionRole"].startswith(f"{NAME.full}-FunctionRole-")
    assert ids["Live"] == f"arn:aws:lambda:{HERE}:function:{NAME.full}:live"
    assert ids["Alerts"] == f"arn:aws:sns:{HERE}:{NAME.full}-alerts"
    assert ids["FunctionErrors"] == f"{NAME.full}-function-errors"
    assert ids["Stage"] == "$default"
    assert next(ids[name] for name in ids if name.startswith("Version")).endswith(f":function:{NAME.full}:1")
    apis = account.client("apigatewayv2")
    assert apis.get_api(ApiId=ids["Api"])["Name"] == NAME.full
    (integration,) = apis.get_integrations(ApiId=ids["Api"])["Items"]
    assert (integration["IntegrationId"], integration["IntegrationUri"]) == (ids["ApiToFunction"], ids["Live"])
    (route,) = apis.get_routes(ApiId=ids["Api"])["Items"]
    assert (route["RouteId"], route["Target"]) == (ids["Everything"], f"integrations/{ids['ApiToFunction']}")
    outputs = stack.outputs()
    assert outputs["Page"] == f"https://{ids['Api']}.execute-api.us-east-1.amazonaws.com/"
    if kind != "function":
        assert ids["Model"] == f"arn:aws:sagemaker:{HERE}:model/{outputs['Model']}"
        assert ids["Endpoint"] == f"arn:aws:sagemaker:{HERE}:endpoint/{PLANS[kind].endpoint}"
    if kind in ("instance", "async"):
        target = f"endpoint/{PLANS[kind].endpoint}/variant/all|sagemaker:variant:DesiredInstanceCount|sagemaker"
        assert ids["Scaling"] == target
        assert ids["ScaleByLoad"].startswith("arn:aws:autoscaling:")
    if kind == "async":
        assert ids["Ending"] == f"{NAME.full}-ends"
        schedule = account.client("scheduler").get_schedule(Name=ids["Ending"])
        stack_id = (stack.describe() or {})["StackId"]
        assert json.loads(schedule["Target"]["Input"]) == {"StackName": stack_id}
    assert (
        account.client("lambda")
        .get_function(FunctionName=NAME.full)["Configuration"]["Role"]
        .endswith(ids["FunctionRole"])
    )


@pytest.mark.parametrize("kind", PLANS)
def test_what_is_deleted_is_gone_from_every_service(account: Account, shared: Base, kind: str) -> None:
    plan, stack = PLANS[kind], stack_of(account)
    assert there(account) == {}
    stack.apply(template(plan, shared), NAME.tags)
    stack.apply(template(plan, shared, 2), NAME.tags)
    wanted = {"stacks", "functions", "roles", "apis", "alarms", "groups", "topics", "budgets"}
    wanted |= {"models", "configs", "endpoints"} if kind != "function" else set()
    wanted |= {"targets", "policies"} if kind in ("instance", "async") else set()
    wanted |= {"schedules"} if plan.ttl else set()
    assert set(there(account)) == wanted
    assert stack.delete()
    assert there(account) == {}
    assert stack.describe() is None
    assert not stack.delete()


@pytest.mark.parametrize("kind", PLANS)
def test_an_update_moves_the_alias_and_the_endpoint_and_keeps_the_rest(
    account: Account, shared: Base, kind: str
) -> None:
    plan, stack = PLANS[kind], stack_of(account)
    stack.apply(template(plan, shared), NAME.tags)
    before = held(account)
    assert not stack.apply(template(plan, shared), NAME.tags)
    assert stack.apply(template(plan, shared, 2), NAME.tags)
    after = held(account)
    changed = {name for name in before.keys() | after.keys() if before.get(name) != after.get(name)}
    versions = {name for name in changed if name.startswith("Version")}
    assert len(versions) == 2
    assert changed - versions == (set() if kind == "function" else {"Model", "EndpointConfig"})
    functions = account.client("lambda")
    listed = functions.list_versions_by_function(FunctionName=NAME.full)["Versions"]
    assert [entry["Version"] for entry in listed] == ["$LATEST", "2"]
    assert alias(account) == "2"
    policy = json.loads(functions.get_policy(FunctionName=NAME.full, Qualifier="live")["Policy"])
    assert [statement["Resource"] for statement in policy["Statement"]] == [after["Live"]]
    if kind != "function":
        sagemaker = account.client("sagemaker")
        config = sagemaker.describe_endpoint(EndpointName=PLANS[kind].endpoint)["EndpointConfigName"]
        assert after["EndpointConfig"].endswith(f"/{config}")
        assert there(account)["configs"] == [config]
        assert there(account)["models"] == [stack.outputs()["Model"]]


def test_a_third_version_is_number_three(account: Account, shared: Base) -> None:
    plan, stack = PLANS["function"], stack_of(account)
    for revision in (1, 2, 1):
        stack.apply(template(plan, shared, revision), NAME.tags)
    assert alias(account) == "3"


def test_tags_reach_whatever_the_tagging_api_covers(account: Account, shared: Base) -> None:
    stack_of(account).apply(template(PLANS["async"], shared), NAME.tags)
    client = account.client("resourcegroupstaggingapi")
    pages = client.get_paginator("get_resources").paginate(TagFilters=[{"Key": TAG, "Values": [NAME.own]}])
    found = {entry["ResourceARN"] for page in pages for entry in page["ResourceTagMappingList"]}
    ids = held(account)
    api = f"arn:aws:apigateway:us-east-1::/apis/{ids['Api']}"
    alarms = {f"arn:aws:cloudwatch:{HERE}:alarm:{name}" for name in there(account)["alarms"]}
    groups = {f"arn:aws:logs:{HERE}:log-group:{name}" for name in there(account)["groups"]}
    single = {ids["Alerts"], ids["Model"], ids["EndpointConfig"], ids["Endpoint"], api, f"{api}/stages/$default"}
    single |= {f"arn:aws:lambda:{HERE}:function:{NAME.full}"}
    single |= {(stack_of(account).describe() or {})["StackId"]}
    assert found == single | alarms | groups
    role = account.client("iam").list_role_tags(RoleName=ids["FunctionRole"])["Tags"]
    assert {tag["Key"]: tag["Value"] for tag in role} == NAME.tags


@pytest.mark.parametrize(
    ("kind", "type"), [("serverless", "AWS::SageMaker::Endpoint"), ("function", "AWS::Lambda::Alias")]
)
def test_a_stack_that_cannot_be_made_leaves_nothing(
    account: Account, shared: Base, moto_address: str, kind: str, type: str
) -> None:
    fail(moto_address, type)
    stack = stack_of(account)
    with pytest.raises(StackFailed) as caught:
        stack.apply(template(PLANS[kind], shared), NAME.tags)
    logical = {"AWS::SageMaker::Endpoint": "Endpoint", "AWS::Lambda::Alias": "Live"}[type]
    cause = f"because of {logical} ({type}): {PING}"
    assert str(caught.value) == f"the stack {NAME.full} ended as DELETE_COMPLETE, {cause}"
    assert stack.describe() is None
    assert there(account) == {}
    assert stack.apply(template(PLANS[kind], shared), NAME.tags), "the same command does it the second time"


def test_an_update_that_fails_goes_back_to_what_was(account: Account, shared: Base, moto_address: str) -> None:
    plan, stack = PLANS["instance"], stack_of(account)
    stack.apply(template(plan, shared), NAME.tags)
    before, listed, outputs = held(account), there(account), stack.outputs()
    fail(moto_address, "AWS::SageMaker::Endpoint")
    with pytest.raises(StackFailed) as caught:
        stack.apply(template(plan, shared, 2), NAME.tags)
    cause = f"because of Endpoint (AWS::SageMaker::Endpoint): {PING}"
    assert str(caught.value) == f"the stack {NAME.full} ended as UPDATE_ROLLBACK_COMPLETE, {cause}"
    assert held(account) == before
    assert there(account) == listed
    assert stack.outputs() == outputs
    assert alias(account) == "1"
    config = account.client("sagemaker").describe_endpoint(EndpointName=plan.endpoint)["EndpointConfigName"]
    assert before["EndpointConfig"].endswith(f"/{config}")
    assert stack.apply(template(plan, shared, 2), NAME.tags), "the same command does it the second time"


def test_an_update_under_an_alarm_goes_back(account: Account, shared: Base) -> None:
    plan, stack = PLANS["function"], stack_of(account)
    stack.apply(template(plan, shared), NAME.tags)
    before, name = held(account), f"{NAME.full}-function-errors"
    account.client("cloudwatch").set_alarm_state(AlarmName=name, StateValue="ALARM", StateReason="failures")
    arn = f"arn:aws:cloudwatch:{HERE}:alarm:{name}"
    rules = {"RollbackTriggers": [{"Arn": arn, "Type": "AWS::CloudWatch::Alarm"}], "MonitoringTimeInMinutes": 2}
    with pytest.raises(StackFailed, match="ended as UPDATE_ROLLBACK_COMPLETE"):
        stack.apply(template(plan, shared, 2), NAME.tags, rules)
    assert held(account) == before
    assert alias(account) == "1"
    told = [event.reason for event in stack.events((stack.describe() or {})["StackId"]) if event.resource == NAME.full]
    assert f"Rollback triggered by alarm {arn}" in told
    account.client("cloudwatch").set_alarm_state(AlarmName=name, StateValue="OK", StateReason="calm")
    assert stack.apply(template(plan, shared, 2), NAME.tags, rules)


def test_a_deletion_that_fails_names_what_is_in_the_way(account: Account, shared: Base) -> None:
    stack = Stack(account, BASE, pause=0.01)
    with pytest.raises(
        StackFailed, match=r"ended as DELETE_FAILED, because of Bucket \(AWS::S3::Bucket\): .*not empty"
    ):
        stack.delete()
    Storage(account, shared.bucket).remove("")
    assert stack.delete()
    assert account.client("s3").list_buckets()["Buckets"] == []
    assert account.client("iam").list_roles()["Roles"] == []


def test_a_type_that_is_not_served_is_refused_loudly(account: Account, shared: Base) -> None:
    wrong = template(PLANS["function"], shared)
    wrong["Resources"]["Queue"] = {"Type": "AWS::SQS::Queue", "Properties": {}}
    with pytest.raises(PlaceError, match=r"Unrecognized resource types: \[AWS::SQS::Queue\]"):
        stack_of(account).apply(wrong, NAME.tags)
    assert there(account) == {}


def test_a_version_without_new_code_is_refused_as_lambda_refuses_it(account: Account, shared: Base) -> None:
    plan, stack = PLANS["function"], stack_of(account)
    first = template(plan, shared)
    stack.apply(first, NAME.tags)
    again = json.loads(json.dumps(first))
    version = next(name for name in again["Resources"] if name.startswith("Version"))
    again["Resources"]["VersionAgain"] = again["Resources"].pop(version)
    again["Resources"]["Live"]["Properties"]["FunctionVersion"] = {"Fn::GetAtt": ["VersionAgain", "Version"]}
    with pytest.raises(StackFailed, match=r"VersionAgain .* A version for this Lambda function exists \( 1 \)"):
        stack.apply(again, NAME.tags)
    assert alias(account) == "1"


def test_a_change_of_shape_swaps_what_stands_behind_the_function(account: Account, shared: Base) -> None:
    stack = stack_of(account)
    stack.apply(template(PLANS["instance"], shared), NAME.tags)
    stack.apply(template(replace(PLANS["serverless"]), shared), NAME.tags)
    assert set(there(account)) >= {"endpoints", "configs", "models"}
    assert "targets" not in there(account)
    stack.apply(template(PLANS["function"], shared), NAME.tags)
    assert set(there(account)).isdisjoint({"endpoints", "configs", "models", "targets", "policies"})
