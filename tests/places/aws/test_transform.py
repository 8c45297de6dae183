"""Batch scoring: its request by AWS's model, its template by cfn-lint, its whole life at moto's server.

What SageMaker does between, cutting files into requests and joining the answers, is acted out against our endpoint.
"""

from __future__ import annotations

import json
import urllib.request
from datetime import UTC, datetime, timedelta
from functools import partial
from pathlib import Path
from typing import Any

import pytest
from botocore.stub import Stubber
from cfnlint import api as cfnlint
from hypothesis import given
from hypothesis import strategies as st

from plaudit.bundle.classifier import Classifier
from plaudit.errors import PlaceError, UsageError
from plaudit.places.aws import base, logs, transform
from plaudit.places.aws.account import Account, Refused
from plaudit.places.aws.names import Name
from plaudit.places.aws.stack import Stack
from plaudit.places.aws.storage import Object, Storage
from plaudit.places.aws.transform import PAYLOAD_MB, Lines, Prefix, Scoring, scoring_template, transform_request
from plaudit.places.aws.watching import TRANSFORM, Job, Pace, taken_back
from plaudit.serving.endpoint import endpoint
from tests.live import live, loaded
from tests.places.aws.shapes import assert_valid

NAME = Name("score-0123abcd")
LAKE = "s3://lake/reviews/"
OUT = "s3://lake/verdicts/"
IMAGE = "763104351884.dkr.ecr.us-east-1.amazonaws.com/ray:serve-ml-sagemaker-cpu-v1.5"
REPOSITORY = "arn:aws:ecr:us-east-1:763104351884:repository/ray"
ARCHIVE = "s3://plaudit-123456789012-us-east-1/score-0123abcd/x/model.tar.gz"
CONTAINER = {"Image": IMAGE, "ModelDataUrl": ARCHIVE}
NOW = datetime.now(UTC)


def scoring(lines: Lines | None = None, **settings: Any) -> Scoring:
    return Scoring(NAME, Prefix.of(LAKE), Prefix.of(OUT), lines or Lines(), **settings)


@given(
    st.builds(Lines, st.booleans(), st.booleans()),
    st.sampled_from(["ml.m5.xlarge", "ml.c6i.4xlarge", "ml.g5.xlarge"]),
    st.integers(1, 200),
    st.booleans(),
)
def test_every_request_is_one_that_aws_takes(lines: Lines, instance: str, count: int, joined: bool) -> None:
    request = transform_request(scoring(lines, instance=instance, count=count, joined=joined))
    assert_valid("sagemaker", "CreateTransformJob", request)
    assert request["MaxPayloadInMB"] * request["MaxConcurrentTransforms"] <= 100
    assert ("DataProcessing" in request) == (lines.json and joined)
    assert (request["BatchStrategy"] == "MultiRecord") == lines.json


@pytest.mark.parametrize("role", [None, "arn:aws:iam::123456789012:role/mine"])
def test_the_template_is_sound(role: str | None) -> None:
    template = scoring_template(scoring(), CONTAINER, REPOSITORY, role)
    found = cfnlint.lint(json.dumps(template), config={"regions": ["us-east-1"]})
    assert [str(match) for match in found] == []
    assert ("Role" in template["Resources"]) == (role is None)


def test_the_role_names_exact_resources() -> None:
    text = json.dumps(scoring_template(scoring(), CONTAINER, REPOSITORY))
    for resource in (
        "s3:::lake/reviews/*",
        "s3:::lake/verdicts/*",
        ":s3:::" + ARCHIVE.removeprefix("s3://"),
        REPOSITORY,
    ):
        assert resource in text
    assert "s3:*" not in text
    assert "s3:DeleteObject" not in text


