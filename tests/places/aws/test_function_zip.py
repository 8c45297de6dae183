"""The function's zip: the same bytes twice, within the limits, for one Python and machine, and enough by itself."""

from __future__ import annotations

import ast
import json
import os
import shutil
import subprocess
import sys
import zipfile
from collections.abc import Iterator
from importlib.util import find_spec
from pathlib import Path
from typing import Any

import pytest

from plaudit.bundle.bundle import FILES, MANIFEST, Bundle
from plaudit.bundle.classifier import Classifier
from plaudit.errors import BundleError, UsageError
from plaudit.places.aws import function_zip as module
from plaudit.places.aws.function_zip import HANDLER, Built, build
from plaudit.places.aws.limits import FUNCTION_UNZIPPED, Limit, shown
from plaudit.places.aws.packing import digest
from plaudit.places.aws.parts import Target
from plaudit.serving.endpoint import endpoint
from tests.live import live, loaded
from tests.places.aws.test_function import JSON, http_api

REVIEWS = ["A wonderful film", "Terrible \U0001f600 <b>waste</b> of time", ""]
RUNTIME = ("boto3", "botocore", "s3transfer", "jmespath", "urllib3", "dateutil", "six")
"""What Lambda's own Python has installed, of what boto3 needs."""
LAMBDA = """
import importlib, json, sys
sys.path[:0] = json.loads(sys.argv[1])
assert not any("site-packages" in path for path in sys.path), sys.path
name, _, handler = sys.argv[2].rpartition(".")
answer = getattr(importlib.import_module(name), handler)
answers = [answer(event, None) for event in json.load(sys.stdin)]
json.dump({"answers": answers, "modules": sorted(sys.modules)}, sys.stdout)
"""
MACHINES = {"x86_64": 62, "aarch64": 183}


@pytest.fixture(scope="session")
def inside(bundle: Bundle, tmp_path_factory: pytest.TempPathFactory) -> Built:
    """The zip with a bundle inside, for this Python."""
    return build(tmp_path_factory.mktemp("inside") / "function.zip", bundle.path, target=Target.here())


@pytest.fixture(scope="session")
def outside(bundle: Bundle, tmp_path_factory: pytest.TempPathFactory) -> Built:
    """The zip of a function that asks an endpoint, for this Python."""
    return build(tmp_path_factory.mktemp("outside") / "function.zip", None, bundle.card, Target.here())


def unpack(built: Built, folder: Path) -> Path:
    with zipfile.ZipFile(built.path) as archive:
        archive.extractall(folder)
    return folder


def run(folder: Path, *more: Path, python: str = sys.executable, **environment: str) -> dict[str, Any]:
    """What a clean process answers that has the standard library, ``folder`` and ``more`` on its path."""
    events = [http_api("GET", "/"), http_api("GET", "/api/model")]
    events += [http_api("POST", "/api/reviews", json.dumps({"text": text}), **JSON) for text in REVIEWS]
    done = subprocess.run(
        [python, "-I", "-S", "-B", "-c", LAMBDA, json.dumps([str(folder), *map(str, more)]), HANDLER],
        input=json.dumps(events),
        capture_output=True,
        text=True,
        check=False,
        cwd=folder.parent,
        env=environment,
    )
    assert done.returncode == 0, done.stderr
    found: dict[str, Any] = json.loads(done.stdout)
    return found


def check(found: dict[str, Any], classifier: Classifier) -> None:
    """The page, the card, and the classifier's own verdicts."""
    page, card, *answers = found["answers"]
    assert (page["statusCode"], page["headers"]["content-type"]) == (200, "text/html; charset=utf-8")
    assert json.loads(card["body"])["name"] == classifier.card.name
    for text, answer in zip(REVIEWS, answers, strict=True):
        assert answer["statusCode"] == 200, answer["body"]
        verdict, expected = json.loads(answer["body"]), classifier.verdict(text).to_json()
        assert verdict["words"] == [
            {**word, "contribution": pytest.approx(word["contribution"], abs=1e-6)} for word in expected["words"]
        ]
        numbers = {name: pytest.approx(expected[name], abs=1e-5) for name in ("probability", "score", "scores")}
        assert verdict == {**expected, **numbers, "words": verdict["words"]}  # ONNX Runtime scores in the function


