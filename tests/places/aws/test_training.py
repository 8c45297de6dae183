"""A training on SageMaker with its control plane at moto's server: to its end, and through every failure."""

from __future__ import annotations

import io
import re
import socket
import tarfile
import time
from collections.abc import Iterator
from contextlib import ExitStack
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest
from botocore.stub import Stubber
from starlette.applications import Starlette
from starlette.responses import JSONResponse
from starlette.routing import Route

from plaudit.bundle.bundle import Bundle
from plaudit.errors import PlaceError, UsageError
from plaudit.places.aws import base, logs, training
from plaudit.places.aws.account import Account, Refused, Unreached
from plaudit.places.aws.stack import Stack
from plaudit.places.aws.storage import Storage
from plaudit.places.aws.training_job import Fleet, TrainingPlan
from plaudit.places.aws.watching import TRAINING, Detached, Job, Pace, Unsure
from tests.live import live
from tests.places.aws.test_logs import write

DIGEST = "0123456789ab"
ROLE = "arn:aws:iam::123456789012:role/given"
NOW = datetime.now(UTC)


@pytest.fixture
def storage(account: Account, monkeypatch: pytest.MonkeyPatch) -> Storage:
    """The account's bucket, with the job's code in it: gathering it is tested elsewhere."""
    monkeypatch.setattr(Stack, "pause", 0.01)
    monkeypatch.setattr(
        training,
        "send_source",
        lambda storage, *_: storage.put("base/source/x/sourcedir.tar.gz", b"code"),
    )
    return Storage(account, base.ensure(account, training=True).bucket)


class Heard(list[str]):
    """What was said."""

    @property
    def text(self) -> str:
        return "\n".join(self)


@pytest.fixture
def heard() -> Heard:
    return Heard()


def quick(**settings: Any) -> Pace:
    return Pace(seconds=0.01, **{"sleep": lambda seconds: None, **settings})


def plan(**fleet: Any) -> TrainingPlan:
    return TrainingPlan(DIGEST, {"recipe": "original", "seed": 0}, "image", Fleet(**fleet))


def job_of(account: Account, name: str, heard: Heard, pace: Pace | None = None) -> Job:
    return Job(account, name, TRAINING, heard.append, pace or quick())


def begin(account: Account, storage: Storage, heard: Heard, **fleet: Any) -> Job:
    wanted = plan(**fleet)
    job = job_of(account, wanted.job, heard)
    training.start(job, storage, wanted, "sample", role=ROLE)
    return job


def archived(folder: Path) -> bytes:
    """A model.tar.gz as SageMaker makes one of a job's model folder."""
    file = io.BytesIO()
    with tarfile.open(fileobj=file, mode="w:gz") as packed:
        packed.add(folder, ".")
    return file.getvalue()


def leave(storage: Storage, job: Job, content: bytes) -> None:
    address = job.describe()["ModelArtifacts"]["S3ModelArtifacts"]
    storage.put(address.removeprefix(f"s3://{storage.bucket}/"), content)


def keys(storage: Storage) -> list[str]:
    return [found.key for found in storage.keys("train-")]


def test_a_training_from_upload_to_bundle_leaves_nothing(
    account: Account, storage: Storage, heard: Heard, bundle: Bundle, tmp_path: Path
) -> None:
    job = begin(account, storage, heard)
    assert keys(storage) == [f"train-{DIGEST}/data/sample.jsonl"]
    assert bundle.path is not None
    leave(storage, job, archived(bundle.path))
    storage.put(f"train-{DIGEST}/checkpoints/checkpoint.safetensors", b"weights")
    write(account, f"{job.name}/algo-1-1", "  epoch  1/15  loss 0.69")
    description = job.watch()
    result = training.finish(job, training.storage_of(job), description, tmp_path / "out")
    assert result.bundle.card == bundle.card
    assert Bundle.load(tmp_path / "out").network == bundle.network
    assert "    epoch  1/15  loss 0.69" in heard
    assert re.search(rf"^{job.name}: \d+ s billed of 1 x ml.m5.xlarge, about \$", heard.text, re.MULTILINE)
    assert "plaudit down base takes them back" in heard[-1]
    assert keys(storage) == []
    assert logs.tail(account, TRAINING.group, job.name) == []