@pytest.mark.parametrize(
    ("keys", "kind"),
    [
        (["a/", "a/1.jsonl", "a/2.JSON"], Lines(True, False)),
        (["a/1.jsonl.gz", "a/2.ndjson.gz"], Lines(True, True)),
        (["a/1.txt"], Lines(False, False)),
        (["a/1.txt.gz"], Lines(False, True)),
    ],
)
def test_the_names_say_of_which_kind_files_are(keys: list[str], kind: Lines) -> None:
    assert Lines.of([Object(key, 1) for key in keys], LAKE) == kind


@pytest.mark.parametrize(
    ("keys", "sentence"),
    [
        ([], "there is nothing under s3://lake/reviews/"),
        (["a/"], "there is nothing under"),
        (["a/1.csv"], r"a/1.csv: give files of lines"),
        (["a/1.jsonl", "a/2.txt"], "holds a/1.jsonl and a/2.txt: the files of one job are all of one kind"),
        (["a/1.jsonl", "a/2.jsonl.gz"], "all of one kind"),
    ],
)
def test_files_that_cannot_be_scored_are_said_by_name(keys: list[str], sentence: str) -> None:
    with pytest.raises(UsageError, match=sentence):
        Lines.of([Object(key, 1) for key in keys], LAKE)


def test_what_sagemaker_would_refuse_is_refused_here() -> None:
    with pytest.raises(UsageError, match="the next run would score its verdicts"):
        Scoring(NAME, Prefix.of(LAKE), Prefix.of(LAKE + "out/"), Lines())
    with pytest.raises(UsageError, match="no instance type"):
        scoring(instance="large")
    with pytest.raises(UsageError, match="at least 1 machine"):
        scoring(count=0)
    for uri in ("lake/reviews", "s3://", "s3://UPPER/x", "https://lake/x"):
        with pytest.raises(UsageError, match="is no place in S3"):
            Prefix.of(uri)
    with pytest.raises(UsageError, match="is no scoring job of Plaudit's"):
        transform.name_of("somebody-elses-job")


def acted_out(address: str, request: dict[str, Any], file: bytes) -> list[str]:
    """The output file of one input file, as batch transform makes it with our endpoint as the model."""
    lines, out = file.decode().splitlines(), []
    most = request["MaxPayloadInMB"] * 2**20 if request["BatchStrategy"] == "MultiRecord" else 0
    while lines:
        batch = [lines.pop(0)]
        while lines and len("\n".join([*batch, lines[0]]).encode()) <= most:
            batch.append(lines.pop(0))
        asked = urllib.request.Request(
            f"{address}/invocations", "\n".join(batch).encode(),
            {"content-type": request["TransformInput"]["ContentType"], "accept": request["TransformOutput"]["Accept"]},
        )  # fmt: skip
        with urllib.request.urlopen(asked) as answer:
            assert answer.headers["content-type"] == "application/jsonlines"
            answers = answer.read().decode().split("\n")
        assert len(answers) == len(batch)
        if "DataProcessing" in request:
            answers = [
                json.dumps({**json.loads(line), "SageMakerOutput": json.loads(found)})
                for line, found in zip(batch, answers, strict=True)
            ]
        out += answers
    return out


def test_a_job_acted_out_against_our_endpoint_gives_the_classifiers_verdicts(classifier: Classifier) -> None:
    texts = ["a wonderful film", "", "zzzz \u2028 zzzz", "not good at all " * 200] * 400
    wanted = classifier.predict_proba(texts)[:, 1]
    app = endpoint(classifier, max_bytes=PAYLOAD_MB * 2**20)
    with live(app) as address:
        loaded(app)
        records = "".join(json.dumps({"id": i, "text": text}) + "\n" for i, text in enumerate(texts))
        assert len(records) > 1.1 * PAYLOAD_MB * 2**20
        found = [json.loads(line) for line in acted_out(address, transform_request(scoring()), records.encode())]
        assert [line["id"] for line in found] == list(range(len(texts)))
        shares = [line["SageMakerOutput"]["scores"][classifier.card.labels[1]] for line in found]
        assert shares == pytest.approx(wanted, abs=1e-6)
        plain = acted_out(address, transform_request(scoring(Lines(json=False))), b"a wonderful film\n\nnot good\n")
        verdicts = [json.loads(line) for line in plain]
    assert [v["label"] for v in verdicts] == [
        v.label for v in classifier.verdicts(["a wonderful film", "", "not good"])
    ]


