"""How each kind of thing that Plaudit leaves on AWS is found.

Finding is by the services' own lists, narrowed by name, because the tagging API knows neither roles nor
budgets nor schedules, and lists for a while what is gone already.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from datetime import UTC, datetime
from itertools import chain
from typing import Any

from botocore.exceptions import ClientError

from plaudit.places.aws import prices
from plaudit.places.aws.account import Account
from plaudit.places.aws.limits import shown
from plaudit.places.aws.names import PREFIX, QUEUE, TAG, bucket_name
from plaudit.places.aws.storage import Storage

START = f"{PREFIX}-"
JOB_WAIT = {"Delay": 10, "MaxAttempts": 60}
GONE = ("NotFound", "NoSuch", "does not exist", "Could not find", "not found")
"""How services say that a thing is not there."""


@dataclass(frozen=True)
class Found:
    """One thing: ``id`` is what its service calls it, ``name`` the value of Plaudit's tag, ``hourly`` in US dollars.

    ``hourly`` is what it costs while nobody uses it; None where the price is not in the table.
    """

    kind: str
    id: str
    name: str
    state: str = ""
    created: datetime | None = None
    hourly: float | None = 0.0


def _pages(client: Any, operation: str, field: str, **call: Any) -> Iterator[dict[str, Any]]:
    for page in client.get_paginator(operation).paginate(**call):
        yield from page.get(field, ())


def _name(ask: Callable[..., Any], field: str, **call: str) -> str | None:
    """The value of Plaudit's tag; None too where the thing is gone, which a service's list may not know for seconds."""
    try:
        return _tagged(ask(**call)[field])
    except ClientError as error:
        if any(word in str(error) for word in GONE):
            return None
        raise


def _tagged(tags: Any) -> str | None:
    """The value of Plaudit's tag, in any of the forms in which AWS gives tags."""
    if isinstance(tags, dict):
        return tags.get(TAG)
    return next((entry.get("Value") for entry in tags or () if entry.get("Key") == TAG), None)


def stacks(account: Account) -> Iterator[Found]:
    for stack in _pages(account.client("cloudformation"), "describe_stacks", "Stacks"):
        name = _tagged(stack.get("Tags"))
        if name and stack["StackStatus"] != "DELETE_COMPLETE":
            yield Found("stack", stack["StackName"], name, stack["StackStatus"], stack["CreationTime"])


def sagemaker(
    kind: str, operation: str, field: str, label: str, statuses: tuple[str, ...] = ()
) -> Callable[[Account], Iterator[Found]]:
    """Finds the things of one of SageMaker's lists; of jobs those with one of ``statuses``."""
    narrow = [{"StatusEquals": status} for status in statuses] or [{}]

    def find(account: Account) -> Iterator[Found]:
        client = account.client("sagemaker")
        for entry in chain(*(_pages(client, operation, field, NameContains=START, **each) for each in narrow)):
            name = _name(client.list_tags, "Tags", ResourceArn=entry[f"{label}Arn"])
            if name:
                identity, state = entry[f"{label}Name"], entry.get(f"{label}Status", "")
                hourly = _hourly(client, kind, identity)
                yield Found(kind, identity, name, state, entry["CreationTime"], hourly)

    return find


def _hourly(client: Any, kind: str, identity: str) -> float | None:
    """None too where what would tell is gone already: an endpoint runs on without its configuration."""
    try:
        return _price(client, kind, identity)
    except client.exceptions.ClientError:
        return None


def _price(client: Any, kind: str, identity: str) -> float | None:
    if kind == "endpoint":
        found = client.describe_endpoint(EndpointName=identity)
        planned = client.describe_endpoint_config(EndpointConfigName=found["EndpointConfigName"])["ProductionVariants"]
        counts = {entry["VariantName"]: entry.get("CurrentInstanceCount") for entry in found["ProductionVariants"]}
        several = [
            (prices.hourly(entry["InstanceType"], "hosting"), counts.get(entry["VariantName"], 1) or 0)
            for entry in planned
            if entry.get("InstanceType")
        ]
        return None if any(price is None for price, _ in several) else sum((price or 0) * n for price, n in several)
    if kind == "training job":
        resources = client.describe_training_job(TrainingJobName=identity)["ResourceConfig"]
        price = prices.hourly(resources["InstanceType"], "training")
        return None if price is None else price * int(resources["InstanceCount"])
    if kind == "transform job":
        resources = client.describe_transform_job(TransformJobName=identity)["TransformResources"]
        price = prices.hourly(resources["InstanceType"], "transform")
        return None if price is None else price * int(resources["InstanceCount"])
    return 0.0


