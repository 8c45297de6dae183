"""The behavioural suite: that its cases are sound, that each kind of test is judged rightly, and how results look."""

from __future__ import annotations

import json
import re
from collections import Counter
from collections.abc import Mapping, Sequence
from html.parser import HTMLParser
from pathlib import Path
from xml.etree import ElementTree

import numpy as np
import pytest

from plaudit.errors import ReviewsError, UsageError
from plaudit.evaluation.behaviour import Floats, Judge, Results, check, sides
from plaudit.evaluation.behaviour_cases import Case, Suite, built_in, read
from plaudit.evaluation.behaviour_report import page, section, table

ROOT = Path(__file__).parents[2]
LABELS = ("negative", "positive")
NAMED_IN_THE_BRIEF = (
    "plain words", "negation of good", "negation of bad", "negation at a distance", "contrast",
    "expectation against outcome", "used to and now", "comparison with another film", "other people's opinions",
    "questions", "intensity", "irony and sarcasm", "mixed reviews that end on a verdict", "names that must not matter",
    "genres that must not matter", "typos", "case", "mark-up", "length", "no sentiment at all",
)  # fmt: skip


def judge_of(shares: Mapping[str, float]) -> Judge:
    """Gives each text the probability of the second of two labels that ``shares`` holds."""

    def judge(texts: Sequence[str]) -> Floats:
        second = np.array([shares[text] for text in texts])
        return np.stack([1 - second, second], axis=1)

    return judge


def passes(kind: str, shares: Sequence[float], label: str = "") -> bool:
    texts = [f"text {index}" for index in range(len(shares))]
    suite = Suite({}, (Case("a capability", kind, tuple(texts), label),))
    (outcome,) = check(suite, judge_of(dict(zip(texts, shares, strict=True))), LABELS).outcomes
    return outcome.passed


def written(folder: Path, text: str) -> Path:
    path = folder / "mine.toml"
    path.write_text(text, "utf-8")
    return path


@pytest.fixture(scope="module")
def suite() -> Suite:
    return built_in()


@pytest.fixture(scope="module")
def results() -> Results:
    """Of five cases three pass."""
    cases = (
        Case("plain", "expect", ("Good.",), "positive"),
        Case("plain", "expect", ("Bad <b>&</b> long.",), "positive"),
        Case("stable", "same", ("Good.", "Fine."), ""),
        Case("stable", "toward", ("Good.", "Very good."), "positive"),
        Case("neutral", "unsure", ("It is long.",), ""),
    )
    shares = {"Good.": 0.8, "Bad <b>&</b> long.": 0.2, "Fine.": 0.6, "Very good.": 0.75, "It is long.": 0.5}
    return check(Suite({"plain": "Plain words."}, cases), judge_of(shares), LABELS)


def test_the_suite_has_the_cases_and_capabilities_it_promises(suite: Suite) -> None:
    assert len(suite.cases) >= 500
    assert tuple(suite.capabilities) == NAMED_IN_THE_BRIEF
    assert min(Counter(case.capability for case in suite.cases).values()) >= 18
    assert {case.kind for case in suite.cases} == {"expect", "same", "toward", "unsure"}
    assert suite.labels == set(LABELS)
    assert all(about.endswith(".") for about in suite.about.values())


def test_no_text_stands_in_the_suite_twice(suite: Suite) -> None:
    texts = Counter(text for case in suite.cases for text in case.texts)
    assert [text for text, times in texts.items() if times > 1] == []


def test_the_suites_labels_are_balanced(suite: Suite) -> None:
    """A model that always says the same gets no more than about half."""
    expected = Counter(case.label for case in suite.cases if case.kind == "expect")
    assert 0.8 < expected["positive"] / expected["negative"] < 1.25


def test_no_case_is_among_the_reviews_that_come_with_plaudit(suite: Suite) -> None:
    from plaudit.text.sources import read_reviews

    def plain(text: str) -> str:
        return " ".join(re.findall(r"\w+", text.casefold()))

    sample = read_reviews("sample")
    known = {plain(review.text) for review in [*sample.train, *sample.test]}
    assert not known & {plain(text) for case in suite.cases for text in case.texts}


def test_no_case_stands_in_what_training_is_given(suite: Suite) -> None:
    """Of the training's own files, as they are written; what it makes out of templates is compared by its own tests."""
    files = sorted((ROOT / "src" / "plaudit" / "learning").glob("phrases*"))
    given = " ".join(path.read_text("utf-8").casefold() for path in files if path.is_file())
    texts = {text.casefold() for case in suite.cases for text in case.texts if len(text.split()) > 2}
    assert sorted(text for text in texts if text in given) == []


