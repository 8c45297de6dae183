"""`plaudit train` as SageMaker runs it: under the real sagemaker-training toolkit, and as the SDK's ModelTrainer."""

from __future__ import annotations

import csv
import json
import os
import re
import signal
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
import torch
from safetensors.torch import load as from_safetensors

from plaudit.bundle.bundle import Bundle
from plaudit.bundle.classifier import Classifier
from plaudit.cli.job import FAILURE_CHARACTERS, Job, ending
from plaudit.errors import UsageError
from plaudit.learning.checkpoint import NAME
from plaudit.learning.recipes import Recipe
from plaudit.text.prepared import prepare
from plaudit.text.reviews import Review, Reviews

TOOLKIT = Path(sys.executable).parent / "train"
SCRIPT = """
import os, sys
sys.path.insert(0, os.path.dirname(os.path.abspath(__file__)))
from plaudit.cli.main import main
main(["train", *sys.argv[1:]])
"""
QUICK = {"recipe": "original", "epochs": 2, "hidden_dim": 16, "seed": 7}


def write_reviews(path: Path, reviews: list[Review]) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    with path.open("w", newline="", encoding="utf-8") as file:
        rows = csv.writer(file)
        rows.writerow(("text", "label"))
        rows.writerows((review.text, review.label) for review in reviews)


@pytest.fixture
def base(sample: Reviews, tmp_path: Path) -> Path:
    """A folder laid out as SageMaker lays out /opt/ml, with reviews in the channel `train`."""
    write_reviews(tmp_path / "input" / "data" / "train" / "reviews.csv", list(sample.train[:400]))
    for folder in ("input/config", "model", "output", "code"):
        (tmp_path / folder).mkdir()
    (tmp_path / "code" / "train.py").write_text(SCRIPT)
    config = {
        "resourceconfig": {"current_host": "localhost", "hosts": ["localhost"]},
        "inputdataconfig": {"train": {"TrainingInputMode": "File"}},
    }
    for name, content in config.items():
        (tmp_path / "input" / "config" / f"{name}.json").write_text(json.dumps(content))
    return tmp_path


def environment(**variables: str | Path) -> dict[str, str]:
    """This process's environment without anything of SageMaker, and with ``variables``."""
    kept = {name: value for name, value in os.environ.items() if not name.startswith(("SM_", "SAGEMAKER_"))}
    path = f"{TOOLKIT.parent}{os.pathsep}{os.environ['PATH']}"
    given = {name: str(value) for name, value in variables.items()}
    return {**kept, "PATH": path, "OMP_NUM_THREADS": "1", "AWS_EC2_METADATA_DISABLED": "true", **given}


def start(base: Path, hyperparameters: dict[str, Any], **variables: str | Path) -> subprocess.Popen[str]:
    """The toolkit's own `train`, in a process group of its own. CreateTrainingJob takes strings, here of JSON."""
    own = {"sagemaker_program": "train.py", "sagemaker_submit_directory": str(base / "code")}
    content = {name: json.dumps(value) for name, value in {**own, **hyperparameters}.items()}
    (base / "input" / "config" / "hyperparameters.json").write_text(json.dumps(content))
    return subprocess.Popen(
        [TOOLKIT],
        cwd=base,
        env=environment(SAGEMAKER_BASE_DIR=base, **variables),
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        start_new_session=True,
    )


def finish(running: subprocess.Popen[str]) -> str:
    """What the job said until its end."""
    try:
        return running.communicate(timeout=100)[0]
    finally:
        if running.poll() is None:
            os.killpg(running.pid, signal.SIGKILL)


def script(base: Path, *arguments: str, **variables: str | Path) -> subprocess.CompletedProcess[str]:
    """The job's script, called as a front end calls it."""
    call = [sys.executable, str(base / "code" / "train.py"), *arguments]
    return subprocess.run(
        call, cwd=base, env=environment(**variables), capture_output=True, text=True, check=False, timeout=100
    )


def weights(folder: Path) -> dict[str, torch.Tensor]:
    return from_safetensors(Bundle.load(folder).weights)


