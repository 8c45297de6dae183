"""The CloudFormation template of a deployment: a plan and the addresses of its parts in, a document out."""

from __future__ import annotations

from typing import Any

from plaudit.places.aws.endpoint_template import endpoint_resources
from plaudit.places.aws.fragments import (
    ARN,
    HERE,
    SAME_ACCOUNT,
    alarm,
    allow,
    digest,
    list_bucket,
    log_group,
    role,
    tag,
    write_logs,
)
from plaudit.places.aws.function_zip import HANDLER
from plaudit.places.aws.plan import Parts, Plan

PAGE_FAILURES = 5
"""In a minute: fewer are the cold start of an endpoint, which answers 503 for seconds."""
ENDING = "Ending"
API_SECONDS = 29
"""An HTTP API answers 503 by itself after 30 seconds."""


def deployment_template(plan: Plan, parts: Parts) -> dict[str, Any]:
    """The whole deployment as one template; every resource that can carry tags carries the plan's."""
    resources = {
        **_function(plan, parts),
        **_api(plan),
        **_budget(plan),
        **(endpoint_resources(plan, parts) if plan.to == "sagemaker" else {}),
        **(_ending(plan, parts) if parts.ends else {}),
    }
    for resource in resources.values():
        tag(resource, plan.name)
    address = {"Fn::Sub": "https://${Api}.execute-api.${AWS::Region}.${AWS::URLSuffix}/"}
    outputs: dict[str, Any] = {
        "Page": {"Description": "The page and the public API", "Value": address},
        "To": {"Value": plan.kind},
        "Function": {"Value": {"Ref": "Function"}},
        "FunctionKey": {"Value": parts.function},
    }
    if parts.ends:
        outputs["Ends"] = {"Value": f"{parts.ends:%Y-%m-%d %H:%M} UTC"}
    if plan.to == "sagemaker":
        outputs["Endpoint"] = {"Value": plan.endpoint}
        outputs["Model"] = {"Value": {"Fn::GetAtt": ["Model", "ModelName"]}}
        outputs["ArchiveKey"] = {"Value": parts.archive}
    return {
        "AWSTemplateFormatVersion": "2010-09-09",
        "Description": f"Plaudit: {plan.name.own}, a page and an API before a classifier ({plan.kind})",
        "Resources": resources,
        "Outputs": outputs,
    }


def _function(plan: Plan, parts: Parts) -> dict[str, Any]:
    group, inside = f"/aws/lambda/{plan.name.full}", plan.to == "lambda"
    settings = {"PLAUDIT_BUNDLE": "/var/task/bundle"} if inside else {"PLAUDIT_ENDPOINT": plan.endpoint}
    statements = [write_logs(group)]
    if not inside:
        # A name and eight digits: while an endpoint of another kind takes over, both are asked.
        endpoint = f"{ARN}:sagemaker:{HERE}:endpoint/{plan.name.full}-????????"
        statements.append(allow("sagemaker:InvokeEndpoint sagemaker:InvokeEndpointAsync", endpoint))
    if plan.asynchronous:
        settings["PLAUDIT_ASYNC"] = f"s3://{parts.bucket}/{plan.name.queue}"
        objects = f"{ARN}:s3:::{parts.bucket}/{plan.name.queue}*"
        statements.append(allow("s3:GetObject s3:PutObject s3:DeleteObject", objects))
        statements.append(list_bucket(parts.bucket, f"{plan.name.queue}*"))
    properties: dict[str, Any] = {
        "FunctionName": plan.name.full,
        "Description": "The page and the public API",
        "Runtime": f"python{plan.target.python}",
        "Architectures": [plan.target.machine.replace("aarch64", "arm64")],
        "Handler": HANDLER,
        "Code": {"S3Bucket": parts.bucket, "S3Key": parts.function},
        "Role": {"Fn::GetAtt": ["FunctionRole", "Arn"]},
        "MemorySize": plan.memory_of_function,
        "Timeout": API_SECONDS,
        "Environment": {"Variables": settings},
    }
    if plan.snapstart:
        properties["SnapStart"] = {"ApplyOn": "PublishedVersions"}
    version = f"Version{digest(properties)}"
    return {
        "FunctionLogs": log_group(group, plan.log_days),
        "FunctionRole": role("lambda.amazonaws.com", statements),
        "Function": {"Type": "AWS::Lambda::Function", "DependsOn": ["FunctionLogs"], "Properties": properties},
        # A version never changes: new code or settings are a new version, and only the alias moves.
        version: {"Type": "AWS::Lambda::Version", "Properties": {"FunctionName": {"Ref": "Function"}}},
        "Live": {
            "Type": "AWS::Lambda::Alias",
            # The page moves on only when what it asks is there.
            **({} if inside else {"DependsOn": ["Endpoint"]}),
            "Properties": {
                "Name": "live",
                "FunctionName": {"Ref": "Function"},
                "FunctionVersion": {"Fn::GetAtt": [version, "Version"]},
            },
        },
        "FunctionErrors": alarm(
            f"{plan.name.full}-function-errors",
            "The function crashes or takes too long; an update is rolled back",
            "AWS/Lambda", "Errors", [
                {"Name": "FunctionName", "Value": plan.name.full},
                {"Name": "Resource", "Value": f"{plan.name.full}:live"},
            ],
        ),
        "ApiErrors": alarm(
            f"{plan.name.full}-api-errors",
            "The page answers with failures; an update is rolled back",
            "AWS/ApiGateway", "5xx", [{"Name": "ApiId", "Value": {"Ref": "Api"}}], Threshold=PAGE_FAILURES,
        ),
    }  # fmt: skip


