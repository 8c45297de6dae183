"""CloudFormation's resource types over moto's own services: each is made, changed and removed through its API.

The calls go through boto3 to the server itself, so that botocore checks each property against the service's model,
and what a template holds is what the services list. Knows no stack.
"""

from __future__ import annotations

import json
import uuid
from collections.abc import Callable
from functools import lru_cache
from typing import Any, ClassVar

import boto3
from botocore.config import Config
from moto.core.common_models import CloudFormationModel

Properties = dict[str, Any]
ACCOUNT = "123456789012"
PORT: list[int] = []
"""Where the server listens; set before the first stack."""


@lru_cache
def client(service: str, region: str) -> Any:
    """A client of this very server."""
    return boto3.client(
        service,
        region_name=region,
        endpoint_url=f"http://127.0.0.1:{PORT[0]}",
        aws_access_key_id="dummy",
        aws_secret_access_key="dummy",
        config=Config(retries={"total_max_attempts": 1}),
    )


def pairs(tags: dict[str, str]) -> list[dict[str, str]]:
    return [{"Key": key, "Value": value} for key, value in tags.items()]


TAGGING: dict[str, Callable[[Any, str, dict[str, str]], Any]] = {
    "lambda": lambda api, arn, tags: api.tag_resource(Resource=arn, Tags=tags),
    "iam": lambda api, name, tags: api.tag_role(RoleName=name, Tags=pairs(tags)),
    "logs": lambda api, arn, tags: api.tag_resource(resourceArn=arn.removesuffix(":*"), tags=tags),
    "sns": lambda api, arn, tags: api.tag_resource(ResourceArn=arn, Tags=pairs(tags)),
    "cloudwatch": lambda api, arn, tags: api.tag_resource(ResourceARN=arn, Tags=pairs(tags)),
    "sagemaker": lambda api, arn, tags: api.add_tags(ResourceArn=arn, Tags=pairs(tags)),
    "apigatewayv2": lambda api, arn, tags: api.tag_resource(ResourceArn=arn, Tags=tags),
    "s3": lambda api, name, tags: api.put_bucket_tagging(Bucket=name, Tagging={"TagSet": pairs(tags)}),
}


class Resource(CloudFormationModel):
    """One resource of a stack. ``fixed`` are the properties that cannot be changed in place.

    A subclass sets ``physical_resource_id`` and ``attributes`` (Fn::GetAtt's) in ``create``, and ``tagged`` to what
    its service's tagging call wants, where the type takes tags.
    """

    type: ClassVar[str]
    service: ClassVar[str]
    fixed: ClassVar[tuple[str, ...]] = ()

    def __init__(self, logical: str, region: str, name: str, properties: Properties, tags: dict[str, str]) -> None:
        self.logical_resource_id, self.cf_resource_type = logical, self.type
        self.region, self.generated = region, name
        self.properties, self.tags = properties, tags
        self.physical_resource_id, self.tagged = "", ""
        self.attributes: dict[str, str] = {}
        self.kept = self.kept_when_replaced = False

    @staticmethod
    def cloudformation_type() -> str:
        return ""

    @classmethod
    def has_cfn_attr(cls, attr: str) -> bool:
        return True

    def get_cfn_attribute(self, name: str) -> str:
        return self.attributes[name]

    def is_created(self) -> bool:
        return True

    @property
    def api(self) -> Any:
        return client(self.service, self.region)

    def label(self) -> None:
        """Brings the tags to what holds them."""
        if self.tagged and self.tags:
            TAGGING[self.service](self.api, self.tagged, self.tags)

    def create(self, given: Properties) -> None:
        raise NotImplementedError

    def update(self, given: Properties) -> None:
        raise NotImplementedError

    def delete(self) -> None:
        raise NotImplementedError

    def known(self, identity: str, tagged: str = "", **attributes: str) -> None:
        """What CloudFormation calls it from now on."""
        self.physical_resource_id, self.tagged, self.attributes = identity, tagged, attributes