def test_the_docs_count_the_cases_rightly(suite: Suite) -> None:
    told = (ROOT / "docs" / "behaviour.md").read_text("utf-8")
    each = Counter(case.capability for case in suite.cases).values()
    assert f"{len(suite.cases)} cases in {len(each)} capabilities" in told
    assert f"A capability has {min(each)} to {max(each)} cases" in told


@pytest.mark.parametrize(("share", "passed"), [(0.51, True), (0.5, False), (0.49, False)])
def test_expect_wants_the_label_alone_on_top(share: float, passed: bool) -> None:
    assert passes("expect", [share], "positive") is passed
    assert passes("expect", [1 - share], "negative") is passed


@pytest.mark.parametrize(
    ("shares", "passed"),
    [
        ([0.9, 0.6], True),
        ([0.55, 0.46], True),
        ([0.55, 0.44], False),
        ([0.9, 0.95, 0.2], False),
        ([0.2, 0.3, 0.4], True),
    ],
)
def test_same_wants_one_label_or_probabilities_that_are_close(shares: list[float], passed: bool) -> None:
    assert passes("same", shares) is passed


@pytest.mark.parametrize(
    ("shares", "passed"),
    [([0.5, 0.6], True), ([0.6, 0.5], False), ([0.5, 0.5], False), ([0.99999, 0.999999], True), ([1.0, 1.0], True)],
)
def test_toward_wants_the_score_to_rise_even_near_certainty(shares: list[float], passed: bool) -> None:
    assert passes("toward", shares, "positive") is passed
    assert passes("toward", [1 - share for share in shares], "negative") is passed


def test_toward_fails_where_the_score_falls_from_certainty_or_stays_at_its_opposite() -> None:
    assert not passes("toward", [1.0, 0.99], "positive")
    assert not passes("toward", [0.0, 0.0], "positive")


@pytest.mark.parametrize(("share", "passed"), [(0.5, True), (0.1, True), (0.9, True), (0.91, False), (0.09, False)])
def test_unsure_wants_no_high_probability(share: float, passed: bool) -> None:
    assert passes("unsure", [share]) is passed


def test_a_judge_that_knows_every_answer_passes_the_whole_suite(suite: Suite) -> None:
    shares: dict[str, float] = {}
    for case in suite.cases:
        before_after = (0.4, 0.6) if case.label == "positive" else (0.6, 0.4)
        known = before_after if case.kind == "toward" else {"positive": (0.8,), "negative": (0.2,)}.get(case.label)
        shares |= dict(zip(case.texts, known or [0.5] * len(case.texts), strict=True))
    found = check(suite, judge_of(shares), LABELS)
    assert found.total.rate == 1
    assert all(tally.rate == 1 and tally.about for tally in found.capabilities())


def test_a_judge_that_says_always_the_same_passes_about_half(suite: Suite) -> None:
    found = check(suite, lambda texts: np.tile([0.3, 0.7], (len(texts), 1)), LABELS)
    rates = {tally.name: tally.rate for tally in found.kinds()}
    assert 0.4 < rates["minimum functionality"] < 0.6
    assert rates["invariance"] == 1
    assert rates["directional"] == 0


def test_each_text_is_judged_once() -> None:
    asked: list[str] = []

    def judge(texts: Sequence[str]) -> Floats:
        asked.extend(texts)
        return np.tile([0.2, 0.8], (len(texts), 1))

    cases = [Case("c", "expect", ("Good.",), "positive"), Case("c", "same", ("Good.", "GOOD."))]
    check(Suite({}, tuple(cases)), judge, LABELS)
    assert asked == ["Good.", "GOOD."]


def test_a_judge_that_gives_another_shape_is_a_mistake_of_the_caller() -> None:
    with pytest.raises(ValueError, match="a row a text"):
        check(Suite({}, (Case("c", "unsure", ("Good.",)),)), lambda texts: np.zeros(len(texts)), LABELS)


@pytest.mark.parametrize(
    ("labels", "found"),
    [
        (("negative", "positive"), {"negative": ["negative"], "positive": ["positive"]}),
        (("Pos", "Neg"), {"negative": ["Neg"], "positive": ["Pos"]}),
        (("0", "1"), {"negative": ["0"], "positive": ["1"]}),
        (("one", "five"), {}),
        (("negative", "neutral", "positive"), {}),
    ],
)
def test_the_sides_of_plain_labels_are_known(labels: tuple[str, ...], found: dict[str, list[str]]) -> None:
    assert sides(labels) == found