def test_the_zip_with_the_bundle_is_enough_by_itself(inside: Built, classifier: Classifier, tmp_path: Path) -> None:
    found = run(unpack(inside, tmp_path / "task"))
    check(found, classifier)
    assert not {"boto3", "torch", "onnx", "uvicorn", "click"} & set(found["modules"])


@pytest.fixture
def runtime(tmp_path: Path) -> Path:
    """A folder with boto3, as Lambda's Python has it, and nothing else."""
    (tmp_path / "runtime").mkdir()
    for name in RUNTIME:
        origin = Path(str((spec := find_spec(name)) and spec.origin))
        origin = origin.parent if origin.name == "__init__.py" else origin
        (tmp_path / "runtime" / origin.name).symlink_to(origin)
    return tmp_path / "runtime"


@pytest.fixture
def address(classifier: Classifier) -> Iterator[str]:
    app = endpoint(classifier)
    with live(app) as found:
        loaded(app)
        yield found


def test_the_zip_that_asks_an_endpoint_is_enough_beside_boto3(
    outside: Built, classifier: Classifier, runtime: Path, address: str, tmp_path: Path
) -> None:
    found = run(
        unpack(outside, tmp_path / "task"),
        runtime,
        PLAUDIT_ENDPOINT="sentiment",
        AWS_REGION="us-east-1",
        AWS_ACCESS_KEY_ID="dummy",
        AWS_SECRET_ACCESS_KEY="dummy",
        AWS_ENDPOINT_URL_SAGEMAKER_RUNTIME=address,
        NO_PROXY="127.0.0.1",
        HOME=str(tmp_path),
    )
    check(found, classifier)
    assert not {"numpy", "onnxruntime", "regex"} & set(found["modules"])


def test_every_place_that_the_function_imports_is_in_it() -> None:
    source = Path(module.__file__).parents[3]
    for path in module.PLACES:
        for node in ast.walk(ast.parse((source / path).read_text("utf-8"))):
            if isinstance(node, ast.ImportFrom) and (node.module or "").startswith("plaudit.places"):
                assert f"{str(node.module).replace('.', '/')}.py" in module.PLACES, path


def test_modules_come_as_bytecode(inside: Built, classifier: Classifier, tmp_path: Path) -> None:
    folder = unpack(inside, tmp_path / "task")
    assert inside.compiled
    sources = [path for path in folder.rglob("*.py") if "plaudit" in path.parts or "fastapi" in path.parts]
    assert len(sources) > 60
    for path in sources:
        path.write_text("raise ImportError('compiled at a cold start')")
    check(run(folder), classifier)


