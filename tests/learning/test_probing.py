"""The linear probe against scikit-learn's logistic regression, and in a network."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
import torch
from sklearn.linear_model import LogisticRegression

from plaudit.learning import probing
from plaudit.learning.lessons import lessons
from plaudit.learning.network import Network, start_from
from plaudit.learning.pretrained import Pretrained
from plaudit.learning.probing import HALFWAY, STRENGTH, probe, regression, started
from plaudit.learning.recipes import Recipe
from plaudit.text.encoding import Encoded
from plaudit.text.prepared import Part, Preparation, Prepared, Reading


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
    recipe = Recipe.of("lstm", embedding_dim=8, hidden_dim=8)
    network = Network(recipe, encoder.vocabulary.size, np.zeros(1))
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
    said = probe(network, encoder.projections["forward"], part, 100)
    moved = [name for name, value in network.state_dict().items() if not torch.equal(value, before[name])]
    assert moved == ["dense.weight"]
    weights = network.dense.weight[0]
    assert {at for at in range(16) if weights[at]} == {3, 12}
    assert said.shape == (200, 2)
    assert (said.argmax(axis=1) == part.labels).mean() > 0.9
    with torch.no_grad():
        row = torch.from_numpy(part.texts[7].astype(np.int64)).unsqueeze(0)
        again = torch.sigmoid(network.logits(row, torch.tensor([row.shape[1]])))
    assert again.item() == pytest.approx(said[7, 1], abs=1e-4)


def prepared(encoder: Pretrained, part: Part) -> Prepared:
    sizes = {"train": 200, "validation": 200, "test": 0, "duplicates": 0, "vocabulary": encoder.vocabulary.size}
    about = Preparation("made up", "", ("negative", "positive"), Reading(), "", **sizes)
    return Prepared(about, encoder.vocabulary, part, part)


def test_few_labels_are_mixed_with_what_the_probe_says_of_them(
    started_from: tuple[Network, Pretrained, Part], monkeypatch: pytest.MonkeyPatch
) -> None:
    network, encoder, part = started_from
    monkeypatch.setattr(probing, "load_encoder", lambda start: encoder)
    data = prepared(encoder, part)
    recipe = Recipe.of("lstm", embedding_dim=8, hidden_dim=8, phrases=0)
    given = lessons(data, recipe, 0)
    _, targets = started(network, data, recipe, given, 0)
    said = probe(network, encoder.projections["forward"], part, recipe.max_words)
    share = HALFWAY / (HALFWAY + 200)
    assert np.allclose(targets, share * said + (1 - share) * given.targets, atol=1e-5)
    monkeypatch.setattr(probing, "FEW", 199)
    assert np.array_equal(started(network, data, recipe, given, 0)[1], given.targets)


def test_many_reviews_begin_with_the_language_model_and_few_with_what_infers_vectors(
    started_from: tuple[Network, Pretrained, Part], monkeypatch: pytest.MonkeyPatch
) -> None:
    network, encoder, part = started_from
    moved = {name: value + 1 for name, value in encoder.lstms["forward"].items()}
    monkeypatch.setattr(probing, "load_encoder", lambda start: replace(encoder, inferring={"forward": moved}))
    data, recipe = prepared(encoder, part), Recipe.of("lstm", embedding_dim=8, hidden_dim=8, phrases=0)
    for few, expected in ((200, moved), (199, encoder.lstms["forward"])):
        monkeypatch.setattr(probing, "FEW", few)
        started(network, data, recipe, lessons(data, recipe, 0), 0)
        assert torch.equal(network.lstms["forward"].state_dict()["weight_hh_l0"], expected["weight_hh_l0"])
