"""An asynchronous endpoint at SageMaker that answers like a classifier: its requests and answers are objects."""

from __future__ import annotations

import json
import logging
import time
import uuid
from typing import Any

from botocore import exceptions as failures

from plaudit.bundle.verdict import Verdict
from plaudit.errors import EndpointAway, EndpointError
from plaudit.places.remote import judged

PATIENCE = 24.0
"""Seconds that a verdict is waited for: an HTTP API gives up after 30."""
FIRST_LOOK, LONGEST_PAUSE = 0.2, 1.0
WAKING = "the model is being woken up, which takes minutes: try again"
WAKING_SECONDS = 120
log = logging.getLogger("plaudit.sagemaker")


class AsyncEndpoint:
    """Asks the endpoint ``name``, whose requests and answers lie under ``place`` (s3://bucket/prefix/).

    ``runtime`` and ``storage`` are boto3's clients of sagemaker-runtime and s3.
    """

    def __init__(self, name: str, place: str, runtime: Any, storage: Any, patience: float = PATIENCE) -> None:
        self.name, self._runtime, self._storage, self._patience = name, runtime, storage, patience
        self._bucket, _, self._prefix = place.removeprefix("s3://").partition("/")

    def verdict(self, text: str) -> Verdict:
        """Raises EndpointError with the HTTP status that the failure is to a client of ours."""
        return judged(text, self._ask, "the endpoint")

    def _ask(self, body: bytes, content_type: str) -> Any:
        key = f"{self._prefix}in/{uuid.uuid4().hex}"
        left = [key]
        try:  # what is left after a failure goes by the bucket's lifecycle rule, within a day or two
            self._storage.put_object(Bucket=self._bucket, Key=key, Body=body)
            sent = self._runtime.invoke_endpoint_async(
                EndpointName=self.name,
                InputLocation=f"s3://{self._bucket}/{key}",
                ContentType=content_type,
                Accept="application/json",
                InvocationTimeoutSeconds=60,
                RequestTTLSeconds=600,
            )
            answer, failure = self._key(sent["OutputLocation"]), self._key(sent.get("FailureLocation", ""))
            left += [answer, failure]
            found = self._wait(answer, failure)
        except (failures.ClientError, failures.BotoCoreError) as error:
            raise EndpointAway(f"{self.name}: {' '.join(str(error).split())}", 502) from None
        self._remove([key for key in left if key])
        return found

    def _wait(self, answer: str, failure: str) -> Any:
        deadline, pause = time.monotonic() + self._patience, FIRST_LOOK
        while True:
            if (found := self._object(answer)) is not None:
                try:
                    return json.loads(found)
                except ValueError:
                    return None
            if failure and (why := self._object(failure)) is not None:
                log.error("%s: %s", self.name, why.decode("utf-8", "replace"))
                raise EndpointError("the model failed on this request", 502)
            if time.monotonic() + pause > deadline:
                log.warning("%s has no answer yet: it is at work or on its way up", self.name)
                raise EndpointError(WAKING, 503, WAKING_SECONDS)
            time.sleep(pause)
            pause = min(pause * 1.5, LONGEST_PAUSE)

    def _object(self, key: str) -> bytes | None:
        try:
            return bytes(self._storage.get_object(Bucket=self._bucket, Key=key)["Body"].read())
        except failures.ClientError as error:
            if error.response.get("Error", {}).get("Code") in ("NoSuchKey", "404", "AccessDenied"):
                return None
            raise

    def _key(self, address: str) -> str:
        return address.removeprefix(f"s3://{self._bucket}/")

    def _remove(self, keys: list[str]) -> None:
        """A review is somebody's words: neither it nor its verdict stays.

        Not while it still waits: what wakes an endpoint up is a request that it can read.
        """
        try:
            self._storage.delete_objects(
                Bucket=self._bucket, Delete={"Objects": [{"Key": key} for key in keys], "Quiet": True}
            )
        except (failures.ClientError, failures.BotoCoreError):
            log.warning("%s: %d objects are left under %s", self.name, len(keys), self._prefix)