class Heard(list[str]):
    """What was said."""


@pytest.fixture
def heard() -> Heard:
    return Heard()


@pytest.fixture
def storage(account: Account, monkeypatch: pytest.MonkeyPatch) -> Storage:
    monkeypatch.setattr(Stack, "pause", 0.01)
    return Storage(account, base.ensure(account).bucket)


def job_of(account: Account, heard: Heard) -> Job:
    return Job(account, NAME.full, TRANSFORM, heard.append, Pace(0.01, sleep=lambda seconds: None))


def models(account: Account) -> list[str]:
    return [entry["ModelName"] for entry in account.client("sagemaker").list_models()["Models"]]


def nothing_left(account: Account, storage: Storage) -> bool:
    stacks = [entry["StackName"] for entry in account.client("cloudformation").describe_stacks()["Stacks"]]
    roles = [entry["RoleName"] for entry in account.client("iam").list_roles()["Roles"]]
    left = [name for name in (*stacks, *roles, *models(account)) if "score" in name]
    return left == [] and storage.keys(NAME.prefix) == [] and logs.tail(account, TRANSFORM.group, NAME.full) == []


def begin(account: Account, storage: Storage, heard: Heard, tmp_path: Path) -> Job:
    job, asked = job_of(account, heard), scoring()
    archive = tmp_path / "model.tar.gz"
    archive.write_bytes(b"an archive")
    with taken_back(job, partial(transform.clean, job, storage)):
        container = transform.sent_container(storage, asked, archive, IMAGE)
        transform.start(job, asked, scoring_template(asked, container, REPOSITORY))
    return job


def test_a_job_from_the_stack_to_its_end_leaves_nothing(
    account: Account, storage: Storage, heard: Heard, tmp_path: Path
) -> None:
    job = begin(account, storage, heard, tmp_path)
    assert models(account) == [NAME.full]
    made = account.client("sagemaker").describe_model(ModelName=NAME.full)
    assert made["PrimaryContainer"]["ModelDataUrl"].startswith(storage.uri(NAME.prefix))
    assert "plaudit-score-0123abcd" in made["ExecutionRoleArn"]
    assert len(storage.keys(NAME.prefix)) == 1
    write_log(account)
    target, bill = transform.finish(job, storage, job.watch())
    assert target == OUT
    assert str(bill) == "0 s billed of 1 x ml.m5.xlarge, about $0"
    assert nothing_left(account, storage)


def write_log(account: Account, *lines: str) -> None:
    account.client("logs").create_log_group(logGroupName=TRANSFORM.group)
    client = account.client("logs")
    client.create_log_stream(logGroupName=TRANSFORM.group, logStreamName=f"{NAME.full}/i-1")
    events = [{"timestamp": int(NOW.timestamp() * 1000) + n, "message": line} for n, line in enumerate(lines or ["x"])]
    client.put_log_events(logGroupName=TRANSFORM.group, logStreamName=f"{NAME.full}/i-1", logEvents=events)


@pytest.mark.parametrize(
    ("code", "message", "sentence"),
    [
        ("ResourceLimitExceeded", "'ml.m5.xlarge for transform job usage' is 0", "a quota of the account is reached"),
        ("ValidationException", "The execution role ARN is invalid", "name a role that SageMaker may take"),
    ],
)
def test_a_refused_start_leaves_nothing(
    account: Account, storage: Storage, heard: Heard, tmp_path: Path, code: str, message: str, sentence: str
) -> None:
    stub = Stubber(account.client("sagemaker"))
    stub.add_client_error("create_transform_job", code, message)
    with stub, pytest.raises(Refused) as caught:
        begin(account, storage, heard, tmp_path)
    assert sentence in str(caught.value)
    assert "the job did not start, so nothing is billed" in str(caught.value)
    assert nothing_left(account, storage)


