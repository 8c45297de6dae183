"""What moves in a training, how fast, and what stays."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
import torch

from plaudit.learning import probing
from plaudit.learning.network import Network
from plaudit.learning.optimizing import optimizer, pace
from plaudit.learning.pretrained import Pretrained
from plaudit.learning.recipes import Recipe
from plaudit.learning.training import Training
from plaudit.text.encoding import Encoded
from plaudit.text.prepared import Part, Preparation, Prepared, Reading
from plaudit.text.vocabulary import INFREQUENT, Vocabulary

RECIPE = Recipe.of("lstm", embedding_dim=8, hidden_dim=8, phrases=0, few=0, epochs=1, average=0.0, adversarial=0.5)


def shares(recipe: Recipe, held: int = 0, fitted: bool = False) -> dict[str, float]:
    network = Network(recipe, 10, np.zeros(1))
    network.narrow(np.arange(10), held)
    groups = optimizer(network, recipe, fitted).param_groups
    of = {id(value): group["share"] for group in groups for value in group["params"]}
    assert all((id(value) in of) == value.requires_grad for value in network.parameters())
    return {name: of[id(value)] for name, value in network.named_parameters() if id(value) in of}


def test_what_the_encoder_knows_moves_slower_than_the_last_layer() -> None:
    found = shares(replace(RECIPE, embedding_rate=0.5, encoder_rate=0.2))
    assert found["dense.weight"] == 1
    assert found["lstm.weight_hh_l0"] == pytest.approx(0.2)
    assert found["embedding.weight"] == pytest.approx(0.1)
    few = shares(replace(RECIPE, embedding_rate=0.5, encoder_rate=0.2, fitted_rate=0.5), fitted=True)
    assert few == pytest.approx({name: share / 2 for name, share in found.items()})


def test_without_an_encoder_all_move_alike() -> None:
    found = shares(replace(RECIPE, start="nothing", encoder_rate=0.2))
    assert set(found.values()) == {1.0}
    assert "embedding.weight" in found


def test_word_vectors_that_stay_have_no_gradient() -> None:
    assert not {"embedding.weight", "others.weight"} & shares(RECIPE, 10).keys()
    found = shares(replace(RECIPE, encoder_rate=0.2), 9)
    assert "embedding.weight" not in found
    assert found["others.weight"] == pytest.approx(0.2)


@pytest.mark.parametrize("rate", [0.0, 1.0])
def test_the_encoders_vectors_stay_and_those_of_other_words_are_learnt(
    rate: float, encoder: Pretrained, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(probing, "load_encoder", lambda start: encoder)
    known = encoder.vocabulary.size
    vocabulary = Vocabulary((*encoder.vocabulary.words, "whence", "hither"))
    random = np.random.default_rng(0)
    texts = Encoded.of(random.integers(2, known + 2, size=30).astype(np.int32) for _ in range(100))
    part = Part(texts, np.array([known in text for text in texts], dtype=np.int64))
    sizes = {"train": 100, "validation": 100, "test": 0, "duplicates": 0, "vocabulary": vocabulary.size}
    about = Preparation("made up", "", ("negative", "positive"), Reading(), "", **sizes)
    network = Training(Prepared(about, vocabulary, part, part), replace(RECIPE, embedding_rate=rate)).learn()
    table = network.embedding.weight.detach()
    unknown = encoder.embedding[INFREQUENT]
    assert torch.equal(table[:known], encoder.embedding) == (rate == 0)
    assert not any(torch.equal(row, unknown) for row in table[known:])


def test_the_pace_rises_to_1_and_then_falls_to_nothing() -> None:
    found = [pace(0.2, done, 10) for done in range(10)]
    assert found == pytest.approx([1 / 2, *(step / 9 for step in range(9, 0, -1))])
    assert [pace(0.0, done, 4) for done in range(4)] == pytest.approx([1, 3 / 4, 1 / 2, 1 / 4])