def test_the_same_inputs_give_the_same_bytes(
    inside: Built, bundle: Bundle, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    assert bundle.path
    copy = shutil.copytree(bundle.path, tmp_path / "elsewhere" / "bundle")
    for path in (copy, *copy.iterdir()):
        os.utime(path, (1, 1))
    monkeypatch.setenv("PYTHONHASHSEED", "7")
    monkeypatch.setenv("TMPDIR", str(tmp_path / "elsewhere"))
    again = build(tmp_path / "again.zip", copy, target=Target.here())
    assert again.path.read_bytes() == inside.path.read_bytes()
    assert again.digest == inside.digest == digest(inside.path)


def test_another_card_is_another_zip(outside: Built, tmp_path: Path) -> None:
    other = build(tmp_path / "function.zip", None, None, Target.here())
    assert other.digest != outside.digest
    assert "card.json" not in zipfile.ZipFile(other.path).namelist()


def test_sizes_are_within_lambdas_limits(inside: Built, outside: Built, capsys: pytest.CaptureFixture[str]) -> None:
    for built in (inside, outside):
        with zipfile.ZipFile(built.path) as archive:
            assert built.unzipped == sum(entry.file_size for entry in archive.infolist()) < FUNCTION_UNZIPPED.most
        assert built.zipped == built.path.stat().st_size
    assert inside.unzipped < 120e6
    assert outside.unzipped < 20e6
    with capsys.disabled():
        for what, built in (("with a bundle", inside), ("asking an endpoint", outside)):
            print(f"\n  {what}: {shown(built.zipped)} zipped, {shown(built.unzipped)} unzipped")


@pytest.mark.parametrize("machine", ["x86_64", "aarch64"])
def test_everything_in_it_is_for_one_python_and_machine(machine: str, bundle: Bundle, tmp_path: Path) -> None:
    built = build(tmp_path / "function.zip", bundle.path, target=Target("3.13", machine))
    assert built.unzipped < FUNCTION_UNZIPPED.most
    with zipfile.ZipFile(built.path) as archive:
        names = archive.namelist()
        libraries = [name for name in names if ".so" in Path(name).suffixes]
        for name in libraries:
            head = archive.open(name).read(20)
            assert head[:4] == b"\x7fELF", name
            assert int.from_bytes(head[18:20], "little") == MACHINES[machine], name
    tagged = [name for name in libraries if ".cpython-" in name]
    assert tagged
    assert all(f".cpython-313-{machine}-linux-gnu.so" in name for name in tagged)
    for part in ("onnxruntime/", "numpy/", "pydantic_core/", "regex/"):
        assert any(name.startswith(part) for name in tagged), part
    assert {f"bundle/{name}" for name in (*FILES, MANIFEST)} <= set(names)
    assert all(name.endswith(".cpython-313.pyc") for name in names if name.endswith(".pyc"))


def test_it_runs_on_lambdas_python(bundle: Bundle, classifier: Classifier, tmp_path: Path) -> None:
    python = module._interpreter(Target("3.13", Target.here().machine))
    if not python:
        pytest.skip("no python3.13 here")
    built = build(tmp_path / "function.zip", bundle.path, target=Target("3.13", Target.here().machine))
    check(run(unpack(built, tmp_path / "task"), python=python), classifier)


def test_without_the_targets_python_there_is_no_bytecode(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sys, "version_info", (3, 12, 0))
    monkeypatch.setenv("PATH", str(tmp_path))
    assert module._interpreter(Target("3.13")) is None
    fake = tmp_path / "python3.13"
    fake.write_text("#!/bin/sh\nexit 127\n")
    fake.chmod(0o755)
    assert module._interpreter(Target("3.13")) is None, "a command of that name which does not run is none"
    assert module._bytecode({"a.py": b"1"}, Target("3.13")) == {}


def test_more_than_lambda_takes_is_refused_with_the_limit(
    bundle: Bundle, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(module, "FUNCTION_UNZIPPED", Limit("a function", 1024 * 1024, "deploy it --to sagemaker"))
    with pytest.raises(UsageError, match=r"MB is more than a function takes \(1\.0 MB,.*deploy it --to sagemaker"):
        build(tmp_path / "function.zip", bundle.path, target=Target.here())
    assert not list(tmp_path.iterdir())


def test_a_damaged_bundle_is_not_packed(bundle: Bundle, tmp_path: Path) -> None:
    assert bundle.path
    copy = shutil.copytree(bundle.path, tmp_path / "bundle")
    (copy / "vocabulary.txt").write_text("other words")
    with pytest.raises(BundleError, match=r"vocabulary\.txt"):
        build(tmp_path / "function.zip", copy, target=Target.here())
    assert not (tmp_path / "function.zip").exists()