def functions(account: Account) -> Iterator[Found]:
    client = account.client("lambda")
    for entry in _pages(client, "list_functions", "Functions"):
        if not entry["FunctionName"].startswith(START):
            continue
        name = _name(client.list_tags, "Tags", Resource=entry["FunctionArn"])
        if name:
            kept = entry.get("SnapStart", {}).get("ApplyOn") == "PublishedVersions"
            hourly = prices.SNAPSTART_GB_SECOND * 3600 * entry["MemorySize"] / 1024 if kept else 0.0
            changed = datetime.fromisoformat(entry["LastModified"].replace("+0000", "+00:00"))
            yield Found("function", entry["FunctionName"], name, entry.get("State", ""), changed, hourly)


def log_groups(account: Account) -> Iterator[Found]:
    client = account.client("logs")
    for group in ("/aws/lambda/", "/aws/sagemaker/Endpoints/"):
        for entry in _pages(client, "describe_log_groups", "logGroups", logGroupNamePrefix=group + START):
            name = _name(client.list_tags_for_resource, "tags", resourceArn=entry["arn"].removesuffix(":*"))
            if name is None and "retentionInDays" not in entry:
                # Written by a service after its stack's own group was gone: it has the name, and no tag.
                name = re.sub("-[0-9a-f]{8}$", "", entry["logGroupName"].rsplit("/", 1)[-1].removeprefix(START))
            if name:
                days = entry.get("retentionInDays")
                state = f"kept {days} days" if days else "kept for ever"
                hourly = entry.get("storedBytes", 0) / 1e9 * prices.LOG_GB_MONTH / prices.HOURS
                yield Found(
                    "log group",
                    entry["logGroupName"],
                    name,
                    state,
                    datetime.fromtimestamp(entry["creationTime"] / 1000, UTC),
                    hourly,
                )


def apis(account: Account) -> Iterator[Found]:
    for entry in _pages(account.client("apigatewayv2"), "get_apis", "Items"):
        name = _tagged(entry.get("Tags") or {})
        if name:
            yield Found("http api", entry["ApiId"], name, "", entry.get("CreatedDate"))


def roles(account: Account) -> Iterator[Found]:
    client = account.client("iam")
    for entry in _pages(client, "list_roles", "Roles", PathPrefix=f"/{PREFIX}/{account.region}/"):
        name = _name(client.list_role_tags, "Tags", RoleName=entry["RoleName"])
        if name:
            yield Found("role", entry["RoleName"], name, "", entry["CreateDate"])


def remove_role(account: Account, role: str) -> None:
    client = account.client("iam")
    for policy in client.list_role_policies(RoleName=role)["PolicyNames"]:
        client.delete_role_policy(RoleName=role, PolicyName=policy)
    for attached in client.list_attached_role_policies(RoleName=role)["AttachedPolicies"]:
        client.detach_role_policy(RoleName=role, PolicyArn=attached["PolicyArn"])
    client.delete_role(RoleName=role)


def topics(account: Account) -> Iterator[Found]:
    client = account.client("sns")
    for entry in _pages(client, "list_topics", "Topics"):
        if not entry["TopicArn"].rsplit(":", 1)[-1].startswith(START):
            continue
        name = _name(client.list_tags_for_resource, "Tags", ResourceArn=entry["TopicArn"])
        if name:
            yield Found("topic", entry["TopicArn"], name)


