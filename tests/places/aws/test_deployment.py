"""Deployments at moto's server: out, changed, back; a failure in the middle leaves nothing, or what was before."""

from __future__ import annotations

import json
import threading
import urllib.request
from collections.abc import Callable, Iterator
from dataclasses import dataclass, replace
from datetime import timedelta
from http.server import BaseHTTPRequestHandler, HTTPServer
from pathlib import Path
from typing import Any

import pytest

from plaudit.errors import PlaceError, UsageError
from plaudit.places.aws import logs
from plaudit.places.aws.account import Account, Unreached
from plaudit.places.aws.deployment import Deployment, Pieces, Watch, check
from plaudit.places.aws.images import choose
from plaudit.places.aws.inventory import remove, take
from plaudit.places.aws.names import Name
from plaudit.places.aws.packing import write_tar_gz, write_zip
from plaudit.places.aws.plan import Plan
from plaudit.places.aws.storage import Storage

NAME = Name("reviews")
LAMBDA = Plan(NAME, "us-east-1", to="lambda")
SERVERLESS = Plan(NAME, "us-east-1")
INSTANCE = Plan(NAME, "us-east-1", instance="ml.c5.large")
QUEUE = Plan(NAME, "us-east-1", asynchronous=True, least=0)
FAST = 0.01


@dataclass
class Desk:
    """A deployment with what it said."""

    account: Account
    folder: Path
    lines: list[str]

    def pieces(self, content: bytes = b"first") -> Pieces:
        function = write_zip(self.folder / "function.zip", {"handler.py": content})
        archive = write_tar_gz(self.folder / "model.tar.gz", {"card.json": content})
        return Pieces(function, archive, choose("serve"), content.decode())

    def deploy(self, plan: Plan, content: bytes = b"first", asked: Callable[[str], Any] | None = None) -> Any:
        found = self.pieces(content)
        if plan.to == "lambda":
            found = replace(found, archive=None, image=None)
        return self.deployment.deploy(plan, found, asked)

    @property
    def deployment(self) -> Deployment:
        return Deployment(self.account, NAME, Watch(self.lines.append, pause=FAST))

    def fail(self, kind: str, reason: str, times: int = 1) -> None:
        body = json.dumps({"type": kind, "reason": reason, "times": times}).encode()
        address = f"{self.account.client('s3').meta.endpoint_url}/plaudit-fail"
        urllib.request.urlopen(urllib.request.Request(address, body, method="POST")).close()

    @property
    def code(self) -> str:
        """The digest of the code that the live alias runs."""
        client = self.account.client("lambda")
        return str(client.get_function(FunctionName="plaudit-reviews", Qualifier="live")["Configuration"]["CodeSha256"])

    def assert_nothing_is_left(self) -> None:
        found = take(self.account)
        assert (found.resources, found.unseen) == ((), ())
        client = self.account.client
        assert client("s3").list_buckets()["Buckets"] == []
        assert client("iam").list_roles()["Roles"] == []
        assert client("lambda").list_functions()["Functions"] == []
        assert client("logs").describe_log_groups()["logGroups"] == []
        assert client("sagemaker").list_endpoints()["Endpoints"] == []
        assert client("sagemaker").list_endpoint_configs()["EndpointConfigs"] == []
        assert client("sagemaker").list_models()["Models"] == []
        assert client("apigatewayv2").get_apis()["Items"] == []


@pytest.fixture
def desk(account: Account, tmp_path: Path) -> Desk:
    return Desk(account, tmp_path, [])


@pytest.mark.parametrize("plan", [LAMBDA, SERVERLESS, INSTANCE, QUEUE], ids=lambda plan: plan.kind)
def test_out_and_back_leaves_nothing(desk: Desk, plan: Plan) -> None:
    found = desk.deploy(plan)
    assert (found.kind, found.revision, found.changed) == (plan.kind, 1, True)
    (api,) = desk.account.client("apigatewayv2").get_apis()["Items"]
    assert found.page == f"https://{api['ApiId']}.execute-api.us-east-1.amazonaws.com/"
    inventory = take(desk.account, "reviews")
    assert not inventory.orphans
    kinds = {entry.kind for entry in inventory.resources}
    assert {"stack", "function", "http api", "role", "topic", "alarm", "budget", "log group", "objects"} <= kinds
    assert ({"endpoint", "endpoint configuration", "model"} <= kinds) == (plan.to == "sagemaker")
    assert remove(desk.account, NAME, pause=FAST) > 8
    desk.assert_nothing_is_left()