class Role(Resource):
    type, service, fixed = "AWS::IAM::Role", "iam", ("RoleName", "Path")

    def create(self, given: Properties) -> None:
        name, trust = given.get("RoleName", self.generated[:64]), json.dumps(given["AssumeRolePolicyDocument"])
        made = self.api.create_role(RoleName=name, Path=given.get("Path", "/"), AssumeRolePolicyDocument=trust)["Role"]
        self.known(name, name, Arn=made["Arn"], RoleId=made["RoleId"])
        self._allow(given)

    def update(self, given: Properties) -> None:
        trust = json.dumps(given["AssumeRolePolicyDocument"])
        self.api.update_assume_role_policy(RoleName=self.physical_resource_id, PolicyDocument=trust)
        self._forbid()
        self._allow(given)

    def delete(self) -> None:
        self._forbid()
        self.api.delete_role(RoleName=self.physical_resource_id)

    def _allow(self, given: Properties) -> None:
        for policy in given.get("Policies", ()):
            call = {**policy, "PolicyDocument": json.dumps(policy["PolicyDocument"])}
            self.api.put_role_policy(RoleName=self.physical_resource_id, **call)

    def _forbid(self) -> None:
        for policy in self.api.list_role_policies(RoleName=self.physical_resource_id)["PolicyNames"]:
            self.api.delete_role_policy(RoleName=self.physical_resource_id, PolicyName=policy)


class LogGroup(Resource):
    type, service, fixed = "AWS::Logs::LogGroup", "logs", ("LogGroupName",)

    def create(self, given: Properties) -> None:
        name = given.get("LogGroupName", self.generated)
        self.api.create_log_group(logGroupName=name)
        arn = f"arn:aws:logs:{self.region}:{ACCOUNT}:log-group:{name}:*"
        self.known(name, arn, Arn=arn)
        self.update(given)

    def update(self, given: Properties) -> None:
        days = given["RetentionInDays"]
        self.api.put_retention_policy(logGroupName=self.physical_resource_id, retentionInDays=days)

    def delete(self) -> None:
        self.api.delete_log_group(logGroupName=self.physical_resource_id)


class Bucket(Resource):
    type, service, fixed = "AWS::S3::Bucket", "s3", ("BucketName",)

    def create(self, given: Properties) -> None:
        name = given.get("BucketName", self.generated.lower()[:63])
        taken = [entry["Name"] for entry in self.api.list_buckets()["Buckets"]]
        if name in taken:
            raise ValueError(f"{name} already exists")
        place = {"CreateBucketConfiguration": {"LocationConstraint": self.region}}
        self.api.create_bucket(Bucket=name, **(place if self.region != "us-east-1" else {}))
        self.known(name, name, Arn=f"arn:aws:s3:::{name}", DomainName=f"{name}.s3.amazonaws.com")
        self.update(given)

    def update(self, given: Properties) -> None:
        name, given = {"Bucket": self.physical_resource_id}, dict(given)
        given.pop("BucketName", None)
        for part, call, argument in (
            ("PublicAccessBlockConfiguration", self.api.put_public_access_block, "PublicAccessBlockConfiguration"),
            ("OwnershipControls", self.api.put_bucket_ownership_controls, "OwnershipControls"),
        ):
            if part in given:
                call(**name, **{argument: given.pop(part)})
        rules = given.pop("BucketEncryption", {}).get("ServerSideEncryptionConfiguration", ())
        for rule in rules:
            asked = {"ApplyServerSideEncryptionByDefault": rule["ServerSideEncryptionByDefault"]}
            self.api.put_bucket_encryption(**name, ServerSideEncryptionConfiguration={"Rules": [asked]})
        if "LifecycleConfiguration" in given:
            rules = [_lifecycle(dict(rule)) for rule in given.pop("LifecycleConfiguration")["Rules"]]
            self.api.put_bucket_lifecycle_configuration(**name, LifecycleConfiguration={"Rules": rules})
        if given:
            raise ValueError(f"the test server cannot set a bucket's {', '.join(given)}")

    def delete(self) -> None:
        self.api.delete_bucket(Bucket=self.physical_resource_id)


