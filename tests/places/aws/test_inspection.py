"""What `plaudit doctor` finds in an archive, and that every finding says what to do."""

from __future__ import annotations

import subprocess
import sys
import tempfile
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from plaudit.bundle.bundle import Bundle
from plaudit.places.aws import inspection
from plaudit.places.aws.archive import LIBRARY, contents, pack
from plaudit.places.aws.inspection import Finding, inspect
from plaudit.places.aws.limits import MIB, Limit
from plaudit.places.aws.packing import write_tar_gz
from plaudit.places.aws.parts import Target

HERE = Target.here()
TAG = f"cp{HERE.python.replace('.', '')}"


@pytest.fixture(scope="module")
def files(bundle: Bundle) -> dict[str, bytes]:
    """An archive's files, without wheels and without a list of them."""
    assert bundle.path is not None
    found = contents(bundle.path, HERE, vendored=False)
    return {name: content for name, content in found.items() if name != "code/requirements.txt"}


def wheels(
    tag: str = f"{TAG}-{TAG}-manylinux_2_28_{HERE.machine}", names: tuple[str, ...] = LIBRARY
) -> dict[str, bytes]:
    """What is left of wheels when there is nothing in them but their tags."""
    pure = ("anyio", "idna", "starlette", "typing_extensions")
    return {
        f"code/lib/{name}-1.0.dist-info/WHEEL": f"Tag: {'py3-none-any' if name in pure else tag}\n".encode()
        for name in names
    }


def looked_at(tmp_path: Path, found: dict[str, bytes], run: bool = True) -> list[Finding]:
    return list(inspect(write_tar_gz(tmp_path / "model.tar.gz", found), run).findings)


def the(check: str, findings: list[Finding]) -> Finding:
    (found,) = [finding for finding in findings if finding.check == check]
    return found


def test_what_pack_makes_is_sound_and_answers(bundle: Bundle, tmp_path: Path) -> None:
    assert bundle.path is not None
    found = inspect(pack(bundle.path, tmp_path / "model.tar.gz", HERE).path)
    assert found.sound
    assert {finding.check for finding in found.findings} == {
        "archive", "layout", "bundle", "size", "handlers", "wheels", "answer",
    }  # fmt: skip
    answer = the("answer", list(found.findings))
    assert answer.state == "sound"
    assert (
        f"in a clean process with Python {HERE.python} and nothing else: 'A wonderful film.' is positive" in answer.what
    )
    assert found.to_json()["sound"] is True
    assert {finding.state for finding in found.findings if finding.check != "wheels"} == {"sound"}


def test_a_truncated_archive_is_one_finding(files: dict[str, bytes], tmp_path: Path) -> None:
    path = write_tar_gz(tmp_path / "model.tar.gz", files)
    path.write_bytes(path.read_bytes()[:-9])
    found = inspect(path)
    assert not found.sound
    (only,) = found.findings
    assert only.check == "archive"
    assert "copy it again, or pack it again" in only.what


def test_a_missing_archive_says_how_to_make_one(tmp_path: Path) -> None:
    (only,) = inspect(tmp_path / "model.tar.gz").findings
    assert "there is no archive; make one with: plaudit pack --out" in only.what


@settings(max_examples=30, deadline=None)
@given(st.binary(max_size=2_000))
def test_any_bytes_are_looked_at_without_an_exception(content: bytes) -> None:
    with tempfile.TemporaryDirectory() as folder:
        (Path(folder) / "model.tar.gz").write_bytes(content)
        assert not inspect(Path(folder) / "model.tar.gz").sound


@pytest.mark.parametrize("name", ["code/inference.py", "config.yaml", "manifest.json", "vocabulary.txt"])
def test_a_missing_file_is_named(name: str, files: dict[str, bytes], tmp_path: Path) -> None:
    without = {path: content for path, content in files.items() if path != name}
    found = the("layout", looked_at(tmp_path, without))
    assert found == Finding("layout", "wrong", f"{name} missing: plaudit pack makes the archive again")


def test_a_missing_application_is_wrong(files: dict[str, bytes], tmp_path: Path) -> None:
    without = {path: content for path, content in files.items() if path != "plaudit_ray.py"}
    assert "config.yaml names no module that is there" in the("layout", looked_at(tmp_path, without)).what


def test_a_folder_around_it_all_is_recognised(files: dict[str, bytes], tmp_path: Path) -> None:
    found = the("layout", looked_at(tmp_path, {f"model/{path}": content for path, content in files.items()}))
    assert found.state == "wrong"
    assert "everything lies in the folder model" in found.what
    assert "tar -C model -czf model.tar.gz ." in found.what


