from __future__ import annotations

from pathlib import Path

import pytest
import torch

from plaudit.errors import UsageError
from plaudit.learning.preparing import encoder_folder as folder_of
from plaudit.learning.preparing import first_words, prepare_for
from plaudit.learning.pretrained import Pretrained
from plaudit.learning.recipes import Recipe
from plaudit.learning.training import Training
from plaudit.text.prepared import Prepared
from plaudit.text.reviews import Review, Reviews
from plaudit.text.vocabulary import Vocabulary
from tests.made import TINY, made_up

NEW = [Review(f"an unheardof picture visitor{number}", ("negative", "positive")[number % 2]) for number in range(40)]


@pytest.fixture(scope="module")
def reviews() -> Reviews:
    """Reviews with a word that no encoder knows."""
    made = made_up()
    return Reviews(made.name, made.origin, made.labels, [*made.train, *NEW], made.test)


def test_the_encoders_words_come_first_and_frequent_new_ones_after(
    reviews: Reviews, encoder: Pretrained, encoder_folder: Path
) -> None:
    recipe = Recipe.of("lstm", start=str(encoder_folder))
    data = prepare_for(recipe, reviews)
    known = encoder.vocabulary.words
    assert data.vocabulary.words[: len(known)] == known
    assert set(data.vocabulary.words[len(known) :]) == {"unheardof", "an", "picture"} - set(known)
    assert data.about.reading.start == str(encoder_folder)


def test_the_encoders_words_stay_however_small_the_vocabulary(
    reviews: Reviews, encoder: Pretrained, encoder_folder: Path
) -> None:
    data = prepare_for(Recipe.of("lstm", start=str(encoder_folder), vocab_size=10), reviews)
    assert data.vocabulary == encoder.vocabulary


def test_without_an_encoder_the_words_are_the_reviews_own(reviews: Reviews) -> None:
    recipe = Recipe.of("lstm", start="nothing")
    assert first_words(recipe) is None
    data = prepare_for(recipe, reviews)
    assert {"unheardof", "visitor1"} <= set(data.vocabulary.words)
    assert data.about.reading.start == "nothing"


def test_the_shipped_encoder_is_found() -> None:
    with folder_of("encoder") as folder:
        assert Vocabulary.load(folder / "vocabulary.txt") == first_words(Recipe.of("lstm"))


@pytest.mark.parametrize("content", [None, b"", b"good\nbad\n", b"\xff"])
def test_a_start_that_is_no_encoder_is_refused(content: bytes | None, reviews: Reviews, tmp_path: Path) -> None:
    if content is not None:
        (tmp_path / "vocabulary.txt").write_bytes(content)
    with pytest.raises(UsageError, match=r"--start .*: no encoder there .*: plaudit pretrain makes one"):
        prepare_for(Recipe.of("lstm", start=str(tmp_path)), reviews)


def test_a_training_starts_from_a_folder(reviews: Reviews, encoder: Pretrained, encoder_folder: Path) -> None:
    settings = {**TINY, "learning_rate": 1e-8, "epochs": 1}
    recipe = Recipe.of("lstm", **settings, start=str(encoder_folder), direction="both", weights="float32")
    data = prepare_for(recipe, reviews)
    network = Training(data, recipe).learn()
    rounded, size = encoder.rounded(), encoder.vocabulary.size
    assert torch.allclose(network.embedding.weight[:size], rounded.embedding, atol=1e-5)
    unknown = rounded.embedding[1].expand(data.vocabulary.size - size, -1)
    assert torch.allclose(network.embedding.weight[size:], unknown, atol=1e-5)
    for direction, lstm in network.lstms.items():
        for name, value in lstm.state_dict().items():
            assert torch.allclose(value, rounded.lstms[direction][name], atol=1e-5)


def test_prepared_reviews_remember_what_they_start_from(reviews: Reviews, encoder_folder: Path, tmp_path: Path) -> None:
    recipe = Recipe.of("lstm", start=str(encoder_folder))
    data = prepare_for(recipe, reviews)
    data.save(tmp_path)
    assert Prepared.load(tmp_path).about.reading == recipe.reading
