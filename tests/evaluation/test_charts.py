"""The pictures: that marks stand where the numbers say, for two labels and for many."""

from __future__ import annotations

from xml.etree import ElementTree

import numpy as np
import pytest

from plaudit.evaluation import charts
from plaudit.evaluation.deletion import Deletion, Removal
from plaudit.evaluation.drawing import LEFT, RIGHT
from plaudit.evaluation.metrics import Metrics, measure


def metrics_of(labels: int, reviews: int = 600) -> Metrics:
    random = np.random.default_rng(labels)
    truth = random.integers(0, labels, reviews)
    logits = random.normal(size=(reviews, labels)) + 2 * np.eye(labels)[truth]
    names = tuple(f"label {index}" for index in range(labels))
    return measure(np.exp(logits) / np.exp(logits).sum(axis=1, keepdims=True), truth, names)


def parts(svg: str, tag: str, kind: str) -> list[ElementTree.Element]:
    return [found for found in ElementTree.fromstring(svg).iter(tag) if kind in found.get("class", "").split()]


def told(found: ElementTree.Element) -> str:
    return found[0].text or ""


@pytest.mark.parametrize("labels", [3, 8, 9, 20])
def test_a_square_has_a_cell_for_every_pair(labels: int) -> None:
    found = metrics_of(labels)
    svg = charts.confusion_matrix(found)
    right, wrong = parts(svg, "rect", "cell-1"), parts(svg, "rect", "cell-0")
    assert (len(right), len(wrong)) == (labels, labels * labels - labels)
    for i, cell in enumerate(right):
        row = found.confusion[i]
        assert told(cell) == f"{row[i]} of {sum(row)} labelled label {i} were judged label {i}"
        assert float(cell.get("fill-opacity", 0)) == pytest.approx(0.06 + 0.4 * row[i] / sum(row), abs=1e-3)
    texts = [element.text for element in ElementTree.fromstring(svg).iter("text")]
    assert (str(found.confusion[0][0]) in texts) == (labels <= charts.MOST_COUNTS)
    assert texts.count("label 1") == 2
    assert all(float(cell.get("x", 0)) + float(cell.get("width", 0)) <= RIGHT for cell in right)


def test_two_labels_keep_their_four_wide_cells() -> None:
    assert len(parts(charts.confusion_matrix(metrics_of(2)), "text", "count")) == 4


def test_over_twenty_labels_no_square_is_drawn() -> None:
    svg = charts.confusion_matrix(metrics_of(21))
    assert "Over 20 labels: --json has it." in svg
    assert "<rect" not in svg


@pytest.mark.parametrize("labels", [2, 5])
def test_the_histogram_holds_every_review_once(labels: int) -> None:
    found = metrics_of(labels)
    svg = charts.histogram(found)
    right, wrong = (parts(svg, "rect", f"bar-{side}")[:-1] for side in (1, 0))  # the last one is the legend's
    counted = [sum(int(told(bar).split()[0]) for bar in side) for side in (right, wrong)]
    assert sum(counted) == found.reviews
    if labels > 2:
        assert counted[0] == sum(row[i] for i, row in enumerate(found.confusion))


@pytest.mark.parametrize("labels", [2, 5])
def test_a_curve_without_its_area_is_not_drawn(labels: int) -> None:
    shares = np.full((3, labels), 1 / labels)
    found = measure(shares, np.zeros(3, dtype=np.int64), tuple("abcde"[:labels]))
    assert "Needs reviews of at least two labels." in charts.roc_curve(found)


def test_the_deletion_curve_rises_by_what_changed() -> None:
    steps = [Removal(0.0, 0.0, 0.0, 0.9, 0.9), Removal(0.1, 0.4, 0.05, 0.5, 0.85), Removal(0.5, 0.8, 0.2, 0.2, 0.7)]
    svg = charts.deletion_curve(Deletion(100, 3, 0.4, steps))
    (most,), (chance,) = parts(svg, "polyline", "most"), parts(svg, "polyline", "chance")
    places = [np.array([p.split(",") for p in line.get("points", "").split()], dtype=float) for line in (most, chance)]
    for at, heights in zip(places, ([0.0, 0.4, 0.8], [0.0, 0.05, 0.2]), strict=True):
        assert at[:, 0] == pytest.approx(LEFT + (RIGHT - LEFT) * np.array([0, 0.2, 1]), abs=0.1)
        scale = (places[0][0, 1] - places[0][2, 1]) / 0.8
        assert at[0, 1] - at[:, 1] == pytest.approx(np.array(heights) * scale, abs=0.2)
    assert "Without 10% of words, counting most: 40.0% of verdicts changed" in svg


def test_a_deletion_that_changes_nothing_can_be_drawn() -> None:
    svg = charts.deletion_curve(
        Deletion(1, 1, 0.0, [Removal(0.0, 0.0, 0.0, 1.0, 1.0), Removal(0.5, 0.0, 0.0, 1.0, 1.0)])
    )
    assert len(parts(svg, "circle", "dot")) == 4