def _api(plan: Plan) -> dict[str, Any]:
    return {
        "Api": {
            "Type": "AWS::ApiGatewayV2::Api",
            "Properties": {
                "Name": plan.name.full,
                "ProtocolType": "HTTP",
                "CorsConfiguration": {
                    "AllowOrigins": list(plan.origins),
                    "AllowMethods": ["GET", "POST", "OPTIONS"],
                    "AllowHeaders": ["content-type"],
                    "MaxAge": 3600,
                },
            },
        },
        "ApiToFunction": {
            "Type": "AWS::ApiGatewayV2::Integration",
            "Properties": {
                "ApiId": {"Ref": "Api"},
                "IntegrationType": "AWS_PROXY",
                "IntegrationUri": {"Ref": "Live"},
                "PayloadFormatVersion": "2.0",
                "TimeoutInMillis": API_SECONDS * 1000,
            },
        },
        "Everything": {
            "Type": "AWS::ApiGatewayV2::Route",
            "Properties": {
                "ApiId": {"Ref": "Api"},
                "RouteKey": "$default",
                "Target": {"Fn::Sub": "integrations/${ApiToFunction}"},
            },
        },
        "Stage": {
            "Type": "AWS::ApiGatewayV2::Stage",
            "DependsOn": ["Everything"],
            "Properties": {
                "ApiId": {"Ref": "Api"},
                "StageName": "$default",
                "AutoDeploy": True,
                "DefaultRouteSettings": {"ThrottlingRateLimit": plan.rate, "ThrottlingBurstLimit": plan.burst},
            },
        },
        "ApiMayCall": {
            "Type": "AWS::Lambda::Permission",
            "DependsOn": ["Live"],
            "Properties": {
                "Action": "lambda:InvokeFunction",
                "FunctionName": {"Fn::Sub": "${Function}:live"},
                "Principal": "apigateway.amazonaws.com",
                "SourceArn": {"Fn::Sub": f"{ARN}:execute-api:{HERE}:${{Api}}/*"},
            },
        },
    }


def _budget(plan: Plan) -> dict[str, Any]:
    """An alarm on what the services used here cost the account in a month.

    By service, not by tag: a filter by tag stays at zero until somebody activates the tag for billing.
    """
    subscriber = {"SubscriptionType": "SNS", "Address": {"Ref": "Alerts"}}
    topic: dict[str, Any] = {"TopicName": f"{plan.name.full}-alerts"}
    if plan.email:
        topic["Subscription"] = [{"Protocol": "email", "Endpoint": plan.email}]
    publish = {
        "Effect": "Allow",
        "Principal": {"Service": ["budgets.amazonaws.com", "cloudwatch.amazonaws.com"]},
        "Action": "sns:Publish",
        "Resource": {"Ref": "Alerts"},
        "Condition": SAME_ACCOUNT,
    }
    found = {
        "Alerts": {"Type": "AWS::SNS::Topic", "Properties": topic},
        "AlertsPolicy": {
            "Type": "AWS::SNS::TopicPolicy",
            "Properties": {
                "Topics": [{"Ref": "Alerts"}],
                "PolicyDocument": {"Version": "2012-10-17", "Statement": [publish]},
            },
        },
    }
    return {**found, "Budget": _monthly(plan, subscriber)} if plan.has_budget else found


def _monthly(plan: Plan, subscriber: dict[str, Any]) -> dict[str, Any]:
    """The budget itself, in a region that has them."""
    return {
        "Type": "AWS::Budgets::Budget",
        "DependsOn": ["AlertsPolicy"],
        "Properties": {
            "Budget": {
                "BudgetName": f"{plan.name.full}-{plan.region}",
                "BudgetType": "COST",
                "TimeUnit": "MONTHLY",
                "BudgetLimit": {"Amount": plan.budget, "Unit": "USD"},
                "CostFilters": {"Service": ["Amazon SageMaker", "AWS Lambda", "Amazon API Gateway"]},
            },
            "NotificationsWithSubscribers": [
                {
                    "Notification": {
                        "NotificationType": kind,
                        "ComparisonOperator": "GREATER_THAN",
                        "Threshold": share,
                        "ThresholdType": "PERCENTAGE",
                    },
                    "Subscribers": [subscriber],
                }
                for kind, share in (("ACTUAL", 80), ("FORECASTED", 100))
            ],
        },
    }


def _ending(plan: Plan, parts: Parts) -> dict[str, Any]:
    """A schedule that deletes the stack when its time is up."""
    assert parts.ends is not None
    return {
        ENDING: {
            "Type": "AWS::Scheduler::Schedule",
            "Properties": {
                "Name": f"{plan.name.full}-ends",
                "Description": "Deletes the deployment when its time is up",
                "ScheduleExpression": f"at({parts.ends:%Y-%m-%dT%H:%M:%S})",
                "ScheduleExpressionTimezone": "UTC",
                "FlexibleTimeWindow": {"Mode": "OFF"},
                "Target": {
                    "Arn": {"Fn::Sub": f"{ARN}:scheduler:::aws-sdk:cloudformation:deleteStack"},
                    "RoleArn": parts.reaper_role,
                    "Input": {"Fn::Sub": '{"StackName": "${AWS::StackId}"}'},
                    "RetryPolicy": {"MaximumRetryAttempts": 20},
                },
            },
        }
    }
