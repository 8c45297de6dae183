"""The report: that its figures, pictures and words are those of the metrics, and that it is one safe page."""

from __future__ import annotations

import re
from dataclasses import replace
from html.parser import HTMLParser
from pathlib import Path
from typing import Any
from xml.etree import ElementTree

import numpy as np
import pytest

from plaudit.bundle.card import Card
from plaudit.evaluation import drawing, report
from plaudit.evaluation.behaviour import check
from plaudit.evaluation.behaviour_cases import built_in
from plaudit.evaluation.deletion import Deletion, Removal, deletion_curve
from plaudit.evaluation.figures import deletion_table, table
from plaudit.evaluation.metrics import Metrics, measure
from plaudit.evaluation.report import Mistake, html_report
from tests.evaluation.test_deletion import counting, texts_of

ATTACK = "<script>alert('x')</script> & \"more\""
PICTURES = ("Confusion matrix", "ROC curve", "Reliability diagram", "Histogram", "Loss", "Validation accuracy")
HISTORY = [
    {"epoch": 1, "loss": 0.6, "validation_loss": 0.5, "validation_accuracy": 0.81},
    {"epoch": 2, "loss": 0.4, "validation_loss": 0.44, "validation_accuracy": 0.8642},
    {"epoch": 3, "loss": 0.3, "validation_loss": 0.47, "validation_accuracy": 0.86},
]


def metrics_of(reviews: int = 2000, labels: tuple[str, str] = ("negative", "positive")) -> Metrics:
    random = np.random.default_rng(7)
    truth = random.integers(0, 2, reviews)
    probabilities = 1 / (1 + np.exp(-random.normal(4 * truth - 2.0, 2.0)))
    return measure(probabilities, truth, labels)


def one_label() -> Metrics:
    return measure(np.array([0.1, 0.2]), np.array([0, 0]), ("negative", "positive"))


def card_of(**fields: Any) -> dict[str, Any]:
    given: dict[str, Any] = {
        "recipe": {"name": "small", "learning_rate": 0.003, "vocab_size": 5000},
        "data": {"name": "Films", "fingerprint": "f" * 64, "train": 22377},
        "training": {"seed": 0, "best_epoch": 2, "parameters": 347401, "history": HISTORY},
        "versions": {"torch": "2.9.1"},
        **fields,
    }
    labels, name = given.pop("labels", ("negative", "positive")), given.pop("name", "Films, small")
    return Card(name, labels, "modern", 500, given.pop("priors", (0.5, 0.5)), 1.25, **given).to_json()


class Page(HTMLParser):
    """The tags of a page with their attributes, and its text without styles."""

    def __init__(self, page: str) -> None:
        super().__init__()
        self.source, self.words, self._open = page, "", ""
        self.tags: list[tuple[str, dict[str, str | None]]] = []
        self.feed(page)
        self.close()

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.tags.append((tag, dict(attrs)))
        self._open = tag

    def handle_endtag(self, tag: str) -> None:
        self._open = ""

    def handle_data(self, data: str) -> None:
        if self._open != "style":
            self.words += data

    @property
    def names(self) -> set[str]:
        return {tag for tag, _ in self.tags}

    @property
    def pictures(self) -> dict[str, ElementTree.Element]:
        """The SVGs by the first words of their titles."""
        trees = [ElementTree.fromstring(svg) for svg in re.findall(r"<svg.*?</svg>", self.source, re.S)]
        return {name: tree for tree in trees for name in PICTURES if title(tree).startswith(name)}


def title(tree: ElementTree.Element) -> str:
    assert tree[0].tag == "title"
    return tree[0].text or ""


def texts(tree: ElementTree.Element) -> list[str]:
    return [element.text or "" for element in tree.iter("text")]


def drawn(tree: ElementTree.Element, tag: str, kind: str) -> list[ElementTree.Element]:
    return [element for element in tree.iter(tag) if kind in element.get("class", "").split()]


