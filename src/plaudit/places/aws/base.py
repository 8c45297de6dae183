"""What all deployments and jobs of an account and region share: one bucket and the roles that outlive a stack.

It is a CloudFormation stack of its own, made with the first use and taken back with the last.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from plaudit.errors import PlaceError
from plaudit.places.aws.account import Account, Refused, told
from plaudit.places.aws.fragments import ARN, HERE, SAME_ACCOUNT, allow, digest, role, tag
from plaudit.places.aws.names import PREFIX, QUEUE, Name, bucket_name
from plaudit.places.aws.plan import OBJECT_DAYS
from plaudit.places.aws.stack import Stack
from plaudit.places.aws.storage import EXPIRES, MISSING

BASE = Name("base")


@dataclass(frozen=True)
class Base:
    """The bucket's name, the ARNs of the roles that have been asked for so far, and which template made them."""

    bucket: str
    version: str = ""
    training_role: str | None = None
    reaper_role: str | None = None


def found(account: Account) -> Base | None:
    """The base as it stands; None where there is none."""
    outputs = Stack(account, BASE).outputs()
    return (
        Base(outputs["Bucket"], outputs.get("Version", ""), outputs.get("TrainingRole"), outputs.get("ReaperRole"))
        if outputs
        else None
    )


def ensure(
    account: Account,
    *,
    training: bool = False,
    reaper: bool = False,
    say: Callable[[str], None] = lambda line: None,
) -> Base:
    """The base, made or extended where something is missing. What is there is never taken away."""
    base = found(account)
    training, reaper = (
        training or bool(base and base.training_role),
        reaper or bool(base and base.reaper_role),
    )
    template = base_template(training, reaper)
    if base and base.version == template["Outputs"]["Version"]["Value"]:
        return base
    bucket = bucket_name(account.id, account.region)
    if base is None:
        _free(account, bucket)
    kept = (
        base_template(bool(base and base.training_role), bool(base and base.reaper_role)) if base else {"Outputs": {}}
    )
    new = sorted(template["Outputs"].keys() - kept["Outputs"].keys() - {"Version"})
    say(f"base      {bucket}: {', '.join(new) or 'brought up to date'}")
    Stack(account, BASE).apply(template, BASE.tags)
    made = found(account)
    if made is None:
        raise PlaceError(f"the stack {BASE.full} has no outputs: plaudit down base, then the same command again")
    return made


def _free(account: Account, bucket: str) -> None:
    """Raises PlaceError where a bucket of this name is there that is not the base's."""
    try:
        with told(f"looking for the bucket {bucket}"):
            account.client("s3").head_bucket(Bucket=bucket)
    except Refused as refused:
        if refused.code in MISSING:
            return
        raise PlaceError(
            f"the bucket name {bucket} is taken by somebody else ({refused.code}): take another --region"
        ) from None
    raise PlaceError(
        f"the bucket {bucket} is there, but not by the stack {BASE.full}: empty and delete it"
        f" (aws s3 rb --force s3://{bucket}), or take another --region"
    )


def base_template(training: bool, reaper: bool) -> dict[str, Any]:
    """The CloudFormation template of the bucket, and of the roles that are asked for."""
    resources: dict[str, Any] = {"Bucket": _bucket(), "BucketPolicy": _bucket_policy()}
    outputs: dict[str, Any] = {"Bucket": {"Value": {"Ref": "Bucket"}}}
    for wanted, name, resource in (
        (training, "TrainingRole", _training_role()), (reaper, "ReaperRole", _reaper_role())
    ):  # fmt: skip
        if wanted:
            resources[name] = resource
            outputs[name] = {"Value": {"Fn::GetAtt": [name, "Arn"]}}
    outputs["Version"] = {"Value": digest(resources)}
    for resource in resources.values():
        tag(resource, BASE)
    return {
        "AWSTemplateFormatVersion": "2010-09-09",
        "Description": "Plaudit: the bucket and the roles that its deployments and jobs share",
        "Resources": resources,
        "Outputs": outputs,
    }


def _bucket() -> dict[str, Any]:
    return {
        "Type": "AWS::S3::Bucket",
        "DeletionPolicy": "Delete",
        "UpdateReplacePolicy": "Retain",
        "Properties": {
            "BucketName": {"Fn::Sub": f"{PREFIX}-${{AWS::AccountId}}-${{AWS::Region}}"},
            "PublicAccessBlockConfiguration": dict.fromkeys(
                ("BlockPublicAcls", "BlockPublicPolicy", "IgnorePublicAcls", "RestrictPublicBuckets"), True
            ),
            "BucketEncryption": {
                "ServerSideEncryptionConfiguration": [{"ServerSideEncryptionByDefault": {"SSEAlgorithm": "AES256"}}]
            },
            "OwnershipControls": {"Rules": [{"ObjectOwnership": "BucketOwnerEnforced"}]},
            "LifecycleConfiguration": {
                "Rules": [
                    {
                        "Id": "unfinished-uploads",
                        "Status": "Enabled",
                        "AbortIncompleteMultipartUpload": {"DaysAfterInitiation": 1},
                    },
                    {"Id": "queues", "Status": "Enabled", "Prefix": QUEUE, "ExpirationInDays": 1},
                    *(
                        {
                            "Id": f"days-{days}",
                            "Status": "Enabled",
                            "TagFilters": [{"Key": EXPIRES, "Value": str(days)}],
                            "ExpirationInDays": days,
                        }
                        for days in OBJECT_DAYS
                    ),
                ]
            },
        },
    }


