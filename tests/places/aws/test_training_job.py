"""A training job's request, code and data, without a call: AWS's own model of the request is the judge."""

from __future__ import annotations

import inspect
import json
import os
import re
import subprocess
import sys
import tarfile
from dataclasses import replace
from datetime import date
from importlib import import_module
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

import plaudit
from plaudit.bundle.bundle import Bundle
from plaudit.cli.train import command
from plaudit.errors import UsageError
from plaudit.learning.lines import METRICS
from plaudit.learning.recipes import RECIPES
from plaudit.places.aws import images, limits
from plaudit.places.aws.parts import TRAINING, VECTORS, Target, package, unpacked
from plaudit.places.aws.training_job import (
    CHANNEL,
    SOURCES,
    TARGET,
    Fleet,
    TrainingPlan,
    data_name,
    digest_of,
    job_request,
    reviews_file,
    source_archive,
    source_key,
    volume_for,
)
from plaudit.text.sources import read_reviews
from tests.places.aws.shapes import assert_valid

environment, mapping, params = (
    import_module(f"sagemaker_training.{name}") for name in ("environment", "mapping", "params")
)
# The toolkit sets it at its import, and every `plaudit train` that a later test starts would take itself for a job.
os.environ.pop("SAGEMAKER_BASE_DIR", None)
ROLE = "arn:aws:iam::123456789012:role/plaudit-base-TrainingRole"
IMAGE = images.uri(images.choose("train", today=date(2026, 11, 1)), "us-east-1")
DIGEST = "0123456789ab"


def request(plan: TrainingPlan) -> dict[str, Any]:
    bucket = "plaudit-123456789012-us-east-1"
    return job_request(
        plan, bucket=bucket, region="us-east-1", role=ROLE, source=f"s3://{bucket}/{SOURCES}x/sourcedir.tar.gz",
        data=f"s3://{bucket}/{plan.prefix}data/reviews.csv",
    )  # fmt: skip


def plan(fleet: Fleet | None = None, **flags: Any) -> TrainingPlan:
    return TrainingPlan(DIGEST, {"recipe": "original", "seed": 0, **flags}, IMAGE, fleet or Fleet())


fleets = st.builds(
    Fleet,
    instance=st.sampled_from(["ml.m5.xlarge", "ml.g5.xlarge", "ml.c7i-flex.xlarge", "ml.p4d.24xlarge", "ml.t3.medium"]),
    count=st.integers(1, 100),
    spot=st.booleans(),
    max_seconds=st.integers(*limits.TRAINING_SECONDS),
    volume_gb=st.integers(1, 1000),
)
flags = st.dictionaries(
    st.sampled_from(["epochs", "hidden_dim", "learning_rate", "text_column", "positive", "dropout"]),
    st.one_of(st.integers(0, 10**6), st.floats(0, 1), st.text(max_size=200)),
)


@given(fleet=fleets, recipe=st.sampled_from(list(RECIPES)), given=flags)
def test_every_request_is_one_that_aws_takes(fleet: Fleet, recipe: str, given: dict[str, Any]) -> None:
    found = request(TrainingPlan(DIGEST, {"recipe": recipe, "seed": 0, **given}, IMAGE, fleet))
    assert_valid("sagemaker", "CreateTrainingJob", found)
    stopping = found["StoppingCondition"]
    assert fleet.spot == ("MaxWaitTimeInSeconds" in stopping)
    longest = limits.TRAINING_SECONDS[1]
    assert stopping["MaxRuntimeInSeconds"] <= stopping.get("MaxWaitTimeInSeconds", longest) <= longest


def test_a_request_says_where_everything_is() -> None:
    found = request(plan())
    where = f"s3://plaudit-123456789012-us-east-1/train-{DIGEST}"
    assert re.fullmatch(rf"plaudit-original-{DIGEST}-\d{{8}}-\d{{6}}", found["TrainingJobName"])
    assert found["CheckpointConfig"] == {"S3Uri": f"{where}/checkpoints/", "LocalPath": "/opt/ml/checkpoints"}
    assert found["OutputDataConfig"]["S3OutputPath"] == f"{where}/output/"
    assert found["InputDataConfig"][0]["DataSource"]["S3DataSource"]["S3Uri"] == f"{where}/data/reviews.csv"
    assert {"Key": "plaudit:name", "Value": f"train-{DIGEST}"} in found["Tags"]
    assert found["AlgorithmSpecification"]["TrainingImage"] == IMAGE
    assert "sagemaker_torch_distributed_enabled" not in found["HyperParameters"]


