"""`plaudit train --on sagemaker`: its options, its plan that calls nothing, and its whole way with moto's server."""

from __future__ import annotations

import json
import socket
from collections.abc import Callable
from pathlib import Path
from typing import Any

import click
import pytest
from botocore.stub import Stubber
from click.testing import CliRunner, Result

from plaudit.bundle.bundle import Bundle
from plaudit.cli import options as shared
from plaudit.cli.train_on import OnSageMaker, sagemaker_from, sagemaker_options, train_on_sagemaker
from plaudit.errors import PlaceError, PlauditError, UsageError
from plaudit.places.aws import training
from plaudit.places.aws.account import Account
from plaudit.places.aws.stack import Stack
from plaudit.places.aws.storage import Storage
from plaudit.places.aws.watching import Detached, Job
from tests.places.aws.shapes import assert_valid
from tests.places.aws.test_training import archived, described, leave

BUCKET = "plaudit-123456789012-us-east-1"


@click.command()
@click.argument("reviews", required=False)
@click.option("--out", type=shared.folder, default=Path("bundle"))
@click.option("--seed", default=0)
@click.option("--json", "as_json", is_flag=True)
@shared.column_options
@shared.recipe_options
@sagemaker_options
def command(reviews: str | None, out: Path, seed: int, as_json: bool, recipe: str | None, **options: Any) -> None:
    """The options as `plaudit train` has them."""
    columns, settings = shared.columns_from(options), shared.recipe_settings(options)
    asked = sagemaker_from(options)
    assert options == {}
    if asked is None:
        click.echo("here")
    elif bundle := train_on_sagemaker(reviews, columns, recipe, settings, seed, out, asked):
        click.echo(bundle.card.name)


def run(*arguments: str) -> Result:
    return CliRunner().invoke(command, list(arguments), prog_name="plaudit train")


def refused(*arguments: str) -> PlauditError:
    """What a call ends with."""
    result = run(*arguments)
    assert isinstance(result.exception, PlauditError), result.output
    return result.exception


@pytest.fixture
def offline(credentials: None, monkeypatch: pytest.MonkeyPatch) -> None:
    """No credentials, and nothing that answers."""
    with socket.socket() as unused:
        unused.bind(("127.0.0.1", 0))
        monkeypatch.setenv("AWS_ENDPOINT_URL", f"http://127.0.0.1:{unused.getsockname()[1]}")
    monkeypatch.delenv("AWS_ACCESS_KEY_ID")
    monkeypatch.delenv("AWS_SECRET_ACCESS_KEY")


@pytest.fixture
def aws(account: Account, monkeypatch: pytest.MonkeyPatch) -> Account:
    monkeypatch.setattr(Stack, "pause", 0.01)
    monkeypatch.setattr(training, "send_source", lambda storage, *_: storage.put("base/source/x.tar.gz", b"code"))
    return account


@pytest.fixture
def trained(bundle: Bundle, monkeypatch: pytest.MonkeyPatch) -> None:
    """Jobs leave the fixture's bundle: moto's complete at once and leave nothing."""
    create = Job.create

    def create_and_leave(job: Job, request: dict[str, Any], new_role: bool = False) -> None:
        create(job, request, new_role)
        assert bundle.path is not None
        leave(Storage(job.account, BUCKET), job, archived(bundle.path))

    monkeypatch.setattr(Job, "create", create_and_leave)


def test_without_on_the_training_is_here() -> None:
    assert run("sample").output == "here\n"
    assert str(refused("sample", "--spot")) == "--spot is for --on sagemaker"
    assert str(refused("sample", "--max-hours", "2")) == "--max-hours is for --on sagemaker"
    assert str(refused("--attach", "a", "--stop", "b")) == "give --attach or --stop, not both"


def test_options_become_what_is_asked() -> None:
    asked = sagemaker_from(
        {"on": "sagemaker", "instance": "ml.g5.xlarge", "count": 2, "spot": True, "max_hours": None, "keep": False}
    )
    assert asked == OnSageMaker(instance="ml.g5.xlarge", count=2, spot=True)
    assert asked.max_hours == 4


