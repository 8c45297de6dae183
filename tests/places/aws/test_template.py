"""Templates: CloudFormation's own linter on every one that the options can produce, and what must be in each."""

from __future__ import annotations

import json
from dataclasses import replace
from datetime import datetime, timedelta
from typing import Any

import pytest
from cfnlint.api import ManualArgs, lint
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as some

from plaudit.errors import UsageError
from plaudit.places.aws.base import base_template
from plaudit.places.aws.names import OWNER, TAG, Name
from plaudit.places.aws.parts import Target
from plaudit.places.aws.plan import LOG_DAYS, NO_ENDPOINTS, Parts, Plan
from plaudit.places.aws.template import deployment_template

PARTS = Parts(
    bucket="plaudit-123456789012-us-east-1",
    function="reviews/function/0123456789abcdef.zip",
    archive="reviews/archive/0123456789abcdef.tar.gz",
    image="763104351884.dkr.ecr.us-east-1.amazonaws.com/ray:serve-ml-sagemaker-cpu",
    image_repository="arn:aws:ecr:us-east-1:763104351884:repository/ray",
    reaper_role="arn:aws:iam::123456789012:role/plaudit/us-east-1/plaudit-base-ReaperRole",
)
LAMBDA = Plan(Name("reviews"), "us-east-1", to="lambda")
SERVERLESS = Plan(Name("reviews"), "us-east-1")
INSTANCE = Plan(Name("reviews"), "us-east-1", instance="ml.c5.large")
QUEUE = Plan(Name("reviews"), "us-east-1", asynchronous=True, least=0)
REGIONS = ("ap-southeast-5", "eu-central-1", "eu-north-1", "me-central-1", "us-gov-west-1", "us-west-2")
KINDS = {"lambda": LAMBDA, "serverless": SERVERLESS, "instance": INSTANCE, "async": QUEUE}


def template_of(plan: Plan, parts: Parts = PARTS) -> dict[str, Any]:
    ends = datetime(2030, 1, 2, 3, 4, 5) if plan.ttl else None
    return deployment_template(plan, replace(parts, ends=ends))


def complaints(template: dict[str, Any], *regions: str) -> list[str]:
    found = lint(json.dumps(template), config=ManualArgs(regions=list(regions or ("us-east-1",))))
    return [str(match) for match in found]


def names() -> some.SearchStrategy[str]:
    return some.from_regex(r"[a-z][a-z0-9]{0,8}(-[a-z0-9]{1,9}){0,3}", fullmatch=True).filter(
        lambda name: len(name) <= 40
    )


@some.composite
def plans(draw: some.DrawFn) -> Plan:
    kind = draw(some.sampled_from(["lambda", "serverless", "instance", "async"]))
    python = draw(some.sampled_from(["3.12", "3.13"]))
    most = draw(some.integers(1, 6))
    chosen: dict[str, Any] = {
        "target": Target(python, draw(some.sampled_from(["x86_64", "aarch64"]))),
        "rate": draw(some.integers(1, 10_000)),
        "burst": draw(some.integers(1, 5_000)),
        "origins": draw(some.sampled_from([("*",), ("https://example.org",), ("https://a.org", "http://b.org:81")])),
        "budget": draw(some.floats(1, 1e5).map(lambda dollars: round(dollars, 2))),
        "email": draw(some.sampled_from([None, "team@example.org"])),
        "log_days": draw(some.sampled_from(LOG_DAYS)),
        "ttl": draw(some.none() | some.integers(15, 43_200).map(lambda minutes: timedelta(minutes=minutes))),
    }
    if kind == "lambda":
        chosen |= {
            "to": "lambda",
            "function_memory": draw(some.integers(128, 10_240)),
            "snapstart": draw(some.booleans()),
        }
    elif kind == "serverless":
        chosen |= {"memory": 1024 * draw(some.integers(1, 6)), "concurrency": draw(some.integers(1, 200))}
    else:
        lowest = 0 if kind == "async" else 1
        chosen |= {
            "instance": draw(some.sampled_from(["ml.c5.large", "ml.m5.xlarge", "ml.g5.xlarge"])),
            "most": most,
            "least": draw(some.integers(lowest, most)),
            "asynchronous": kind == "async",
        }
    return Plan(Name(draw(names())), draw(some.sampled_from(["us-east-1", "eu-north-1"])), **chosen)


@settings(max_examples=30, deadline=None, suppress_health_check=[HealthCheck.too_slow])
@given(plan=plans())
def test_cloudformations_linter_passes_every_template_that_the_options_can_produce(plan: Plan) -> None:
    assert complaints(template_of(plan), plan.region) == []