def test_hyperparameters_go_in_and_a_bundle_comes_out(base: Path) -> None:
    sagemakers = {"sagemaker_job_name": "mine", "sagemaker_region": "eu-west-1", "_tuning_objective_metric": "x"}
    running = start(base, {**QUICK, **sagemakers, "batch_size": 32, "positive": "negative"})
    said = finish(running)
    assert running.returncode == 0, said
    bundle = Bundle.load(base / "model")
    assert {**bundle.card.recipe, "seed": bundle.card.training["seed"]}.items() >= {
        **QUICK,
        "batch_size": 32,
    }.items() - {("recipe", "original")}
    assert bundle.card.recipe["name"] == "original"
    assert bundle.card.labels == ("positive", "negative")
    assert Classifier(bundle).verdict("A wonderful film").label in bundle.card.labels
    assert re.search(r"epoch +2/2  loss", said)
    assert (base / "output" / "success").exists()
    assert not (base / "output" / "failure").exists()
    assert list((base / "checkpoints").iterdir()) == []


def test_a_failing_job_leaves_its_reason(base: Path) -> None:
    with (base / "input" / "data" / "train" / "reviews.csv").open("a") as file:
        file.write(",positive\n")
    running = start(base, QUICK)
    said = finish(running)
    assert running.returncode == 1
    reason = (base / "output" / "failure").read_text()
    assert reason.endswith("the column 'text' is empty")
    assert len(reason) <= FAILURE_CHARACTERS
    assert "Failure file exists. Skipping creation" in said
    assert list((base / "model").iterdir()) == []


def test_a_fault_of_ours_leaves_the_end_of_its_traceback(base: Path) -> None:
    deep = "import plaudit.cli.train as t\ndef f(n):\n    return g(n - 1) if n else 1 / 0\ndef g(n):\n    return f(n)\n"
    source = SCRIPT.replace("main([", f"{deep}t.read_reviews = lambda *_: f(300)\nmain([")
    (base / "code" / "train.py").write_text(source)
    done = script(base, SAGEMAKER_BASE_DIR=base)
    assert done.returncode == 1
    reason = (base / "output" / "failure").read_text()
    assert reason.splitlines()[-1] == "ZeroDivisionError: division by zero"
    assert "return g(n - 1) if n else 1 / 0" in reason
    assert 500 < len(reason) <= FAILURE_CHARACTERS


@pytest.mark.parametrize(
    ("hyperparameters", "reason"),
    [
        (["--epocs", "3"], "--epocs"),
        (["--epochs", "3.5"], "'3.5' is not a valid integer"),
        (["--epochs", "0"], "epochs lies between 1"),
        (["--reviews", "nowhere.csv"], "nowhere.csv: there is no such file"),
        (["--json", "True"], "True: there is no such file"),
    ],
)
def test_no_hyperparameter_is_ignored(hyperparameters: list[str], reason: str, base: Path) -> None:
    done = script(base, *hyperparameters, SAGEMAKER_BASE_DIR=base)
    assert done.returncode == 2
    assert reason in (base / "output" / "failure").read_text()
    assert reason in done.stderr


def test_a_stopped_job_goes_on_from_its_checkpoint_and_ends_the_same(base: Path, tmp_path_factory: Any) -> None:
    """The toolkit does not pass SIGTERM on: it dies of it. So the signal goes to its process group, as the kernel's own
    end of a container does, and as a container whose entry point is the script itself gets it."""
    slow = {**QUICK, "epochs": 8, "batch_size": 4}
    running = start(base, slow)
    assert running.stdout is not None
    for line in running.stdout:
        if re.search(r"epoch +2/8", line):
            os.killpg(running.pid, signal.SIGTERM)
            break
    said = finish(running)
    assert running.returncode == -signal.SIGTERM
    assert "with a checkpoint: run the same command to go on" in said
    assert (base / "checkpoints" / NAME).exists()
    assert not (base / "output" / "failure").exists()
    resumed = start(base, slow)
    said = finish(resumed)
    assert resumed.returncode == 0, said
    assert re.search(r"going on after [2-7] of 8 epochs and \d+ batches", said)
    whole = tmp_path_factory.mktemp("whole")
    flags = [text for name, value in slow.items() for text in (f"--{name}", str(value))]
    table = str(base / "input" / "data" / "train" / "reviews.csv")
    done = script(base, table, "--out", str(whole / "bundle"), *flags)
    assert done.returncode == 0, done.stderr
    expected = weights(whole / "bundle")
    found = weights(base / "model")
    assert all(torch.equal(value, found[name]) for name, value in expected.items())