def test_several_machines_are_started_by_torchrun() -> None:
    found = request(plan(Fleet(count=3)))["HyperParameters"]
    assert found["sagemaker_torch_distributed_enabled"] == "true"
    assert json.loads(found["sagemaker_instance_type"]) == "ml.m5.xlarge"
    # The name of the switch is the toolkit's own.
    assert "sagemaker_torch_distributed_enabled" in inspect.getsource(environment)


def test_the_toolkit_reads_the_hyperparameters_as_flags_of_ours(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    given = {"epochs": 3, "learning_rate": 0.001, "text_column": "the text, in a column", "positive": "5"}
    file = tmp_path / "hyperparameters.json"
    file.write_text(json.dumps(request(plan(None, **given))["HyperParameters"]))
    monkeypatch.setattr(environment, "hyperparameters_file_dir", str(file))
    read = mapping.split_by_criteria(
        environment.read_hyperparameters(), keys=params.SAGEMAKER_HYPERPARAMETERS, prefix=params.SAGEMAKER_PREFIX
    )
    arguments = [str(argument) for argument in mapping.to_cmd_args(read.excluded)]
    parsed = command.make_context(
        "train", [a.replace("_", "-") if a.startswith("--") else a for a in arguments], resilient_parsing=False
    ).params
    assert {name: parsed[name] for name in ("recipe", "seed", *given)} == {"recipe": "original", "seed": 0, **given}
    assert read.included["sagemaker_program"] == "train.py"


@pytest.mark.parametrize(
    ("fleet", "sentence"),
    [
        ({"instance": "m5.xlarge"}, "m5.xlarge is no instance type"),
        ({"instance": "ml.m5"}, "ml.m5 is no instance type"),
        ({"count": 0}, "at least 1 machine"),
        ({"max_seconds": 59}, "between a minute and 28 days"),
        ({"max_seconds": limits.TRAINING_SECONDS[1] + 1}, "28 days"),
    ],
)
def test_a_fleet_over_a_limit_is_refused_by_name(fleet: dict[str, Any], sentence: str) -> None:
    with pytest.raises(UsageError, match=sentence):
        Fleet(**fleet)


def test_the_machine_decides_the_image() -> None:
    assert [Fleet(f"ml.{name}.xlarge").accelerator for name in ("m5", "c7i", "g5", "g6e", "p3")] == [
        "cpu", "cpu", "cuda", "cuda", "cuda",
    ]  # fmt: skip
    with pytest.raises(UsageError, match="has no GPU that torch trains on"):
        _ = Fleet("ml.trn1.2xlarge").accelerator


def test_hyperparameters_over_a_limit_are_refused_by_name() -> None:
    with pytest.raises(UsageError, match=r"--text-column has 2,502 characters: SageMaker takes 2,500"):
        request(plan(text_column="x" * limits.HYPERPARAMETER_CHARACTERS))
    with pytest.raises(UsageError, match=rf"SageMaker takes {limits.HYPERPARAMETERS}"):
        request(plan(None, **{f"setting_{number}": number for number in range(limits.HYPERPARAMETERS)}))
    with pytest.raises(UsageError, match="63 characters"):
        request(TrainingPlan(DIGEST, {"recipe": "a-recipe-with-a-name-that-goes-on"}, IMAGE, Fleet()))


def test_every_recipe_leaves_room_for_its_jobs_name() -> None:
    for recipe in RECIPES:
        assert len(TrainingPlan(DIGEST, {"recipe": recipe}, IMAGE).job) <= 63


def test_the_images_have_the_python_that_code_is_gathered_for() -> None:
    assert {image.python for image in images.IMAGES if image.purpose == "train"} == {TARGET.python}


def test_the_digest_is_of_what_decides_the_result() -> None:
    assert digest_of("data", {"a": 1, "b": 2}, 0) == digest_of("data", {"b": 2, "a": 1}, 0)
    assert digest_of("data", {"a": 1}, 0) != digest_of("data", {"a": 1}, 1)
    assert re.fullmatch("[0-9a-f]{12}", digest_of("data"))


def test_the_sample_is_a_file() -> None:
    with reviews_file("sample") as path:
        assert read_reviews(str(path)).fingerprint == read_reviews("sample").fingerprint


def test_a_folder_of_imdb_is_sent_whole_with_its_films(tmp_path: Path) -> None:
    for half in ("train", "test"):
        for label in ("pos", "neg"):
            folder = tmp_path / "data" / "aclImdb" / half / label
            folder.mkdir(parents=True)
            for number in range(4):
                (folder / f"{number}_7.txt").write_text(f"{half} {label} {number}")
            urls = [f"http://www.imdb.com/title/tt{number // 2}/usercomments" for number in range(4)]
            (folder.parent / f"urls_{label}.txt").write_text("\n".join(urls))
    (tmp_path / "data" / "aclImdb" / "train" / "unsup").mkdir()
    (tmp_path / "data" / "aclImdb" / "train" / "unsup" / "0_0.txt").write_text("left here")
    for named in (tmp_path / "data", tmp_path / "data" / "aclImdb"):
        here = read_reviews(str(named))
        with reviews_file(str(named)) as path:
            there = read_reviews(str(path))
            with tarfile.open(path) as archive:
                assert not any("unsup" in name for name in archive.getnames())
        assert (there.fingerprint, [r.group for r in there.train]) == (here.fingerprint, [r.group for r in here.train])


def test_names_that_a_job_would_pass_over_are_changed() -> None:
    assert [data_name(Path(name)) for name in ("reviews.csv", "_my reviews.csv", ".h.tsv", "__")] == [
        "reviews.csv", "my-reviews.csv", "h.tsv", "reviews",
    ]  # fmt: skip
    assert volume_for(0) < volume_for(10 * 2**30)


@pytest.fixture(scope="module")
def archive(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The job's code for this Python."""
    return source_archive(tmp_path_factory.mktemp("source") / "sourcedir.tar.gz", target=Target.here())


@pytest.fixture(scope="module")
def source(archive: Path) -> Path:
    """The job's code, unpacked."""
    with tarfile.open(archive) as packed:
        packed.extractall(archive.parent / "code", filter="data")
    return archive.parent / "code"


def test_the_same_code_is_the_same_bytes(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("plaudit.places.aws.training_job.unpacked", lambda *given: {"numpy/__init__.py": b"x = 1"})
    one, other = (source_archive(tmp_path / name / "sourcedir.tar.gz") for name in ("one", "other"))
    assert one.read_bytes() == other.read_bytes()


def test_the_code_is_the_package_and_its_parts_and_nothing_else(source: Path) -> None:
    assert {path.name for path in source.iterdir()} == {"train.py", "plaudit", "lib"}
    rooms = {path.name for path in (source / "plaudit").iterdir() if path.is_dir()}
    assert rooms == {"bundle", "cli", "learning", "shipped", "text"}
    own = Path(plaudit.__file__).parent
    sent = [path.relative_to(source / "plaudit") for path in (source / "plaudit").rglob("*.py")]
    assert all((own / path).exists() for path in sent)
    assert not (source / "lib" / "torch").exists()
    assert {"numpy", "onnxruntime", "pyarrow"} <= {path.name for path in (source / "lib").iterdir()}
    assert "click" in TRAINING


def test_the_code_trains_beside_torch_alone(source: Path, tmp_path: Path) -> None:
    """With nothing on the path but torch and what torch needs, as in the image; no part of this checkout."""
    import torch

    site = Path(torch.__file__).parents[1]
    beside = tmp_path / "image"
    beside.mkdir()
    for name in ("torch", "torchgen", "functorch", "sympy", "mpmath", "networkx", "jinja2", "markupsafe", "fsspec",
                 "filelock", "typing_extensions.py", "setuptools", "packaging"):  # fmt: skip
        if (site / name).exists():
            (beside / name).symlink_to(site / name)
    program = (
        f"import sys, runpy; sys.path.append({str(beside)!r}); sys.argv = ['train.py', 'sample', '--epochs', '1',"
        f" '--phrases', '0', '--out', {str(tmp_path / 'bundle')!r}];"
        f" runpy.run_path({str(source / 'train.py')!r}, run_name='__main__')"
    )
    done = subprocess.run(
        [sys.executable, "-I", "-S", "-c", program], cwd=tmp_path, capture_output=True, text=True, check=False,
        env={"PATH": os.environ["PATH"], "HOME": str(tmp_path), "OMP_NUM_THREADS": "1"}, timeout=180,
    )  # fmt: skip
    assert done.returncode == 0, done.stderr
    assert (tmp_path / "bundle" / "manifest.json").exists()
    line = next(line for line in done.stderr.splitlines() if "epoch" in line)
    assert all(re.search(regex, line) for regex in METRICS.values()), line


def test_a_training_with_document_vectors_brings_what_finds_them(tmp_path: Path) -> None:
    """Compiled and run with nothing on the path but what is sent."""
    with_vectors = replace(plan(None), vectors=True)
    assert set(with_vectors.libraries) == {*TRAINING, *VECTORS}
    assert source_key(with_vectors.libraries) != source_key(plan(None).libraries)
    needed = ("ml_dtypes", "numpy", "regex", "safetensors", "tqdm", *VECTORS)
    assert set(needed) <= set(with_vectors.libraries)
    for path, content in {**package("learning", "text"), **unpacked(needed, Target.here())}.items():
        (tmp_path / path).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / path).write_bytes(content)
    program = (
        f"import sys; sys.path.append({str(tmp_path)!r});"
        " from plaudit.learning.document_vectors import DocumentVectors;"
        " from plaudit.learning.schedule import VectorSettings; from plaudit.text.ngrams import NgramCounts;"
        " counts = NgramCounts.of([['good', 'film'], ['bad', 'film']], 1, 1);"
        " print(DocumentVectors(counts, VectorSettings(dim=4, epochs=1)).run().shape)"
    )
    done = subprocess.run(
        [sys.executable, "-I", "-S", "-c", program], cwd=tmp_path, capture_output=True, text=True, check=False,
        env={"HOME": str(tmp_path), "OMP_NUM_THREADS": "1"}, timeout=180,
    )  # fmt: skip
    assert done.returncode == 0, done.stderr
    assert done.stdout.strip() == "(2, 4)"


def test_the_toolkit_runs_the_request_with_the_code_as_it_is_sent(archive: Path, tmp_path: Path) -> None:
    """The real toolkit, the real hyperparameters, the real archive: only S3's addresses are this disk's."""
    with reviews_file("sample") as path:
        channel = tmp_path / "input" / "data" / CHANNEL
        channel.mkdir(parents=True)
        (channel / data_name(path)).write_bytes(path.read_bytes())
    found = request(plan(None, epochs=2, hidden_dim=8))
    found["HyperParameters"]["sagemaker_submit_directory"] = json.dumps(str(archive))
    for folder in ("input/config", "model", "output", "checkpoints"):
        (tmp_path / folder).mkdir()
    for name, content in {
        "hyperparameters": found["HyperParameters"],
        "resourceconfig": {"current_host": "localhost", "hosts": ["localhost"]},
        "inputdataconfig": {CHANNEL: {"TrainingInputMode": "File"}},
    }.items():
        (tmp_path / "input" / "config" / f"{name}.json").write_text(json.dumps(content))
    own = {name: value for name, value in os.environ.items() if not name.startswith(("SM_", "SAGEMAKER_", "AWS_"))}
    done = subprocess.run(
        [str(Path(sys.executable).parent / "train")], cwd=tmp_path, capture_output=True, text=True, check=False,
        env={**own, "SAGEMAKER_BASE_DIR": str(tmp_path), "OMP_NUM_THREADS": "1", "AWS_EC2_METADATA_DISABLED": "true",
             "PATH": f"{Path(sys.executable).parent}{os.pathsep}{os.environ['PATH']}"}, timeout=180,
    )  # fmt: skip
    assert done.returncode == 0, done.stdout + done.stderr
    made = Bundle.load(tmp_path / "model")
    assert (made.card.recipe["name"], made.card.recipe["epochs"]) == ("original", 2)
    assert made.card.data["fingerprint"] == read_reviews("sample").fingerprint
    said = done.stdout + done.stderr
    assert len(re.findall(METRICS["validation:accuracy"], said)) >= 2
    assert "SM_HP_" not in said


def test_the_codes_key_changes_with_the_code(monkeypatch: pytest.MonkeyPatch) -> None:
    key = source_key()
    assert key.startswith("base/")
    assert key == source_key()
    code = {**package("cli"), "plaudit/version.py": b"__version__ = 'another'"}
    monkeypatch.setattr("plaudit.places.aws.training_job.package", lambda *rooms: code)
    assert source_key() != key