def test_the_stack_holds_the_very_things_that_the_services_list(desk: Desk) -> None:
    desk.deploy(INSTANCE)
    pages = desk.account.client("cloudformation").get_paginator("list_stack_resources")
    held = {
        entry["LogicalResourceId"]: entry["PhysicalResourceId"]
        for page in pages.paginate(StackName="plaudit-reviews")
        for entry in page["StackResourceSummaries"]
    }
    client = desk.account.client("sagemaker")
    endpoint = client.describe_endpoint(EndpointName=INSTANCE.endpoint)
    assert held["Endpoint"] == endpoint["EndpointArn"]
    config = client.describe_endpoint_config(EndpointConfigName=endpoint["EndpointConfigName"])
    assert held["EndpointConfig"] == config["EndpointConfigArn"]
    (variant,) = config["ProductionVariants"]
    assert variant["InstanceType"] == "ml.c5.large"
    model = client.describe_model(ModelName=variant["ModelName"])
    assert held["Model"] == model["ModelArn"]
    assert model["PrimaryContainer"]["ModelDataUrl"].startswith("s3://plaudit-123456789012-us-east-1/reviews/archive/")
    assert held["Function"] == "plaudit-reviews"
    role = desk.account.client("iam").get_role(RoleName=held["EndpointRole"])["Role"]
    assert model["ExecutionRoleArn"] == role["Arn"]


def test_a_second_time_changes_nothing(desk: Desk) -> None:
    first, second = desk.deploy(LAMBDA), desk.deploy(LAMBDA)
    assert (second.changed, second.revision, second.page) == (False, 1, first.page)


@pytest.mark.parametrize("plan", [LAMBDA, INSTANCE], ids=lambda plan: plan.kind)
def test_an_update_swaps_the_model_and_a_rollback_brings_it_back(desk: Desk, plan: Plan) -> None:
    first = desk.deploy(plan)
    before = desk.code
    second = desk.deploy(plan, b"second")
    assert (second.revision, second.page) == (2, first.page), "the address stays"
    assert desk.code != before
    third = desk.deployment.rollback()
    assert third.revision == 1
    assert desk.code == before
    assert [entry.about for entry in desk.deployment.revisions()] == ["first"]
    with pytest.raises(UsageError, match="no earlier revision"):
        desk.deployment.rollback()


@pytest.mark.parametrize("first", [LAMBDA, SERVERLESS, INSTANCE, QUEUE], ids=lambda plan: plan.kind)
def test_a_deployment_becomes_one_of_another_kind_and_goes_back(desk: Desk, first: Plan) -> None:
    second = SERVERLESS if first is not SERVERLESS else INSTANCE
    before = desk.deploy(first)
    assert desk.deploy(second).page == before.page
    assert desk.deployment.rollback().kind == first.kind
    endpoints = [entry["EndpointName"] for entry in desk.account.client("sagemaker").list_endpoints()["Endpoints"]]
    assert endpoints == ([] if first.to == "lambda" else [first.endpoint])
    assert not take(desk.account, "reviews").orphans


def test_going_back_keeps_the_moment_when_it_ends(desk: Desk) -> None:
    schedules = desk.account.client("scheduler").list_schedules
    desk.deploy(replace(LAMBDA, ttl=timedelta(hours=4)))
    desk.deploy(LAMBDA, b"second")
    desk.deployment.rollback()
    assert schedules()["Schedules"] == [], "the end was given up: an old template does not bring it back"
    desk.deploy(replace(LAMBDA, ttl=timedelta(hours=4)), b"third")
    again = desk.deploy(replace(LAMBDA, ttl=timedelta(hours=9)), b"third")
    assert again.revision == 2, "another end is no other revision"
    desk.deployment.rollback()
    assert len(schedules()["Schedules"]) == 1
    assert [entry.days for entry in desk.deployment.revisions()] == [1]


def test_an_update_keeps_what_can_be_gone_back_to_and_no_more(desk: Desk) -> None:
    for number in range(7):
        desk.deploy(LAMBDA, str(number).encode())
    assert [entry.number for entry in desk.deployment.revisions()] == [3, 4, 5, 6, 7]
    functions = Storage(desk.account, "plaudit-123456789012-us-east-1").keys("reviews/function/")
    assert len(functions) == 5


def test_an_update_is_watched_by_the_alarm_that_undoes_it(desk: Desk) -> None:
    asked: list[dict[str, Any]] = []

    def note(params: dict[str, Any], **_: Any) -> None:
        asked.append(params)

    client = desk.account.client("cloudformation")
    for call in ("CreateStack", "UpdateStack"):
        client.meta.events.register(f"provide-client-params.cloudformation.{call}", note)
    desk.deploy(LAMBDA)
    desk.deploy(LAMBDA, b"second")
    alarms = desk.account.client("cloudwatch").describe_alarms(AlarmNamePrefix="plaudit-reviews")["MetricAlarms"]
    first, second = (call for call in asked if call["StackName"] == "plaudit-reviews")
    assert "RollbackConfiguration" not in first, "the alarm is not there yet"
    rules = second["RollbackConfiguration"]
    arns = [alarm["AlarmArn"] for alarm in alarms if "function" in alarm["AlarmName"] or "api" in alarm["AlarmName"]]
    assert sorted(each["Arn"] for each in rules["RollbackTriggers"]) == sorted(arns)
    assert len(arns) == 2
    assert rules["MonitoringTimeInMinutes"] > 0


