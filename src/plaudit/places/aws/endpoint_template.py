"""The endpoint's part of a deployment's template: model, configuration, endpoint, scaling, alarms, role."""

from __future__ import annotations

from typing import Any

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
    write_logs,
)
from plaudit.places.aws.plan import BAKE_MINUTES, Parts, Plan

VARIANT = "all"
INVOCATIONS_A_MINUTE = 1_500
"""What one instance is asked for before another comes: an eighth of the 188 a second of Ray Serve on two cores."""
STARTUP_SECONDS = 600


def endpoint_resources(plan: Plan, parts: Parts) -> dict[str, Any]:
    """Everything that stands behind the function where the classifier is an endpoint of SageMaker."""
    group = f"/aws/sagemaker/Endpoints/{plan.endpoint}"
    container = {
        "Image": parts.image,
        "ModelDataUrl": f"s3://{parts.bucket}/{parts.archive}",
    }
    statements = [
        # Every archive of the deployment: the old fleet reads its own until the swap is over.
        allow("s3:GetObject", f"{ARN}:s3:::{parts.bucket}/{plan.name.prefix}archive/*"),
        list_bucket(parts.bucket, f"{plan.name.prefix}archive/*"),
        write_logs(group),
        allow("logs:CreateLogGroup logs:DescribeLogStreams", f"{ARN}:logs:{HERE}:log-group:{group}:*"),
        allow(
            "cloudwatch:PutMetricData",
            "*",
            StringLike={"cloudwatch:namespace": ["AWS/SageMaker", "/aws/sagemaker/Endpoints*"]},
        ),
        allow("ecr:BatchCheckLayerAvailability ecr:GetDownloadUrlForLayer ecr:BatchGetImage", parts.image_repository),
        allow("ecr:GetAuthorizationToken", "*"),
    ]
    if plan.asynchronous:
        objects = f"{ARN}:s3:::{parts.bucket}/{plan.name.queue}*"
        statements.append(allow("s3:GetObject s3:PutObject", objects))
    if plan.kind != "serverless":
        # SageMaker looks at the alarm that turns a swap back with the endpoint's own role.
        alarm = f"{ARN}:cloudwatch:{HERE}:alarm:{plan.name.full}-endpoint-errors"
        statements.append(allow("cloudwatch:DescribeAlarms", alarm))
    found: dict[str, Any] = {
        "EndpointLogs": log_group(group, plan.log_days),
        "EndpointRole": role("sagemaker.amazonaws.com", statements, **SAME_ACCOUNT),
        "Model": {
            "Type": "AWS::SageMaker::Model",
            "Properties": {
                "ModelName": f"{plan.name.full}-{digest(container)}",
                "ExecutionRoleArn": {"Fn::GetAtt": ["EndpointRole", "Arn"]},
                "PrimaryContainer": container,
            },
        },
        "EndpointConfig": {"Type": "AWS::SageMaker::EndpointConfig", "Properties": _config(plan, parts)},
        "Endpoint": {
            "Type": "AWS::SageMaker::Endpoint",
            "DependsOn": ["EndpointLogs"],
            "Properties": {
                "EndpointName": plan.endpoint,
                "EndpointConfigName": {"Fn::GetAtt": ["EndpointConfig", "EndpointConfigName"]},
            },
        },
    }
    if plan.kind != "serverless":
        found |= {"EndpointErrors": _alarm(plan), **_scaling(plan)}
        # Guardrails are for instances: SageMaker swaps a serverless endpoint all at once by itself.
        found["Endpoint"]["Properties"]["DeploymentConfig"] = _swap(plan)
        found["Endpoint"]["DependsOn"].append("EndpointErrors")
    if plan.kind == "instance" and plan.most > plan.least:
        # Else a swap would take a fleet that load has made larger back to its first size.
        found["Endpoint"]["Properties"]["RetainAllVariantProperties"] = True
    return found


def _config(plan: Plan, parts: Parts) -> dict[str, Any]:
    variant: dict[str, Any] = {
        "VariantName": VARIANT,
        "ModelName": {"Fn::GetAtt": ["Model", "ModelName"]},
        "InitialVariantWeight": 1.0,
    }
    if plan.kind == "serverless":
        variant["ServerlessConfig"] = {"MemorySizeInMB": plan.memory, "MaxConcurrency": plan.concurrency}
    else:
        variant |= {
            "InstanceType": plan.host,
            "InitialInstanceCount": max(1, plan.least),
            "ContainerStartupHealthCheckTimeoutInSeconds": STARTUP_SECONDS,
        }
    found: dict[str, Any] = {"ProductionVariants": [variant]}
    if plan.asynchronous:
        place = f"s3://{parts.bucket}/{plan.name.queue}"
        found["AsyncInferenceConfig"] = {
            "OutputConfig": {"S3OutputPath": f"{place}out", "S3FailurePath": f"{place}failed"},
            "ClientConfig": {"MaxConcurrentInvocationsPerInstance": 4},
        }
    return {"EndpointConfigName": f"{plan.name.full}-{digest([found, parts.archive, parts.image])}", **found}