def test_sigterm_ends_the_script_with_143(base: Path) -> None:
    small = ["--recipe", "original", "--hidden_dim", "16", "--epochs", "50", "--batch_size", "4"]
    call = [sys.executable, str(base / "code" / "train.py"), *small]
    given = environment(SAGEMAKER_BASE_DIR=base)
    running = subprocess.Popen(call, env=given, stderr=subprocess.PIPE, text=True)
    assert running.stderr is not None
    for line in running.stderr:
        if "epoch" in line:
            running.terminate()
            break
    finish(running)
    assert running.returncode == 128 + signal.SIGTERM
    assert not (base / "output" / "failure").exists()


def test_the_sdks_variables_say_where_everything_is(base: Path, sample: Reviews, tmp_path: Path) -> None:
    """ModelTrainer exports no SAGEMAKER_BASE_DIR, and calls the script with the hyperparameters in their own order."""
    elsewhere = tmp_path / "elsewhere"
    write_reviews(elsewhere / "data" / "training" / "mine.csv", list(sample.train[:200]))
    (elsewhere / "output").mkdir()
    given: dict[str, str | Path] = {
        "SM_INPUT_DIR": elsewhere,
        "SM_INPUT_DATA_DIR": elsewhere / "data",
        "SM_CHANNEL_TRAINING": elsewhere / "data" / "training",
        "SM_CHANNELS": '["code", "sm_drivers", "training"]',
        "SM_MODEL_DIR": elsewhere / "model",
        "SM_OUTPUT_DIR": elsewhere / "output",
        "SM_OUTPUT_FAILURE": elsewhere / "output" / "failure",
        "SM_HPS": '{"epochs": 1}',
        "SM_HP_EPOCHS": "1",
        "SM_CURRENT_HOST_RANK": "0",
        "SM_MASTER_ADDR": "algo-1",
    }
    checkpoints = str(tmp_path / "kept")
    small = ("--recipe", "original", "--epochs", "1", "--hidden-dim", "8")
    done = script(base, *small, "--checkpoints", checkpoints, **given)
    assert done.returncode == 0, done.stderr
    assert Bundle.load(elsewhere / "model").card.recipe["hidden_dim"] == 8
    failing = script(base, "--epochs", "1", "--hidden-dim", "none", **given)
    assert failing.returncode == 2
    assert "'none' is not a valid integer" in (elsewhere / "output" / "failure").read_text()


LAUNCHER = """
from sagemaker_training import entry_point, environment, runner
def main():
    env = environment.Environment()
    entry_point.run(
        env.module_dir, env.user_entry_point, env.to_cmd_args(), env.to_env_vars(), capture_error=True,
        runner_type=runner.TorchDistributedRunnerType,
    )
"""


def test_the_toolkits_torchrun_trains_on_two_processes(base: Path) -> None:
    """AWS's PyTorch image names such a module, which takes this runner for ``sagemaker_torch_distributed_enabled``."""
    (base / "launcher.py").write_text(LAUNCHER)
    distributed = {"sagemaker_torch_distributed_enabled": True, "sagemaker_instance_type": "local"}
    processes = {"sagemaker_mpi_num_of_processes_per_host": 2}
    running = start(
        base, {**QUICK, **distributed, **processes}, SAGEMAKER_TRAINING_MODULE="launcher:main", PYTHONPATH=base
    )
    said = finish(running)
    assert running.returncode == 0, said
    assert "torchrun --nnodes 1 --nproc_per_node 2 train.py" in said
    assert len(re.findall(r"epoch +2/2  loss", said)) == 1
    assert Bundle.load(base / "model").card.training["seed"] == 7


def test_outside_of_a_job_the_reviews_have_to_be_named(base: Path) -> None:
    done = script(base)
    assert done.returncode == 2
    assert "plaudit train sample" in done.stderr
    twice = script(base, "sample", "--reviews", "sample")
    assert twice.returncode == 2
    assert "give the reviews once" in twice.stderr


def test_checkpoints_go_where_the_flag_says(base: Path) -> None:
    (base / "checkpoints").mkdir()
    kept = base / "kept"
    small = ["--recipe", "original", "--epochs", "1", "--hidden-dim", "8"]
    call = [sys.executable, str(base / "code" / "train.py"), "sample", *small, "--checkpoints", str(kept)]
    done = subprocess.run([*call, "--out", "made"], cwd=base, env=environment(), capture_output=True, check=False)
    assert done.returncode == 0
    assert kept.is_dir()
    assert list(kept.iterdir()) == []
    assert not (base / "made.checkpoint").exists()


