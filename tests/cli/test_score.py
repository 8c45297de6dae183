"""`plaudit score`: its options, its plan that calls nothing, and its whole way with moto's server."""

from __future__ import annotations

import json
import socket
import tarfile
from pathlib import Path
from typing import Any

import pytest
from botocore.stub import Stubber
from click.testing import CliRunner, Result

from plaudit.bundle.bundle import Bundle
from plaudit.cli.score import command
from plaudit.errors import PlauditError
from plaudit.places.aws import archive
from plaudit.places.aws.account import Account
from plaudit.places.aws.packing import write_tar_gz
from plaudit.places.aws.stack import Stack
from plaudit.places.aws.storage import Storage
from plaudit.places.aws.watching import Job
from tests.places.aws.shapes import assert_valid

BUCKET = "plaudit-123456789012-us-east-1"
LAKE, OUT = "s3://lake/reviews/", "s3://lake/verdicts/"


def run(*arguments: str) -> Result:
    return CliRunner().invoke(command, list(arguments), prog_name="plaudit score")


def refused(*arguments: str) -> str:
    """The sentence that a call ends with."""
    result = run(*arguments)
    assert isinstance(result.exception, PlauditError), result.output
    return str(result.exception)


@pytest.fixture
def lake(account: Account, bundle: Bundle, monkeypatch: pytest.MonkeyPatch) -> Account:
    """A bucket with reviews; archives without wheels, whose gathering is tested elsewhere."""
    monkeypatch.setattr(Stack, "pause", 0.01)

    def pack(bundle: Path, out: Path, **given: Any) -> archive.Packed:
        write_tar_gz(out, {path.name: path.read_bytes() for path in bundle.iterdir()})
        return archive.Packed(out, archive.USUAL, out.stat().st_size, {})

    monkeypatch.setattr(archive, "pack", pack)
    account.client("s3").create_bucket(Bucket="lake")
    Storage(account, "lake").put("reviews/1.jsonl", b'{"text": "a wonderful film"}\n')
    return account