def _swap(plan: Plan) -> dict[str, Any]:
    """Blue/green: a part of the traffic first, a wait, the rest, a wait; an alarm goes back to the old fleet."""
    wait = BAKE_MINUTES * 60
    routing: dict[str, Any] = {"Type": "ALL_AT_ONCE", "WaitIntervalInSeconds": wait}
    if plan.least > 1:
        canary = {"Type": "INSTANCE_COUNT", "Value": 1}
        routing = {"Type": "CANARY", "CanarySize": canary, "WaitIntervalInSeconds": wait}
    return {
        "BlueGreenUpdatePolicy": {
            "TrafficRoutingConfiguration": routing,
            "TerminationWaitInSeconds": wait,
            "MaximumExecutionTimeoutInSeconds": 3600,
        },
        "AutoRollbackConfiguration": {"Alarms": [{"AlarmName": f"{plan.name.full}-endpoint-errors"}]},
    }


def _dimensions(plan: Plan) -> list[dict[str, str]]:
    variant = [] if plan.asynchronous else [{"Name": "VariantName", "Value": VARIANT}]
    return [{"Name": "EndpointName", "Value": plan.endpoint}, *variant]


def _alarm(plan: Plan) -> dict[str, Any]:
    return alarm(
        f"{plan.name.full}-endpoint-errors",
        "The endpoint answers with failures; an update is rolled back",
        "AWS/SageMaker",
        "InvocationFailures" if plan.asynchronous else "Invocation5XXErrors",
        _dimensions(plan),
    )


def _scaling(plan: Plan) -> dict[str, Any]:
    """More instances under load, fewer without; an asynchronous endpoint goes down to none."""
    if plan.least == plan.most:
        return {}
    target = {
        "Type": "AWS::ApplicationAutoScaling::ScalableTarget",
        "DependsOn": ["Endpoint"],
        "Properties": {
            "ServiceNamespace": "sagemaker",
            "ScalableDimension": "sagemaker:variant:DesiredInstanceCount",
            "ResourceId": f"endpoint/{plan.endpoint}/variant/{VARIANT}",
            "MinCapacity": plan.least,
            "MaxCapacity": plan.most,
        },
    }
    if not plan.asynchronous:
        metric: dict[str, Any] = {
            "PredefinedMetricSpecification": {"PredefinedMetricType": "SageMakerVariantInvocationsPerInstance"}
        }
        return {"Scaling": target, "ScaleByLoad": _tracking(plan, metric, INVOCATIONS_A_MINUTE)}
    name = [{"Name": "EndpointName", "Value": plan.endpoint}]
    backlog = {
        "CustomizedMetricSpecification": {
            "Namespace": "AWS/SageMaker",
            "MetricName": "ApproximateBacklogSizePerInstance",
            "Dimensions": name,
            "Statistic": "Average",
        }
    }
    found = {"Scaling": target, "ScaleByLoad": _tracking(plan, backlog, 5)}
    if plan.least == 0:
        found |= _wake(plan, name)
    return found


def _tracking(plan: Plan, metric: dict[str, Any], value: int) -> dict[str, Any]:
    return {
        "Type": "AWS::ApplicationAutoScaling::ScalingPolicy",
        "Properties": {
            "PolicyName": f"{plan.name.full}-load",
            "PolicyType": "TargetTrackingScaling",
            "ScalingTargetId": {"Ref": "Scaling"},
            "TargetTrackingScalingPolicyConfiguration": {
                **metric, "TargetValue": value, "ScaleInCooldown": 300, "ScaleOutCooldown": 60
            },
        },
    }  # fmt: skip


def _wake(plan: Plan, name: list[dict[str, str]]) -> dict[str, Any]:
    """The first instance: an endpoint without one has no backlog per instance to go by."""
    return {
        "WakeUp": {
            "Type": "AWS::ApplicationAutoScaling::ScalingPolicy",
            "Properties": {
                "PolicyName": f"{plan.name.full}-wake-up",
                "PolicyType": "StepScaling",
                "ScalingTargetId": {"Ref": "Scaling"},
                "StepScalingPolicyConfiguration": {
                    "AdjustmentType": "ChangeInCapacity",
                    "Cooldown": 150,
                    "MetricAggregationType": "Average",
                    "StepAdjustments": [{"MetricIntervalLowerBound": 0, "ScalingAdjustment": 1}],
                },
            },
        },
        "Waiting": alarm(
            f"{plan.name.full}-waiting",
            "Requests wait and no instance is there",
            "AWS/SageMaker",
            "HasBacklogWithoutCapacity",
            name,
            Statistic="Average",
            TreatMissingData="missing",
            AlarmActions=[{"Ref": "WakeUp"}],
        ),
    }