@pytest.fixture(scope="module")
def metrics() -> Metrics:
    return metrics_of()


@pytest.fixture(scope="module")
def page(metrics: Metrics) -> Page:
    mistakes = [
        Mistake("Hardly dull.", "positive", "negative", 0.71),
        Mistake("I wanted<br /><br />to love it.", "negative", "positive", 0.99987),
    ]
    return Page(html_report(metrics, card_of(), "Films, test half", mistakes))


def test_the_table_holds_every_figure(metrics: Metrics) -> None:
    lines = dict(re.split(r" {2,}", line, maxsplit=1) for line in table(metrics).split("\n\n")[0].splitlines())
    assert lines == {
        "Reviews": "2,000",
        "Accuracy": f"{metrics.accuracy:.4f}",
        "Precision": f"{metrics.precision:.4f}",
        "Recall": f"{metrics.recall:.4f}",
        "F1": f"{metrics.f1:.4f}",
        "ROC AUC": f"{metrics.roc_auc:.4f}",
        "Log loss": f"{metrics.log_loss:.4f}",
        "Brier score": f"{metrics.brier:.4f}",
        "Calibration error": f"{metrics.calibration_error:.4f}",
    }


def test_the_table_is_aligned_and_names_the_confusion(metrics: Metrics) -> None:
    figures, confusion = table(replace(metrics, confusion=[[1200, 3], [45, 752]])).rstrip("\n").split("\n\n")
    assert len({len(line) for line in figures.splitlines()}) == 1
    assert confusion.splitlines() == [
        "                   judged negative  judged positive",
        "labelled negative            1,200                3",
        "labelled positive               45              752",
    ]


def test_the_table_prints_a_dash_for_what_cannot_be_computed() -> None:
    assert re.search(r"^ROC AUC +-$", table(one_label()), re.M)
    assert re.search(r"^Precision +-$", table(one_label()), re.M)


def test_the_table_lets_no_label_command_the_terminal() -> None:
    printed = table(metrics_of(labels=("bad\x1b[31m", "好")))
    assert "\x1b" not in printed
    assert "judged bad\ufffd[31m  judged 好" in printed


def test_the_page_is_one_file_without_scripts(page: Page) -> None:
    assert not page.names & {"script", "link", "img", "iframe", "object", "embed", "base", "form"}
    assert not re.search(r"https?://|@import|url\((?!#)|\bsrc=|\bhref=|javascript:", page.source)
    assert not [name for _, attributes in page.tags for name in attributes if name.startswith("on")]


def test_the_page_names_itself_and_fits_phones_and_dark_rooms(page: Page) -> None:
    assert "<title>Films, test half</title>" in page.source
    assert ("meta", {"name": "viewport", "content": "width=device-width, initial-scale=1"}) in page.tags
    assert "@media (prefers-color-scheme: dark)" in page.source


def test_the_page_shows_every_figure(page: Page, metrics: Metrics) -> None:
    fields = ("accuracy", "precision", "recall", "f1", "roc_auc", "log_loss", "brier", "calibration_error")
    for name in fields:
        assert f"<td>{getattr(metrics, name):.4f}</td>" in page.source
    assert f"{metrics.accuracy:.1%}" in page.words
    assert "chance that a “positive” review scores above a “negative” one" in page.words


def test_every_picture_has_a_role_and_a_title(page: Page) -> None:
    assert tuple(page.pictures) == PICTURES
    assert all(tree.get("role") == "img" for tree in page.pictures.values())
    assert page.source.count("<svg") == len(PICTURES)


def test_the_confusion_matrix(page: Page, metrics: Metrics) -> None:
    (correct, alarms), (misses, hits) = metrics.confusion
    tree = page.pictures["Confusion matrix"]
    counts = [element.text for element in drawn(tree, "text", "count")]
    assert counts == [f"{count:,}" for count in (correct, alarms, misses, hits)]
    assert f"{correct / (correct + alarms):.1%} of negative" in texts(tree)
    assert {"judged negative", "judged positive"} <= set(texts(tree))
    assert f"labelled positive, {misses:,} were judged negative and {hits:,} positive" in title(tree)


