"""The command line as a user meets it: each step in a process of its own, on a bundle that the tests trained."""

from __future__ import annotations

import json
import os
import shutil
import socket
import subprocess
import sys
from dataclasses import replace
from importlib.resources import files
from pathlib import Path

import pytest

from plaudit.bundle.bundle import Bundle
from plaudit.cli.main import STEPS
from plaudit.text.vocabulary import Vocabulary


def plaudit(*arguments: str | Path, cwd: Path, stdin: str | bytes | None = None) -> subprocess.CompletedProcess[str]:
    given = stdin.encode() if isinstance(stdin, str) else stdin
    done = subprocess.run(
        [sys.executable, "-m", "plaudit", *map(str, arguments)], cwd=cwd, input=given, capture_output=True, check=False
    )
    return subprocess.CompletedProcess(done.args, done.returncode, done.stdout.decode(), done.stderr.decode())


@pytest.fixture
def here(bundle: Bundle, tmp_path: Path) -> Path:
    """A folder in which `plaudit up` seems to have made a bundle."""
    assert bundle.path is not None
    shutil.copytree(bundle.path, tmp_path / ".plaudit" / "sample-lstm" / "bundle")
    return tmp_path


QUICK = ("--recipe", "original", "--epochs", "4", "--hidden_dim", "16")


def write_reviews(path: Path, rows: int = 60) -> Path:
    lines = ["stars,words"]
    for index in range(rows):
        good = index % 2
        lines.append(
            f"{'five' if good else 'one'},{'A lovely warm story' if good else 'A cold dull mess'} number {index}"
        )
    path.write_text("\n".join(lines) + "\n")
    return path


def test_bare_call_and_help_list_every_step(tmp_path: Path) -> None:
    bare, asked = plaudit(cwd=tmp_path), plaudit("--help", cwd=tmp_path)
    assert bare.returncode == asked.returncode == 0
    assert bare.stdout == asked.stdout
    assert all(f"  {step} " in asked.stdout for step in STEPS)


@pytest.mark.parametrize("step", STEPS)
def test_every_step_has_help_with_an_example(step: str, tmp_path: Path) -> None:
    done = plaudit(step, "--help", cwd=tmp_path)
    assert done.returncode == 0
    assert f"plaudit {step}" in done.stdout.split("Examples:")[1]
    assert list(tmp_path.iterdir()) == []


def test_predict_gives_one_verdict_a_line(here: Path) -> None:
    done = plaudit("predict", "A wonderful film", "Terrible,\na waste", cwd=here)
    first, second = done.stdout.splitlines()
    assert first.split("\t")[0] == "positive"
    assert second.split("\t")[0] == "negative"
    assert second.split("\t")[2] == "Terrible, a waste"
    assert 0.5 < float(first.split("\t")[1]) <= 1
    assert done.stderr == ""


def test_predict_reads_standard_input_and_files(here: Path) -> None:
    texts = "A wonderful film\nA boring mess\n"
    (here / "texts.txt").write_text(texts)
    (here / "texts.csv").write_text('words,label\n"A wonderful film",x\n"A boring mess",y\n')
    piped = plaudit("predict", cwd=here, stdin=texts)
    assert piped.stdout == plaudit("predict", "--file", "texts.txt", cwd=here).stdout
    assert piped.stdout == plaudit("predict", "--file", "texts.csv", "--text-column", "words", cwd=here).stdout
    assert [line.split("\t")[0] for line in piped.stdout.splitlines()] == ["positive", "negative"]


def test_predict_json_is_a_whole_verdict(here: Path) -> None:
    verdict = json.loads(plaudit("predict", "--json", "A wonderful film", cwd=here).stdout)
    assert verdict["label"] == "positive"
    assert verdict["bias"] + sum(word["contribution"] for word in verdict["words"]) == pytest.approx(verdict["score"])