def _bucket_policy() -> dict[str, Any]:
    return {
        "Type": "AWS::S3::BucketPolicy",
        "Properties": {
            "Bucket": {"Ref": "Bucket"},
            "PolicyDocument": {
                "Version": "2012-10-17",
                "Statement": [
                    {
                        "Sid": "OnlyEncryptedConnections",
                        "Effect": "Deny",
                        "Principal": "*",
                        "Action": "s3:*",
                        "Resource": [{"Fn::GetAtt": ["Bucket", "Arn"]}, {"Fn::Sub": "${Bucket.Arn}/*"}],
                        "Condition": {"Bool": {"aws:SecureTransport": "false"}},
                    }
                ],
            },
        },
    }


def _training_role() -> dict[str, Any]:
    return role(
        "sagemaker.amazonaws.com",
        [
            allow("s3:GetObject s3:PutObject s3:DeleteObject s3:AbortMultipartUpload", "${Bucket.Arn}/train-*"),
            allow("s3:GetObject", f"${{Bucket.Arn}}/{BASE.prefix}*"),
            allow("s3:ListBucket s3:GetBucketLocation", "${Bucket.Arn}"),
            allow(
                "logs:CreateLogGroup logs:CreateLogStream logs:PutLogEvents logs:DescribeLogStreams",
                *(
                    f"{ARN}:logs:{HERE}:log-group:/aws/sagemaker/{kind}Jobs{rest}"
                    for kind in ("Training", "Transform")
                    for rest in ("", ":*")
                ),
            ),
            allow(
                "cloudwatch:PutMetricData", "*",
                StringEquals={"cloudwatch:namespace": ["/aws/sagemaker/TrainingJobs", "/aws/sagemaker/TransformJobs"]},
            ),
            allow(
                "ecr:BatchCheckLayerAvailability ecr:GetDownloadUrlForLayer ecr:BatchGetImage",
                f"{ARN}:ecr:${{AWS::Region}}:*:repository/*",
            ),
            allow("ecr:GetAuthorizationToken", "*"),
        ],
        **SAME_ACCOUNT,
    )  # fmt: skip


def _reaper_role() -> dict[str, Any]:
    """What a schedule needs to delete a stack when its time is up: deleting, by Plaudit's names, and nothing else.

    It stands outside of the stacks that it deletes: a role cannot finish deleting a stack that it is part of.
    """
    return role(
        "scheduler.amazonaws.com",
        [
            allow(
                "cloudformation:DeleteStack cloudformation:DescribeStacks",
                f"{ARN}:cloudformation:{HERE}:stack/plaudit-*",
            ),
            allow(
                "sagemaker:DeleteEndpoint sagemaker:DeleteEndpointConfig sagemaker:DeleteModel"
                " sagemaker:DescribeEndpoint sagemaker:DescribeEndpointConfig sagemaker:DescribeModel",
                *(f"{ARN}:sagemaker:{HERE}:{kind}/plaudit-*" for kind in ("endpoint", "endpoint-config", "model")),
            ),
            allow(
                "lambda:DeleteFunction lambda:GetFunction lambda:RemovePermission lambda:DeleteAlias lambda:GetAlias"
                " lambda:ListVersionsByFunction lambda:GetFunctionConfiguration",
                f"{ARN}:lambda:{HERE}:function:plaudit-*",
            ),
            allow(
                "apigateway:DELETE apigateway:GET", f"{ARN}:apigateway:${{AWS::Region}}::/apis",
                f"{ARN}:apigateway:${{AWS::Region}}::/apis/*", f"{ARN}:apigateway:${{AWS::Region}}::/tags/*",
            ),
            allow("logs:DeleteLogGroup", *(f"{ARN}:logs:{HERE}:log-group:{group}plaudit-*" for group in LOG_GROUPS)),
            allow("logs:DescribeLogGroups", "*"),
            allow(
                "iam:DeleteRole iam:DeleteRolePolicy iam:GetRole iam:GetRolePolicy iam:ListRolePolicies"
                " iam:ListAttachedRolePolicies iam:DetachRolePolicy",
                f"{ARN}:iam::${{AWS::AccountId}}:role/plaudit/${{AWS::Region}}/plaudit-*",
            ),
            allow("cloudwatch:DeleteAlarms", f"{ARN}:cloudwatch:{HERE}:alarm:plaudit-*",
                  f"{ARN}:cloudwatch:{HERE}:alarm:TargetTracking-endpoint/plaudit-*"),
            allow("cloudwatch:DescribeAlarms", "*"),
            allow("sns:DeleteTopic sns:GetTopicAttributes sns:SetTopicAttributes sns:Unsubscribe",
                  f"{ARN}:sns:{HERE}:plaudit-*"),
            allow("budgets:ModifyBudget budgets:ViewBudget", f"{ARN}:budgets::${{AWS::AccountId}}:budget/plaudit-*"),
            allow(
                "application-autoscaling:DeregisterScalableTarget application-autoscaling:DeleteScalingPolicy"
                " application-autoscaling:DescribeScalableTargets application-autoscaling:DescribeScalingPolicies", "*",
            ),
            allow("scheduler:DeleteSchedule scheduler:GetSchedule",
                  f"{ARN}:scheduler:{HERE}:schedule/default/plaudit-*"),
        ],
        **SAME_ACCOUNT,
    )  # fmt: skip


LOG_GROUPS = ("/aws/lambda/", "/aws/sagemaker/Endpoints/")
