"""`plaudit check` as a user meets it, in a process of its own, on a bundle that the tests trained."""

from __future__ import annotations

import json
import re
import shutil
from dataclasses import replace
from pathlib import Path

import pytest

from plaudit.bundle.bundle import Bundle
from plaudit.evaluation.behaviour_cases import built_in
from plaudit.serving.endpoint import endpoint
from tests.cli.test_commands import plaudit
from tests.live import live, loaded

OWN = '["service"]\nexpect.positive = ["The waiter was wonderful."]\nsame = [["A bad bar.", "A BAD BAR."]]\n'


@pytest.fixture
def here(bundle: Bundle, tmp_path: Path) -> Path:
    """A folder in which `plaudit up` seems to have made a bundle, with a file of cases."""
    assert bundle.path is not None
    shutil.copytree(bundle.path, tmp_path / ".plaudit" / "sample-lstm" / "bundle")
    (tmp_path / "mine.toml").write_text(OWN)
    return tmp_path


def test_check_prints_a_rate_for_each_capability_and_failures_to_read(here: Path) -> None:
    suite = built_in()
    done = plaudit("check", "--failures", "1", cwd=here)
    assert done.returncode == 0, done.stderr
    rows = done.stdout.split("\n\n")[0].splitlines()[1:]
    assert [re.split(r" {2,}", row)[0] for row in rows] == [*suite.capabilities, "all"]
    assert int(rows[-1].split()[1]) == len(suite.cases)
    assert "failed\n  expected " in done.stdout


def test_check_gives_json_and_a_page(here: Path) -> None:
    done = plaudit("check", ".plaudit/sample-lstm/bundle", "--json", "--html", "made/b.html", cwd=here)
    found = json.loads(done.stdout)
    assert found["cases"] == len(built_in().cases)
    assert sum(each["cases"] - len(each["failures"]) for each in found["capabilities"]) == found["passed"]
    html = (here / "made" / "b.html").read_text("utf-8")
    assert "Content-Security-Policy" in html
    assert f"{found['passed']} of {found['cases']} cases passed." in html


def test_check_filters_by_capability(here: Path) -> None:
    done = plaudit("check", "--json", "--capability", "Negation", "--capability", "contrast", cwd=here)
    names = [each["name"] for each in json.loads(done.stdout)["capabilities"]]
    assert names == ["negation of good", "negation of bad", "negation at a distance", "contrast"]


def test_check_takes_cases_of_ones_own(here: Path) -> None:
    added = json.loads(plaudit("check", "--json", "--cases", "mine.toml", cwd=here).stdout)
    assert added["cases"] == len(built_in().cases) + 2
    alone = json.loads(plaudit("check", "--json", "--cases", "mine.toml", "--only-cases", cwd=here).stdout)
    assert [each["name"] for each in alone["capabilities"]] == ["service"]


def test_check_fails_below_the_share_asked_for_after_it_has_printed(here: Path) -> None:
    done = plaudit("check", "--at-least", "1", cwd=here)
    assert done.returncode == 1
    assert "all " in done.stdout
    assert re.search(r"plaudit: \d+ of \d+ cases passed, 0\.\d+: --at-least asks for 1", done.stderr)
    assert plaudit("check", "--at-least", "0.1", cwd=here).returncode == 0


def test_check_wants_to_know_what_other_labels_mean(bundle: Bundle, tmp_path: Path) -> None:
    replace(bundle, card=replace(bundle.card, labels=("one", "five"))).save(tmp_path / "made")
    (tmp_path / "mine.toml").write_text('[stars]\nexpect.five = ["A lovely film."]\n')
    bare = plaudit("check", "made", cwd=tmp_path)
    assert bare.returncode == 2
    assert "the model has one, five: say which is which with --as negative=LABEL" in bare.stderr
    own = plaudit("check", "made", "--cases", "mine.toml", "--json", cwd=tmp_path)
    assert json.loads(own.stdout)["cases"] == 1
    assert "left out" in own.stderr
    told = plaudit(
        "check", "made", "--as", "negative=one", "--as", "positive=five", "--cases", "mine.toml", "--json", cwd=tmp_path
    )
    assert json.loads(told.stdout)["cases"] == len(built_in().cases) + 1


@pytest.mark.parametrize(
    ("arguments", "sentence"),
    [
        (["nowhere"], "there is no bundle"),
        (["b", "--endpoint", "http://127.0.0.1:9"], "give a bundle or --endpoint, not both"),
        (["--only-cases"], "nothing to check without --cases FILE"),
        (["--cases", "none.toml"], "none.toml: there is no such file"),
        (["--cases", "bad.toml"], "bad.toml:2: 'soup' has 'expects', which is no kind of test"),
        (["--cases", "other.toml"], "other.toml:1: 'soup' has the label 'hot'; the model's are negative, positive"),
        (["--as", "negative"], "--as takes NAME=LABEL"),
        (["--as", "negative=cold"], "the model has no label 'cold'"),
        (["--capability", "soup"], "no capability is called 'soup'"),
        (["--at-least", "90"], "is not in the range"),
    ],
)
def test_a_mistake_gets_one_sentence_and_exit_2(arguments: list[str], sentence: str, here: Path) -> None:
    (here / "bad.toml").write_text('# mine\n[soup]\nexpects.positive = ["x"]\n')
    (here / "other.toml").write_text('[soup]\nexpect.hot = ["x"]\n')
    done = plaudit("check", *arguments, cwd=here)
    assert done.returncode == 2
    assert sentence in done.stderr
    assert "Traceback" not in done.stderr
    assert done.stdout == ""


def test_an_endpoint_gets_the_rates_of_its_bundle(here: Path) -> None:
    app = endpoint(here / ".plaudit" / "sample-lstm" / "bundle")
    with live(app) as address:
        loaded(app)
        through = json.loads(plaudit("check", "--endpoint", address, "--json", "--capability", "case", cwd=here).stdout)
    inside = json.loads(plaudit("check", "--json", "--capability", "case", cwd=here).stdout)
    assert (through["cases"], through["passed"]) == (inside["cases"], inside["passed"])
    assert through["labels"] == inside["labels"]


def test_an_endpoint_that_is_away_is_our_failure_with_the_next_command(here: Path) -> None:
    done = plaudit("check", "--endpoint", "http://127.0.0.1:9", cwd=here)
    assert done.returncode == 1
    assert "plaudit serve" in done.stderr
