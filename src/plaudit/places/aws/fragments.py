"""Pieces that every template is made of: roles, statements, log groups, tags. Knows no plan."""

from __future__ import annotations

import hashlib
import json
from typing import Any

from plaudit.places.aws.names import Name

ARN = "arn:${AWS::Partition}"
HERE = "${AWS::Region}:${AWS::AccountId}"
SAME_ACCOUNT = {"StringEquals": {"aws:SourceAccount": {"Ref": "AWS::AccountId"}}}
"""Keeps a service from being talked into using our role by another account."""
LISTS = "IAM::Role Logs::LogGroup SageMaker::Model SageMaker::EndpointConfig SageMaker::Endpoint Lambda::Function"
LISTS += " SNS::Topic CloudWatch::Alarm S3::Bucket"


def role(service: str, statements: list[dict[str, Any]], **conditions: Any) -> dict[str, Any]:
    """An IAM role that one AWS service may take, with one inline policy."""
    trust: dict[str, Any] = {
        "Effect": "Allow",
        "Principal": {"Service": service},
        "Action": "sts:AssumeRole",
    }
    if conditions:
        trust["Condition"] = conditions
    return {
        "Type": "AWS::IAM::Role",
        "Properties": {
            "Path": {"Fn::Sub": "/plaudit/${AWS::Region}/"},
            "AssumeRolePolicyDocument": {"Version": "2012-10-17", "Statement": [trust]},
            "Policies": [
                {
                    "PolicyName": "least",
                    "PolicyDocument": {"Version": "2012-10-17", "Statement": statements},
                }
            ],
        },
    }


def allow(actions: str, *resources: Any, **conditions: Any) -> dict[str, Any]:
    """A policy's statement: ``actions`` separated by spaces, on ``resources``; a string with ${…} is filled in."""
    found = [{"Fn::Sub": item} if isinstance(item, str) and "${" in item else item for item in resources]
    statement: dict[str, Any] = {"Effect": "Allow", "Action": actions.split(), "Resource": found}
    return {**statement, "Condition": conditions} if conditions else statement


def log_group(name: str, days: int) -> dict[str, Any]:
    """A log group that expires and goes with its stack."""
    return {
        "Type": "AWS::Logs::LogGroup",
        "DeletionPolicy": "Delete",
        "UpdateReplacePolicy": "Delete",
        "Properties": {"LogGroupName": name, "RetentionInDays": days},
    }


def write_logs(group: str) -> dict[str, Any]:
    """Leave to write into a log group that is there: a service that may not create one leaves none behind."""
    return allow("logs:CreateLogStream logs:PutLogEvents", f"{ARN}:logs:{HERE}:log-group:{group}:*")


def tag(resource: dict[str, Any], name: Name) -> None:
    """Puts the tags into a resource, in the form that its type takes them."""
    kind = resource["Type"].removeprefix("AWS::")
    if kind in LISTS.split():
        resource["Properties"]["Tags"] = name.tag_list
    elif kind in ("ApiGatewayV2::Api", "ApiGatewayV2::Stage"):
        resource["Properties"]["Tags"] = name.tags
    elif kind == "Budgets::Budget":
        resource["Properties"]["ResourceTags"] = name.tag_list


def list_bucket(bucket: str, keys: str) -> dict[str, Any]:
    """Without leave to list, S3 answers 403 instead of 404 for an object that is not there yet."""
    return allow("s3:ListBucket", f"{ARN}:s3:::{bucket}", StringLike={"s3:prefix": keys})


def digest(value: Any) -> str:
    """Eight digits of a value: the end of a name, where AWS lets a thing be replaced but not changed."""
    return hashlib.sha256(json.dumps(value, sort_keys=True).encode()).hexdigest()[:8]


def alarm(
    name: str, about: str, namespace: str, metric: str, dimensions: list[dict[str, Any]], **settings: Any
) -> dict[str, Any]:
    """An alarm on a metric's sum in a minute, told to the topic `Alerts`, where ``settings`` do not say otherwise."""
    return {
        "Type": "AWS::CloudWatch::Alarm",
        "Properties": {
            "AlarmName": name,
            "AlarmDescription": about,
            "Namespace": namespace,
            "MetricName": metric,
            "Dimensions": dimensions,
            "Statistic": "Sum",
            "Period": 60,
            "EvaluationPeriods": 1,
            "Threshold": 1,
            "ComparisonOperator": "GreaterThanOrEqualToThreshold",
            "TreatMissingData": "notBreaching",
            "AlarmActions": [{"Ref": "Alerts"}],
            **settings,
        },
    }