def test_a_job_is_known_by_its_folders_or_its_variables(base: Path) -> None:
    assert Job.from_environment({}) is None or Path("/opt/ml/input/config").is_dir()
    job = Job.from_environment({"SAGEMAKER_BASE_DIR": str(base)})
    assert job is not None
    assert (job.model, job.checkpoints) == (base / "model", base / "checkpoints")
    assert job.failure == base / "output" / "failure"
    assert job.reviews() == str(base / "input" / "data" / "train" / "reviews.csv")
    other = Job.from_environment({"SM_MODEL_DIR": "/made", "SM_CHANNEL_TRAIN": str(base / "input" / "data" / "train")})
    assert other is not None
    assert other.model == Path("/made")
    assert other.reviews() == job.reviews()


def test_the_first_channel_that_exists_is_taken(base: Path) -> None:
    reviews, train = base / "input" / "data" / "reviews", base / "input" / "data" / "train"
    train.rename(reviews)
    missing = {"SAGEMAKER_BASE_DIR": str(base), "SM_CHANNEL_TRAINING": str(base / "nowhere")}
    job = Job.from_environment(missing)
    assert job is not None
    assert job.reviews() == str(reviews / "reviews.csv")
    reviews.rename(base / "input" / "data" / "other")
    with pytest.raises(UsageError, match=r"there is no channel with reviews, neither .*nowhere"):
        job.reviews()
    assert job.reviews("sample") == "sample"


def test_a_channel_holds_one_source(base: Path, sample: Reviews) -> None:
    channel = base / "input" / "data" / "train"
    job = Job.from_environment({"SAGEMAKER_BASE_DIR": str(base)})
    assert job is not None
    (channel / ".hidden").touch()
    (channel / "_SUCCESS").touch()
    assert job.reviews() == str(channel / "reviews.csv")
    (channel / "more.csv").touch()
    with pytest.raises(UsageError, match=r"holds more\.csv and reviews\.csv: name one with --reviews"):
        job.reviews()
    assert job.reviews("more.csv") == str(channel / "more.csv")
    for file in channel.iterdir():
        file.unlink()
    with pytest.raises(UsageError, match="is empty"):
        job.reviews()
    inner = channel / "prepared"
    prepare(sample, Recipe.of("original").reading).save(inner)
    assert job.reviews() == str(inner)
    for file in inner.iterdir():
        file.rename(channel / file.name)
    inner.rmdir()
    assert job.reviews() == str(channel)


def test_imdb_in_a_channel_is_its_archive_or_its_folder(base: Path) -> None:
    channel = base / "input" / "data" / "train"
    (channel / "reviews.csv").rename(channel / "aclImdb_v1.tar.gz")
    job = Job.from_environment({"SAGEMAKER_BASE_DIR": str(base)})
    assert job is not None
    assert job.reviews() == str(channel / "aclImdb_v1.tar.gz")
    (channel / "aclImdb_v1.tar.gz").unlink()
    for folder in ("train/pos", "test/neg"):
        (channel / "aclImdb" / folder).mkdir(parents=True)
    assert job.reviews() == str(channel)


def test_a_bundle_is_written_into_a_folder_that_stays(base: Path, bundle: Bundle) -> None:
    job = Job.from_environment({"SAGEMAKER_BASE_DIR": str(base)})
    assert job is not None
    before = job.model.stat().st_ino
    job.save(bundle, job.model)
    saved = job.save(bundle, job.model)
    assert job.model.stat().st_ino == before
    assert saved.weights == bundle.weights
    assert [entry.name for entry in base.iterdir() if entry.name.startswith(".")] == []


def test_the_first_reason_stays(base: Path) -> None:
    job = Job.from_environment({"SAGEMAKER_BASE_DIR": str(base)})
    assert job is not None
    job.fail("the cause")
    job.fail("what came of it")
    assert job.failure.read_text() == "the cause"


def test_a_reason_is_cut_at_its_beginning_and_keeps_its_last_line() -> None:
    assert ending("short\n") == "short"
    assert ending("a" * 900 + "\n" + "b" * 200 + "\nlast") == "b" * 200 + "\nlast"
    assert ending("x\n" + "é" * 2000) == "é" * FAILURE_CHARACTERS
    assert ending("") == ""
    exact = "a" * 1000 + "\n" + "b" * 23
    assert ending(exact) == exact
    assert ending("a" + exact) == "b" * 23