def test_the_roc_curve(page: Page, metrics: Metrics) -> None:
    tree = page.pictures["ROC curve"]
    assert f"{metrics.roc_auc:.3f}" in texts(tree)
    assert title(tree) == f"ROC curve, AUC {metrics.roc_auc:.3f}"
    (curve,) = drawn(tree, "polyline", "roc")
    (diagonal,) = drawn(tree, "polyline", "diagonal")
    places = curve.get("points", "").split()
    assert len(places) == len(metrics.curve)
    assert diagonal.get("points", "").split() == [places[0], places[-1]]
    across, down = np.array([place.split(",") for place in places], dtype=float).T
    rates = np.array(metrics.curve)
    assert across == pytest.approx(across[0] + rates[:, 0] * (across[-1] - across[0]), abs=0.1)
    assert down == pytest.approx(down[0] + rates[:, 1] * (down[-1] - down[0]), abs=0.1)
    assert across[0] < across[-1]
    assert down[0] > down[-1]


def test_the_reliability_diagram(page: Page, metrics: Metrics) -> None:
    tree = page.pictures["Reliability diagram"]
    dots = drawn(tree, "circle", "dot")
    assert len(dots) == len(metrics.bins)
    assert [element.text for element in drawn(tree, "text", "tiny")] == [f"{found.reviews}" for found in metrics.bins]
    assert len(drawn(tree, "polyline", "diagonal")) == 1
    first, dot = metrics.bins[0], dots[0]
    assert f"mean probability {first.mean_probability:.3f}, share {first.share_positive:.3f}" in (dot[0].text or "")
    fullest = max(range(len(dots)), key=lambda i: float(dots[i].get("r", 0)))
    assert metrics.bins[fullest].reviews == max(found.reviews for found in metrics.bins)


def test_the_histogram_stacks_every_review_by_its_label(page: Page, metrics: Metrics) -> None:
    tree = page.pictures["Histogram"]
    told = [element.text or "" for element in tree.iter("title")]
    for i, (label, row) in enumerate(zip(metrics.labels, metrics.confusion, strict=True)):
        assert all(f" labelled {label};" in (bar[0].text or "") for bar in drawn(tree, "rect", f"bar-{i}")[:-1])
        assert sum(int(words.split()[0]) for words in told if f" labelled {label};" in words) == sum(row)
    bars = drawn(tree, "rect", "bar-1")[:-1]  # the last one is the legend's
    heights = {bar[0].text or "": float(bar.get("height", 0)) for bar in bars}
    counts = [int(words.split()[0]) for words in heights]
    assert list(heights.values()) == pytest.approx(
        [count * max(heights.values()) / max(counts) for count in counts], abs=0.2
    )


def test_the_training_curves(page: Page) -> None:
    loss, accuracy = page.pictures["Loss"], page.pictures["Validation accuracy"]
    assert [len(drawn(loss, "polyline", kind)) for kind in ("training", "validation")] == [1, 1]
    assert len(drawn(loss, "circle", "dot")) == 2 * len(HISTORY)
    assert "Epoch 2: validation 0.4400" in [element.text for element in loss.iter("title")]
    assert title(accuracy) == "Validation accuracy by epoch, 0.8642 at its highest"
    assert "kept: epoch 2" in texts(loss)
    assert "kept: epoch 2" in texts(accuracy)


def test_the_bins_stand_in_a_table_too(page: Page, metrics: Metrics) -> None:
    found = metrics.bins[3]
    cells = f"<td>{found.reviews:,}</td><td>{found.mean_probability:.3f}</td><td>{found.share_positive:.3f}</td>"
    assert cells in page.source


