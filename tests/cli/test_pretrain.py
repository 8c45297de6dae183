"""`plaudit pretrain` on a small table, and a training that starts from what it makes."""

from __future__ import annotations

import csv
import json
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest
from click.testing import CliRunner, Result

from plaudit.bundle.bundle import Bundle
from plaudit.cli import pretrain
from plaudit.cli.train import command as train
from plaudit.errors import MissingExtra, UsageError
from plaudit.learning.pretrained import FILES, Pretrained
from plaudit.learning.watch import Interrupted
from tests.made import made_up

SMALL = ("--vocab-size", "200", "--embedding-dim", "8", "--hidden-dim", "8", "--epochs", "1", "--vector-epochs", "1")


@pytest.fixture
def table(tmp_path: Path) -> Path:
    """1,400 short reviews as a CSV table: a second to learn from."""
    path = tmp_path / "mine.csv"
    with path.open("w", newline="") as file:
        rows = csv.writer(file)
        rows.writerow(("text", "label"))
        rows.writerows((review.text, review.label) for review in made_up(train=1400).train)
    return path


def run(*arguments: str | Path) -> Result:
    return CliRunner().invoke(pretrain.command, list(map(str, arguments)), prog_name="plaudit pretrain")


@pytest.mark.parametrize("reads", [["forward"], ["backward"], ["forward", "backward"]])
def test_a_table_becomes_an_encoder_that_a_training_starts_from(reads: list[str], table: Path, tmp_path: Path) -> None:
    out, ways = tmp_path / "encoder", "both" if len(reads) > 1 else reads[0]
    result = run(table, "--out", out, "--json", "--direction", ways, *SMALL)
    assert result.exit_code == 0, result.output
    assert sorted(path.name for path in out.iterdir()) == sorted(FILES)
    made = Pretrained.load(out)
    assert json.loads(result.stdout) == made.card
    assert (made.embedding.shape, set(made.lstms)) == ((made.vocabulary.size, 8), set(reads))
    assert {name: tuple(one.shape) for name, one in made.projections.items()} == dict.fromkeys(made.lstms, (129, 16))
    assert f"next: plaudit train {table} --start {out}" in result.stderr
    assert not (tmp_path / "encoder.checkpoint").exists()
    flags = ["--embedding-dim", "8", "--hidden-dim", "8", "--epochs", "1", "--phrases", "0", "--direction", ways]
    trained = CliRunner().invoke(
        train, [str(table), "--start", str(out), "--out", str(tmp_path / "bundle"), *flags], prog_name="plaudit train"
    )
    assert trained.exit_code == 0, trained.output
    bundle = Bundle.load(tmp_path / "bundle")
    assert bundle.card.recipe["start"] == str(out)
    assert bundle.vocabulary.words[: len(made.vocabulary.words)] == made.vocabulary.words


def test_a_stopped_pretraining_leaves_a_checkpoint_and_goes_on(
    table: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    @contextmanager
    def asked_at_once(*_: bool) -> Iterator[list[int]]:
        yield [2]

    out = tmp_path / "encoder"
    with monkeypatch.context() as patch:
        patch.setattr(pretrain, "stop_asked", asked_at_once)
        result = run(table, "--out", out, *SMALL)
    assert isinstance(result.exception, Interrupted), result.output
    assert result.exception.exit_code == 130
    assert not out.exists()
    assert (tmp_path / "encoder.checkpoint" / "forward").is_dir()
    again = run(table, "--out", out, *SMALL)
    assert again.exit_code == 0, again.output
    assert "forward: going on after 0 of 1 epochs" in again.stderr
    assert Pretrained.load(out).hidden_dim == 8


@pytest.mark.parametrize(
    ("arguments", "sentence"),
    [
        (("nowhere.csv",), "there is no such file"),
        (("sample", "--text-column", "x"), "is not a table"),
    ],
)
def test_a_mistake_is_a_sentence(arguments: tuple[str, ...], sentence: str) -> None:
    result = run(*arguments)
    assert isinstance(result.exception, UsageError), result.output
    assert sentence in str(result.exception)


@pytest.mark.parametrize("setting", ["--epochs", "--vocab-size", "--embedding-dim", "--hidden-dim", "--learning-rate"])
@pytest.mark.parametrize("value", ["0", "-1"])
def test_a_setting_that_cannot_be_is_refused(table: Path, tmp_path: Path, setting: str, value: str) -> None:
    result = run(table, "--out", tmp_path / "encoder", setting, value)
    assert result.exit_code == 2 or isinstance(result.exception, UsageError), result.output
    assert not (tmp_path / "encoder").exists()


def test_too_few_texts_are_refused(tmp_path: Path) -> None:
    path = tmp_path / "few.csv"
    path.write_text("text,label\n" + "".join(f"a text number {at},{'ab'[at % 2]}\n" for at in range(100)))
    result = run(path, "--out", tmp_path / "encoder", *SMALL)
    assert isinstance(result.exception, UsageError)
    assert "texts to learn a language from, and at least 400 are needed" in str(result.exception)


def test_a_folder_of_something_else_is_refused_before_any_work(table: Path, tmp_path: Path) -> None:
    (tmp_path / "encoder").mkdir()
    (tmp_path / "encoder" / "diary.txt").write_text("from before")
    result = run(table, "--out", tmp_path / "encoder", *SMALL)
    assert isinstance(result.exception, UsageError)
    assert "holds diary.txt, which is not an encoder's: name another folder" in str(result.exception)
    assert not (tmp_path / "encoder.checkpoint").exists()


def test_without_the_extra_for_document_vectors_it_says_so_at_once_and_goes_on_without(
    table: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setitem(sys.modules, "numba", None)
    for name in ("document_vectors", "vector_regression"):
        monkeypatch.delitem(sys.modules, f"plaudit.learning.{name}", raising=False)
    refused = run(table, "--out", tmp_path / "encoder", *SMALL)
    assert isinstance(refused.exception, MissingExtra)
    assert "pip install 'plaudit[pretrain]'" in str(refused.exception)
    made = run(table, "--out", tmp_path / "encoder", *SMALL[:-1], "0")
    assert made.exit_code == 0, made.output
    assert not Pretrained.load(tmp_path / "encoder").projections
