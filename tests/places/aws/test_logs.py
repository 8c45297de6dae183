"""CloudWatch's logs at moto's server: the last lines, the new ones, and logs that are not there."""

from __future__ import annotations

import socket
import time
from contextlib import suppress
from typing import Any

import pytest
from botocore.stub import Stubber

from plaudit.places.aws import logs
from plaudit.places.aws.account import Account, Refused

GROUP = "/aws/sagemaker/TrainingJobs"


def write(account: Account, stream: str, *lines: str, at: int | None = None) -> None:
    client = account.client("logs")
    for create, call in (
        (client.create_log_group, {"logGroupName": GROUP}),
        (client.create_log_stream, {"logGroupName": GROUP, "logStreamName": stream}),
    ):
        with suppress(client.exceptions.ResourceAlreadyExistsException):
            create(**call)
    now = at or int(time.time() * 1000)
    events = [{"timestamp": now + number, "message": line} for number, line in enumerate(lines)]
    client.put_log_events(logGroupName=GROUP, logStreamName=stream, logEvents=events)


def test_the_tail_is_the_last_lines_of_all_streams_by_time(account: Account) -> None:
    now = int(time.time() * 1000)
    write(account, "job/algo-1-1", *(f"one {number}" for number in range(30)), at=now)
    write(account, "job/algo-2-1", "two", at=now + 1000)
    write(account, "job-2/algo-1-1", "another job's", at=now + 2000)
    assert logs.tail(account, GROUP, "job/", limit=3) == ["one 28", "one 29", "two"]
    assert len(logs.tail(account, GROUP, "job/")) == 20


def test_a_log_that_is_not_there_is_empty(account: Account) -> None:
    assert logs.tail(account, "/no/such/group", "job/") == []
    assert next(logs.follow(account, "/no/such/group", "job/")) == []
    write(account, "other/algo-1", "a line")
    assert logs.tail(account, GROUP, "job/") == []
    assert logs.remove(account, "/no/such/group", "job/") == 0


def test_following_gives_each_line_once(account: Account) -> None:
    follow = logs.follow(account, GROUP, "job/")
    assert next(follow) == []
    write(account, "job/algo-1-1", "first", "second\nthird\n", "  0%|  |\r 50%|#  |\r100%|##|")
    assert next(follow) == ["first", "second", "third", "100%|##|"]
    assert next(follow) == []
    write(account, "job/algo-1-1", "fourth", at=int(time.time() * 1000) + 1000)
    assert next(follow) == ["fourth"]
    write(account, "job/algo-2-1", "of another machine", at=int(time.time() * 1000) + 2000)
    assert next(follow) == ["algo-2: of another machine"]


class Stubbed:
    """An account whose client for logs answers what it is told to."""

    def __init__(self, account: Account, monkeypatch: pytest.MonkeyPatch) -> None:
        self.client = account.client("logs", retries={"total_max_attempts": 1})
        self.stub = Stubber(self.client)
        self.stub.activate()
        monkeypatch.setattr(account, "client", lambda service, **settings: self.client)


def test_throttling_loses_no_line(account: Account, monkeypatch: pytest.MonkeyPatch) -> None:
    stub = Stubbed(account, monkeypatch).stub
    streams: dict[str, Any] = {"logStreams": [{"logStreamName": "job/algo-1-1"}]}
    call = {"logGroupName": GROUP, "logStreamName": "job/algo-1-1", "startFromHead": True}
    stub.add_response("describe_log_streams", streams)
    stub.add_client_error("get_log_events", "ThrottlingException", "Rate exceeded")
    stub.add_response("describe_log_streams", streams)
    stub.add_response(
        "get_log_events",
        {"events": [{"timestamp": 1, "message": "a line"}], "nextForwardToken": "f/1", "nextBackwardToken": "b/1"},
        call,
    )
    stub.add_client_error("get_log_events", "ThrottlingException", "Rate exceeded")
    stub.add_response("describe_log_streams", streams)
    stub.add_response(
        "get_log_events",
        {"events": [], "nextForwardToken": "f/1", "nextBackwardToken": "b/1"},
        {**call, "nextToken": "f/1"},
    )
    follow = logs.follow(account, GROUP, "job/")
    assert [next(follow) for _ in range(3)] == [[], ["a line"], []]
    stub.assert_no_pending_responses()


def test_a_log_that_may_not_be_read_is_said_by_following_and_not_by_the_tail(
    account: Account, monkeypatch: pytest.MonkeyPatch
) -> None:
    stub = Stubbed(account, monkeypatch).stub
    for _ in range(2):
        stub.add_client_error("describe_log_streams", "AccessDeniedException", "not you")
    assert logs.tail(account, GROUP, "job/") == []
    with pytest.raises(Refused, match="may not call DescribeLogStreams"):
        next(logs.follow(account, GROUP, "job/"))


def test_a_lost_connection_gives_no_lines(account: Account, monkeypatch: pytest.MonkeyPatch) -> None:
    with socket.socket() as unused:
        unused.bind(("127.0.0.1", 0))
        monkeypatch.setenv("AWS_ENDPOINT_URL", f"http://127.0.0.1:{unused.getsockname()[1]}")
        assert next(logs.follow(Account(), GROUP, "job/")) == []


def test_removing_leaves_the_group_and_other_jobs(account: Account) -> None:
    write(account, "job/algo-1-1", "a line")
    write(account, "job/algo-2-1", "a line")
    write(account, "job-2/algo-1-1", "kept")
    assert logs.remove(account, GROUP, "job/") == 2
    assert logs.tail(account, GROUP, "job/") == []
    assert logs.tail(account, GROUP, "job-2/") == ["kept"]