def test_an_alarm_undoes_an_update_and_says_so_unless_it_was_on_before(desk: Desk) -> None:
    desk.deploy(LAMBDA)
    before = desk.code
    alarm, ring = "plaudit-reviews-function-errors", desk.account.client("cloudwatch").set_alarm_state

    def goes_off(params: dict[str, Any], **_: Any) -> None:
        ring(AlarmName=alarm, StateValue="ALARM", StateReason="a test")

    client = desk.account.client("cloudformation")
    client.meta.events.register("provide-client-params.cloudformation.UpdateStack", goes_off, unique_id="ring")
    with pytest.raises(PlaceError, match=rf"UPDATE_ROLLBACK_COMPLETE: .*{alarm}(?s:.)*as it was before"):
        desk.deploy(LAMBDA, b"second")
    assert desk.code == before
    client.meta.events.unregister("provide-client-params.cloudformation.UpdateStack", goes_off, unique_id="ring")
    assert desk.deploy(LAMBDA, b"mended").revision == 2
    assert desk.code != before
    assert any("is on already" in line for line in desk.lines)


def test_an_endpoint_that_fails_its_ping_is_told_with_its_log_and_leaves_nothing(
    desk: Desk, monkeypatch: pytest.MonkeyPatch
) -> None:
    groups: list[str] = []

    def tail(account: Account, group: str, *rest: Any) -> list[str]:
        # moto has no containers, so it has no log of one.
        groups.append(group)
        return ["ModuleNotFoundError: no module named regex"]

    monkeypatch.setattr(logs, "tail", tail)
    desk.fail("AWS::SageMaker::Endpoint", "The container did not pass the ping health check.")
    with pytest.raises(PlaceError) as caught:
        desk.deploy(INSTANCE)
    told = str(caught.value)
    assert "Endpoint (AWS::SageMaker::Endpoint): The container did not pass the ping health check" in told
    assert "log ends with:\n  ModuleNotFoundError" in told
    assert groups == [f"/aws/sagemaker/Endpoints/{INSTANCE.endpoint}"]
    assert "cost so far: at most $" in told
    assert "nothing is left of it" in told
    desk.assert_nothing_is_left()


@pytest.mark.parametrize(
    ("kind", "reason"),
    [
        ("AWS::IAM::Role", "User is not authorized to perform: iam:CreateRole"),
        ("AWS::Lambda::Function", "Unreserved concurrency quota of the account is reached"),
        ("AWS::Budgets::Budget", "the budget limit of the account is reached"),
    ],
)
def test_a_stack_that_rolls_back_says_why_and_leaves_nothing(desk: Desk, kind: str, reason: str) -> None:
    desk.fail(kind, reason)
    with pytest.raises(PlaceError) as caught:
        desk.deploy(LAMBDA)
    assert f"({kind}): {reason}" in str(caught.value)
    assert "the same command tries again" in str(caught.value)
    desk.assert_nothing_is_left()
    assert desk.deploy(LAMBDA).changed, "and the next command does"


def test_an_update_that_fails_leaves_what_was_before(desk: Desk) -> None:
    desk.deploy(INSTANCE)
    before = desk.code
    desk.fail("AWS::SageMaker::Endpoint", "The alarm plaudit-reviews-endpoint-errors went off")
    with pytest.raises(PlaceError) as caught:
        desk.deploy(INSTANCE, b"second")
    assert "went off" in str(caught.value)
    assert "is as it was before" in str(caught.value)
    assert desk.code == before
    assert [entry.about for entry in desk.deployment.revisions()] == ["first"]
    assert desk.deploy(INSTANCE, b"third").revision == 2


def test_a_page_that_fails_undoes_the_deployment(desk: Desk) -> None:
    def broken(page: str) -> None:
        raise PlaceError(f"{page} gives no verdict (502)")

    with pytest.raises(PlaceError, match=r"gives no verdict \(502\)(?s:.)*nothing is left of it"):
        desk.deploy(LAMBDA, asked=broken)
    desk.assert_nothing_is_left()
    desk.deploy(LAMBDA)
    before = desk.code
    with pytest.raises(PlaceError, match=r"is as it was before"):
        desk.deploy(LAMBDA, b"second", broken)
    assert desk.code == before


def test_a_page_that_cannot_be_reached_from_here_undoes_nothing(desk: Desk) -> None:
    def unseen(page: str) -> None:
        raise Unreached("no route")

    assert desk.deploy(LAMBDA, asked=unseen).changed
    assert any("the stack stands" in line for line in desk.lines)