@pytest.mark.parametrize("region", REGIONS)
def test_the_linter_passes_in_regions_that_have_less(region: str) -> None:
    """Not every region's CloudFormation knows every type: budgets are missing in many."""
    for plan in (LAMBDA, SERVERLESS, INSTANCE, QUEUE):
        if plan.to == "sagemaker" and region in NO_ENDPOINTS:
            with pytest.raises(UsageError, match="--to lambda, or another --region"):
                replace(plan, region=region)
            continue
        assert complaints(template_of(replace(plan, region=region)), region) == []


def test_a_region_without_budgets_has_the_alarms_all_the_same() -> None:
    found = template_of(replace(SERVERLESS, region="eu-north-1"))["Resources"]
    assert "Budget" not in found
    assert {"Alerts", "FunctionErrors", "ApiErrors"} <= set(found)


@pytest.mark.parametrize("training", [True, False])
@pytest.mark.parametrize("reaper", [True, False])
def test_the_linter_passes_the_base(training: bool, reaper: bool) -> None:
    assert complaints(base_template(training, reaper), "us-east-1", "eu-central-1") == []


def test_the_linter_would_complain() -> None:
    template = template_of(SERVERLESS)
    template["Resources"]["Function"]["Properties"]["Runtime"] = "python2.7"
    template["Resources"]["Model"]["Properties"]["PrimaryContainer"]["Images"] = "x"
    assert len(complaints(template)) >= 2


@pytest.mark.parametrize("plan", KINDS.values(), ids=KINDS)
def test_everything_that_can_carry_tags_carries_them(plan: Plan) -> None:
    untagged = {
        name: entry["Type"]
        for name, entry in template_of(plan)["Resources"].items()
        if TAG not in json.dumps(entry["Properties"].get("Tags") or entry["Properties"].get("ResourceTags") or {})
    }
    assert set(untagged.values()) <= {
        "AWS::Lambda::Version", "AWS::Lambda::Alias", "AWS::Lambda::Permission", "AWS::ApiGatewayV2::Integration",
        "AWS::ApiGatewayV2::Route", "AWS::SNS::TopicPolicy", "AWS::ApplicationAutoScaling::ScalableTarget",
        "AWS::ApplicationAutoScaling::ScalingPolicy",
    }  # fmt: skip
    function = template_of(plan)["Resources"]["Function"]["Properties"]["Tags"]
    assert {entry["Key"] for entry in function} == {TAG, OWNER}


@pytest.mark.parametrize("plan", KINDS.values(), ids=KINDS)
def test_roles_name_exact_resources(plan: Plan) -> None:
    for name, entry in template_of(plan)["Resources"].items():
        if entry["Type"] != "AWS::IAM::Role":
            continue
        for statement in entry["Properties"]["Policies"][0]["PolicyDocument"]["Statement"]:
            actions, resources = statement["Action"], statement["Resource"]
            assert not any("*" in action for action in actions), name
            if resources == ["*"]:
                # The two calls that AWS does not let anybody narrow by resource; metrics are narrowed by namespace.
                assert actions == ["ecr:GetAuthorizationToken"] or (
                    actions == ["cloudwatch:PutMetricData"] and statement["Condition"]
                )
            else:
                assert all("plaudit-" in json.dumps(resource) or "763104351884" in resource for resource in resources)


@pytest.mark.parametrize("plan", KINDS.values(), ids=KINDS)
def test_log_groups_expire_and_go_with_the_stack(plan: Plan) -> None:
    groups = [entry for entry in template_of(plan)["Resources"].values() if entry["Type"] == "AWS::Logs::LogGroup"]
    assert len(groups) == (1 if plan.to == "lambda" else 2)
    for group in groups:
        assert group["Properties"]["RetentionInDays"] == plan.log_days
        assert group["DeletionPolicy"] == "Delete"


def test_the_api_is_throttled_and_open_to_the_origins_that_were_named() -> None:
    found = template_of(replace(LAMBDA, rate=7, burst=9, origins=("https://example.org",)))["Resources"]
    limits = found["Stage"]["Properties"]["DefaultRouteSettings"]
    assert limits == {"ThrottlingRateLimit": 7, "ThrottlingBurstLimit": 9}
    assert found["Api"]["Properties"]["CorsConfiguration"]["AllowOrigins"] == ["https://example.org"]