def test_predict_says_when_it_knows_no_word(here: Path) -> None:
    done = plaudit("predict", "zzxx qqyy", cwd=here)
    assert "No word of this text is known" in done.stderr
    assert done.returncode == 0


def test_predict_explains(here: Path) -> None:
    assert "wonderful +" in plaudit("predict", "--explain", "A wonderful film", cwd=here).stdout


def test_bytes_that_are_not_utf8_are_named_with_their_line(here: Path) -> None:
    done = plaudit("predict", cwd=here, stdin=b"fine\n\xff\xfe\n")
    assert done.returncode == 2
    assert "standard input:2: not UTF-8" in done.stderr


@pytest.mark.parametrize(
    ("arguments", "sentence"),
    [
        (["predict", "x", "--bundle", "nowhere"], "there is no bundle"),
        (["predict", "x", "--file", "y"], "give texts or --file, not both"),
        (["predict", "--file", "nowhere.txt"], "there is no such file"),
        (["train", "nowhere.csv"], "there is no such file"),
        (["train", "sample", "--epochs", "0"], "epochs lies between 1"),
        (["train", "sample", "--epochs", "many"], "is not a valid integer"),
        (["trian"], "No such command"),
        (["evaluate", "sample", "--endpoint", "http://127.0.0.1:9", "--bundle", "b"], "give --endpoint alone"),
        (["evaluate", "sample", "--endpoint", "ftp://x"], "is not an address"),
        (["serve", "nowhere", "--port", "0"], "there is no bundle"),
        (["up", "sample", "--recipe", "none"], "'none' is not one of"),
        (["train", "sample", "--start", "nowhere"], "--start nowhere: no encoder there"),
        (["train", "sample", "--direction", "sideways"], "'sideways' is not one of"),
        (["pretrain", "nowhere.csv"], "there is no such file"),
    ],
)
def test_a_mistake_gets_one_sentence_and_exit_2(arguments: list[str], sentence: str, here: Path) -> None:
    done = plaudit(*arguments, cwd=here)
    assert done.returncode == 2
    assert sentence in done.stderr
    assert "Traceback" not in done.stderr
    assert done.stdout == ""


def test_without_a_bundle_of_ones_own_the_shipped_one_answers(tmp_path: Path) -> None:
    if not (files("plaudit") / "shipped" / "bundle" / "manifest.json").is_file():
        pytest.skip("no bundle is shipped yet")
    done = plaudit("predict", "A wonderful film", cwd=tmp_path)
    assert done.returncode == 0, done.stderr
    assert done.stdout.startswith("positive\t")
    assert list(tmp_path.iterdir()) == []


def test_an_endpoint_that_is_away_is_our_failure_with_the_next_command(here: Path) -> None:
    done = plaudit("evaluate", "sample", "--endpoint", "http://127.0.0.1:9", cwd=here)
    assert done.returncode == 1
    assert "plaudit serve" in done.stderr
    assert "Traceback" not in done.stderr


def test_prepare_train_evaluate_on_a_table_of_ones_own(tmp_path: Path) -> None:
    table = write_reviews(tmp_path / "mine.csv")
    columns = ["--text-column", "words", "--label-column", "stars"]
    prepared = plaudit(
        "prepare", table, "--out", "ready", "--recipe", "original", "--json", "--export", "csv", *columns, cwd=tmp_path
    )
    assert json.loads(prepared.stdout)["labels"] == ["five", "one"]
    assert len((tmp_path / "ready" / "train.csv").read_text().splitlines()) == 48
    trained = plaudit("train", "ready", "--out", "made", *QUICK, "--json", cwd=tmp_path)
    assert trained.returncode == 0, trained.stderr
    assert json.loads(trained.stdout)["recipe"]["hidden_dim"] == 16
    evaluated = plaudit(
        "evaluate", table, "--bundle", "made", "--html", "r.html", "--json", "--save", *columns, cwd=tmp_path
    )
    metrics = json.loads(evaluated.stdout)
    assert metrics["reviews"] == 12
    assert Bundle.load(tmp_path / "made").card.metrics["test"]["accuracy"] == metrics["accuracy"]
    report = (tmp_path / "r.html").read_text()
    assert "<svg" in report
    assert "Behavioural tests" not in report  # they are for other labels