def test_the_card_is_told(page: Page) -> None:
    for name, value in {
        "labels": "negative, positive",
        "temperature": "1.25",
        "learning rate": "0.003",
        "vocab size": "5,000",
        "fingerprint": "f" * 64,
        "train": "22,377",
        "parameters": "347,401",
        "torch": "2.9.1",
    }.items():
        assert f"<dt>{name}</dt><dd>{value}</dd>" in page.source
    assert "2,000 reviews, judged by Films, small." in page.words
    assert "history" not in page.words


def test_mistakes_come_the_most_confident_first(page: Page) -> None:
    first, second = re.findall(r"<li>.*?</li>", page.source, re.S)
    assert "<strong>positive</strong> >99.9%" in first.replace("&gt;", ">")
    assert "labelled negative" in first
    assert "I wanted\n\nto love it." in first
    assert "<strong>negative</strong> 71.0%" in second
    assert "Hardly dull." in second


@pytest.mark.parametrize("text", ["word " * 400, "x" * 2000, "長" * 601])
def test_a_long_mistake_is_kept_whole_and_folded(text: str) -> None:
    page = Page(html_report(metrics_of(50), {}, "Long", [Mistake(text, "negative", "positive", 0.9)]))
    quoted = re.search(
        r"<blockquote.*?>(.*) …<details><summary>The rest</summary>(.*)</details></blockquote>", page.source
    )
    assert quoted is not None
    assert "".join(quoted.groups()).replace(" ", "") == text.replace(" ", "")
    assert 0 < len(quoted[1]) <= report.OPENING


def test_without_mistakes_history_or_card_nothing_is_promised() -> None:
    page = Page(html_report(metrics_of(), {}, "Bare"))
    assert tuple(page.pictures) == PICTURES[:4]
    for heading in ("Mistakes", "Training", "card", "judged by"):
        assert heading not in page.words


@pytest.mark.parametrize("history", [None, [], "none", [{"epoch": 1}], [{"epoch": 1, "loss": None}]])
def test_a_history_without_losses_draws_no_line(history: Any) -> None:
    page = Page(html_report(metrics_of(), card_of(training={"seed": 5, "history": history}), "No history"))
    assert "<dt>seed</dt><dd>5</dd>" in page.source
    assert not [tree for tree in page.pictures.values() if drawn(tree, "polyline", "training")]


def test_one_epoch_is_a_dot() -> None:
    page = Page(html_report(metrics_of(), card_of(training={"history": HISTORY[:1]}), "One epoch"))
    (dot,) = drawn(page.pictures["Validation accuracy"], "circle", "dot")
    assert dot[0].text == "Epoch 1: validation accuracy 0.8100"


def test_what_learnt_beside_the_first_has_curves_of_its_own() -> None:
    beside = {"backward": {"best_epoch": 1, "history": HISTORY}, "sideways": "none"}
    page = Page(html_report(metrics_of(), card_of(training={"history": HISTORY, "beside": beside}), "Both ways"))
    for heading in ("Loss", "Accuracy", "Loss, backward", "Accuracy, backward"):
        assert page.source.count(f"<h3>{heading}</h3>") == 1
    assert "sideways" not in page.words


def test_what_teachers_were_worth_can_be_read() -> None:
    teachers = {"shares": {"linear": 0.3, "forward, turn 1": 0.7}, "accuracy": {"linear": 0.91733547}}
    page = Page(html_report(metrics_of(), card_of(training={"history": HISTORY, "teachers": teachers}), "Taught"))
    assert "<dt>teachers shares</dt><dd>linear 0.3; forward, turn 1 0.7</dd>" in page.source
    assert "<dt>teachers accuracy</dt><dd>linear 0.917335</dd>" in page.source
    assert "{" not in page.words


