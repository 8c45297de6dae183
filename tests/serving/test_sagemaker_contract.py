"""SageMaker's own software against ours: its inference toolkit runs the handlers, and its client asks the endpoint."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import boto3
import numpy as np
import pytest
from botocore.config import Config
from botocore.exceptions import ClientError
from sagemaker_inference.default_handler_service import DefaultHandlerService

from plaudit.bundle.bundle import Bundle
from plaudit.bundle.classifier import Classifier
from plaudit.serving.endpoint import endpoint
from plaudit.text.encoder import Encoder
from tests.live import live, loaded

REVIEW = "A wonderful film"
SCRIPT = "from plaudit.serving.handlers import input_fn, model_fn, output_fn, predict_fn\n"


class Context:
    """What SageMaker's model server hands to the toolkit, as far as the toolkit looks."""

    def __init__(self, model_dir: Path, headers: dict[str, str]) -> None:
        self.system_properties = {"model_dir": str(model_dir)}
        self.request_processor = [self]
        self.headers, self.content_type, self.status = headers, "", 200

    def get_request_properties(self) -> dict[str, str]:
        return self.headers

    def set_response_content_type(self, index: int, content_type: str) -> None:
        self.content_type = content_type

    def set_response_status(self, code: int, phrase: str) -> None:
        self.status = code


class Container:
    """A model server's worker: SageMaker's handler service around our handlers."""

    def __init__(self, model_dir: Path) -> None:
        self.model_dir, self.service = model_dir, DefaultHandlerService()
        self.service.initialize(Context(model_dir, {}))

    def ask(self, body: bytes, **headers: str) -> tuple[Any, Context]:
        context = Context(self.model_dir, {name.replace("_", "-"): value for name, value in headers.items()})
        (answer,) = self.service.handle([{"body": body}], context)
        return answer, context