def alarms(account: Account) -> Iterator[Found]:
    client = account.client("cloudwatch")
    for entry in _pages(client, "describe_alarms", "MetricAlarms", AlarmNamePrefix=START):
        name = _name(client.list_tags_for_resource, "Tags", ResourceARN=entry["AlarmArn"])
        if name:
            state, since = entry.get("StateValue", ""), entry.get("AlarmConfigurationUpdatedTimestamp")
            yield Found("alarm", entry["AlarmName"], name, state, since, prices.ALARM_MONTH / prices.HOURS)


def budgets(account: Account) -> Iterator[Found]:
    """Budgets are the account's, not a region's: the name ends with the region that it was made for."""
    end = f"-{account.region}"
    for entry in _pages(account.client("budgets"), "describe_budgets", "Budgets", AccountId=account.id):
        name = entry["BudgetName"]
        if name.startswith(START) and name.endswith(end):
            state = f"{prices.dollars(float(entry['BudgetLimit']['Amount']))} a month"
            yield Found("budget", name, name.removeprefix(START).removesuffix(end), state)


def schedules(account: Account) -> Iterator[Found]:
    for entry in _pages(account.client("scheduler"), "list_schedules", "Schedules", NamePrefix=START):
        name = entry["Name"].removeprefix(START).removesuffix("-ends")
        when = account.client("scheduler").get_schedule(Name=entry["Name"])["ScheduleExpression"]
        state = f"ends {when.removeprefix('at(').removesuffix(')')} UTC"
        yield Found("schedule", entry["Name"], name, state, entry.get("CreationDate"))


def _bucket(account: Account) -> Storage | None:
    """Plaudit's bucket; None where there is none, or where one of that name is not Plaudit's."""
    name = bucket_name(account.id, account.region)
    if all(entry["Name"] != name for entry in account.client("s3").list_buckets().get("Buckets", ())):
        return None
    try:
        tags = account.client("s3").get_bucket_tagging(Bucket=name)["TagSet"]
    except account.client("s3").exceptions.ClientError as error:
        if error.response["Error"]["Code"] in ("NoSuchTagSet", "NoSuchBucket", "AccessDenied"):
            return None
        raise
    return Storage(account, name) if _tagged(tags) else None


def objects(account: Account) -> Iterator[Found]:
    """What lies in the bucket, by the name that it lies under."""
    storage = _bucket(account)
    sizes: dict[str, list[int]] = {}
    for found in storage.keys() if storage else ():
        depth = 2 if found.key.startswith(QUEUE) else 1
        sizes.setdefault("/".join(found.key.split("/")[:depth]) + "/", []).append(found.size)
    for prefix, several in sorted(sizes.items()):
        number = "1 object" if len(several) == 1 else f"{len(several):,} objects"
        state = f"{number}, {shown(sum(several))}"
        hourly = sum(several) / 1e9 * prices.STORAGE_GB_MONTH / prices.HOURS
        yield Found("objects", prefix, prefix.removeprefix(QUEUE).rstrip("/"), state, None, hourly)


def buckets(account: Account) -> Iterator[Found]:
    if storage := _bucket(account):
        yield Found("bucket", storage.bucket, "base")


def remove_bucket(account: Account, name: str) -> None:
    Storage(account, name).remove("")
    account.client("s3").delete_bucket(Bucket=name)


def stop_training(account: Account, name: str) -> None:
    """Stops a job and waits until it has: it bills and writes objects until then."""
    client = account.client("sagemaker")
    if client.describe_training_job(TrainingJobName=name)["TrainingJobStatus"] == "InProgress":
        client.stop_training_job(TrainingJobName=name)
    client.get_waiter("training_job_completed_or_stopped").wait(TrainingJobName=name, WaiterConfig=JOB_WAIT)


def stop_transform(account: Account, name: str) -> None:
    """The same for a job of batch transform."""
    client = account.client("sagemaker")
    if client.describe_transform_job(TransformJobName=name)["TransformJobStatus"] == "InProgress":
        client.stop_transform_job(TransformJobName=name)
    client.get_waiter("transform_job_completed_or_stopped").wait(TransformJobName=name, WaiterConfig=JOB_WAIT)