def test_a_changed_bundle_is_wrong(files: dict[str, bytes], tmp_path: Path) -> None:
    found = the("bundle", looked_at(tmp_path, files | {"vocabulary.txt": files["vocabulary.txt"] + b"x"}))
    assert found.state == "wrong"
    assert found.what.startswith("vocabulary.txt is not the file that was saved")


@pytest.mark.parametrize(
    ("script", "sentence"),
    [
        (b"def model_fn(a, b, c): ...", "model_fn takes 3 arguments, and SageMaker gives 1 or 2"),
        (b"def model_fn(): ...", "model_fn takes 0 arguments"),
        (
            b"def model_fn(*, a): ...\ndef input_fn(a, *b, **c): ...\ndef output_fn(a): ...",
            "output_fn takes 1 arguments",
        ),
        (b"from plaudit.serving.handlers import model_fn, predict_fn, output_fn", "has no function input_fn"),
        (b"from plaudit.serving.formats import read_json as model_fn, choose_writer as input_fn", "input_fn takes 1"),
        (b"from plaudit.nowhere import model_fn", "has no function model_fn"),
        (b"from inference import model_fn", "has no function model_fn"),
        (b"def model_fn(", "has no function model_fn"),
        (b"\xff\x00", "has no function model_fn"),
        (b"(" * 100_000, "has no function model_fn"),
    ],
)
def test_handlers_that_sagemaker_cannot_call(
    script: bytes, sentence: str, files: dict[str, bytes], tmp_path: Path
) -> None:
    found = looked_at(tmp_path, files | wheels() | {"code/inference.py": script})
    wrong = [finding.what for finding in found if finding.check == "handlers" and finding.state == "wrong"]
    assert any(sentence in what for what in wrong)
    assert all("plaudit pack makes the archive again" in what for what in wrong)
    assert not [finding for finding in found if finding.check == "answer"], "what is wrong is not run"


def test_handlers_may_take_sagemaker_s_context(files: dict[str, bytes], tmp_path: Path) -> None:
    script = b"def model_fn(a, context): ...\ndef input_fn(a, b): ...\ndef predict_fn(a, b, c): ..."
    script += b"\ndef output_fn(a, b): ..."
    found = looked_at(tmp_path, files | {"code/inference.py": script}, run=False)
    assert the("handlers", found).state == "sound"


@pytest.mark.parametrize(
    ("script", "why"),
    [
        (b"import os\nos.abort()", "exit -6"),
        (b"raise ValueError('no')", "ValueError: no"),
        (b"import boto3", "ModuleNotFoundError: No module named 'boto3'"),
        (b"import pathlib\nassert pathlib.Path('card.json').exists()\nimport os\nassert not os.environ.get('HOME')\n"
         b"raise SystemExit('in the archive, without an environment')", "in the archive, without an environment"),
        (b"print('null')\nraise SystemExit", "exit 0"),
    ],
)  # fmt: skip
def test_code_that_gives_no_answer(script: bytes, why: str, files: dict[str, bytes], tmp_path: Path) -> None:
    handlers = b"\ndef model_fn(a): ...\ndef input_fn(a, b): ...\ndef predict_fn(a, b): ...\ndef output_fn(a, b): ..."
    found = the("answer", looked_at(tmp_path, files | wheels() | {"code/inference.py": script + handlers}))
    assert found.state == "wrong"
    assert f"its code gives no answer in a clean process ({why}" in found.what
    assert found.what.endswith("plaudit pack makes the archive again")


def test_a_wheel_that_is_missing_inside_is_found_by_running(files: dict[str, bytes], tmp_path: Path) -> None:
    found = the("answer", looked_at(tmp_path, files | wheels()))
    assert "No module named 'starlette'" in found.what or "No module named 'numpy'" in found.what