def test_keep_keeps(account: Account, storage: Storage, heard: Heard, bundle: Bundle, tmp_path: Path) -> None:
    job = begin(account, storage, heard)
    assert bundle.path is not None
    leave(storage, job, archived(bundle.path))
    write(account, f"{job.name}/algo-1-1", "a line")
    training.finish(job, storage, job.watch(), tmp_path / "out", keep=True)
    assert len(keys(storage)) == 2
    assert heard[-1] == f"kept: s3://{storage.bucket}/train-{DIGEST}/"
    assert logs.tail(account, TRAINING.group, job.name) == ["a line"]


def test_an_archive_writes_nowhere_but_into_the_bundle(
    account: Account, storage: Storage, heard: Heard, bundle: Bundle, tmp_path: Path
) -> None:
    file = io.BytesIO()
    with tarfile.open(fileobj=file, mode="w:gz") as packed:
        for name in ("../escaped", "/tmp/plaudit-escaped", "code/inference.py"):
            entry = tarfile.TarInfo(name)
            entry.size = 4
            packed.addfile(entry, io.BytesIO(b"evil"))
        for name in ("card.json", "manifest.json"):
            link = tarfile.TarInfo(name)
            link.type, link.linkname = tarfile.SYMTYPE, "/etc/passwd"
            packed.addfile(link)
    job = begin(account, storage, heard)
    leave(storage, job, file.getvalue())
    with pytest.raises(PlaceError, match=r"holds no sound bundle: model.tar.gz is not to be trusted: .*outside"):
        training.finish(job, storage, job.watch(), tmp_path / "a" / "out")
    assert not list(tmp_path.rglob("escaped"))
    assert not Path("/tmp/plaudit-escaped").exists()
    assert not (tmp_path / "a" / "out").exists()


@pytest.mark.parametrize("damage", ["cut", "flipped", "no archive"])
def test_a_damaged_bundle_is_kept_and_said(
    account: Account, storage: Storage, heard: Heard, bundle: Bundle, tmp_path: Path, damage: str
) -> None:
    assert bundle.path is not None
    copy = tmp_path / "copy"
    copy.mkdir()
    for path in bundle.path.iterdir():
        (copy / path.name).write_bytes(path.read_bytes())
    if damage == "flipped":
        (copy / "vocabulary.txt").write_text("another\n")
    content = {"cut": archived(copy)[:5000], "flipped": archived(copy), "no archive": b"hello"}[damage]
    job = begin(account, storage, heard)
    leave(storage, job, content)
    with pytest.raises(PlaceError, match=rf"holds no sound bundle: .*about \$.*plaudit down train-{DIGEST}"):
        training.finish(job, storage, job.watch(), tmp_path / "out")
    assert not (tmp_path / "out").exists()
    assert any(key.endswith("model.tar.gz") for key in keys(storage))


def test_a_completed_job_without_a_bundle_says_so(
    account: Account, storage: Storage, heard: Heard, tmp_path: Path
) -> None:
    job = begin(account, storage, heard)
    with pytest.raises(PlaceError, match=r"left no bundle \(0 s billed .*; the same command starts again"):
        training.finish(job, storage, job.watch(), tmp_path / "out")
    assert keys(storage) == []