def test_a_bucket_name_that_is_taken_ends_before_anything_is_made(desk: Desk) -> None:
    client = desk.account.client("s3")
    client.create_bucket(Bucket="plaudit-123456789012-us-east-1")
    client.put_object(Bucket="plaudit-123456789012-us-east-1", Key="theirs", Body=b"theirs")
    with pytest.raises(PlaceError, match="take another --region"):
        desk.deploy(LAMBDA)
    assert remove(desk.account, NAME, pause=FAST) == 0
    assert remove(desk.account, Name("base"), pause=FAST) == 0
    client.delete_object(Bucket="plaudit-123456789012-us-east-1", Key="theirs")
    client.delete_bucket(Bucket="plaudit-123456789012-us-east-1")
    desk.assert_nothing_is_left()


def test_a_lost_connection_says_that_aws_goes_on(desk: Desk, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("AWS_ENDPOINT_URL", "http://127.0.0.1:9")
    monkeypatch.setenv("AWS_MAX_ATTEMPTS", "1")
    away = Deployment(Account(), NAME, Watch(desk.lines.append, pause=FAST))
    with pytest.raises(PlaceError, match=r"AWS cannot be reached(?s:.)*plaudit status|AWS cannot be reached"):
        away.deploy(LAMBDA, replace(desk.pieces(), archive=None, image=None))


def test_a_deployment_that_ends_by_itself_marks_its_objects_too(desk: Desk) -> None:
    desk.deploy(replace(LAMBDA, ttl=timedelta(hours=4)))
    (schedule,) = desk.account.client("scheduler").list_schedules()["Schedules"]
    assert schedule["Name"] == "plaudit-reviews-ends"
    storage = Storage(desk.account, "plaudit-123456789012-us-east-1")

    def marks() -> set[str]:
        client = desk.account.client("s3")
        return {
            json.dumps(client.get_object_tagging(Bucket=storage.bucket, Key=found.key)["TagSet"])
            for found in storage.keys("reviews/")
        }

    assert marks() == {json.dumps([{"Key": "plaudit:days", "Value": "1"}])}
    desk.deploy(LAMBDA)
    assert marks() == {"[]"}, "a deployment that stays keeps what it needs"
    assert desk.account.client("scheduler").list_schedules()["Schedules"] == []


@pytest.fixture
def page() -> Iterator[tuple[str, list[int]]]:
    """A page on loopback that answers with the statuses that are put into the list, then with a verdict."""
    statuses: list[int] = []

    class Handler(BaseHTTPRequestHandler):
        def do_POST(self) -> None:
            assert json.loads(self.rfile.read(int(self.headers["content-length"])))["text"]
            status = statuses.pop(0) if statuses else 200
            body = b'{"label": "positive"}' if status == 200 else b'{"error": "the model is starting"}'
            self.send_response(status)
            self.send_header("content-length", str(len(body)))
            self.end_headers()
            self.wfile.write(body)

        def log_message(self, *args: Any) -> None:
            pass

    server = HTTPServer(("127.0.0.1", 0), Handler)
    thread = threading.Thread(target=server.serve_forever, daemon=True)
    thread.start()
    yield f"http://127.0.0.1:{server.server_port}/", statuses
    server.shutdown()
    server.server_close()


def test_the_page_is_asked_until_it_answers(page: tuple[str, list[int]]) -> None:
    address, statuses = page
    statuses += [503, 503]
    lines: list[str] = []
    assert check(address, lines.append, 2)["label"] == "positive"
    assert len(lines) == 2


def test_a_page_that_keeps_failing_is_told_with_its_own_words(page: tuple[str, list[int]]) -> None:
    address, statuses = page
    statuses += [502] * 50
    with pytest.raises(PlaceError, match=r"502 .*the model is starting") as caught:
        check(address, lambda line: None, 0.3)
    assert not isinstance(caught.value, Unreached)
    with pytest.raises(Unreached, match="cannot be reached from here"):
        check("http://127.0.0.1:9/", lambda line: None, 0)


def test_a_stop_says_whether_aws_goes_on(desk: Desk, monkeypatch: pytest.MonkeyPatch) -> None:
    def stop(*given: Any, **options: Any) -> None:
        raise KeyboardInterrupt

    with monkeypatch.context() as patch:
        patch.setattr(Storage, "upload", stop)
        with pytest.raises(PlaceError, match=r"stopped before anything was made; .*plaudit down reviews") as caught:
            desk.deploy(LAMBDA)
    assert caught.value.exit_code == 130
    with pytest.raises(PlaceError, match="stopped watching; what AWS has begun goes on: plaudit status reviews"):
        desk.deploy(LAMBDA, asked=stop)
    assert desk.deploy(LAMBDA).page, "the same command goes on from there"