def test_code_that_never_ends(files: dict[str, bytes], tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(inspection, "SECONDS", 1)
    script = files["code/inference.py"].replace(b"import plaudit_path", b"while True: pass")
    found = the("answer", looked_at(tmp_path, files | wheels() | {"code/inference.py": script}))
    assert found.what == "its code gave no answer within 1 s: plaudit pack makes the archive again"


def test_nothing_runs_when_it_must_not(files: dict[str, bytes], tmp_path: Path) -> None:
    mark = tmp_path / "ran"
    script = files["code/inference.py"] + f"\nopen({str(mark)!r}, 'w')".encode()
    script = script.replace(b"import plaudit_path", b"")
    found = the("answer", looked_at(tmp_path, files | wheels() | {"code/inference.py": script}, run=False))
    assert found.state == "note"
    assert not mark.exists()


def test_wheels_for_another_python_are_not_run_and_it_says_how(
    files: dict[str, bytes], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("PATH", "")
    other = "3.13" if HERE.python != "3.13" else "3.12"
    tag = f"cp{other.replace('.', '')}"
    found = looked_at(tmp_path, files | wheels(f"{tag}-{tag}-manylinux_2_28_x86_64"))
    assert the("answer", found).state == "note"
    needs = f"that takes Linux on x86_64, with python{other} on the PATH"
    assert the("answer", found).what == f"its code was not run: {needs}"


@pytest.mark.parametrize(
    ("tag", "state", "sentence"),
    [
        (
            "cp313-cp313-manylinux_2_28_x86_64",
            "sound",
            "for Python 3.13 on x86_64, as in the image ray-2.59 and ray-2.54",
        ),
        ("cp312-cp312-manylinux2014_x86_64", "sound", "as in the image pytorch-inference-2.6"),
        (
            "cp311-cp311-manylinux_2_28_x86_64",
            "note",
            "which no image of AWS's has: plaudit pack --python 3.13 --machine x86_64",
        ),
        ("cp313-cp313-manylinux_2_28_aarch64", "note", "Python 3.13 on aarch64, which no image of AWS's has"),
        ("cp313-cp313-manylinux_2_39_x86_64", "wrong", "does not run on Linux with glibc 2.34 or older"),
        ("cp313-cp313-macosx_14_0_arm64", "wrong", "numpy, onnxruntime, regex in code/lib does not run on Linux"),
        ("cp310-abi3-manylinux_2_28_x86_64", "wrong", "are for Python ? on x86_64"),
    ],
)
def test_wheels_against_the_images(
    tag: str, state: str, sentence: str, files: dict[str, bytes], tmp_path: Path
) -> None:
    found = the("wheels", looked_at(tmp_path, files | wheels(tag), run=False))
    assert (found.state, sentence in found.what) == (state, True), found.what


def test_wheels_of_two_pythons(files: dict[str, bytes], tmp_path: Path) -> None:
    both = wheels("cp313-cp313-manylinux_2_28_x86_64") | wheels("cp312-cp312-manylinux_2_28_x86_64", ("regex",))
    found = the("wheels", looked_at(tmp_path, files | both, run=False))
    assert found.what.startswith("the wheels in code/lib are for Python 3.12 and 3.13 on x86_64: ")


def test_wheels_that_are_missing(files: dict[str, bytes], tmp_path: Path) -> None:
    found = the("wheels", looked_at(tmp_path, files | wheels(names=("numpy", "regex")), run=False))
    assert found.what == "code/lib has no anyio, idna, onnxruntime, starlette, typing_extensions: " + inspection.AGAIN


def test_an_archive_without_wheels_is_for_its_reader_to_judge(bundle: Bundle, tmp_path: Path) -> None:
    assert bundle.path is not None
    found = inspect(pack(bundle.path, tmp_path / "model.tar.gz", vendored=False).path)
    assert found.sound
    notes = [finding.what for finding in found.findings if finding.state == "note"]
    assert "that needs internet there; plaudit pack without --no-wheels brings them along" in notes[0]
    assert len(notes) == 3


def test_sizes_are_held_against_each_service(
    files: dict[str, bytes], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(inspection, "FUNCTION_UNZIPPED", Limit("a function", MIB, "take an endpoint"))
    monkeypatch.setattr(inspection, "REAL_TIME_VOLUME", Limit("a volume", 2 * MIB, "train a smaller model"))
    sizes = [finding for finding in looked_at(tmp_path, files, run=False) if finding.check == "size"]
    assert [finding.state for finding in sizes] == ["sound", "wrong", "note"]
    assert sizes[1].what.endswith(
        "MB is more than a volume takes (2.1 MB, which AWS calls 2 MB): train a smaller model"
    )
    assert sizes[0].what.endswith("of 5.4 GB, which AWS calls 5 GB: the disk of a serverless endpoint")


def test_looking_needs_no_boto3() -> None:
    program = "import sys; sys.modules['boto3'] = None; import plaudit.places.aws.inspection, plaudit.cli.pack"
    assert subprocess.run([sys.executable, "-c", program], check=False).returncode == 0
