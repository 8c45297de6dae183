from __future__ import annotations

from pathlib import Path

import pytest

from plaudit.learning.recipes import Recipe
from plaudit.text.prepared import prepare
from plaudit.text.sources import read_reviews
from plaudit.text.vocabulary import Vocabulary

FIRST = (
    "movi film one like time good make charact get see watch stori even would realli well scene look show much end"
    " peopl bad go great also first love think way act play made thing could know"
).split()


def test_ids_follow_frequency_and_ties_follow_first_appearance() -> None:
    vocabulary = Vocabulary.of([["late", "b", "a"], ["a", "b", "c"]], size=5)
    assert vocabulary.words == ("b", "a", "late")
    assert vocabulary.ids(["a", "b", "c", "unheard"]) == [3, 2, 1, 1]


def test_size_counts_the_two_reserved_ids() -> None:
    assert Vocabulary.of([["a", "b", "c", "d"]], size=4).size == 4


def test_words_to_start_with_keep_their_ids_and_only_frequent_ones_join_them() -> None:
    start = Vocabulary(("film", "good"))
    texts = [["rare", "good", "often"]] * 4 + [["often", "film", "oftener", "oftener"]] * 5
    assert Vocabulary.of(texts, 100, start).words == ("film", "good", "oftener", "often")
    assert Vocabulary.of(texts, 5, start).words == ("film", "good", "oftener")
    assert Vocabulary.of(texts, 3, start) == start, "none of the first words is left out"


def test_file_has_a_word_a_line_and_its_line_is_its_id(tmp_path: Path) -> None:
    vocabulary = Vocabulary(("good", "bad", "gut\u00e9"))
    vocabulary.save(tmp_path / "vocabulary.txt")
    lines = (tmp_path / "vocabulary.txt").read_text("utf-8").splitlines()
    assert [lines[index] for index in vocabulary.ids(["good", "bad", "gut\u00e9"])] == ["good", "bad", "gut\u00e9"]
    assert Vocabulary.load(tmp_path / "vocabulary.txt") == vocabulary


@pytest.mark.parametrize("content", ["", "a\nb\n", "<no word>\n<infrequent>\na\na\n", "<no word>\n<infrequent>\n\n\n"])
def test_a_file_that_is_not_a_vocabulary_is_refused(content: str) -> None:
    with pytest.raises(ValueError, match="not a vocabulary"):
        Vocabulary.parse(content)


@pytest.mark.imdb
def test_first_ids_on_imdb_are_the_originals(imdb_archive: Path) -> None:
    reviews = read_reviews(str(imdb_archive))
    data = prepare(reviews, Recipe.of("original").reading)
    assert data.vocabulary.ids(FIRST) == list(range(2, 38))
    assert data.vocabulary.size == 5000
    assert (len(reviews.train), len(reviews.test)) == (25_000, 25_000)