def test_ctrl_c_before_the_start_leaves_nothing(
    account: Account, storage: Storage, heard: Heard, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def interrupted(*given: Any) -> None:
        raise KeyboardInterrupt

    monkeypatch.setattr(Job, "create", interrupted)
    with pytest.raises(KeyboardInterrupt):
        begin(account, storage, heard, tmp_path)
    assert nothing_left(account, storage)


def described(state: str, **fields: Any) -> dict[str, Any]:
    return {
        "TransformJobName": NAME.full, "TransformJobStatus": state, "TransformOutput": {"S3OutputPath": OUT},
        "TransformResources": {"InstanceType": "ml.m5.xlarge", "InstanceCount": 2},
        "TransformStartTime": NOW - timedelta(seconds=900), "TransformEndTime": NOW, **fields,
    }  # fmt: skip


@pytest.mark.parametrize(
    ("state", "fields", "sentence"),
    [
        ("Failed", {"FailureReason": "ClientError: See job logs for more information"},
         "plaudit-score-0123abcd failed: ClientError: See job logs for more information (900 s billed of 2 x"
         " ml.m5.xlarge, about $0.12); files that were done are in s3://lake/verdicts/, and the same command scores"
         " all again"),
        ("Failed", {}, "failed: SageMaker gives no reason"),
        ("Stopped", {}, "plaudit-score-0123abcd was stopped (900 s billed of 2 x ml.m5.xlarge, about $0.12)"),
    ],
)  # fmt: skip
def test_a_failed_job_ends_in_a_sentence_and_leaves_nothing(
    account: Account, storage: Storage, heard: Heard, tmp_path: Path, state: str, fields: dict[str, Any], sentence: str
) -> None:
    job = begin(account, storage, heard, tmp_path)
    write_log(account, "first", '{"error": "line 3 is not JSON"}')
    with pytest.raises(PlaceError) as caught:
        transform.finish(job, storage, described(state, **fields))
    assert sentence in str(caught.value)
    assert ('  {"error": "line 3 is not JSON"}' in heard) == (state == "Failed")
    assert nothing_left(account, storage)


def test_what_cannot_be_removed_is_said_with_the_command(
    account: Account, storage: Storage, heard: Heard, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    job = begin(account, storage, heard, tmp_path)

    def denied(*given: Any) -> bool:
        raise Refused("deleting: not you", "AccessDenied")

    monkeypatch.setattr(Stack, "delete", denied)
    transform.finish(job, storage, job.watch())
    assert any("left behind: the stack plaudit-score-0123abcd" in line for line in heard)
    assert any("plaudit down score-0123abcd removes it" in line for line in heard)


def test_a_deployments_model_is_found_through_its_stack(account: Account, storage: Storage) -> None:
    template = scoring_template(Scoring(Name("shop"), Prefix.of(LAKE), Prefix.of(OUT), Lines()), CONTAINER, REPOSITORY)
    Stack(account, Name("shop")).apply(template, {})
    assert transform.deployed_container(account, Name("shop")) == CONTAINER
    with pytest.raises(UsageError, match="there is no deployment other in us-east-1: plaudit status"):
        transform.deployed_container(account, Name("other"))
    del template["Resources"]["Model"]
    Stack(account, Name("lambda")).apply(template, {})
    with pytest.raises(UsageError, match="runs in Lambda and has no model at SageMaker: score with --bundle"):
        transform.deployed_container(account, Name("lambda"))


def test_a_bucket_that_is_not_there_is_said(account: Account) -> None:
    with pytest.raises(UsageError, match="s3://no-such-lake is not there, or not for this account"):
        transform.listed(account, Prefix.of("s3://no-such-lake/x/"))
    account.client("s3").create_bucket(Bucket="lake")
    account.client("s3").put_object(Bucket="lake", Key="reviews/1.jsonl", Body=b"{}")
    assert transform.listed(account, Prefix.of(LAKE)) == [Object("reviews/1.jsonl", 2)]
