"""An endpoint at SageMaker that answers like a classifier. Knows what AWS's client raises, and the status that each is.

What the public gets of a failure names no account, no resource and no service of AWS's: that goes to the log.
"""

from __future__ import annotations

import json
import logging
import time
from typing import Any

from botocore import exceptions as failures

from plaudit.bundle.verdict import Verdict
from plaudit.errors import EndpointAway, EndpointError
from plaudit.places.aws.account import SLOW_DOWN, Account
from plaudit.places.remote import judged

CONNECT, READ = 3.0, 22.0
"""Seconds. A second attempt begins within LATEST, so that the last answer is there after LATEST + PAUSE + CONNECT
+ READ = 28.8 s: before API Gateway's own 504, which comes after 29 s (REST API) or 30 s (HTTP API)."""
LATEST, PAUSE = 3.5, 0.3

STARTING = "the model is starting: try again in a few seconds"
BUSY = "too many requests are waiting: try again in a moment"
LATE = "the model took too long to answer: try again in a moment"
SHARED = frozenset("ModelNotReadyException ServiceUnavailable ServiceUnavailableException".split())
FAULTS = frozenset("InternalFailure InternalServerException InternalDependencyException".split())
UNREACHED = (failures.ConnectTimeoutError, failures.EndpointConnectionError, failures.ConnectionClosedError)
SOON = 5
"""Seconds after which a request that failed for a while is worth sending again."""
log = logging.getLogger("plaudit.sagemaker")


class SageMakerEndpoint:
    """Asks the endpoint ``name`` through ``client``, boto3's of the service sagemaker-runtime.

    The client must not try again by itself (`runtime` makes one that does not): a request that timed out may still
    be at work. Only one that was refused before any work, or never got there, is sent once more.
    """

    def __init__(self, name: str, client: Any) -> None:
        self.name, self._client = name, client

    def verdict(self, text: str) -> Verdict:
        """Raises EndpointError with the HTTP status that the failure is to a client of ours: 4xx, 429, 502 to 504."""
        return judged(text, self._ask, "the endpoint")

    def _ask(self, body: bytes, content_type: str) -> Any:
        started = time.monotonic()
        try:
            return self._once(body, content_type)
        except _Unheard as first:
            if time.monotonic() - started > LATEST:
                raise first.failure from None
        time.sleep(PAUSE)
        try:
            return self._once(body, content_type)
        except _Unheard as second:
            raise second.failure from None

    def _once(self, body: bytes, content_type: str) -> Any:
        try:
            answer = self._client.invoke_endpoint(
                EndpointName=self.name, Body=body, ContentType=content_type, Accept="application/json"
            )
            return _parsed(answer["Body"].read())
        except failures.ClientError as error:
            failure = _refusal(error, self.name)
            if _code(error) in SLOW_DOWN:
                raise _Unheard(failure) from None
            raise failure from None
        except failures.ReadTimeoutError:
            log.warning("%s gave no answer in time", self.name)
            raise EndpointError(LATE, 504, SOON) from None
        except UNREACHED as error:
            # A connection that was kept open over a pause of the function may be closed at the other end.
            raise _Unheard(EndpointAway(f"{self.name}: {_line(error)}", 503, SOON)) from None
        except failures.BotoCoreError as error:
            raise EndpointAway(f"{self.name}: {_line(error)}", 502) from None


class _Unheard(Exception):
    """No work was done for this attempt; ``failure`` is what it comes to if there is no other."""

    def __init__(self, failure: EndpointError) -> None:
        super().__init__(str(failure))
        self.failure = failure


def runtime(account: Account, connect: float = CONNECT, read: float = READ) -> Any:
    """boto3's client for `SageMakerEndpoint`: one attempt a call, and an answer within ``read`` seconds."""
    return account.client(
        "sagemaker-runtime", connect_timeout=connect, read_timeout=read, retries={"total_max_attempts": 1}
    )


def _refusal(error: failures.ClientError, name: str) -> EndpointError:
    """The failure for what AWS answered, by AWS's own code."""
    code, line = _code(error), f"{name}: {_line(error)}"
    if code == "ModelError":
        return _of_the_model(error, line)
    if code in SHARED or code in SLOW_DOWN:
        log.warning("%s", line)
        return EndpointError(BUSY, 429, 1) if code in SLOW_DOWN else EndpointError(STARTING, 503, SOON)
    if code.startswith("Validation") and "not found" in line:
        # An endpoint that is being created is not found either.
        log.error("%s: plaudit status shows what is deployed", line)
        return EndpointError(STARTING, 503, 2 * SOON)
    return EndpointAway(line, 503, SOON) if code in FAULTS else EndpointAway(line, 502)


def _of_the_model(error: failures.ClientError, line: str) -> EndpointError:
    """The failure for what the model's container answered: its own sentence where the request was at fault."""
    found = error.response
    status = int(found["ResponseMetadata"]["HTTPStatusCode"])
    if status == 424:
        status, told = int(found.get("OriginalStatusCode") or 0), str(found.get("OriginalMessage") or "")
        sentence = _sentence(told)
    else:
        # Plaudit's own endpoint, asked directly, answers with the status itself.
        told = sentence = str(found["Error"].get("Message") or "")
    if status == 429:
        return EndpointError(BUSY, 429, 1)
    if 400 <= status < 500 and sentence:
        return EndpointError(sentence, status)
    if status == 504 or (status == 0 and "timed out" in told):
        log.warning("%s", line)
        return EndpointError(LATE, 504, SOON)
    return EndpointAway(line, 503, SOON) if status == 503 else EndpointAway(line, 502)


def _sentence(content: str) -> str:
    """What a container of Plaudit's says in an answer that is a refusal; nothing of another's words."""
    found = _parsed(content)
    told = found.get("error") if isinstance(found, dict) else None
    return told if isinstance(told, str) and "\n" not in told else ""


def _parsed(content: bytes | str) -> Any:
    """``content`` as JSON; None for what is not."""
    try:
        return json.loads(content)
    except (ValueError, RecursionError):
        return None


def _code(error: failures.ClientError) -> str:
    return str(error.response.get("Error", {}).get("Code", ""))


def _line(error: Exception) -> str:
    return " ".join(str(error).split()) or type(error).__name__