def test_the_budget_alarms_whoever_is_named() -> None:
    found = template_of(replace(LAMBDA, budget=25, email="team@example.org"))["Resources"]
    assert found["Budget"]["Properties"]["Budget"]["BudgetLimit"] == {"Amount": 25, "Unit": "USD"}
    assert {"Protocol": "email", "Endpoint": "team@example.org"} in found["Alerts"]["Properties"]["Subscription"]
    told = [each["Subscribers"] for each in found["Budget"]["Properties"]["NotificationsWithSubscribers"]]
    assert told == [[{"SubscriptionType": "SNS", "Address": {"Ref": "Alerts"}}]] * 2


def test_new_code_is_a_new_version_and_a_new_model_and_everything_else_stays() -> None:
    before = template_of(SERVERLESS)["Resources"]
    after = template_of(
        SERVERLESS, replace(PARTS, function="reviews/function/new.zip", archive="reviews/archive/new.tar.gz")
    )["Resources"]
    versions = [{name for name in found if name.startswith("Version")} for found in (before, after)]
    assert len(versions[0]) == len(versions[1]) == 1
    assert versions[0] != versions[1]
    model = [found["Model"]["Properties"]["ModelName"] for found in (before, after)]
    config = [found["EndpointConfig"]["Properties"]["EndpointConfigName"] for found in (before, after)]
    assert model[0] != model[1]
    assert config[0] != config[1]
    assert before["Endpoint"] == after["Endpoint"]
    assert before["Live"]["Properties"]["Name"] == after["Live"]["Properties"]["Name"] == "live"
    assert template_of(SERVERLESS) == template_of(SERVERLESS), "the same plan is the same template"


def test_an_endpoint_of_instances_is_swapped_blue_green_with_rollback_on_an_alarm() -> None:
    found = template_of(INSTANCE)["Resources"]
    swap = found["Endpoint"]["Properties"]["DeploymentConfig"]
    (alarm,) = swap["AutoRollbackConfiguration"]["Alarms"]
    assert alarm["AlarmName"] == found["EndpointErrors"]["Properties"]["AlarmName"]
    assert swap["BlueGreenUpdatePolicy"]["TerminationWaitInSeconds"] > 0
    assert template_of(replace(INSTANCE, least=2))["Resources"]["Endpoint"]["Properties"]["DeploymentConfig"][
        "BlueGreenUpdatePolicy"
    ]["TrafficRoutingConfiguration"]["Type"] == "CANARY"  # fmt: skip
    assert "DeploymentConfig" not in template_of(SERVERLESS)["Resources"]["Endpoint"]["Properties"]


def test_another_kind_or_instance_type_is_another_endpoint() -> None:
    """SageMaker changes neither in place; another model, memory or bound is the same endpoint."""
    plans = (SERVERLESS, INSTANCE, replace(INSTANCE, instance="ml.m5.xlarge"), QUEUE)
    assert len({plan.endpoint for plan in plans}) == len(plans)
    assert replace(SERVERLESS, memory=6144).endpoint == SERVERLESS.endpoint
    assert replace(INSTANCE, most=5).endpoint == INSTANCE.endpoint
    longest = replace(INSTANCE, name=Name("a" * 40))
    assert len(longest.endpoint) <= 63
    found = template_of(INSTANCE)["Resources"]
    assert found["Function"]["Properties"]["Environment"]["Variables"] == {"PLAUDIT_ENDPOINT": INSTANCE.endpoint}
    assert found["Live"]["DependsOn"] == ["Endpoint"], "the page moves on only when what it asks is there"


def test_a_swap_keeps_the_instances_that_load_has_added() -> None:
    assert template_of(INSTANCE)["Resources"]["Endpoint"]["Properties"]["RetainAllVariantProperties"] is True
    for plan in (SERVERLESS, QUEUE, replace(INSTANCE, least=2, most=2)):
        assert "RetainAllVariantProperties" not in template_of(plan)["Resources"]["Endpoint"]["Properties"]


def test_the_endpoints_role_may_look_at_the_alarm_that_turns_a_swap_back() -> None:
    statements = template_of(INSTANCE)["Resources"]["EndpointRole"]["Properties"]["Policies"][0]["PolicyDocument"]
    assert "cloudwatch:DescribeAlarms" in json.dumps(statements)


def test_scaling_is_between_the_bounds() -> None:
    found = template_of(replace(INSTANCE, least=1, most=3))["Resources"]
    assert (found["Scaling"]["Properties"]["MinCapacity"], found["Scaling"]["Properties"]["MaxCapacity"]) == (1, 3)
    assert "Scaling" not in template_of(replace(INSTANCE, least=2, most=2))["Resources"]
    queue = template_of(QUEUE)["Resources"]
    assert queue["Scaling"]["Properties"]["MinCapacity"] == 0
    assert queue["Waiting"]["Properties"]["AlarmActions"] == [{"Ref": "WakeUp"}], "something has to start the first one"


