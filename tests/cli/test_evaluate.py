"""`plaudit evaluate` of any number of labels, in front of a classifier that counts words by hand."""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from click.testing import CliRunner, Result
from numpy.typing import NDArray

from plaudit.bundle.bundle import Bundle
from plaudit.bundle.card import Card
from plaudit.bundle.verdict import Verdict
from plaudit.cli import evaluate
from plaudit.errors import UsageError
from plaudit.evaluation.deletion import REMOVED
from plaudit.text.sources import read_reviews
from tests.evaluation.test_deletion import counting, texts_of

LABELS = ("maybe", "no", "yes")
WORDS = {"maybe": "odd", "no": "bad", "yes": "good"}


@dataclass(frozen=True)
class Stub:
    """As much of a bundle, a classifier and an endpoint as evaluation asks of them."""

    labels: tuple[str, ...] = LABELS
    path: Path | None = None

    @property
    def card(self) -> Card:
        return Card("Stub", self.labels, "modern", 500, tuple(1 / len(self.labels) for _ in self.labels))

    def verdicts(self, texts: Sequence[str], explain: bool = True) -> list[Verdict]:
        return counting(self.labels)(texts, explain)

    def predict_proba(self, texts: Sequence[str]) -> NDArray[np.float64]:
        return np.array([list(verdict.scores.values()) for verdict in self.verdicts(texts)])


@pytest.fixture
def stub(monkeypatch: pytest.MonkeyPatch) -> Stub:
    found = Stub()
    monkeypatch.setattr(Bundle, "load", lambda path: found)
    monkeypatch.setattr(evaluate, "Classifier", lambda bundle: bundle)
    monkeypatch.setattr(evaluate, "RemoteClassifier", lambda url: found)
    return found


@pytest.fixture
def table(tmp_path: Path) -> Path:
    """Sixty test rows of three labels; in every tenth another word stands than the label's own."""
    path = tmp_path / "mine.jsonl"
    rows = []
    for index, label in enumerate(LABELS * 20):
        word = WORDS["no" if index % 10 == 0 else label]
        rows.append({"text": f"{texts_of([word], 1)[0]} number {index}", "label": label, "split": "test"})
    path.write_text("".join(json.dumps(row) + "\n" for row in rows), "utf-8")
    return path


def run(*arguments: object) -> Result:
    return CliRunner().invoke(evaluate.command, [str(argument) for argument in arguments], prog_name="plaudit evaluate")


def measured(*arguments: object) -> dict[str, Any]:
    result = run(*arguments, "--json")
    assert result.exit_code == 0, result.output
    found: dict[str, Any] = json.loads(result.stdout)
    return found


def test_three_labels_are_measured_label_by_label(stub: Stub, table: Path) -> None:
    found = measured(table, "--bundle", "made")
    assert (found["reviews"], found["labels"]) == (60, list(LABELS))
    assert [own["label"] for own in found["by_label"]] == list(LABELS)
    assert found["confusion"][1] == [0, 20, 0]
    assert found["accuracy"] == sum(found["confusion"][i][i] for i in range(3)) / 60
    assert "deletion" not in found
    shown = run(table, "--bundle", "made").stdout
    assert "labelled maybe" in shown
    assert "Removed" not in shown


def test_an_endpoint_gives_the_same_figures(stub: Stub, table: Path) -> None:
    here, there = measured(table, "--bundle", "made"), measured(table, "--endpoint", "http://127.0.0.1:9")
    assert here == there


@pytest.mark.parametrize("place", [("--bundle", "made"), ("--endpoint", "http://127.0.0.1:9")])
def test_explanations_are_measured_where_they_are_asked_for(stub: Stub, table: Path, place: tuple[str, str]) -> None:
    found = measured(table, *place, "--explanations")["deletion"]
    assert [step["removed"] for step in found["curve"]] == [0.0, *REMOVED]
    assert found["texts"] == 60
    assert found["area"] > 0.2
    shown = run(table, *place, "--explanations").stdout
    assert "Without the 10% of words that count most" in shown


def test_the_report_has_them_unless_it_is_an_endpoints_or_told_not_to(stub: Stub, table: Path, tmp_path: Path) -> None:
    page = tmp_path / "report.html"
    given = (table, "--html", page)
    assert "deletion" in measured(*given, "--bundle", "made")
    assert "Deletion curve" in page.read_text("utf-8")
    assert "Label by label" in page.read_text("utf-8")
    assert "deletion" not in measured(*given, "--bundle", "made", "--no-explanations")
    assert "Deletion curve" not in page.read_text("utf-8")
    assert "deletion" not in measured(*given, "--endpoint", "http://127.0.0.1:9")


def test_no_known_word_is_said(stub: Stub, table: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    wordless = lambda self, texts, explain=True: counting(LABELS)(texts, False)  # noqa: E731
    monkeypatch.setattr(Stub, "verdicts", wordless)
    result = run(table, "--bundle", "made", "--explanations")
    assert result.exit_code == 0, result.output
    assert "there is no deletion curve" in result.stderr
    assert "Removed" not in result.stdout


def test_reviews_may_lack_a_label_but_have_no_other(stub: Stub, table: Path, tmp_path: Path) -> None:
    fewer = tmp_path / "fewer.jsonl"
    fewer.write_text(
        "".join(line for line in table.read_text("utf-8").splitlines(keepends=True) if '"maybe"' not in line), "utf-8"
    )
    found = measured(fewer, "--bundle", "made")
    assert (found["reviews"], found["by_label"][0]["reviews"], found["by_label"][0]["recall"]) == (40, 0, None)
    other = tmp_path / "other.jsonl"
    other.write_text(table.read_text("utf-8").replace('"maybe"', '"perhaps"'), "utf-8")
    for place in (("--bundle", "made"), ("--endpoint", "http://127.0.0.1:9")):
        result = run(other, *place)
        assert isinstance(result.exception, UsageError)
        assert "knows the labels ['maybe', 'no', 'yes'], the reviews have ['no', 'perhaps'" in str(result.exception)


def test_the_surest_mistakes_name_what_was_judged(stub: Stub, table: Path) -> None:
    found = evaluate.judge(read_reviews(str(table)), stub)  # type: ignore[arg-type]
    assert {(mistake.label, mistake.judged) for mistake in found.mistakes} == {("maybe", "no"), ("yes", "no")}
    assert [mistake.probability for mistake in found.mistakes] == sorted(
        (mistake.probability for mistake in found.mistakes), reverse=True
    )
    assert found.deletion is None