def test_figures_that_cannot_be_computed_are_dashes() -> None:
    page = Page(html_report(one_label(), card_of(), "One label"))
    assert page.source.count("<td>-</td>") == 4
    assert texts(page.pictures["ROC curve"]) == ["Needs reviews of at least two labels."]
    assert "- of positive" in texts(page.pictures["Confusion matrix"])
    assert not re.search(r"\b(None|nan|inf)\b", page.words)


def test_empty_bins_are_said_to_be_empty() -> None:
    page = Page(html_report(replace(one_label(), bins=[]), {}, "Empty"))
    assert texts(page.pictures["Reliability diagram"]) == texts(page.pictures["Histogram"]) == ["No reviews."]
    assert "The bins in figures" not in page.words


def test_nothing_from_outside_becomes_markup() -> None:
    labels = (f"a {ATTACK}", f"b {ATTACK}")
    attacked: dict[str, Any] = {
        "seed": ATTACK,
        ATTACK: ATTACK,
        "history": [{**HISTORY[0], "epoch": ATTACK}],
        "best_epoch": ATTACK,
    }
    attacked["beside"] = {ATTACK: dict(attacked)}
    parts: dict[str, Any] = {name: {ATTACK: ATTACK, "x": [ATTACK]} for name in ("recipe", "data", "versions")}
    card = card_of(labels=labels, name=ATTACK, training=attacked, **parts)
    mistakes = [Mistake(ATTACK, *labels, 0.9), Mistake("long " * 200 + ATTACK, *labels, 0.8)]
    page = Page(html_report(metrics_of(labels=labels), card, ATTACK, mistakes))
    assert "script" not in page.names
    assert "<script" not in page.source
    assert page.words.count(ATTACK) > 20
    assert all(ATTACK in title(page.pictures[name]) for name in ("Confusion matrix", "Histogram"))


def test_a_lone_surrogate_can_be_written(tmp_path: Path) -> None:
    page = html_report(metrics_of(), {}, "Odd", [Mistake("half a pair: \ud83d", "negative", "positive", 0.9)])
    (tmp_path / "report.html").write_text(page, "utf-8")
    assert "half a pair: ?" in page


def test_a_long_label_is_cut_in_pictures_and_whole_in_their_titles() -> None:
    page = Page(html_report(metrics_of(labels=("not at all recommended", "yes")), {}, "Long label"))
    tree = page.pictures["Confusion matrix"]
    assert "judged not at all re…" in texts(tree)
    assert "labelled not at all recommended" in title(tree)


def test_the_colours_are_those_of_the_web_page() -> None:
    style = Path(report.__file__).parents[1] / "web" / "pages" / "style.css"

    def colours(css: str) -> list[dict[str, str]]:
        return [dict(re.findall(r"--([\w-]+): ([^;]+);", block)) for block in re.findall(r":root \{(.*?)\}", css, re.S)]

    for ours, theirs in zip(colours(drawing.STYLE.read_text("utf-8")), colours(style.read_text("utf-8")), strict=True):
        assert ours.items() <= theirs.items()


STARS = ("one star", "two", "three", "four", "five")


def metrics_of_more(labels: tuple[str, ...] = STARS, reviews: int = 800) -> Metrics:
    random, count = np.random.default_rng(5), len(labels)
    truth = random.integers(0, count, reviews)
    logits = random.normal(size=(reviews, count)) + 2 * np.eye(count)[truth]
    return measure(np.exp(logits) / np.exp(logits).sum(axis=1, keepdims=True), truth, labels)


def a_deletion() -> Deletion:
    found = deletion_curve(texts_of(["bad", "good"]), counting(("no", "yes")))
    assert found is not None
    return found


def test_of_more_labels_the_table_has_each_ones_figures_and_a_square() -> None:
    found = metrics_of_more()
    figures, labels, confusion = table(found).rstrip("\n").split("\n\n")
    assert f"F1                 {found.f1:.4f}" in figures
    first = labels.splitlines()[1].split()
    own = found.by_label[0]
    assert first == [
        "one",
        "star",
        *(f"{x}" if isinstance(x, int) else f"{x:.4f}" for x in list(vars(own).values())[1:]),
    ]
    assert [len(block.splitlines()) for block in (labels, confusion)] == [6, 6]
    assert confusion.splitlines()[1].split()[-5:] == [str(count) for count in found.confusion[0]]
    many = metrics_of_more(tuple(f"topic {i}" for i in range(30)))
    assert "judged" not in table(many)
    assert "topic 29" in table(many)