@pytest.mark.parametrize("status", ["InProgress", "Stopping"])
def test_the_same_training_is_not_started_twice(account: Account, storage: Storage, heard: Heard, status: str) -> None:
    stub = Stubber(account.client("sagemaker"))
    summary = {
        "TrainingJobName": "plaudit-original-x", "TrainingJobArn": "arn:aws:sagemaker:us-east-1:1:training-job/x",
        "CreationTime": NOW, "TrainingJobStatus": status,
    }  # fmt: skip
    for asked in dict.fromkeys(("InProgress", status)):
        found = [summary] if asked == status else []
        wanted = {"NameContains": DIGEST, "StatusEquals": asked}
        stub.add_response("list_training_jobs", {"TrainingJobSummaries": found}, wanted)
    with stub, pytest.raises(UsageError, match="runs already: plaudit train --attach plaudit-original-x"):
        begin(account, storage, heard)
    assert keys(storage) == []


def refuse(account: Account, code: str, message: str) -> Stubber:
    stub = Stubber(account.client("sagemaker"))
    for _ in range(2):
        stub.add_response("list_training_jobs", {"TrainingJobSummaries": []})
    stub.add_client_error("create_training_job", code, message)
    return stub


@pytest.mark.parametrize(
    ("code", "message", "cause", "cure"),
    [
        ("ValidationException", f"Could not assume role {ROLE}. Please ensure that the role exists", "Could not assume",
         "name a role that SageMaker may take, or leave --role out"),
        ("ResourceLimitExceeded", "The account-level service limit 'ml.g5.xlarge for training job usage' is 0",
         "ml.g5.xlarge for training job usage' is 0", "ask for more under Service Quotas, or take another --instance"),
        ("ValidationException", "Cannot find the training image 1.dkr.ecr.us-east-1.amazonaws.com/x", "Cannot find",
         "take another --image"),
        ("AccessDeniedException", "not authorized", "may not call CreateTrainingJob", ""),
    ],
)  # fmt: skip
def test_a_refused_start_leaves_nothing(
    account: Account, storage: Storage, heard: Heard, code: str, message: str, cause: str, cure: str
) -> None:
    with refuse(account, code, message), pytest.raises(Refused) as caught:
        begin(account, storage, heard)
    said = str(caught.value)
    assert cause in said
    assert "the job did not start, so nothing is billed" in said
    assert cure in said
    assert "\n" not in said
    assert keys(storage) == []


def test_a_role_that_was_just_made_is_waited_for(account: Account, storage: Storage, heard: Heard) -> None:
    stub, wanted = Stubber(account.client("sagemaker")), plan()
    for _ in range(2):
        stub.add_response("list_training_jobs", {"TrainingJobSummaries": []})
    for _ in range(2):
        stub.add_client_error("create_training_job", "ValidationException", "Could not assume role arn:x")
    stub.add_response("create_training_job", {"TrainingJobArn": "arn:aws:sagemaker:us-east-1:1:training-job/x"})
    with stub:
        training.start(job_of(account, wanted.job, heard), storage, wanted, "sample", role=ROLE, new_role=True)
    stub.assert_no_pending_responses()
    assert heard.text.count("the role is too new") == 2
    assert keys(storage) == [f"train-{DIGEST}/data/sample.jsonl"]


def test_a_start_that_fails_keeps_an_earlier_jobs_checkpoint(account: Account, storage: Storage, heard: Heard) -> None:
    storage.put(f"train-{DIGEST}/checkpoints/checkpoint.safetensors", b"weights")
    with refuse(account, "ResourceLimitExceeded", "limit"), pytest.raises(Refused):
        begin(account, storage, heard)
    assert keys(storage) == [f"train-{DIGEST}/checkpoints/checkpoint.safetensors"]


def nowhere() -> int:
    """A port that nothing listens on."""
    with socket.socket() as unused:
        unused.bind(("127.0.0.1", 0))
        return int(unused.getsockname()[1])


def cut_off(monkeypatch: pytest.MonkeyPatch, port: int) -> Account:
    """An account whose SageMaker is at ``port`` of this machine."""
    monkeypatch.setenv("AWS_ENDPOINT_URL_SAGEMAKER", f"http://127.0.0.1:{port}")
    account = Account()
    client = account.client("sagemaker", retries={"total_max_attempts": 1})
    account._clients["sagemaker"] = client
    return account