@pytest.fixture(params=["a script in the model's code folder", "the module itself"])
def container(
    request: pytest.FixtureRequest, original_bundle: Bundle, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> Container:
    assert original_bundle.path
    monkeypatch.setenv("PYTHONPATH", "")  # the service prepends the code folder to it
    if request.param == "the module itself":
        monkeypatch.setenv("SAGEMAKER_PROGRAM", "plaudit.serving.handlers")
        return Container(original_bundle.path)
    original_bundle.save(tmp_path / "model")
    (tmp_path / "model" / "code").mkdir()
    (tmp_path / "model" / "code" / "plaudit_inference.py").write_text(SCRIPT)
    monkeypatch.syspath_prepend(tmp_path / "model" / "code")
    monkeypatch.setenv("SAGEMAKER_PROGRAM", "plaudit_inference.py")
    return Container(tmp_path / "model")


@pytest.fixture(scope="module")
def original(original_bundle: Bundle) -> Classifier:
    return Classifier(original_bundle)


@pytest.mark.parametrize("accept", ["application/json", "*/*", ""])
def test_the_toolkit_gets_a_verdict_for_text(container: Container, original: Classifier, accept: str) -> None:
    answer, context = container.ask(REVIEW.encode(), Content_Type="text/plain", Accept=accept)
    assert json.loads(answer) == original.verdict(REVIEW).to_json()
    assert (context.status, context.content_type) == (200, "application/json")


def test_the_toolkit_gets_a_verdict_for_json(container: Container, original: Classifier) -> None:
    body = json.dumps({"texts": [REVIEW, "Terrible \U0001f600"]}, ensure_ascii=False).encode()
    answer, context = container.ask(body, Content_Type="application/json", Accept="application/json")
    expected = original.verdicts([REVIEW, "Terrible \U0001f600"])
    assert json.loads(answer) == {"verdicts": [verdict.to_json() for verdict in expected]}
    assert context.status == 200


def test_the_toolkit_gets_probabilities_for_encoded_rows(container: Container, original: Classifier) -> None:
    ids = Encoder(original.bundle.vocabulary, "original", 500).encode(REVIEW)
    body = ",".join(map(str, [len(ids), *ids, *[0] * (500 - len(ids))])).encode()
    answer, context = container.ask(body, Content_Type="text/csv", Accept="application/json")
    np.testing.assert_allclose(json.loads(answer)["probabilities"], original.predict_proba([REVIEW]), atol=1e-12)
    answer, context = container.ask(body, Content_Type="text/csv", Accept="text/plain")
    assert (answer, context.status, context.content_type) == (b"1.0", 200, "text/plain")


def test_the_toolkit_passes_our_sentence_on(container: Container) -> None:
    answer, context = container.ask(b"{}", Content_Type="application/json", Accept="application/json")
    assert context.status == 500, "the toolkit has no other status for an error that is not its own"
    assert answer.startswith("the JSON has to be")


@pytest.fixture(scope="module")
def address(original: Classifier) -> Iterator[str]:
    app = endpoint(original)
    with live(app) as found:
        loaded(app)
        yield found


@pytest.fixture(params=["endpoint_url", "AWS_ENDPOINT_URL_SAGEMAKER_RUNTIME"])
def runtime(
    request: pytest.FixtureRequest, credentials: None, address: str, monkeypatch: pytest.MonkeyPatch
) -> Iterator[Any]:
    """AWS's own client, sent to the endpoint in the two ways that it knows."""
    given = {}
    if request.param == "endpoint_url":
        given["endpoint_url"] = address
    else:
        monkeypatch.setenv(request.param, address)
    once = Config(retries={"total_max_attempts": 1})
    client = boto3.Session().client("sagemaker-runtime", region_name="us-east-1", config=once, **given)
    assert client.meta.endpoint_url == address
    yield client
    client.close()


def test_awss_client_gets_the_verdict(runtime: Any, original: Classifier) -> None:
    verdict = original.verdict(REVIEW).to_json()
    for content_type, body in (("text/plain", REVIEW.encode()), ("application/json", json.dumps({"text": REVIEW}))):
        answer = runtime.invoke_endpoint(
            EndpointName="plaudit", Body=body, ContentType=content_type, Accept="application/json"
        )
        assert answer["ResponseMetadata"]["HTTPStatusCode"] == 200
        assert answer["ContentType"] == "application/json"
        assert json.load(answer["Body"]) == verdict


def test_awss_client_gets_the_originals_number(runtime: Any) -> None:
    for review, number in ((REVIEW, b"1.0"), ("Terrible, a waste of time", b"0.0")):
        answer = runtime.invoke_endpoint(
            EndpointName="plaudit", Body=review.encode(), ContentType="text/plain", Accept="text/plain"
        )
        assert answer["Body"].read() == number


def test_awss_client_sends_encoded_rows(runtime: Any, original: Classifier) -> None:
    ids = Encoder(original.bundle.vocabulary, "original", 500).encode(REVIEW)
    body = ",".join(map(str, [len(ids), *ids, *[0] * (500 - len(ids))]))
    answer = runtime.invoke_endpoint(EndpointName="plaudit", Body=body, ContentType="text/csv")
    shares = json.load(answer["Body"])["probabilities"]
    np.testing.assert_allclose(shares, original.predict_proba([REVIEW]), atol=1e-12)


@pytest.mark.parametrize(
    ("body", "content_type", "status", "sentence"),
    [
        (b"{}", "application/json", 422, "the JSON has to be"),
        (b"\xff", "text/plain", 400, "not UTF-8 at byte 1"),
        (b"x", "image/png", 415, "the content type is image/png"),
    ],
)
def test_awss_client_raises_its_own_error_with_our_sentence(
    runtime: Any, body: bytes, content_type: str, status: int, sentence: str
) -> None:
    with pytest.raises(ClientError) as caught:
        runtime.invoke_endpoint(EndpointName="plaudit", Body=body, ContentType=content_type)
    assert caught.value.response["ResponseMetadata"]["HTTPStatusCode"] == status
    assert caught.value.response["Error"]["Code"] == "ModelError"
    assert sentence in str(caught.value)
