"""moto's server with a CloudFormation that behaves: `python -m tests.places.aws.moto_server --port 5000`.

`POST /plaudit-fail {"type": "AWS::SageMaker::Endpoint", "reason": "…", "times": 1}` makes the next creations or
changes of that type fail; `POST /moto-api/reset` forgets that too.
"""

from __future__ import annotations

import json
import sys
from collections.abc import Iterable, Iterator
from typing import Any

import moto.server
from moto.apigatewayv2.models import ApiGatewayV2Backend, apigatewayv2_backends
from moto.awslambda.models import LambdaStorage
from moto.cloudformation import parsing
from moto.cloudformation.exceptions import ValidationError
from moto.cloudformation.models import CloudFormationBackend, Stack
from moto.cloudformation.responses import CloudFormationResponse
from moto.core.resource_tagging import TaggableResourcesMixin, TaggedResource
from moto.iam.access_control import IAMPolicy
from moto.moto_server.werkzeug_app import DomainDispatcherApplication
from moto.s3.models import FakeBucket
from moto.sagemaker.models import FakeEndpointConfig
from moto.sagemaker.responses import SageMakerResponse

from tests.places.aws import moto_compute, moto_glue, moto_stacks
from tests.places.aws.moto_glue import Resource

RESTING = ("CREATE_COMPLETE", "UPDATE_COMPLETE", "UPDATE_ROLLBACK_COMPLETE")
plain_create, plain_update = CloudFormationResponse.create_stack, CloudFormationResponse.update_stack
plain_stack, plain_publish = CloudFormationBackend.create_stack, LambdaStorage.publish_version
plain_outputs: Any = Stack.outputs


class Server(DomainDispatcherApplication):
    """moto's server, and the way to make it fail."""

    def __call__(self, environ: dict[str, Any], start_response: Any) -> Any:
        path = environ.get("PATH_INFO")
        if path == "/moto-api/reset":
            moto_stacks.FAILURES.clear()
        if path != "/plaudit-fail":
            return super().__call__(environ, start_response)
        asked = json.loads(environ["wsgi.input"].read(int(environ["CONTENT_LENGTH"])))
        moto_stacks.FAILURES.append({"times": 1, **asked})
        start_response("200 OK", [("Content-Type", "application/json")])
        return [b"{}"]


class TaggedApis(ApiGatewayV2Backend, TaggableResourcesMixin):
    """HTTP APIs and their stages, for the tagging API."""

    SERVICE_NAMESPACE = "apigateway"

    def iter_tagged_resources(self) -> Iterator[TaggedResource]:
        for api in self.apis.values():
            arn = f"arn:aws:apigateway:{self.region_name}::/apis/{api.api_id}"
            yield TaggedResource(arn, dict(self.tagger.get_tag_dict_for_resource(arn)), "apigateway:apis")
            for stage in api.stages.values():
                yield TaggedResource(f"{arn}/stages/{stage.name}", dict(stage.tags or {}), "apigateway:stages")


def create_record(backend: Any, name: str, template: str, *rest: Any, **settings: Any) -> Any:
    """A template that CloudFormation would refuse makes no stack."""
    moto_stacks.check(Stack.parse_template(template))
    return plain_stack(backend, name, template, *rest, **settings)


def create_stack(responses: Any) -> Any:
    """CreateStack, with what OnFailure asks for."""
    answer = plain_create(responses)
    backend = responses.cloudformation_backend
    stack = backend.get_stack(responses._get_param("StackName"))
    if stack.status == "CREATE_FAILED":
        wish = responses._get_param("OnFailure") or "ROLLBACK"
        why = f"The following resource(s) failed to create: [{stack.failed}]. "
        if wish != "DO_NOTHING":
            moto_stacks.take_back(stack, wish, f"{why}{wish.capitalize()} requested by user.")
        bury(backend, stack)
    return answer