def test_a_connection_lost_while_starting_keeps_what_the_job_may_need(
    storage: Storage, heard: Heard, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(training, "_running", lambda account, digest: None)
    account, wanted = cut_off(monkeypatch, nowhere()), plan()
    with pytest.raises(Unsure, match=f"not known whether .* plaudit train --attach {wanted.job}"):
        training.start(job_of(account, wanted.job, heard), storage, wanted, "sample", role=ROLE)
    assert keys(storage) == [f"train-{DIGEST}/data/sample.jsonl"]


def described(state: str = "InProgress", **fields: Any) -> dict[str, Any]:
    """What SageMaker says of a job."""
    return {
        "TrainingJobName": "job", "TrainingJobArn": "arn:aws:sagemaker:us-east-1:1:training-job/job",
        "ModelArtifacts": {"S3ModelArtifacts": f"s3://bucket/train-{DIGEST}/output/job/output/model.tar.gz"},
        "TrainingJobStatus": state, "SecondaryStatus": state if state != "InProgress" else "Training",
        "AlgorithmSpecification": {"TrainingInputMode": "File"},
        "ResourceConfig": {"InstanceType": "ml.m5.xlarge", "InstanceCount": 2, "VolumeSizeInGB": 20},
        "StoppingCondition": {"MaxRuntimeInSeconds": 3600}, "CreationTime": NOW,
        "TrainingStartTime": NOW - timedelta(seconds=1800),
        "OutputDataConfig": {"S3OutputPath": f"s3://bucket/train-{DIGEST}/output/"},
        "SecondaryStatusTransitions": [], **fields,
    }  # fmt: skip


def step(status: str, message: str) -> dict[str, Any]:
    return {"Status": status, "StartTime": NOW, "StatusMessage": message}


def watched(account: Account, *answers: dict[str, Any], pace: Pace | None = None) -> tuple[dict[str, Any], Heard]:
    heard = Heard()
    with Stubber(account.client("sagemaker")) as stub:
        for answer in answers:
            stub.add_response("describe_training_job", answer, {"TrainingJobName": "job"})
        found = job_of(account, "job", heard, pace).watch()
        stub.assert_no_pending_responses()
    return found, heard


def test_each_state_is_told_once_and_a_spot_interruption_in_words(account: Account) -> None:
    first = [step("Starting", "Starting the training job")]
    second = [step("Starting", "Preparing the instances"), step("Downloading", "Downloading input data")]
    third = [*second, step("Interrupted", "Training job interrupted"), step("Starting", "Insufficient capacity")]
    fourth = [*third, step("Training", "Training image download completed"), step("Completed", "Completed")]
    done = described(
        "Completed", SecondaryStatusTransitions=fourth, TrainingEndTime=NOW, TrainingTimeInSeconds=1000,
        BillableTimeInSeconds=300, EnableManagedSpotTraining=True,
    )  # fmt: skip
    steps = [described(SecondaryStatusTransitions=found) for found in (first, second, second, third)]
    found, heard = watched(account, *steps, done)
    assert heard == [
        "starting     Starting the training job",
        "starting     Preparing the instances",
        "downloading  Downloading input data",
        "interrupted  Training job interrupted (spot took the machine back; the job resumes from its checkpoint)",
        "starting     Insufficient capacity",
        "training     Training image download completed",
        "completed    Completed",
    ]
    bill = job_of(account, "job", heard).bill(found)
    assert str(bill) == "300 s billed of 2 x ml.m5.xlarge, about $0.04, 70% saved by spot"
    assert (bill.to_json()["dollars"], bill.to_json()["spot_saving"]) == (0.038333, 0.7)


def test_a_price_that_is_not_in_the_table_is_said(account: Account) -> None:
    config = {"InstanceType": "ml.p5.48xlarge", "InstanceCount": 1, "VolumeSizeInGB": 20}
    bill = job_of(account, "job", Heard()).bill(described("Completed", ResourceConfig=config, TrainingEndTime=NOW))
    assert str(bill) == "1,800 s billed of 1 x ml.p5.48xlarge, a price that is not in Plaudit's table"
    assert "not in Plaudit's price table" in bill.rate


def test_a_running_job_is_billed_from_its_start_to_now(account: Account) -> None:
    started = datetime.now(UTC) - timedelta(seconds=1800)
    bill = job_of(account, "job", Heard()).bill(described(TrainingStartTime=started))
    assert 1790 <= bill.seconds <= 1900
    assert job_of(account, "job", Heard()).bill(described(TrainingStartTime=None)).seconds == 0


def test_ctrl_c_stops_watching_and_says_what_the_job_costs(account: Account) -> None:
    def interrupted(seconds: float) -> None:
        raise KeyboardInterrupt

    with pytest.raises(Detached) as caught:
        watched(account, described(), pace=quick(sleep=interrupted))
    assert str(caught.value) == (
        "the job goes on and costs $0.46 an hour: plaudit train --attach job watches it, plaudit train --stop job"
        " ends it"
    )
    assert caught.value.exit_code == 130


def test_a_lost_connection_is_waited_for(credentials: None, monkeypatch: pytest.MonkeyPatch, heard: Heard) -> None:
    """Nothing listens at first; the third look finds SageMaker back."""
    port, looks = nowhere(), 0
    account = cut_off(monkeypatch, port)
    monkeypatch.setattr(logs, "follow", lambda *place: iter([["a line"]] + [[]] * 9))

    async def describe(request: Any) -> JSONResponse:
        assert request.headers["x-amz-target"] == "SageMaker.DescribeTrainingJob"
        answer = {key: value for key, value in described("Completed").items() if not isinstance(value, datetime)}
        return JSONResponse(answer, media_type="application/x-amz-json-1.1")

    with ExitStack() as stack:

        def sleep(seconds: float) -> None:
            nonlocal looks
            looks += 1
            if looks == 2:
                stack.enter_context(live(Starlette(routes=[Route("/", describe, methods=["POST"])]), port))

        found = job_of(account, "job", heard, quick(sleep=sleep)).watch()
    assert found["TrainingJobStatus"] == "Completed"
    assert heard == [
        "the connection to AWS is lost; the job goes on, and so does the watching …",
        "completed",
        "  a line",
    ]
    assert looks == 2


def test_a_long_outage_ends_with_the_command_that_goes_on(
    credentials: None, monkeypatch: pytest.MonkeyPatch, heard: Heard
) -> None:
    account = cut_off(monkeypatch, nowhere())
    clock = iter(range(0, 10_000, 600))
    pace = quick(patience=1800.0, clock=lambda: float(next(clock)))
    with pytest.raises(
        Unreached, match=r"not been reached for 30 minutes; the job goes on: plaudit train --attach job"
    ):
        job_of(account, "job", heard, pace).watch()


def test_throttling_is_waited_for(account: Account, heard: Heard) -> None:
    with Stubber(account.client("sagemaker")) as stub:
        stub.add_client_error("describe_training_job", "ThrottlingException", "Rate exceeded")
        stub.add_response("describe_training_job", described("Completed"))
        assert job_of(account, "job", heard).watch()["TrainingJobStatus"] == "Completed"


def test_credentials_that_run_out_say_how_to_go_on(account: Account, heard: Heard) -> None:
    with Stubber(account.client("sagemaker")) as stub:
        stub.add_client_error("describe_training_job", "ExpiredTokenException", "expired")
        with pytest.raises(UsageError, match=r"aws sso login.*the job goes on: plaudit train --attach job"):
            job_of(account, "job", heard).watch()


def test_a_log_that_may_not_be_read_is_said_once(account: Account, monkeypatch: pytest.MonkeyPatch) -> None:
    def denied(*place: Any) -> Iterator[list[str]]:
        raise Refused("looking for the log: not you", "AccessDeniedException")
        yield []

    monkeypatch.setattr(logs, "follow", denied)
    _, heard = watched(account, described(), described(), described("Completed"))
    assert heard.text.count("without its log here") == 1


def ended(account: Account, storage: Storage, heard: Heard, **fields: Any) -> dict[str, Any]:
    state = fields.pop("state", "Failed")
    return described(
        state, OutputDataConfig={"S3OutputPath": f"s3://{storage.bucket}/train-{DIGEST}/output/"},
        ModelArtifacts={"S3ModelArtifacts": ""}, TrainingEndTime=NOW, BillableTimeInSeconds=1800,
        TrainingTimeInSeconds=1800, **fields,
    )  # fmt: skip


def fill(storage: Storage, *, checkpoint: bool) -> None:
    storage.put(f"train-{DIGEST}/data/sample.jsonl", b"data")
    storage.put(f"train-{DIGEST}/output/job/output/output.tar.gz", b"failure")
    if checkpoint:
        storage.put(f"train-{DIGEST}/checkpoints/checkpoint.safetensors", b"weights")


def test_a_failed_job_ends_in_a_sentence_with_the_cause_and_leaves_nothing(
    account: Account, storage: Storage, heard: Heard, tmp_path: Path
) -> None:
    fill(storage, checkpoint=False)
    write(account, "job/algo-1-1", *(f"line {number}" for number in range(30)), at=int(time.time() * 1000))
    reason = "AlgorithmError: reading\nthe training reviews hold only one label, exit code: 2"
    description = ended(account, storage, heard, FailureReason=reason)
    with pytest.raises(PlaceError) as caught:
        training.finish(job_of(account, "job", heard), storage, description, tmp_path / "out")
    assert str(caught.value) == (
        "job failed: the training reviews hold only one label, exit code: 2 (1,800 s billed of 2 x ml.m5.xlarge,"
        " about $0.23); the same command starts again"
    )
    assert heard == [*(f"  line {number}" for number in range(10, 30)), *(f"  {line}" for line in reason.splitlines())]
    assert keys(storage) == []
    assert logs.tail(account, TRAINING.group, "job/") == []


def test_a_failed_job_with_a_checkpoint_says_that_it_resumes_and_how_to_remove_it(
    account: Account, storage: Storage, heard: Heard, tmp_path: Path
) -> None:
    fill(storage, checkpoint=True)
    description = ended(account, storage, heard, FailureReason="InternalServerError: We encountered an internal error.")
    with pytest.raises(PlaceError, match=rf"goes on from its checkpoint, plaudit down train-{DIGEST} removes it"):
        training.finish(job_of(account, "job", heard), storage, description, tmp_path / "out")
    assert keys(storage) == [f"train-{DIGEST}/checkpoints/checkpoint.safetensors"]


def test_no_machine_to_be_had_is_said_with_what_to_do(
    account: Account, storage: Storage, heard: Heard, tmp_path: Path
) -> None:
    reason = "CapacityError: Unable to provision requested ML compute capacity. Please retry."
    description = ended(account, storage, heard, FailureReason=reason)
    with pytest.raises(PlaceError, match="take another --instance or --region, or try again later"):
        training.finish(job_of(account, "job", heard), storage, description, tmp_path / "out")


@pytest.mark.parametrize(
    ("secondary", "sentence"),
    [
        ("MaxRuntimeExceeded", "job reached its --max-hours"),
        ("MaxWaitTimeExceeded", "job got no spot machine for long enough"),
        ("Stopped", "job was stopped"),
    ],
)
def test_a_stopped_job_keeps_its_checkpoint(
    account: Account, storage: Storage, heard: Heard, tmp_path: Path, secondary: str, sentence: str
) -> None:
    fill(storage, checkpoint=True)
    description = ended(account, storage, heard, state="Stopped", SecondaryStatus=secondary)
    with pytest.raises(training.Stopped) as caught:
        training.finish(job_of(account, "job", heard), storage, description, tmp_path / "out")
    assert str(caught.value).startswith(sentence)
    assert "goes on from its checkpoint" in str(caught.value)
    assert keys(storage) == [f"train-{DIGEST}/checkpoints/checkpoint.safetensors"]


def test_a_job_stopped_after_its_bundle_was_written_is_not_lost(
    account: Account, storage: Storage, heard: Heard, bundle: Bundle, tmp_path: Path
) -> None:
    assert bundle.path is not None
    address = storage.put(f"train-{DIGEST}/output/job/output/model.tar.gz", archived(bundle.path))
    description = ended(account, storage, heard, state="Stopped", SecondaryStatus="Stopped")
    description["ModelArtifacts"] = {"S3ModelArtifacts": address}
    result = training.finish(job_of(account, "job", heard), storage, description, tmp_path / "out")
    assert result.bundle.card == bundle.card


def test_stopping_asks_sagemaker_and_leaves_an_ended_job_as_it_is(account: Account, heard: Heard) -> None:
    with Stubber(account.client("sagemaker")) as stub:
        stub.add_response("stop_training_job", {}, {"TrainingJobName": "job"})
        job_of(account, "job", heard).stop()
        stub.add_client_error("stop_training_job", "ValidationException", "The request was rejected because ...")
        stub.add_response("describe_training_job", described("Completed"))
        job_of(account, "job", heard).stop()
        stub.add_client_error("stop_training_job", "AccessDeniedException", "not you")
        with pytest.raises(Refused, match="may not call StopTrainingJob"):
            job_of(account, "job", heard).stop()
        stub.assert_no_pending_responses()


def test_only_a_training_of_plaudits_own_is_touched(account: Account, heard: Heard) -> None:
    with Stubber(account.client("sagemaker")) as stub:
        for output in ("s3://bucket/", "s3://bucket/models/output/", f"s3://bucket/x/train-{DIGEST}/output/"):
            stub.add_response("describe_training_job", described(OutputDataConfig={"S3OutputPath": output}))
            with pytest.raises(UsageError, match="no training of Plaudit's"):
                training.storage_of(job_of(account, "job", heard))


def test_a_job_that_is_not_there_is_said_with_the_region(account: Account, heard: Heard) -> None:
    with pytest.raises(UsageError, match="there is no training job nothing in us-east-1"):
        training.storage_of(job_of(account, "nothing", heard))


def test_what_cannot_be_removed_is_said_and_loses_no_bundle(
    account: Account, storage: Storage, heard: Heard, bundle: Bundle, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    job = begin(account, storage, heard)
    assert bundle.path is not None
    leave(storage, job, archived(bundle.path))

    def denied(*given: Any) -> int:
        raise Refused("removing: not you", "AccessDenied")

    monkeypatch.setattr(Storage, "remove", denied)
    monkeypatch.setattr(logs, "remove", denied)
    assert training.finish(job, storage, job.watch(), tmp_path / "out").bundle.card == bundle.card
    assert heard.text.count("left behind: ") == 2


def test_ctrl_c_while_sending_leaves_nothing(
    account: Account, storage: Storage, heard: Heard, monkeypatch: pytest.MonkeyPatch
) -> None:
    def interrupted(*given: Any) -> None:
        raise KeyboardInterrupt

    monkeypatch.setattr(Job, "create", interrupted)
    with pytest.raises(KeyboardInterrupt):
        begin(account, storage, heard)
    assert keys(storage) == []


def test_ctrl_c_after_the_start_says_that_the_job_runs(
    account: Account, storage: Storage, heard: Heard, monkeypatch: pytest.MonkeyPatch
) -> None:
    create = Job.create

    def late(job: Job, *given: Any) -> None:
        create(job, *given)
        raise KeyboardInterrupt

    monkeypatch.setattr(Job, "create", late)
    with pytest.raises(Detached, match="the job has started: plaudit train --attach plaudit-original"):
        begin(account, storage, heard)
    assert keys(storage) == [f"train-{DIGEST}/data/sample.jsonl"]