def test_the_plan_is_the_request_and_the_most_it_costs_and_calls_nothing(offline: None) -> None:
    result = run(
        "sample", "--on", "sagemaker", "--plan", "--spot", "--count", "2", "--instance", "ml.g5.xlarge",
        "--max-hours", "1.5", "--epochs", "3", "--seed", "7", "--json",
    )  # fmt: skip
    assert result.exit_code == 0, result.output
    found = json.loads(result.stdout)
    assert_valid("sagemaker", "CreateTrainingJob", found["request"])
    assert found["at_most"]["dollars"] == pytest.approx(1.5 * 2 * 1.408)
    flags = found["request"]["HyperParameters"]
    assert (flags["epochs"], flags["seed"], flags["recipe"]) == ("3", "7", '"lstm"')
    assert "cu1" in found["request"]["AlgorithmSpecification"]["TrainingImage"]


def test_the_plan_is_for_people_unless_json_is_asked_for(offline: None) -> None:
    gpus = ("--spot", "--count", "2", "--instance", "ml.g5.xlarge", "--max-hours", "1.5")
    result = run("sample", "--on", "sagemaker", "--plan", *gpus)
    assert result.exit_code == 0, result.output
    assert "flags     recipe lstm, seed 0\nmachines  2 x ml.g5.xlarge, 20 GB of disk each\n" in result.stdout
    cost = "cost      at most 5,400 s billed of 2 x ml.g5.xlarge, about $4.22; spot takes less\n"
    assert result.stdout.endswith(cost)
    assert "000000000000 stands for your account" in result.stderr


