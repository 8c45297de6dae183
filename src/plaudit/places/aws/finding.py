"""How each kind of thing that Plaudit leaves on AWS is found.

Finding is by the services' own lists, narrowed by name, because the tagging API knows neither roles nor
budgets nor schedules, and lists for a while what is gone already.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any

from plaudit.places.aws import prices
from plaudit.places.aws.account import Account
from plaudit.places.aws.names import PREFIX, QUEUE, TAG, bucket_name
from plaudit.places.aws.storage import Storage

START = f"{PREFIX}-"


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


def sagemaker(kind: str, operation: str, field: str, label: str, **narrow: str) -> Callable[[Account], Iterator[Found]]:
    def find(account: Account) -> Iterator[Found]:
        client = account.client("sagemaker")
        for entry in _pages(client, operation, field, NameContains=START, **narrow):
            name = _tagged(client.list_tags(ResourceArn=entry[f"{label}Arn"])["Tags"])
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
        variants = client.describe_endpoint(EndpointName=identity).get("ProductionVariants", ())
        config = client.describe_endpoint(EndpointName=identity)["EndpointConfigName"]
        planned = client.describe_endpoint_config(EndpointConfigName=config)["ProductionVariants"]
        types = {entry["VariantName"]: entry.get("InstanceType") for entry in planned}
        counts = {entry["VariantName"]: entry.get("CurrentInstanceCount") for entry in variants}
        known = [
            (prices.hourly(kind, "hosting"), counts.get(variant, 1) or 0) for variant, kind in types.items() if kind
        ]
        return None if any(price is None for price, _ in known) else sum((price or 0) * count for price, count in known)
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
        name = _tagged(client.list_tags(Resource=entry["FunctionArn"])["Tags"])
        if name:
            kept = entry.get("SnapStart", {}).get("ApplyOn") == "PublishedVersions"
            hourly = prices.SNAPSTART_GB_SECOND * 3600 * entry["MemorySize"] / 1024 if kept else 0.0
            changed = datetime.fromisoformat(entry["LastModified"].replace("+0000", "+00:00"))
            yield Found("function", entry["FunctionName"], name, entry.get("State", ""), changed, hourly)


def log_groups(account: Account) -> Iterator[Found]:
    client = account.client("logs")
    for group in ("/aws/lambda/", "/aws/sagemaker/Endpoints/"):
        for entry in _pages(client, "describe_log_groups", "logGroups", logGroupNamePrefix=group + START):
            name = _tagged(client.list_tags_for_resource(resourceArn=entry["arn"].removesuffix(":*"))["tags"])
            if name is None and "retentionInDays" not in entry:
                # Written by a service after its stack's own group was gone: it has the name, and no tag.
                name = entry["logGroupName"].rsplit("/", 1)[-1].removeprefix(START)
            if name:
                days = entry.get("retentionInDays")
                state = f"kept {days} days" if days else "kept for ever"
                hourly = entry.get("storedBytes", 0) / 1e9 * 0.03 / prices.HOURS
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
        name = _tagged(client.list_role_tags(RoleName=entry["RoleName"])["Tags"])
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
        name = _tagged(client.list_tags_for_resource(ResourceArn=entry["TopicArn"])["Tags"])
        if name:
            yield Found("topic", entry["TopicArn"], name)


def alarms(account: Account) -> Iterator[Found]:
    client = account.client("cloudwatch")
    for entry in _pages(client, "describe_alarms", "MetricAlarms", AlarmNamePrefix=START):
        name = _tagged(client.list_tags_for_resource(ResourceARN=entry["AlarmArn"])["Tags"])
        if name:
            state, since = entry.get("StateValue", ""), entry.get("AlarmConfigurationUpdatedTimestamp")
            yield Found("alarm", entry["AlarmName"], name, state, since, prices.ALARM_MONTH / prices.HOURS)


def budgets(account: Account) -> Iterator[Found]:
    """Budgets are the account's, not a region's: the name ends with the region that it was made for."""
    end = f"-{account.region}"
    for entry in _pages(account.client("budgets"), "describe_budgets", "Budgets", AccountId=account.id):
        name = entry["BudgetName"]
        if name.startswith(START) and name.endswith(end):
            state = f"{entry['BudgetLimit']['Amount']} {entry['BudgetLimit']['Unit']} a month"
            yield Found("budget", name, name.removeprefix(START).removesuffix(end), state)


def schedules(account: Account) -> Iterator[Found]:
    for entry in _pages(account.client("scheduler"), "list_schedules", "Schedules", NamePrefix=START):
        name = entry["Name"].removeprefix(START).removesuffix("-ends")
        yield Found("schedule", entry["Name"], name, entry.get("State", ""), entry.get("CreationDate"))


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
        state = f"{len(several):,} objects, {sum(several) / 1e6:,.1f} MB"
        hourly = sum(several) / 1e9 * prices.STORAGE_GB_MONTH / prices.HOURS
        yield Found("objects", prefix, prefix.removeprefix(QUEUE).rstrip("/"), state, None, hourly)


def buckets(account: Account) -> Iterator[Found]:
    if storage := _bucket(account):
        yield Found("bucket", storage.bucket, "base")


def remove_bucket(account: Account, name: str) -> None:
    Storage(account, name).remove("")
    account.client("s3").delete_bucket(Bucket=name)
