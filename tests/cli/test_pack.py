"""`plaudit pack` and `plaudit doctor model.tar.gz`, as a user meets them."""

from __future__ import annotations

import json
import subprocess
import sys
import tarfile
from pathlib import Path

import pytest

from plaudit.bundle.bundle import Bundle
from plaudit.places.aws.parts import Target

HERE = Target.here()


def plaudit(*arguments: str | Path, cwd: Path) -> subprocess.CompletedProcess[str]:
    command = [sys.executable, "-m", "plaudit", *map(str, arguments)]
    return subprocess.run(command, cwd=cwd, capture_output=True, text=True, check=False)


@pytest.fixture(scope="module")
def packed(bundle: Bundle, tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, subprocess.CompletedProcess[str]]:
    """The archive of this Python, and what `plaudit pack` said."""
    folder = tmp_path_factory.mktemp("packed")
    assert bundle.path is not None
    return folder / "model.tar.gz", plaudit("pack", bundle.path, "--python", HERE.python, cwd=folder)


def test_it_says_what_is_in_it_and_what_comes_next(
    packed: tuple[Path, subprocess.CompletedProcess[str]], bundle: Bundle
) -> None:
    path, done = packed
    assert done.returncode == 0
    first, *parts = done.stdout.splitlines()
    assert first.startswith("model.tar.gz   ")
    assert first.endswith(" MB unpacked")
    assert [line.split()[0] for line in parts[:3]] == ["bundle", "code", "code/lib"]
    assert f"for Python {HERE.python} on {HERE.machine}: numpy " in done.stdout
    assert "plaudit doctor model.tar.gz" in done.stderr
    assert f"plaudit deploy {bundle.path} --to sagemaker" in done.stderr
    assert path.stat().st_size > 10_000_000


def test_doctor_finds_it_sound(packed: tuple[Path, subprocess.CompletedProcess[str]]) -> None:
    path, _ = packed
    done = plaudit("doctor", path.name, cwd=path.parent)
    assert done.returncode == 0
    assert done.stdout.splitlines()[-1] == "model.tar.gz is sound"
    assert "'A wonderful film.' is positive" in done.stdout


def test_doctor_gives_json_and_need_not_run_anything(packed: tuple[Path, subprocess.CompletedProcess[str]]) -> None:
    path, _ = packed
    found = json.loads(plaudit("doctor", path.name, "--json", "--no-run", cwd=path.parent).stdout)
    assert found["sound"] is True
    told = plaudit("doctor", path.name, "--no-run", cwd=path.parent)
    assert told.returncode == 0
    last = "model.tar.gz is sound, as far as it was looked at; its code was not run"
    assert told.stdout.splitlines()[-1] == last
    assert [finding["state"] for finding in found["findings"] if finding["check"] == "answer"] == ["note"]


def test_doctor_fails_on_an_archive_that_is_cut_short(
    packed: tuple[Path, subprocess.CompletedProcess[str]], tmp_path: Path
) -> None:
    (tmp_path / "short.tar.gz").write_bytes(packed[0].read_bytes()[:1_000_000])
    done = plaudit("doctor", "short.tar.gz", cwd=tmp_path)
    assert done.returncode == 2
    assert done.stdout.splitlines()[-1] == "short.tar.gz is not sound"
    assert "Traceback" not in done.stdout + done.stderr


@pytest.mark.parametrize("name", ["model.tar.gz", "notes.txt"])
def test_doctor_fails_on_what_is_no_archive(name: str, tmp_path: Path) -> None:
    (tmp_path / "notes.txt").write_text("mine")
    done = plaudit("doctor", name, cwd=tmp_path)
    assert done.returncode == 2
    assert done.stderr == ""
    assert "wrong: " in done.stdout


def test_json_tells_the_sizes(bundle: Bundle, tmp_path: Path) -> None:
    assert bundle.path is not None
    done = plaudit("pack", bundle.path, "--out", "deep/er/m.tar.gz", "--no-wheels", "--json", cwd=tmp_path)
    found = json.loads(done.stdout)
    assert found["bytes"] == (tmp_path / "deep" / "er" / "m.tar.gz").stat().st_size
    assert found["unpacked_bytes"] == sum(found["parts"].values())
    assert (found["python"], found["machine"], found["wheels"]) == ("3.13", "x86_64", {})


@pytest.mark.parametrize(
    ("arguments", "sentence"),
    [
        (("--python", "2.7"), "Invalid value for '--python': '2.7' is not one of '3.11', '3.12', '3.13'."),
        (("--machine", "z80"), "Invalid value for '--machine': 'z80' is not one of 'x86-64', 'aarch64'."),
        (("--out", "notes.txt"), "notes.txt is there and is no archive: name another file with --out"),
    ],
)
def test_a_wrong_call_is_one_sentence(
    arguments: tuple[str, ...], sentence: str, bundle: Bundle, tmp_path: Path
) -> None:
    assert bundle.path is not None
    (tmp_path / "notes.txt").write_text("mine")
    done = plaudit("pack", bundle.path, *arguments, cwd=tmp_path)
    assert done.returncode == 2
    assert done.stderr.splitlines()[0] == f"plaudit: {sentence}"
    assert "Traceback" not in done.stderr
    assert (tmp_path / "notes.txt").read_text() == "mine"


@pytest.mark.parametrize("written", ["x86_64", "x86-64"])
def test_a_machine_may_be_written_either_way_and_is_shown_one_way(written: str, bundle: Bundle, tmp_path: Path) -> None:
    assert bundle.path is not None
    done = plaudit("pack", bundle.path, "--machine", written, "--no-wheels", "--json", cwd=tmp_path)
    assert json.loads(done.stdout)["machine"] == "x86_64"
    assert "--machine [x86_64|aarch64]" in plaudit("pack", "--help", cwd=tmp_path).stdout


def test_a_bundle_that_was_only_tarred_is_to_be_packed(bundle: Bundle, tmp_path: Path) -> None:
    assert bundle.path is not None
    with tarfile.open(tmp_path / "flat.tar.gz", "w:gz") as flat, tarfile.open(tmp_path / "deep.tar.gz", "w:gz") as deep:
        flat.add(bundle.path, ".")
        deep.add(bundle.path, "mine")
    for name in ("flat.tar.gz", "deep.tar.gz"):
        done = plaudit("doctor", name, cwd=tmp_path)
        assert done.returncode == 2
        assert "without the code that answers with it: plaudit pack makes the archive" in done.stdout


def test_without_a_bundle_it_says_how_to_make_one(tmp_path: Path) -> None:
    done = plaudit("pack", "nowhere", cwd=tmp_path)
    assert done.returncode == 2
    assert "nowhere: there is no bundle" in done.stderr
    assert list(tmp_path.iterdir()) == []