def test_labels_that_share_a_name_add_up() -> None:
    cases = (
        Case("stars", "expect", ("Weak.",), "negative"),
        Case("stars", "expect", ("Fair.",), "3"),
        Case("stars", "expect", ("Good.",), "good"),
    )
    rows = {"Weak.": [0.3, 0.3, 0.4, 0.0], "Fair.": [0.2, 0.2, 0.5, 0.1], "Good.": [0.0, 0.1, 0.2, 0.7]}
    found = check(
        Suite({}, cases),
        lambda texts: np.array([rows[text] for text in texts]),
        ("1", "2", "3", "good"),
        {"negative": ["1", "2"], "positive": ["good"]},
    )
    assert found.labels == ("negative", "positive", "3")
    assert [outcome.passed for outcome in found.outcomes] == [True, True, True]
    assert found.outcomes[0].probabilities[0] == pytest.approx((0.6, 0.0, 0.4))


@pytest.mark.parametrize(
    ("groups", "sentence"),
    [
        ({"negative": ["bad"]}, "the model has no label 'bad': it has one, two"),
        ({"negative": ["one"], "positive": ["one"]}, "'one' is in two groups"),
        ({"negative": ["one", "two"]}, r"mine.toml:3: 'c' has the label 'one'; the model's are negative"),
    ],
)
def test_labels_that_nothing_has_are_named(groups: dict[str, list[str]], sentence: str) -> None:
    suite = Suite({}, (Case("c", "expect", ("Good.",), "one", "mine.toml:3"),))
    with pytest.raises(UsageError, match=sentence):
        check(suite, lambda texts: np.tile([0.5, 0.5], (len(texts), 1)), ("one", "two"), groups)


def test_a_file_is_read_in_its_order(tmp_path: Path) -> None:
    path = written(
        tmp_path,
        '["our service"]\nabout = "Staff."\nexpect.bad = ["They were rude."]\nsame = [["Kind.", "KIND.", "kind"]]\n'
        '[food]\ntoward.good = [["It is warm.", "It is hot."]]\nunsure = ["It is soup."]\n',
    )
    found = read(path)
    assert found.about == {"our service": "Staff.", "food": ""}
    assert found.cases == (
        Case("our service", "expect", ("They were rude.",), "bad", f"{path}:1"),
        Case("our service", "same", ("Kind.", "KIND.", "kind"), "", f"{path}:1"),
        Case("food", "toward", ("It is warm.", "It is hot."), "good", f"{path}:5"),
        Case("food", "unsure", ("It is soup.",), "", f"{path}:5"),
    )


@pytest.mark.parametrize(
    ("text", "sentence"),
    [
        ('[a]\nexpect.good = ["x"\n\n[b]', r"mine.toml:\d+: not TOML"),
        ("", "no case in it"),
        ('# mine\nexpect.good = ["x"]', r"mine.toml:2: 'expect' has 'good', which is no kind of test"),
        ('about = "x"', "mine.toml:1: 'about' stands outside a capability: begin with [\"about\"]"),
        ('\n[a]\nexpects.good = ["x"]', "mine.toml:2: 'a' has 'expects', which is no kind of test: there are expect"),
        ('[a]\nexpect = ["x"]', "mine.toml:1: 'a' has a 'expect' without a label: write expect.LABEL = [...]"),
        ('[a]\nexpect.good = "x"', "'a' has a 'expect.good' that is not a list"),
        ('[a]\nexpect.good = ["x", 3]', "'expect.good' whose case 2 is not a text in quotes"),
        ('[a]\nunsure = ["x", " "]', "'unsure' whose case 2 is not a text in quotes, none of them blank"),
        ('[a]\nsame = ["x", "y"]', "'same' whose case 1 is not a list of texts"),
        ('[a]\nsame = [["x"]]', "'same' whose case 1 has 1: it takes two texts or more"),
        ('[a]\ntoward.good = [["x", "y"], ["x", "y", "z"]]', "case 2 has 3: it takes two texts, before and after"),
        ('[a]\nabout = 3\nunsure = ["x"]', "'about' that is not a text"),
    ],
)
def test_a_bad_file_is_named_with_line_and_case(text: str, sentence: str, tmp_path: Path) -> None:
    with pytest.raises(ReviewsError) as caught:
        read(written(tmp_path, text))
    assert re.search(sentence, str(caught.value)) or sentence in str(caught.value)


def test_a_file_that_is_not_there_or_not_text_is_named(tmp_path: Path) -> None:
    with pytest.raises(UsageError, match=r"none\.toml: there is no such file"):
        read(tmp_path / "none.toml")
    (tmp_path / "odd.toml").write_bytes(b'[a]\nunsure = ["\xff"]')
    with pytest.raises(ReviewsError, match="not UTF-8 at byte 16"):
        read(tmp_path / "odd.toml")


