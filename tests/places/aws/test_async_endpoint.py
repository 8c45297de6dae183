"""An asynchronous endpoint: requests and answers are objects at moto's server, written by an endpoint that we play."""

from __future__ import annotations

import json
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any

import pytest
from botocore.stub import ANY, Stubber

from plaudit.bundle.classifier import Classifier
from plaudit.errors import EndpointError
from plaudit.places.aws.account import Account
from plaudit.places.aws.async_endpoint import AsyncEndpoint
from plaudit.places.aws.sagemaker_endpoint import runtime
from plaudit.places.aws.storage import Storage

PLACE = "s3://bucket/async/reviews/"


@pytest.fixture
def storage(account: Account) -> Storage:
    account.client("s3").create_bucket(Bucket="bucket")
    return Storage(account, "bucket")


@contextmanager
def endpoint(storage: Storage, patience: float = 5.0) -> Iterator[AsyncEndpoint]:
    """The endpoint's front: SageMaker's answer to the call is botocore's stub, checked against the call's own model."""
    client = runtime(storage.account)
    with Stubber(client) as stub:
        stub.add_response(
            "invoke_endpoint_async",
            {"OutputLocation": f"{PLACE}out/1.out", "FailureLocation": f"{PLACE}failed/1.out", "InferenceId": "1"},
            {
                "EndpointName": "plaudit-reviews", "InputLocation": ANY, "ContentType": "text/plain; charset=utf-8",
                "Accept": "application/json", "InvocationTimeoutSeconds": ANY, "RequestTTLSeconds": ANY,
            },
        )  # fmt: skip
        yield AsyncEndpoint("plaudit-reviews", PLACE, client, storage.account.client("s3"), patience)


def answering(storage: Storage, key: str, answer: Callable[[bytes], bytes]) -> threading.Thread:
    """The endpoint's back: after a moment it reads the request that lies there, and writes under ``key``."""

    def work() -> None:
        for _ in range(200):
            if found := storage.keys("async/reviews/in/"):
                time.sleep(0.3)
                storage.put(key, answer(storage.get(found[0].key)))
                return
            time.sleep(0.02)

    thread = threading.Thread(target=work, daemon=True)
    thread.start()
    return thread


def test_the_verdict_comes_and_nobodys_words_stay(storage: Storage, classifier: Classifier) -> None:
    back = answering(
        storage,
        "async/reviews/out/1.out",
        lambda body: json.dumps(classifier.verdict(body.decode()).to_json()).encode(),
    )
    with endpoint(storage) as front:
        assert front.verdict("A wonderful film") == classifier.verdict("A wonderful film")
    back.join(5)
    assert storage.keys() == []


def test_a_request_that_the_model_failed_on_is_502_in_one_sentence(storage: Storage) -> None:
    answering(storage, "async/reviews/failed/1.out", lambda body: b"Traceback: /opt/ml/model ...")
    with endpoint(storage) as front, pytest.raises(EndpointError) as caught:
        front.verdict("A wonderful film")
    assert (caught.value.status, str(caught.value)) == (502, "the model failed on this request")


def test_an_endpoint_without_an_instance_says_when_to_come_back(storage: Storage) -> None:
    with endpoint(storage, patience=0.5) as front, pytest.raises(EndpointError) as caught:
        front.verdict("A wonderful film")
    assert caught.value.status == 503
    assert caught.value.retry_after == 120
    assert len(storage.keys("async/reviews/in/")) == 1, "the request that wakes it up has to stay readable"


def test_a_call_that_aws_refuses_is_502(storage: Storage) -> None:
    client: Any = runtime(storage.account)
    with Stubber(client) as stub:
        stub.add_client_error("invoke_endpoint_async", "AccessDeniedException", "arn:aws:iam::123456789012:role/x")
        front = AsyncEndpoint("plaudit-reviews", PLACE, client, storage.account.client("s3"))
        with pytest.raises(EndpointError) as caught:
            front.verdict("A wonderful film")
    assert caught.value.status == 502
