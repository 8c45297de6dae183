"""CloudFormation's way with a stack, over moto's records: made, changed, rolled back, deleted in references' order.

moto's own makes no events for resources, removes before it makes, never rolls back, and passes over the types that
it does not know.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from contextlib import suppress
from typing import Any

from botocore.exceptions import BotoCoreError, ClientError
from moto.cloudformation import models, parsing
from moto.cloudformation.exceptions import ValidationError

from tests.places.aws import moto_compute, moto_glue
from tests.places.aws.moto_glue import Resource, suffix

KINDS: dict[str, type[Resource]] = {
    kind.type: kind
    for module in (moto_glue, moto_compute)
    for kind in vars(module).values()
    if isinstance(kind, type) and issubclass(kind, Resource) and kind is not Resource
}
FAILURES: list[dict[str, Any]] = []
"""What is to fail next: type, reason, times."""
GONE = ("NotFound", "NoSuch", "Could not find", "does not exist", "ObjectNotFound")


class Stopped(Exception):
    """A resource that could not be made or changed; ``name`` is its logical id."""

    def __init__(self, name: str) -> None:
        self.name = name


def references(value: Any) -> Iterator[str]:
    """The logical ids that a part of a template needs."""
    if isinstance(value, list):
        for item in value:
            yield from references(item)
    elif isinstance(value, dict):
        for key, item in value.items():
            if key == "Ref":
                yield item
            elif key == "Fn::GetAtt":
                yield item[0]
            elif key == "Fn::Sub" and isinstance(item, str):
                yield from re.findall(r"\$\{([^!.}]+)[.}]", item)
            elif key == "DependsOn":
                yield from [item] if isinstance(item, str) else item
            else:
                yield from references(item)


def order(resources: dict[str, Any]) -> list[str]:
    """The logical ids, each after what it needs."""
    found: list[str] = []

    def visit(name: str, above: tuple[str, ...]) -> None:
        if name in above:
            raise ValidationError(message=f"Circular dependency between resources: [{', '.join(above)}]")
        for needed in references(resources[name]):
            if needed in resources and needed not in found:
                visit(needed, (*above, name))
        if name not in found:
            found.append(name)

    for name in resources:
        visit(name, ())
    return found


def check(template: dict[str, Any]) -> None:
    """Raises ValidationError for a type that is not served, and for a reference to nothing."""
    resources = template["Resources"]
    unknown = sorted({entry["Type"] for entry in resources.values()} - set(KINDS))
    if unknown:
        raise ValidationError(message=f"Template format error: Unrecognized resource types: [{', '.join(unknown)}]")
    for part in ("Resources", "Outputs"):
        missing = {name for name in references(template.get(part, {})) if not name.startswith("AWS::")} - set(resources)
        if missing:
            raise ValidationError(
                message="Template format error: Unresolved resource dependencies"
                f" [{', '.join(sorted(missing))}] in the {part} block of the template"
            )
    order(resources)


def note(stack: Any, resource: Resource | None, state: str, reason: str | None = None) -> None:
    """An event; of the stack itself where there is no resource."""
    if resource is None:
        stack.status = state
        stack.stack_status_reason = reason
        stack._add_stack_event(state, resource_status_reason=reason)
        return
    named = (resource.logical_resource_id, resource.physical_resource_id, resource.type)
    stack.events.append(models.Event(stack.stack_id, stack.name, *named, state, reason, None))


def prepare(stack: Any, name: str) -> Resource:
    """The resource as the template wants it, not made yet."""
    entry = stack.template_dict["Resources"][name]
    given = parsing.clean_json(entry.get("Properties", {}), stack.resource_map)
    own = given.pop("Tags", None) or given.pop("ResourceTags", None) or {}
    tags = own if isinstance(own, dict) else {tag["Key"]: tag["Value"] for tag in own}
    made_up = f"{stack.name}-{name}-{suffix()}"
    resource = KINDS[entry["Type"]](name, stack.region_name, made_up, given, {**stack.tags, **tags})
    resource.kept = entry.get("DeletionPolicy") == "Retain"
    resource.kept_when_replaced = entry.get("UpdateReplacePolicy") == "Retain"
    return resource


def attempt(stack: Any, resource: Resource, word: str) -> None:
    """Makes (CREATE) or changes (UPDATE) a resource, with events. Raises Stopped with the reason in an event."""
    note(stack, resource, f"{word}_IN_PROGRESS")
    try:
        for failure in [entry for entry in FAILURES if entry["type"] == resource.type][:1]:
            failure["times"] -= 1
            if failure["times"] <= 0:
                FAILURES.remove(failure)
            raise ValueError(failure["reason"])
        getattr(resource, word.lower())(resource.properties)
        resource.label()
    except (ClientError, BotoCoreError, ValueError) as error:
        note(stack, resource, f"{word}_FAILED", str(error))
        raise Stopped(resource.logical_resource_id) from error
    finally:
        if resource.physical_resource_id:
            there(stack)[resource.logical_resource_id] = resource
    note(stack, resource, f"{word}_COMPLETE")


def drop(stack: Any, resource: Resource, kept: bool = False) -> None:
    """Removes a resource. Raises Stopped where it cannot be removed; gone already is as good."""
    if kept:
        note(stack, resource, "DELETE_SKIPPED")
        return
    note(stack, resource, "DELETE_IN_PROGRESS")
    try:
        resource.delete()
    except ClientError as error:
        if not any(word in str(error) for word in GONE):
            note(stack, resource, "DELETE_FAILED", str(error))
            raise Stopped(resource.logical_resource_id) from error
    note(stack, resource, "DELETE_COMPLETE")


def there(stack: Any) -> dict[str, Any]:
    """What the stack holds, by logical id; pseudo parameters too."""
    return stack.resource_map._parsed_resources  # type: ignore[no-any-return]


def create(stack: Any) -> None:
    """Makes every resource; a failure leaves the stack as CREATE_FAILED, for `created` to deal with."""
    stack.status = "CREATE_IN_PROGRESS"
    try:
        for name in order(stack.template_dict["Resources"]):
            attempt(stack, prepare(stack, name), "CREATE")
    except Stopped as stopped:
        stack.status, stack.failed = "CREATE_FAILED", stopped.name
    else:
        note(stack, None, "CREATE_COMPLETE")


def take_back(stack: Any, word: str, reason: str) -> None:
    """Deletes everything in the stack, last made first; ``word`` is DELETE or ROLLBACK."""
    note(stack, None, f"{word}_IN_PROGRESS", reason)
    stuck, held = [], there(stack)
    for name in reversed(order(stack.template_dict["Resources"])):
        if name in held:
            try:
                drop(stack, held[name], held[name].kept)
                del held[name]
            except Stopped as stopped:
                stuck.append(stopped.name)
    why = f"The following resource(s) failed to delete: [{', '.join(stuck)}]. " if stuck else None
    note(stack, None, f"{word}_FAILED" if stuck else f"{word}_COMPLETE", why)


def update(stack: Any, template: str, role_arn: Any = None, parameters: Any = None, tags: Any = None) -> None:
    """Goes from one template to another; back again where something fails, or an alarm of the triggers is on."""
    old = (stack.template, stack.template_dict, stack.tags)
    before = dict(there(stack))
    check(stack.parse_template(template))
    note(stack, None, "UPDATE_IN_PROGRESS", "User Initiated")
    aim(stack, template, stack.parse_template(template), stack.tags if tags is None else tags)
    try:
        for name in order(stack.template_dict["Resources"]):
            step(stack, prepare(stack, name), before.get(name))
        ringing = [arn for arn in stack.triggers if not quiet(stack.region_name, arn)]
    except Stopped as stopped:
        back(stack, old, before, f"The following resource(s) failed to update: [{stopped.name}]. ")
        return
    if ringing:
        back(stack, old, before, f"Rollback triggered by alarm {', '.join(ringing)}")
        return
    note(stack, None, "UPDATE_COMPLETE_CLEANUP_IN_PROGRESS")
    tidy(stack, old[1], before)
    note(stack, None, "UPDATE_COMPLETE")


def quiet(region: str, arn: str) -> bool:
    """Whether an alarm is there and not on; one that is missing undoes an update as well."""
    found = moto_glue.client("cloudwatch", region).describe_alarms(AlarmNames=[arn.rpartition(":")[-1]])
    return bool(found["MetricAlarms"]) and all(alarm["StateValue"] != "ALARM" for alarm in found["MetricAlarms"])


def aim(stack: Any, template: str, parsed: dict[str, Any], tags: dict[str, str]) -> None:
    """Sets what the stack is to be."""
    stack.template, stack.template_dict, stack.tags = template, parsed, tags
    stack.resource_map._template, stack.resource_map._resource_json_map = parsed, parsed["Resources"]
    stack.output_map = stack._create_output_map()


def step(stack: Any, wanted: Resource, live: Resource | None) -> None:
    """One resource of an update: made, replaced, changed in place, or left alone."""
    if live is None or type(live) is not type(wanted):
        attempt(stack, wanted, "CREATE")
    elif (live.properties, live.tags) == (wanted.properties, wanted.tags):
        live.kept, live.kept_when_replaced = wanted.kept, wanted.kept_when_replaced
    elif any(live.properties.get(key) != wanted.properties.get(key) for key in wanted.fixed):
        attempt(stack, wanted, "CREATE")
    else:
        wanted.known(live.physical_resource_id, live.tagged, **live.attributes)
        attempt(stack, wanted, "UPDATE")


def back(stack: Any, old: tuple[Any, ...], before: dict[str, Any], reason: str) -> None:
    """Undoes an update, last change first."""
    note(stack, None, "UPDATE_ROLLBACK_IN_PROGRESS", reason)
    held, stuck = there(stack), []
    done = [
        name for name in reversed(order(stack.template_dict["Resources"])) if held.get(name) is not before.get(name)
    ]
    remove = []
    for name in done:
        now, was = held[name], before.get(name)
        try:
            if was is not None and was.physical_resource_id == now.physical_resource_id:
                attempt(stack, was, "UPDATE")
            else:
                remove.append(now)
                held.pop(name)
                held.update({name: was} if was is not None else {})
        except Stopped as stopped:
            stuck.append(stopped.name)
    aim(stack, *old)
    for resource in remove:
        try:
            drop(stack, resource)
        except Stopped as stopped:
            stuck.append(stopped.name)
    note(stack, None, "UPDATE_ROLLBACK_FAILED" if stuck else "UPDATE_ROLLBACK_COMPLETE")


def tidy(stack: Any, old: dict[str, Any], before: dict[str, Any]) -> None:
    """Removes what an update has replaced or left out; what cannot be removed is left, as AWS leaves it."""
    held, wanted = there(stack), stack.template_dict["Resources"]
    for name in reversed(order(old["Resources"])):
        was = before[name]
        with suppress(Stopped):
            if name not in wanted:
                drop(stack, held.pop(name), was.kept)
            elif held[name].physical_resource_id != was.physical_resource_id:
                drop(stack, was, was.kept_when_replaced)
