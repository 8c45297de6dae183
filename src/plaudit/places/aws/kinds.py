"""Every kind of thing that Plaudit leaves on AWS: how it is found, and how it is removed. One line in a table each."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from dataclasses import dataclass
from typing import Any

from plaudit.places.aws import finding as find
from plaudit.places.aws.account import Account
from plaudit.places.aws.finding import Found
from plaudit.places.aws.names import bucket_name
from plaudit.places.aws.storage import Storage


@dataclass(frozen=True)
class Kind:
    """``marks`` are the parts of an ARN by which the tagging API's answers are known to be of this kind."""

    name: str
    find: Callable[[Account], Iterable[Found]]
    remove: Callable[[Account, str], Any]
    marks: tuple[str, ...] = ()


KINDS = (
    Kind(
        "stack", find.stacks, lambda account, name: account.client("cloudformation").delete_stack(StackName=name),
        (":cloudformation:",),
    ),
    Kind(
        "endpoint", find.sagemaker("endpoint", "list_endpoints", "Endpoints", "Endpoint"),
        lambda account, name: account.client("sagemaker").delete_endpoint(EndpointName=name), (":endpoint/",),
    ),
    Kind(
        "endpoint configuration",
        find.sagemaker("endpoint configuration", "list_endpoint_configs", "EndpointConfigs", "EndpointConfig"),
        lambda account, name: account.client("sagemaker").delete_endpoint_config(EndpointConfigName=name),
        (":endpoint-config/",),
    ),
    Kind(
        "model", find.sagemaker("model", "list_models", "Models", "Model"),
        lambda account, name: account.client("sagemaker").delete_model(ModelName=name), (":model/",),
    ),
    Kind(
        "training job",
        find.sagemaker("training job", "list_training_jobs", "TrainingJobSummaries", "TrainingJob",
                   ("InProgress", "Stopping")),
        find.stop_training, (":training-job/",),
    ),
    Kind(
        "transform job",
        find.sagemaker("transform job", "list_transform_jobs", "TransformJobSummaries", "TransformJob",
                   ("InProgress", "Stopping")),
        find.stop_transform, (":transform-job/",),
    ),
    Kind(
        "function", find.functions,
        lambda account, name: account.client("lambda").delete_function(FunctionName=name), (":lambda:",),
    ),
    Kind(
        "http api", find.apis, lambda account, name: account.client("apigatewayv2").delete_api(ApiId=name),
        (":apigateway:",),
    ),
    Kind("role", find.roles, find.remove_role, (":role/",)),
    Kind("topic", find.topics, lambda account, arn: account.client("sns").delete_topic(TopicArn=arn), (":sns:",)),
    Kind(
        "alarm", find.alarms, lambda account, name: account.client("cloudwatch").delete_alarms(AlarmNames=[name]),
        (":cloudwatch:",),
    ),
    Kind(
        "budget", find.budgets,
        lambda account, name: account.client("budgets").delete_budget(AccountId=account.id, BudgetName=name),
        (":budgets:",),
    ),
    Kind(
        "schedule", find.schedules, lambda account, name: account.client("scheduler").delete_schedule(Name=name),
        (":scheduler:",),
    ),
    Kind(
        "log group", find.log_groups, lambda account, name: account.client("logs").delete_log_group(logGroupName=name),
        (":logs:",),
    ),
    Kind(
        "objects", find.objects,
        lambda account, prefix: Storage(account, bucket_name(account.id, account.region)).remove(prefix),
    ),
    Kind("bucket", find.buckets, find.remove_bucket, (":s3:::",)),
)  # fmt: skip
"""In the order in which they are removed: what uses a thing goes before it."""
