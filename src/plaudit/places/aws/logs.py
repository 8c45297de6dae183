"""CloudWatch's logs: the last lines of a job or a function, and those that come. Knows no job.

A log's streams share a prefix: a training job has one for each of its machines. A log that is not there yet is empty.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from plaudit.errors import PlaceError
from plaudit.places.aws.account import SLOW_DOWN, Account, Refused, Unreached, told

ABSENT = frozenset("ResourceNotFoundException ResourceNotFound".split())


def tail(account: Account, group: str, stream_prefix: str, limit: int = 20) -> list[str]:
    """The last ``limit`` lines, oldest first; [] where the log is missing or cannot be read.

    It serves sentences about failures, so it has none of its own.
    """
    client = account.client("logs")
    found: list[tuple[int, str]] = []
    try:
        for stream in _streams(client, group, stream_prefix):
            with told(f"reading the log {group}"):
                events = client.get_log_events(
                    logGroupName=group, logStreamName=stream, limit=limit, startFromHead=False
                )["events"]
            found += [(event["timestamp"], line) for event in events for line in _lines(event)]
    except PlaceError:
        return []
    return [line for _, line in sorted(found, key=lambda entry: entry[0])[-limit:]]


def follow(account: Account, group: str, stream_prefix: str) -> Iterator[list[str]]:
    """At each step the lines that are new since the last one, [] where there are none; it never ends by itself.

    AWS that asks for fewer calls or cannot be reached gives no lines this time, and all of them the next.
    Raises Refused where the account's user may not read the log.
    """
    client = account.client("logs", retries={"mode": "standard", "max_attempts": 2}, connect_timeout=5)
    places: dict[str, str] = {}
    while True:
        fresh: list[str] = []
        try:
            for stream in _streams(client, group, stream_prefix):
                for line in _fresh(client, group, stream, places):
                    fresh.append(f"{_machine(stream)}: {line}" if len(places) > 1 else line)
        except Unreached:
            pass
        except Refused as refused:
            if refused.code not in SLOW_DOWN | ABSENT:
                raise
        yield fresh


def remove(account: Account, group: str, stream_prefix: str) -> int:
    """Deletes the streams, and leaves the group, which others write to; how many it were."""
    client, number = account.client("logs"), 0
    for stream in _streams(client, group, stream_prefix):
        with told(f"deleting the log {group}/{stream}"):
            client.delete_log_stream(logGroupName=group, logStreamName=stream)
        number += 1
    return number


def _streams(client: Any, group: str, prefix: str) -> list[str]:
    try:
        with told(f"looking for the log {group}"):
            pages = client.get_paginator("describe_log_streams").paginate(
                logGroupName=group, logStreamNamePrefix=prefix
            )
            return sorted(entry["logStreamName"] for page in pages for entry in page["logStreams"])
    except Refused as refused:
        if refused.code in ABSENT:
            return []
        raise


def _fresh(client: Any, group: str, stream: str, places: dict[str, str]) -> Iterator[str]:
    """The stream's lines after the place where the last call left it; the place moves with every page."""
    while True:
        call = {"logGroupName": group, "logStreamName": stream, "startFromHead": True}
        token = places.get(stream)
        with told(f"reading the log {group}"):
            page = client.get_log_events(**call, **({"nextToken": token} if token else {}))
        places[stream] = page["nextForwardToken"]
        for event in page["events"]:
            yield from _lines(event)
        if not page["events"] or places[stream] == token:
            return


def _lines(event: dict[str, Any]) -> list[str]:
    """An event's lines; of a progress bar that overwrites itself, what it showed last."""
    return [line.rstrip().rsplit("\r", 1)[-1] for line in str(event["message"]).split("\n") if line.strip()]


def _machine(stream: str) -> str:
    """`algo-1` of JOB/algo-1-1700000000."""
    return "-".join(stream.rsplit("/", 1)[-1].split("-")[:2])