def test_a_ttl_deletes_the_stack_by_a_role_that_outlives_it() -> None:
    found = template_of(replace(LAMBDA, ttl=timedelta(hours=4)))["Resources"]["Ending"]["Properties"]
    assert found["ScheduleExpression"] == "at(2030-01-02T03:04:05)"
    assert found["Target"]["RoleArn"] == PARTS.reaper_role
    assert json.loads(found["Target"]["Input"]["Fn::Sub"]) == {"StackName": "${AWS::StackId}"}
    assert "Ending" not in template_of(LAMBDA)["Resources"]


def test_snapstart_is_asked_for_by_name() -> None:
    assert "SnapStart" not in template_of(LAMBDA)["Resources"]["Function"]["Properties"], "it bills while idle"
    found = template_of(replace(LAMBDA, snapstart=True))["Resources"]["Function"]["Properties"]
    assert found["SnapStart"] == {"ApplyOn": "PublishedVersions"}


def test_the_bucket_is_private_encrypted_and_forgets() -> None:
    found = base_template(training=True, reaper=True)["Resources"]
    bucket = found["Bucket"]["Properties"]
    assert all(bucket["PublicAccessBlockConfiguration"].values())
    assert len(bucket["PublicAccessBlockConfiguration"]) == 4
    assert bucket["BucketEncryption"]["ServerSideEncryptionConfiguration"]
    (statement,) = found["BucketPolicy"]["Properties"]["PolicyDocument"]["Statement"]
    assert statement["Effect"] == "Deny"
    assert statement["Condition"] == {"Bool": {"aws:SecureTransport": "false"}}
    assert {rule["Id"] for rule in bucket["LifecycleConfiguration"]["Rules"]} >= {"unfinished-uploads", "queues"}


def test_the_reaper_may_do_what_deleting_every_kind_takes() -> None:
    """The permissions that the resource types' own schemas name for deleting, as far as AWS publishes them."""
    deleting = {
        "AWS::Logs::LogGroup": "logs:DescribeLogGroups logs:DeleteLogGroup",
        "AWS::IAM::Role": "iam:DeleteRole iam:DetachRolePolicy iam:DeleteRolePolicy iam:GetRole"
        " iam:ListAttachedRolePolicies iam:ListRolePolicies",
        "AWS::Lambda::Function": "lambda:DeleteFunction lambda:GetFunction",
        "AWS::Lambda::Version": "lambda:DeleteFunction lambda:GetFunctionConfiguration",
        "AWS::Lambda::Alias": "lambda:DeleteAlias",
        "AWS::Lambda::Permission": "lambda:RemovePermission",
        "AWS::ApiGatewayV2::Api": "apigateway:DELETE",
        "AWS::ApiGatewayV2::Integration": "apigateway:DELETE",
        "AWS::ApiGatewayV2::Route": "apigateway:DELETE",
        "AWS::ApiGatewayV2::Stage": "apigateway:DELETE",
        "AWS::SNS::Topic": "sns:DeleteTopic sns:Unsubscribe",
        "AWS::SNS::TopicPolicy": "sns:SetTopicAttributes",
        "AWS::CloudWatch::Alarm": "cloudwatch:DeleteAlarms cloudwatch:DescribeAlarms",
        "AWS::Budgets::Budget": "budgets:ModifyBudget",
        "AWS::Scheduler::Schedule": "scheduler:DeleteSchedule scheduler:GetSchedule",
        "AWS::SageMaker::Model": "sagemaker:DeleteModel",
        "AWS::SageMaker::EndpointConfig": "sagemaker:DeleteEndpointConfig",
        "AWS::SageMaker::Endpoint": "sagemaker:DeleteEndpoint sagemaker:DescribeEndpoint",
        "AWS::ApplicationAutoScaling::ScalableTarget": "application-autoscaling:DeregisterScalableTarget",
        "AWS::ApplicationAutoScaling::ScalingPolicy": "application-autoscaling:DeleteScalingPolicy",
    }
    role = base_template(training=False, reaper=True)["Resources"]["ReaperRole"]["Properties"]["Policies"][0]
    allowed = {action for entry in role["PolicyDocument"]["Statement"] for action in entry["Action"]}
    for plan in (*KINDS.values(), replace(LAMBDA, ttl=timedelta(hours=1))):
        for entry in template_of(plan)["Resources"].values():
            assert set(deleting[entry["Type"]].split()) <= allowed, entry["Type"]