@pytest.mark.parametrize("halves", ["", "test", "train test"])
def test_evaluate_all_scores_every_row(halves: str, here: Path) -> None:
    rows = [("A wonderful film", "positive"), ("Terrible, a waste of time", "negative")] * 10
    table = here / "mine.jsonl"
    with table.open("w") as file:
        for index, (text, label) in enumerate(rows):
            split = {"split": halves.split()[index // 2 % len(halves.split())]} if halves else {}
            file.write(json.dumps({"text": f"{text}, number {index}", "label": label, **split}) + "\n")
    done = plaudit("evaluate", table, "--all", "--json", cwd=here)
    assert done.returncode == 0, done.stderr
    assert json.loads(done.stdout)["reviews"] == 20
    assert "mine.jsonl: 20 reviews" in done.stderr
    held_out = {"": 4, "test": 20, "train test": 10}[halves]
    assert json.loads(plaudit("evaluate", table, "--json", cwd=here).stdout)["reviews"] == held_out


def test_train_replaces_nothing_that_is_not_a_bundle(tmp_path: Path) -> None:
    diary = tmp_path / "mine" / "diary.txt"
    diary.parent.mkdir()
    diary.write_text("from before")
    done = plaudit("train", "sample", "--out", "mine", cwd=tmp_path)
    assert done.returncode == 2
    assert "holds diary.txt, which is not a bundle's: name another folder" in done.stderr
    assert "Traceback" not in done.stderr
    assert diary.read_text() == "from before"
    assert list(tmp_path.rglob("*")) == [diary.parent, diary]


def test_up_on_a_taken_port_fails_before_anything_is_written(tmp_path: Path) -> None:
    with socket.create_server(("127.0.0.1", 0)) as place:
        port = str(place.getsockname()[1])
        done = plaudit("up", "sample", "--port", port, cwd=tmp_path)
    assert done.returncode == 2
    assert done.stdout == ""
    (said,) = done.stderr.splitlines()
    assert f"cannot listen on 127.0.0.1:{port}" in said
    assert said.endswith("choose another with --port")
    assert list(tmp_path.iterdir()) == []


def test_prepared_reviews_are_not_read_another_way(tmp_path: Path) -> None:
    plaudit("prepare", "sample", "--out", "ready", cwd=tmp_path)
    done = plaudit("train", "ready", "--max-words", "7", cwd=tmp_path)
    assert done.returncode == 2
    assert "prepare them again with --max-words" in done.stderr


def test_bad_reviews_are_named_before_anything_is_written(tmp_path: Path) -> None:
    table = write_reviews(tmp_path / "mine.csv")
    with table.open("a") as file:
        file.write("one,\n")
    columns = ["--text-column", "words", "--label-column", "stars"]
    for step in ("prepare", "train", "up"):
        done = plaudit(step, table, *columns, cwd=tmp_path)
        assert done.returncode == 2
        assert "mine.csv:62: the column 'words' is empty" in done.stderr
    assert list(tmp_path.iterdir()) == [table]


def test_a_third_label_is_learnt_but_not_by_the_original(tmp_path: Path) -> None:
    table = write_reviews(tmp_path / "mine.csv")
    with table.open("a") as file:
        file.writelines(f"three,A usual plain thing number {number}\n" for number in range(30))
    columns = ["--text-column", "words", "--label-column", "stars"]
    done = plaudit("train", table, "--recipe", "original", *columns, cwd=tmp_path)
    assert done.returncode == 2
    assert "the recipe original is for two labels, and there are 3" in done.stderr
    assert "--recipe lstm or linear" in done.stderr
    done = plaudit("train", table, "--recipe", "linear", "--out", "made", *columns, cwd=tmp_path)
    assert done.returncode == 0, done.stderr
    said = plaudit("predict", "--bundle", "made", "A usual plain thing", "A cold dull mess", cwd=tmp_path).stdout
    assert [line.split("\t")[0] for line in said.splitlines()] == ["three", "one"]
    metrics = json.loads(plaudit("evaluate", table, "--bundle", "made", "--json", *columns, cwd=tmp_path).stdout)
    assert metrics["accuracy"] > 0.9


def test_doctor_tells_what_is_there(here: Path) -> None:
    found = json.loads(plaudit("doctor", "--json", cwd=here).stdout)
    assert found["installed"]["onnxruntime"]
    assert found["bundles"][0]["sound"] is True
    assert "is sound" in plaudit("doctor", cwd=here).stdout


def test_doctor_finds_a_changed_byte(here: Path) -> None:
    damaged = here / ".plaudit" / "sample-lstm" / "bundle" / "vocabulary.txt"
    damaged.write_bytes(damaged.read_bytes() + b"x")
    done = plaudit("doctor", cwd=here)
    assert done.returncode == 2
    assert "vocabulary.txt is not the file that was saved" in done.stdout


def test_output_cut_short_by_its_reader_is_no_error(here: Path) -> None:
    command = f"{sys.executable} -m plaudit predict | head -1"
    texts = "A wonderful film\n" * 5000
    done = subprocess.run(command, shell=True, cwd=here, input=texts, capture_output=True, text=True, check=False)
    assert done.stdout.startswith("positive")
    assert done.stderr == ""


def test_importing_plaudit_is_light(tmp_path: Path) -> None:
    code = "import plaudit, sys; print([m for m in ('torch', 'onnxruntime', 'numpy', 'fastapi') if m in sys.modules])"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True, env={**os.environ})
    assert done.stdout.strip() == "[]"


def test_prepare_replaces_nobody_elses_file(tmp_path: Path) -> None:
    table = write_reviews(tmp_path / "train.csv")
    before = table.read_bytes()
    columns = ["--text-column", "words", "--label-column", "stars"]
    done = plaudit("prepare", table, "--out", ".", "--export", "csv", *columns, cwd=tmp_path)
    assert done.returncode == 2
    assert "holds train.csv, which was not prepared there" in done.stderr
    assert table.read_bytes() == before


def test_a_split_column_that_is_named_has_to_be_there(tmp_path: Path) -> None:
    table = write_reviews(tmp_path / "mine.csv")
    columns = ["--text-column", "words", "--label-column", "stars", "--split-column", "prat"]
    done = plaudit("train", table, *columns, cwd=tmp_path)
    assert done.returncode == 2
    assert "there is no column 'prat'" in done.stderr


def test_a_vocabulary_of_another_bundle_is_refused(bundle: Bundle, tmp_path: Path) -> None:
    longer = Vocabulary((*bundle.vocabulary.words, "onewordmore"))
    replace(bundle, vocabulary=longer).save(tmp_path / "mixed")
    done = plaudit("doctor", "mixed", cwd=tmp_path)
    assert done.returncode == 2
    assert "they are of two bundles" in done.stdout


@pytest.mark.parametrize("flags", [["--all"], []])
def test_figures_of_other_reviews_do_not_go_on_the_card(flags: list[str], here: Path) -> None:
    rows = [f"{'negative' if i % 2 else 'positive'},a text number {i}" for i in range(20)]
    (here / "other.csv").write_text("label,text\n" + "\n".join(rows) + "\n")
    done = plaudit("evaluate", "other.csv", "--save", *flags, cwd=here)
    assert done.returncode == 2
    assert "--save is for" in done.stderr


def test_a_place_that_cannot_be_written_is_one_sentence(here: Path) -> None:
    done = plaudit("evaluate", "sample", "--html", "/proc/nowhere/report.html", cwd=here)
    assert done.returncode == 2
    assert "/proc/nowhere" in done.stderr
    assert "Traceback" not in done.stderr