def test_of_more_labels_the_page_speaks_of_the_label_given() -> None:
    found = metrics_of_more()
    page = Page(
        html_report(found, card_of(labels=STARS, priors=(0.2,) * 5), "Stars", [Mistake("Hm.", "two", "four", 0.9)])
    )
    assert tuple(page.pictures) == PICTURES
    assert "1.609 even odds’" in page.words
    assert "0.8 even odds’" in page.words
    assert "Of labels given with a probability, how many are right?" in page.words
    assert "probability of the label given" in texts(page.pictures["Reliability diagram"])
    assert {"wrong", "right"} <= set(texts(page.pictures["Histogram"]))
    assert drawn(page.pictures["ROC curve"], "circle", "dot") == []
    assert "mean of 5 labels" in title(page.pictures["ROC curve"])
    for own in found.by_label:
        assert f'<th scope="row">{own.label}</th><td>{own.reviews}</td><td>{own.precision:.4f}</td>' in page.source
    assert '<p class=""><strong>four</strong> 90.0%' in page.source
    assert "<dt>priors</dt><dd>0.2, 0.2, 0.2, 0.2, 0.2</dd>" in page.source


def test_the_table_of_two_labels_has_no_labels_of_its_own(page: Page) -> None:
    assert "Label by label" not in page.words


def test_the_deletion_curve_stands_on_the_page_and_in_the_terminal() -> None:
    found = a_deletion()
    page = Page(html_report(metrics_of(), {}, "With words", deletion=found))
    (tree,) = [
        t for t in map(ElementTree.fromstring, re.findall(r"<svg.*?</svg>", page.source)) if "Deletion" in title(t)
    ]
    assert [len(drawn(tree, "polyline", kind)) for kind in ("most", "chance")] == [1, 1]
    assert len(drawn(tree, "circle", "dot")) == 2 * len(found.curve)
    step = found.curve[2]
    told = f"Without the 10% of words that count most, {step.changed:.1%} of 40 verdicts changed"
    assert told in page.words
    assert f"<td>{step.changed:.1%}</td><td>{step.changed_at_random:.1%}</td>" in page.source
    lines = deletion_table(found).splitlines()
    assert lines[3].split() == ["10%", *cells_of(step)]
    assert told in lines[-1]
    assert "Do verdicts hang" not in html_report(metrics_of(), {}, "Without")


def cells_of(step: Removal) -> list[str]:
    shares = (f"{step.changed:.1%}", f"{step.changed_at_random:.1%}")
    return [*shares, f"{step.probability:.3f}", f"{step.probability_at_random:.3f}"]


def test_of_more_labels_nothing_from_outside_becomes_markup() -> None:
    labels = tuple(f"{letter} {ATTACK}" for letter in "abc")
    page = Page(
        html_report(
            metrics_of_more(labels), {}, ATTACK, [Mistake(ATTACK, labels[0], labels[1], 0.9)], deletion=a_deletion()
        )
    )
    assert "script" not in page.names
    assert page.words.count(ATTACK) > 5


def test_the_behavioural_suite_stands_in_the_report_where_it_was_run() -> None:
    even = check(built_in(), lambda texts: np.full((len(texts), 2), 0.5), ("negative", "positive"))
    page = html_report(metrics_of(), {}, "Checked", behaviour=even)
    assert "Behavioural tests" in page
    assert f"{even.total.passed:,} of {even.total.cases:,} cases passed" in page
    assert "Behavioural tests" not in html_report(metrics_of(), {}, "Unchecked")