def _lifecycle(rule: Properties) -> Properties:
    """A rule as S3's API has it: CloudFormation's names differ."""
    rule["ID"] = rule.pop("Id")
    tags = rule.pop("TagFilters", ())
    if "ExpirationInDays" in rule:
        rule["Expiration"] = {"Days": rule.pop("ExpirationInDays")}
    rule["Filter"] = {"Tag": tags[0]} if tags else {"Prefix": rule.pop("Prefix", "")}
    return rule


class BucketPolicy(Resource):
    type, service, fixed = "AWS::S3::BucketPolicy", "s3", ("Bucket",)

    def create(self, given: Properties) -> None:
        self.update(given)
        self.known(given["Bucket"])

    def update(self, given: Properties) -> None:
        # moto reads no conditions and speaks no TLS: a refusal of plain connections would refuse every one.
        held = [entry for entry in given["PolicyDocument"]["Statement"] if "SecureTransport" not in json.dumps(entry)]
        if held:
            policy = {**given["PolicyDocument"], "Statement": held}
            self.api.put_bucket_policy(Bucket=given["Bucket"], Policy=json.dumps(policy))

    def delete(self) -> None:
        self.api.delete_bucket_policy(Bucket=self.physical_resource_id)


class Topic(Resource):
    type, service, fixed = "AWS::SNS::Topic", "sns", ("TopicName",)

    def create(self, given: Properties) -> None:
        name = given.get("TopicName", self.generated)
        arn = self.api.create_topic(Name=name)["TopicArn"]
        self.known(arn, arn, TopicArn=arn, TopicName=name)
        self.update(given)

    def update(self, given: Properties) -> None:
        for entry in given.get("Subscription", ()):
            self.api.subscribe(TopicArn=self.physical_resource_id, **entry)

    def delete(self) -> None:
        self.api.delete_topic(TopicArn=self.physical_resource_id)


class TopicPolicy(Resource):
    type, service, fixed = "AWS::SNS::TopicPolicy", "sns", ("Topics",)

    def create(self, given: Properties) -> None:
        self.update(given)
        self.known(self.generated, Id=self.generated)

    def update(self, given: Properties) -> None:
        for topic in given["Topics"]:
            policy = json.dumps(given["PolicyDocument"])
            self.api.set_topic_attributes(TopicArn=topic, AttributeName="Policy", AttributeValue=policy)

    def delete(self) -> None:
        """The topic's own default comes back; it goes with the topic."""


class Alarm(Resource):
    type, service, fixed = "AWS::CloudWatch::Alarm", "cloudwatch", ("AlarmName",)

    def create(self, given: Properties) -> None:
        name = given.get("AlarmName", self.generated)
        if self.api.describe_alarms(AlarmNames=[name])["MetricAlarms"]:
            raise ValueError(f"{name} already exists")
        arn = f"arn:aws:cloudwatch:{self.region}:{ACCOUNT}:alarm:{name}"
        self.known(name, arn, Arn=arn)
        self.update(given)

    def update(self, given: Properties) -> None:
        self.api.put_metric_alarm(**{**given, "AlarmName": self.physical_resource_id})

    def delete(self) -> None:
        self.api.delete_alarms(AlarmNames=[self.physical_resource_id])


class Budget(Resource):
    type, service, fixed = "AWS::Budgets::Budget", "budgets", ("Budget",)

    def create(self, given: Properties) -> None:
        budget = dict(given["Budget"])
        budget["BudgetLimit"] = {**budget["BudgetLimit"], "Amount": str(budget["BudgetLimit"]["Amount"])}
        told = given.get("NotificationsWithSubscribers", [])
        self.api.create_budget(AccountId=ACCOUNT, Budget=budget, NotificationsWithSubscribers=told)
        self.known(budget["BudgetName"])

    def update(self, given: Properties) -> None:
        self.delete()
        self.create(given)

    def delete(self) -> None:
        self.api.delete_budget(AccountId=ACCOUNT, BudgetName=self.physical_resource_id)


def suffix() -> str:
    """The end of a name that CloudFormation makes up."""
    return uuid.uuid4().hex[:12].upper()