def test_suites_are_joined_and_chosen_from(suite: Suite) -> None:
    own = Suite({"contrast": "Mine."}, (Case("contrast", "unsure", ("Soup.",)), Case("mine", "unsure", ("Rice.",))))
    joined = suite.plus(own)
    assert len(joined.cases) == len(suite.cases) + 2
    assert joined.about["contrast"] == suite.about["contrast"]
    assert joined.only(["NEGATION", "mine"]).capabilities == [*NAMED_IN_THE_BRIEF[1:4], "mine"]
    with pytest.raises(UsageError, match="no capability is called 'negatoin'; there are: plain words"):
        joined.only(["negatoin"])


def test_the_table_has_rates_and_failures_to_read(results: Results) -> None:
    lines = table(results).splitlines()
    rows = {re.split(r" {2,}", line)[0]: line.split()[-3:] for line in lines[1:5]}
    assert rows == {
        "plain": ["2", "1", "50.0%"],
        "stable": ["2", "1", "50.0%"],
        "neutral": ["1", "1", "100.0%"],
        "all": ["5", "3", "60.0%"],
    }
    assert "plain: 1 of 2 failed" in lines
    assert "    negative 0.800  Bad <b>&</b> long." in lines
    assert "  the second must be more positive than the first" in lines
    assert "    score +1.386  Good." in lines


def test_the_table_prints_as_many_failures_as_asked_for(suite: Suite) -> None:
    found = check(suite, lambda texts: np.tile([0.3, 0.7], (len(texts), 1)), LABELS)
    assert "failed" not in table(found, 0)
    some = table(found, 2)
    assert some.count("  expected negative") == 2 * sum(
        1 for tally in found.capabilities() if any(o.case.kind == "expect" for o in found.failures(tally.name))
    )
    assert "and 18 more" in some


def test_json_holds_every_failure(results: Results) -> None:
    found = json.loads(json.dumps(results.to_json()))
    assert (found["cases"], found["passed"], found["rate"]) == (5, 3, 0.6)
    assert found["labels"] == list(LABELS)
    assert {kind["name"]: kind["passed"] for kind in found["kinds"]} == {
        "minimum functionality": 1, "invariance": 1, "directional": 0, "no sentiment": 1,
    }  # fmt: skip
    plain, stable, neutral = found["capabilities"]
    assert (plain["about"], plain["rate"], neutral["failures"]) == ("Plain words.", 0.5, [])
    assert plain["failures"] == [
        {
            "kind": "expect",
            "label": "positive",
            "texts": ["Bad <b>&</b> long."],
            "judged": ["negative"],
            "probabilities": [[pytest.approx(0.8), pytest.approx(0.2)]],
        }
    ]
    assert stable["failures"][0]["texts"] == ["Good.", "Very good."]


class Read(HTMLParser):
    """A page's tags, checked to close in order, and its words."""

    def __init__(self, source: str) -> None:
        super().__init__()
        self.open: list[str] = []
        self.seen: Counter[str] = Counter()
        self.words = ""
        self.feed(source)
        self.close()
        assert self.open == []

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.seen[tag] += 1
        if tag != "meta":
            self.open.append(tag)

    def handle_startendtag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.seen[tag] += 1

    def handle_endtag(self, tag: str) -> None:
        assert self.open.pop() == tag

    def handle_data(self, data: str) -> None:
        self.words += data


def test_the_page_is_one_file_without_scripts(results: Results) -> None:
    source = page(results, "<mine>")
    found = Read(source)
    assert not set(found.seen) & {"script", "link", "img", "iframe", "form", "b"}
    assert not re.search(r"https?://|@import|\bsrc=|\bhref=", source)
    assert "60.0%" in found.words
    assert "3 of 5 cases passed." in found.words
    assert "Bad <b>&</b> long. — negative 0.800" in found.words
    assert "<mine>" in found.words
    assert found.seen["details"] == 2


def test_the_section_stands_in_another_page_with_a_bar_for_each_capability(results: Results) -> None:
    source = section(results)
    found = Read(source)
    assert (found.seen["section"], found.seen["html"], found.seen["h1"]) == (1, 0, 0)
    (svg,) = re.findall(r"<svg.*?</svg>", source, re.DOTALL)
    bars = [rect for rect in ElementTree.fromstring(svg).iter("rect") if rect.get("class") == "bar-1"]
    assert [float(bar.get("width", "")) for bar in bars] == [100.0, 100.0, 200.0]
    assert "plain: 50.0%." in svg


def test_a_section_without_failures_says_nothing_of_any() -> None:
    found = check(Suite({}, (Case("c", "expect", ("Good.",), "positive"),)), judge_of({"Good.": 0.9}), LABELS)
    assert "Failures" not in section(found)