def test_a_bundle_scores_a_lake_and_leaves_nothing(
    lake: Account, bundle: Bundle, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    sent: list[set[str]] = []
    watch = Job.watch

    def look(job: Job) -> dict[str, Any]:
        model = job.account.client("sagemaker").describe_model(ModelName=job.name)
        key = model["PrimaryContainer"]["ModelDataUrl"].removeprefix(f"s3://{BUCKET}/")
        with tarfile.open(Storage(lake, BUCKET).download(key, tmp_path / "sent.tar.gz")) as packed:
            sent.append(set(packed.getnames()))
        return watch(job)

    monkeypatch.setattr(Job, "watch", look)
    result = run(LAKE, "--bundle", str(bundle.path), "--out", OUT, "--count", "2", "--json")
    assert result.exit_code == 0, result.output
    found = json.loads(result.stdout)
    assert (found["verdicts"], found["instance"], found["count"]) == (OUT, "ml.m5.xlarge", 2)
    assert "manifest.json" in sent[0]
    assert "1 file, 29 bytes, JSON lines" in result.stderr
    made = lake.client("sagemaker").describe_transform_job(TransformJobName=found["job"])
    assert made["DataProcessing"] == {"JoinSource": "Input"}
    assert made["TransformInput"]["DataSource"]["S3DataSource"]["S3Uri"] == LAKE
    stacks = [entry["StackName"] for entry in lake.client("cloudformation").describe_stacks()["Stacks"]]
    assert stacks == ["plaudit-base"]
    assert lake.client("sagemaker").list_models()["Models"] == []
    assert Storage(lake, BUCKET).keys() == []


def test_a_deployments_model_scores_with_a_role_of_the_jobs_own(lake: Account, bundle: Bundle) -> None:
    container = {"Image": "763104351884.dkr.ecr.us-east-1.amazonaws.com/ray:x", "ModelDataUrl": f"s3://{BUCKET}/shop/m"}
    model = {
        "ExecutionRoleArn": "arn:aws:iam::1:role/shop",
        "PrimaryContainer": container,
        "ModelName": "plaudit-shop-1",
    }
    template = {"Resources": {"Model": {"Type": "AWS::SageMaker::Model", "Properties": model}}}
    lake.client("cloudformation").create_stack(StackName="plaudit-shop", TemplateBody=json.dumps(template))
    result = run(LAKE, "--name", "shop", "--out", OUT, "--verdicts-only")
    assert result.exit_code == 0, result.output
    assert result.stdout == f"{OUT}\n"
    (job,) = lake.client("sagemaker").list_transform_jobs()["TransformJobSummaries"]
    made = lake.client("sagemaker").describe_transform_job(TransformJobName=job["TransformJobName"])
    assert made["ModelName"] == job["TransformJobName"]
    assert "DataProcessing" not in made
    left = [entry["ModelName"] for entry in lake.client("sagemaker").list_models()["Models"]]
    assert left == ["plaudit-shop-1"]


def test_the_plan_calls_nothing(credentials: None, monkeypatch: pytest.MonkeyPatch) -> None:
    with socket.socket() as unused:
        unused.bind(("127.0.0.1", 0))
        monkeypatch.setenv("AWS_ENDPOINT_URL", f"http://127.0.0.1:{unused.getsockname()[1]}")
    plan = (LAKE, "--name", "shop", "--out", OUT, "--plan", "--count", "3")
    shown = run(*plan)
    assert shown.exit_code == 0, shown.output
    assert "model     the deployment shop\nmachines  3 x ml.m5.xlarge\n" in shown.stdout
    assert "$0.69 an hour while it runs" in shown.stdout
    assert shown.stdout.endswith("\n  Model  AWS::SageMaker::Model\n  Role   AWS::IAM::Role\n")
    result = run(*plan, "--json")
    assert result.exit_code == 0, result.output
    found = json.loads(result.stdout)
    assert_valid("sagemaker", "CreateTransformJob", found["request"])
    assert found["dollars_an_hour"] == 0.69
    assert set(found["template"]["Resources"]) == {"Model", "Role"}
    assert "those of shop, which are asked for when it runs" in result.stderr


def test_what_is_missing_or_too_much_is_said(lake: Account, bundle: Bundle) -> None:
    given = (LAKE, "--out", OUT)
    assert "name what to score and where to" in refused(LAKE)
    assert "give --name DEPLOYMENT or --bundle BUNDLE" in refused(*given)
    assert "give --name DEPLOYMENT or --bundle BUNDLE" in refused(*given, "--name", "a", "--bundle", "b")
    assert "is no place in S3" in refused("reviews.csv", "--out", OUT, "--name", "a")
    assert "would score its verdicts" in refused(LAKE, "--out", LAKE, "--name", "a")
    assert "a job's name and nothing else" in refused(LAKE, "--attach", "a")
    assert "is no scoring job of Plaudit's" in refused("--attach", "somebodys")
    assert "there is no scoring job plaudit-score-0123abcd" in refused("--stop", "plaudit-score-0123abcd")
    assert "there is nothing under s3://lake/none/" in refused("s3://lake/none/", "--out", OUT, "--name", "a")
    assert "s3://no-lake is not there" in refused("s3://no-lake/x/", "--out", OUT, "--name", "a")
    sentence = refused(*given, "--name", "other")
    assert "there is no deployment other" in sentence
    assert "nothing is billed" in sentence
    stacks = [entry["StackName"] for entry in lake.client("cloudformation").describe_stacks()["Stacks"]]
    assert stacks == ["plaudit-base"]


def test_a_quota_that_is_reached_leaves_nothing(lake: Account, bundle: Bundle, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("plaudit.places.aws.account.Account", lambda *given: lake)
    with Stubber(lake.client("sagemaker")) as stub:
        stub.add_client_error("create_transform_job", "ResourceLimitExceeded", "'ml.m5.xlarge' is 0")
        sentence = refused(LAKE, "--bundle", str(bundle.path), "--out", OUT)
    assert "a quota of the account is reached ('ml.m5.xlarge' is 0)" in sentence
    assert "the job did not start, so nothing is billed" in sentence
    stacks = [entry["StackName"] for entry in lake.client("cloudformation").describe_stacks()["Stacks"]]
    assert stacks == ["plaudit-base"]
    assert Storage(lake, BUCKET).keys() == []


def test_help_teaches() -> None:
    text = run("--help").output
    assert "plaudit score s3://my-lake/reviews/ --name shop --out s3://my-lake/verdicts/" in text
    assert "SageMakerOutput" in text
