from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

from plaudit.learning.lessons import Lessons, lessons
from plaudit.learning.preparing import prepare_for
from plaudit.learning.recipes import Recipe
from plaudit.text.encoding import Encoded
from tests.made import made_up

RECIPE = Recipe.of("lstm", start="nothing", phrases=300)
DATA = prepare_for(RECIPE, made_up())


def test_the_training_reviews_come_first_with_all_of_their_label() -> None:
    found, train = lessons(DATA, RECIPE, 0), DATA.train
    count = len(train.texts)
    assert all(found.texts[at].tolist() == train.texts[at].tolist() for at in range(count))
    np.testing.assert_array_equal(found.targets[:count], np.eye(2)[train.labels])
    assert found.targets.dtype == np.float32


def test_phrases_follow_with_a_share_of_each_label() -> None:
    found, count = lessons(DATA, RECIPE, 0), len(DATA.train.texts)
    assert len(found.texts) == len(found.targets) == count + 300
    np.testing.assert_allclose(found.targets.sum(axis=1), 1)
    assert set(np.unique(found.targets[count:, 1])) <= {0.0, 0.5, 1.0}
    assert 0.3 < found.targets[count:, 1].mean() < 0.7


@pytest.mark.parametrize(
    "labels", [("bad", "good"), ("positive", "negative"), ("bad", "middling", "good"), ("negative", "other")]
)
def test_other_labels_than_negative_and_positive_get_no_phrases(labels: tuple[str, ...]) -> None:
    data = prepare_for(RECIPE, made_up(labels))
    found = lessons(data, RECIPE, 0)
    assert len(found.texts) == len(data.train.texts)
    assert found.targets.shape == (len(found.texts), len(labels))


def test_a_recipe_without_phrases_gets_none() -> None:
    assert len(lessons(DATA, replace(RECIPE, phrases=0), 0).texts) == len(DATA.train.texts)


def test_few_reviews_get_fewer_phrases() -> None:
    found = lessons(DATA, replace(RECIPE, phrases=1_000_000), 0)
    assert len(found.texts) == len(DATA.train.texts) + 5_000


def test_the_seed_chooses_the_phrases_and_the_fingerprint_tells() -> None:
    first, again, other = (lessons(DATA, RECIPE, seed) for seed in (0, 0, 1))
    assert first.fingerprint == again.fingerprint != other.fingerprint
    softer = Lessons(first.texts, first.targets * np.float32(0.5))
    assert softer.fingerprint != first.fingerprint


def test_more_texts_come_before_so_that_phrases_stay_last() -> None:
    own = Lessons(Encoded.of([[2, 3], []]), np.eye(2, dtype=np.float32))
    joined = own.with_more(Encoded.of([[], [4], [5, 6, 7]]), np.full((3, 2), 0.5, dtype=np.float32))
    assert [joined.texts[at].tolist() for at in range(len(joined.texts))] == [[], [4], [5, 6, 7], [2, 3], []]
    assert joined.targets.tolist() == [[0.5, 0.5], [0.5, 0.5], [0.5, 0.5], [1, 0], [0, 1]]
    nothing = own.with_more(Encoded.of([]), np.zeros((0, 2), dtype=np.float32))
    assert nothing.fingerprint == own.fingerprint


def test_a_phrase_counts_for_what_the_recipe_says() -> None:
    found, count = lessons(DATA, RECIPE, 0), len(DATA.train.texts)
    weights = found.weights(0.25)
    assert len(weights) == len(found.texts)
    assert set(weights[:count]) == {1}
    assert set(weights[count:]) == {0.25}