def test_a_plan_without_a_region_is_for_us_east_1_and_says_so(offline: None, monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("AWS_REGION", "AWS_DEFAULT_REGION"):
        monkeypatch.delenv(name)
    result = run("sample", "--on", "sagemaker", "--plan")
    assert result.exit_code == 0, result.output
    assert "no AWS region is set: this plan is for us-east-1" in result.stderr
    assert ".dkr.ecr.us-east-1." in result.stdout
    assert "no AWS region is set" in str(refused("sample", "--on", "sagemaker"))


def test_a_region_that_is_not_there_is_refused(offline: None) -> None:
    error = refused("sample", "--on", "sagemaker", "--plan", "--region", "us-east-9")
    assert isinstance(error, UsageError)
    assert "no region 'us-east-9'" in str(error)


@pytest.mark.parametrize(
    ("arguments", "sentence"),
    [
        (("sample",), "take a job's name: its reviews and its recipe are what they were"),
        (("--epochs", "3"), "take a job's name"),
        (("--recipe", "lstm"), "take a job's name"),
        (("--on", "sagemaker", "--spot"), "--spot is for a job that is to start"),
        (("--plan",), "--plan is for a job that is to start"),
    ],
)
@pytest.mark.parametrize("known", ["--attach", "--stop"])
def test_what_a_known_job_cannot_take_is_refused(
    offline: None, known: str, arguments: tuple[str, ...], sentence: str
) -> None:
    assert sentence in str(refused(known, "job", *arguments))


def test_the_same_training_has_the_same_prefix_and_another_has_another(offline: None) -> None:
    def prefix(*arguments: str) -> str:
        request = json.loads(run("sample", "--on", "sagemaker", "--plan", "--json", *arguments).stdout)["request"]
        return str(request["CheckpointConfig"]["S3Uri"])

    usual = prefix()
    assert usual == prefix("--max-hours", "9", "--spot", "--count", "2", "--instance", "ml.c5.xlarge")
    assert usual == prefix("--recipe", "lstm")
    assert len({usual, prefix("--seed", "1"), prefix("--epochs", "3"), prefix("--recipe", "original")}) == 4


@pytest.mark.parametrize(
    ("arguments", "sentence"),
    [
        (("--instance", "large"), "is no instance type"),
        (("--max-hours", "700"), "28 days"),
        (("--image", "pytorch-1.0"), "there is no image pytorch-1.0"),
        (("--epochs", "0"), "epochs lies between"),
    ],
)
def test_what_aws_would_refuse_is_refused_before_any_call(
    offline: None, arguments: tuple[str, ...], sentence: str
) -> None:
    error = refused("sample", "--on", "sagemaker", *arguments)
    assert isinstance(error, UsageError)
    assert sentence in str(error)


def test_reviews_are_read_here_first(offline: None, tmp_path: Path) -> None:
    bad = tmp_path / "bad.csv"
    bad.write_text("text,label\ngood,positive\n,negative\n")
    assert "bad.csv:3" in str(refused(str(bad), "--on", "sagemaker"))
    assert "there is no such file" in str(refused("nothing.csv", "--on", "sagemaker"))
    assert "name the reviews" in str(refused("--on", "sagemaker"))
    prepared = tmp_path / "prepared"
    prepared.mkdir()
    (prepared / "prepared.json").write_text("{}")
    assert "takes the reviews themselves" in str(refused(str(prepared), "--on", "sagemaker"))
    (tmp_path / "mine").mkdir()
    (tmp_path / "mine" / "letter.txt").write_text("dear")
    assert "not a bundle's" in str(refused("sample", "--on", "sagemaker", "--out", str(tmp_path / "mine")))


def test_without_credentials_the_sentence_says_how_to_get_some(offline: None) -> None:
    assert "aws configure" in str(refused("sample", "--on", "sagemaker"))


def test_a_training_ends_with_the_bundle_here_and_nothing_there(
    aws: Account, trained: None, bundle: Bundle, tmp_path: Path
) -> None:
    table = tmp_path / "my reviews.csv"
    table.write_text("words,label\n" + "good film,good\nbad film,bad\n" * 20)
    result = run(
        str(table), "--on", "sagemaker", "--text-column", "words", "--out", str(tmp_path / "out"), "--positive", "good"
    )
    assert result.exit_code == 0, result.output
    assert result.stdout == f"{bundle.card.name}\n"
    assert Bundle.load(tmp_path / "out").card == bundle.card
    (job,) = aws.client("sagemaker").list_training_jobs()["TrainingJobSummaries"]
    made = aws.client("sagemaker").describe_training_job(TrainingJobName=job["TrainingJobName"])
    assert json.loads(made["HyperParameters"]["text_column"]) == "words"
    assert json.loads(made["HyperParameters"]["positive"]) == "good"
    assert made["InputDataConfig"][0]["DataSource"]["S3DataSource"]["S3Uri"].endswith("/data/my-reviews.csv")
    assert "role" in made["RoleArn"]
    assert f"plaudit train --attach {job['TrainingJobName']}" in result.stderr
    assert "costs $0.23 an hour, at most 14,400 s billed of 1 x ml.m5.xlarge, about $0.92" in result.stderr
    assert [found.key for found in Storage(aws, BUCKET).keys("")] == ["base/source/x.tar.gz"]


def test_attach_goes_on_and_fetches(
    aws: Account, trained: None, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    watch: Callable[[Job], dict[str, Any]] = Job.watch

    def interrupted(job: Job) -> dict[str, Any]:
        raise job.detached("the job goes on")

    monkeypatch.setattr(Job, "watch", interrupted)
    detached = refused("sample", "--on", "sagemaker", "--out", str(tmp_path / "out"))
    assert isinstance(detached, Detached)
    name = str(detached).split("--stop ")[1].split(" ")[0]
    monkeypatch.setattr(Job, "watch", watch)
    result = run("--attach", name, "--out", str(tmp_path / "out"))
    assert result.exit_code == 0, result.output
    assert Bundle.load(tmp_path / "out").path == tmp_path / "out"


def test_stop_says_what_is_kept_and_is_no_failure(
    aws: Account, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    storage = Storage(aws, BUCKET)
    aws.client("s3").create_bucket(Bucket=BUCKET)
    storage.put("train-0123456789ab/checkpoints/checkpoint.safetensors", b"weights")
    place = {"S3OutputPath": f"s3://{BUCKET}/train-0123456789ab/output/"}
    gone = {"S3ModelArtifacts": ""}
    running = described(OutputDataConfig=place, ModelArtifacts=gone)
    stopped = described("Stopped", OutputDataConfig=place, ModelArtifacts=gone)
    monkeypatch.setattr("plaudit.places.aws.account.Account", lambda *given: aws)
    with Stubber(aws.client("sagemaker")) as stub:
        stub.add_response("describe_training_job", running)
        stub.add_response("stop_training_job", {}, {"TrainingJobName": "job"})
        stub.add_response("describe_training_job", stopped)
        stub.add_response("describe_training_job", stopped)
        result = run("--stop", "job", "--out", str(tmp_path / "out"))
    assert result.exit_code == 0, result.output
    assert "job was stopped" in result.stderr
    assert "goes on from its checkpoint, plaudit down train-0123456789ab removes it" in result.stderr
    assert result.stdout == ""


def test_a_job_that_left_nothing_is_a_failure(aws: Account, tmp_path: Path) -> None:
    error = refused("sample", "--on", "sagemaker", "--out", str(tmp_path / "out"))
    assert isinstance(error, PlaceError)
    assert "left no bundle" in str(error)


def test_help_teaches() -> None:
    text = " ".join(run("--help").output.split())
    assert "Spare machines: cheaper, and taken back at times; the job resumes." in text
    assert "[default: ml.m5.xlarge]" in text
