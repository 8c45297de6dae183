"""The linear probe against scikit-learn's logistic regression, and in a network."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch
from sklearn.linear_model import LogisticRegression

from plaudit.learning import probing
from plaudit.learning.calibration import accuracy, log_loss
from plaudit.learning.network import Network, start_from
from plaudit.learning.pretrained import Pretrained
from plaudit.learning.probing import STRENGTH, probe, regression, started
from plaudit.learning.recipes import Recipe
from plaudit.learning.training import Training
from plaudit.learning.watch import Watch
from plaudit.text.encoding import Encoded
from plaudit.text.prepared import Part, Preparation, Prepared, Reading

RECIPE = Recipe.of("lstm", embedding_dim=8, hidden_dim=8, phrases=0, epochs=1, few=200)


@pytest.mark.parametrize("labels", [2, 4])
def test_the_regression_is_scikit_learns(labels: int) -> None:
    random = np.random.default_rng(0)
    vectors = random.normal(size=(300, 5))
    label = (vectors @ random.normal(size=(5, labels)) + random.normal(size=(300, labels))).argmax(axis=1)
    biases = torch.zeros(1 if labels == 2 else labels)
    found = regression(torch.from_numpy(vectors).float(), torch.from_numpy(label), biases).numpy()
    peer = LogisticRegression(C=STRENGTH, fit_intercept=False, tol=1e-8, max_iter=1000).fit(vectors, label)
    assert np.abs(found - peer.coef_).max() < 2e-3


@pytest.fixture
def started_from(encoder: Pretrained) -> tuple[Network, Pretrained, Part]:
    """A network that begins as an encoder whose projection looks at two states, and 200 texts with labels by these."""
    network = Network(RECIPE, encoder.vocabulary.size, np.zeros(1))
    start_from(network, encoder.vocabulary, encoder)
    random = np.random.default_rng(0)
    texts = Encoded.of(
        random.integers(2, encoder.vocabulary.size, size=random.integers(3, 40)).astype(np.int32) for _ in range(200)
    )
    projection = torch.zeros(2, 16)
    projection[0, 3] = projection[1, 12] = 1
    network.eval()
    with torch.no_grad():
        rows = [torch.from_numpy(texts[at].astype(np.int64)).unsqueeze(0) for at in range(len(texts))]
        states = [network.read(network.embedding(row), torch.tensor([row.shape[1]]))[0] for row in rows]
    one, other = (np.array([state[at].item() for state in states]) for at in (3, 12))
    labels = (one > np.median(one / other) * other).astype(np.int64)
    forward = encoder.lstms["forward"]
    return (
        network,
        replace(encoder, inferring={"forward": forward}, projections={"forward": projection}),
        Part(texts, labels),
    )


def test_a_probed_network_knows_its_texts_and_only_its_last_layer_has_moved(
    started_from: tuple[Network, Pretrained, Part], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(probing, "STRENGTH", 1e6)
    network, encoder, part = started_from
    before = {name: value.clone() for name, value in network.state_dict().items()}
    loss = probe(network, encoder.projections["forward"], part, 100)
    moved = [name for name, value in network.state_dict().items() if not torch.equal(value, before[name])]
    assert moved == ["dense.weight"]
    weights = network.dense.weight[0]
    assert {at for at in range(16) if weights[at]} == {3, 12}
    with torch.no_grad():
        rows = [torch.from_numpy(text.astype(np.int64)).unsqueeze(0) for text in part.texts]
        logits = np.array([network.logits(row, torch.tensor([row.shape[1]]))[0].numpy() for row in rows])
    assert accuracy(logits, part.labels) > 0.9
    assert log_loss(logits, part.labels) == pytest.approx(loss, abs=1e-4)


def prepared(encoder: Pretrained, part: Part) -> Prepared:
    sizes = {"train": 200, "validation": 200, "test": 0, "duplicates": 0, "vocabulary": encoder.vocabulary.size}
    about = Preparation("made up", "", ("negative", "positive"), Reading(), "", **sizes)
    return Prepared(about, encoder.vocabulary, part, part)


@pytest.mark.parametrize("infers", [True, False])
def test_a_network_begins_with_what_infers_vectors_and_else_with_the_language_model(
    infers: bool, started_from: tuple[Network, Pretrained, Part], monkeypatch: pytest.MonkeyPatch
) -> None:
    network, encoder, part = started_from
    moved = {name: value + 1 for name, value in encoder.lstms["forward"].items()}
    found = replace(encoder, inferring={"forward": moved}) if infers else replace(encoder, inferring={}, projections={})
    monkeypatch.setattr(probing, "load_encoder", lambda start: found)
    before = network.dense.weight.clone()
    card, words, loss = started(network, prepared(encoder, part), RECIPE)
    assert (card, words) == (encoder.card, encoder.vocabulary.size)
    begun = network.lstms["forward"].state_dict()["weight_hh_l0"]
    assert torch.equal(begun, (moved if infers else encoder.lstms["forward"])["weight_hh_l0"])
    assert torch.equal(network.dense.weight, before) == (loss is None) == (not infers)


def test_a_training_with_few_reviews_fits_the_last_layer_and_no_other(
    started_from: tuple[Network, Pretrained, Part], monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    _, encoder, part = started_from
    monkeypatch.setattr(probing, "load_encoder", lambda start: encoder)
    data, said = prepared(encoder, part), list[str]()
    training = Training(data, RECIPE, 0, tmp_path, Watch(said.append))
    network = training.learn()
    assert torch.equal(network.embedding.weight, encoder.embedding[: len(network.embedding.weight)])
    for name, value in encoder.lstms["forward"].items():
        assert torch.equal(network.lstms["forward"].state_dict()[name], value)
    assert [entry["epoch"] for entry in training.run().card.training["history"]] == [1]
    assert any("--few 0" in line for line in said)
    again = Training(data, RECIPE, 0, tmp_path).learn()
    assert torch.equal(again.dense.weight, network.dense.weight)
    trained = Training(data, replace(RECIPE, few=199)).learn()
    assert not torch.equal(
        trained.lstms["forward"].state_dict()["weight_hh_l0"], encoder.lstms["forward"]["weight_hh_l0"]
    )


def test_a_network_whose_last_layer_is_fitted_goes_on_from_there_at_its_own_rate(
    started_from: tuple[Network, Pretrained, Part], monkeypatch: pytest.MonkeyPatch
) -> None:
    _, encoder, part = started_from
    monkeypatch.setattr(probing, "load_encoder", lambda start: encoder)
    data, recipe = prepared(encoder, part), replace(RECIPE, few=0, dropout=0.0, word_dropout=0.0, least_steps=0)
    fitted = Training(data, RECIPE).learn()

    def moved(rate: float) -> float:
        network = Training(data, replace(recipe, fitted_rate=rate)).learn()
        return (network.dense.weight - fitted.dense.weight).abs().max().item()

    assert moved(0.0) == 0
    assert 0 < 5 * moved(0.01) < moved(0.1)