def update_stack(responses: Any) -> Any:
    """UpdateStack: refused where nothing changes; watched by the alarms of RollbackConfiguration."""
    stack = responses.cloudformation_backend.get_stack(responses._get_param("StackName"))
    if stack.status not in RESTING:
        raise ValidationError(message=f"Stack:{stack.stack_id} is in {stack.status} state and can not be updated.")
    tags = {tag["Key"]: tag["Value"] for tag in responses._get_param("Tags", [])} or stack.tags
    if stack.parse_template(responses._get_param("TemplateBody")) == stack.template_dict and tags == stack.tags:
        raise ValidationError(message="No updates are to be performed.")
    rules = responses._get_param("RollbackConfiguration")
    if rules is not None:
        # They stay with the stack until others are given.
        stack.triggers = [trigger["Arn"] for trigger in rules.get("RollbackTriggers", ())]
    return plain_update(responses)


def delete_stack(backend: Any, which: str) -> None:
    """DeleteStack; a stack that is not there is no failure."""
    for stack in list(backend.stacks.values()):
        if which in (stack.stack_id, stack.name):
            moto_stacks.take_back(stack, "DELETE", "User Initiated")
            bury(backend, stack)


def bury(backend: Any, stack: Any) -> None:
    """A deleted stack is found by its id only."""
    if stack.status == "DELETE_COMPLETE":
        backend.deleted_stacks[stack.stack_id] = backend.stacks.pop(stack.stack_id)


def permission(bucket: Any, action: str, resource: str) -> Any:
    """A bucket's policy, as far as it has no conditions: moto takes a condition on encryption for a flat refusal."""
    statements = json.loads(bucket.policy)["Statement"] if bucket.policy else []
    plain = [statement for statement in statements if "Condition" not in statement]
    return IAMPolicy(json.dumps({"Statement": plain})).is_action_permitted(action, resource)


def publish_version(storage: Any, name: str, description: str = "") -> Any:
    """PublishVersion: numbers are never given twice, and nothing new makes no version, the first time too."""
    before = [id(version) for entry in storage._functions.values() for version in entry["versions"]]
    made: Any = plain_publish(storage, name, description)
    if made is not None and id(made) not in before:
        name, given = made.function_name, vars(storage).setdefault("given", {})
        given[name] = given.get(name, 0) + 1
        made.set_version(given[name])
        storage._functions[name]["latest"].code_or_config_updated = False
        storage._arns.update({version.function_arn: version for version in storage._functions[name]["versions"]})
    return made


def install() -> None:
    """Puts our parts in the place of moto's."""
    held = property(lambda held: [key for key, entry in held._parsed_resources.items() if isinstance(entry, Resource)])
    parts: tuple[tuple[Any, str, Any], ...] = (
        (parsing, "resource_class_from_type", moto_stacks.KINDS.get),
        (parsing.ResourceMap, "__getitem__", lambda held, key: held._parsed_resources[key]),
        (parsing.ResourceMap, "resources", held),
        (Stack, "outputs", property(lambda stack: plain_outputs.fget(stack) if stack.status in RESTING else None)),
        (Stack, "triggers", ()),
        (Stack, "create_resources", moto_stacks.create),
        (Stack, "update", moto_stacks.update),
        (CloudFormationBackend, "create_stack", create_record),
        (CloudFormationBackend, "delete_stack", delete_stack),
        (CloudFormationResponse, "create_stack", create_stack),
        (CloudFormationResponse, "update_stack", update_stack),
        (FakeBucket, "get_permission", permission),
        (FakeEndpointConfig, "arn", property(lambda config: config.endpoint_config_arn, lambda config, arn: None)),
        (LambdaStorage, "publish_version", publish_version),
        (SageMakerResponse, "update_endpoint", moto_compute.update_endpoint),
        (apigatewayv2_backends, "backend", TaggedApis),
        (moto.server, "DomainDispatcherApplication", Server),
    )
    for place, name, part in parts:
        setattr(place, name, part)


def main(arguments: Iterable[str]) -> None:
    options = list(arguments)
    moto_glue.PORT.append(int(options[options.index("--port") + 1]))
    install()
    moto.server.main(options)


if __name__ == "__main__":
    main(sys.argv[1:])
