"""Document vectors in an encoder: that its LSTMs learn to infer them, in steps that can be stopped."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch

from plaudit.learning import vector_regression
from plaudit.learning.network import Network, start_from
from plaudit.learning.pretrained import Pretrained
from plaudit.learning.pretraining import HELD_OUT, Corpus
from plaudit.learning.recipes import Recipe
from plaudit.learning.schedule import VectorSettings
from plaudit.learning.vector_regression import with_vectors
from plaudit.learning.watch import Interrupted, Watch
from plaudit.text.encoding import Encoded

SETTINGS = VectorSettings(
    dim=6, epochs=8, regression_epochs=4, regression_rate=0.02, batch_size=16, phrases=40, span_dropout=0
)


def stopping(after: int) -> Callable[[], bool]:
    asked = iter([False] * (after - 1) + [True])
    return lambda: next(asked, False)


@pytest.fixture(scope="module")
def made(corpus: Corpus, encoder: Pretrained) -> Pretrained:
    return with_vectors(encoder, corpus.texts, SETTINGS, held=HELD_OUT)


def test_both_directions_learn_to_infer_the_vectors_of_texts_they_have_not_read(made: Pretrained) -> None:
    told = made.card["vectors"]
    assert told["settings"]["dim"] == SETTINGS.dim
    assert told["ngrams"] > 100
    for direction in ("forward", "backward"):
        first, last = told[direction][0], told[direction][-1]
        assert len(told[direction]) == SETTINGS.regression_epochs
        assert last["loss"] < first["loss"]
        assert last["cosine"] > 0.1, told[direction]
        assert made.projections[direction].shape == (SETTINGS.dim + 1, 2 * made.hidden_dim)


def test_what_the_language_models_learnt_stays(made: Pretrained, encoder: Pretrained) -> None:
    before = encoder.rounded()
    assert torch.equal(made.embedding, before.embedding)
    for direction, lstm in before.lstms.items():
        assert all(torch.equal(value, made.lstms[direction][name]) for name, value in lstm.items())
        assert not torch.equal(lstm["weight_hh_l0"], made.inferring[direction]["weight_hh_l0"])


@pytest.mark.parametrize("after", [3, 84, 160])
def test_a_stopped_one_goes_on_bit_for_bit(
    after: int, made: Pretrained, encoder: Pretrained, corpus: Corpus, tmp_path: Path
) -> None:
    with pytest.raises(Interrupted):
        with_vectors(encoder, corpus.texts, SETTINGS, held=HELD_OUT, folder=tmp_path, watch=Watch(stop=stopping(after)))
    again = with_vectors(encoder, corpus.texts, SETTINGS, held=HELD_OUT, folder=tmp_path)
    assert torch.equal(again.embedding, made.embedding)
    for direction, projection in made.projections.items():
        assert torch.equal(again.projections[direction], projection)


def test_an_encoder_keeps_its_projections_on_disk(made: Pretrained, tmp_path: Path) -> None:
    made.save(tmp_path / "encoder")
    found = Pretrained.load(tmp_path / "encoder")
    for direction, projection in made.projections.items():
        assert torch.equal(found.projections[direction], projection.half().float())
        for name, value in made.inferring[direction].items():
            kept = found.inferring[direction][name]
            assert (kept - value).abs().max() <= value.abs().max() / 127 + 1e-3
            assert torch.equal(kept, made.rounded().rounded().inferring[direction][name])
    both = found.projection(("forward", "backward"))
    assert both is not None
    assert both.shape == (SETTINGS.dim + 1, 4 * made.hidden_dim)


def test_what_both_directions_infer_together_is_the_mean_of_what_each_does(made: Pretrained) -> None:
    hidden = made.hidden_dim
    states = torch.randn(5, 4 * hidden)
    mean, maximum = states.chunk(2, dim=1)
    both = made.projection(("forward", "backward"))
    assert both is not None
    each = [
        torch.cat([mean.chunk(2, dim=1)[at], maximum.chunk(2, dim=1)[at]], 1) @ made.projections[direction].t()
        for at, direction in enumerate(("forward", "backward"))
    ]
    assert torch.allclose(states @ both.t(), (each[0] + each[1]) / 2, atol=1e-5)
    assert made.projection(("forward", "sideways")) is None


def test_it_learns_which_phrases_are_positive_and_says_little_else_of_them(
    corpus: Corpus, encoder: Pretrained, monkeypatch: pytest.MonkeyPatch
) -> None:
    random = np.random.default_rng(0)
    positive = random.integers(0, 2, size=400).astype(np.float32)
    rows = [np.append(random.integers(20, 60, size=5), 10 + share) for share in positive]
    phrases = Encoded.of(row.astype(np.int32) for row in rows)
    monkeypatch.setattr(vector_regression, "encoded_phrases", lambda *given: (phrases, positive))
    settings = replace(SETTINGS, phrases=400, phrase_weight=1, regression_epochs=12, dropout=0, word_dropout=0)
    said = said_by(with_vectors(encoder, corpus.texts, settings, held=HELD_OUT), phrases)
    assert ((said[:, -1] > 0).numpy() == positive).mean() > 0.9
    assert said[:, :-1].norm(dim=1).mean() < 0.3
    monkeypatch.undo()
    alone = said_by(with_vectors(encoder, corpus.texts, replace(settings, phrases=0), held=HELD_OUT), phrases)
    assert alone.shape[1] == SETTINGS.dim
    assert alone.norm(dim=1).mean() > 0.3


def said_by(encoder: Pretrained, texts: Encoded) -> torch.Tensor:
    """What an encoder's forward LSTM infers of each text."""
    recipe = Recipe.of("lstm", embedding_dim=encoder.embedding.shape[1], hidden_dim=encoder.hidden_dim)
    network = Network(recipe, encoder.vocabulary.size, np.zeros(1))
    start_from(network, encoder.vocabulary, replace(encoder, lstms=encoder.inferring))
    network.eval()
    with torch.no_grad():
        rows = [torch.from_numpy(text.astype(np.int64)).unsqueeze(0) for text in texts]
        read = [network.read(network.embedding(row), torch.tensor([row.shape[1]]))[0] for row in rows]
    return torch.stack(read) @ encoder.projections["forward"].t()


def test_long_texts_are_read_from_their_beginning(
    corpus: Corpus, encoder: Pretrained, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(vector_regression, "MAX_WORDS", 5)
    settings = replace(SETTINGS, epochs=1, regression_epochs=1)
    assert with_vectors(encoder, corpus.texts, settings, held=HELD_OUT).projections.keys() == encoder.lstms.keys()
