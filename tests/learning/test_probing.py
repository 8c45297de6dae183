"""The linear probe against scikit-learn's logistic regression, and in a network."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
import torch
from sklearn.linear_model import LogisticRegression

from plaudit.learning.network import Network, start_from
from plaudit.learning.pretrained import Pretrained
from plaudit.learning.probing import STRENGTH, probe, regression
from plaudit.learning.recipes import Recipe
from plaudit.text.encoding import Encoded
from plaudit.text.prepared import Part


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
def started(encoder: Pretrained) -> tuple[Network, Pretrained, Part]:
    """A network that begins as an encoder whose projection looks at one state, and 200 texts with labels by it."""
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
        seen = [network.read(network.embedding(row), torch.tensor([row.shape[1]]))[0, 3].item() for row in rows]
    labels = (np.array(seen) > np.median(seen)).astype(np.int64)
    return network, replace(encoder, projections={"forward": projection}), Part(texts, labels)


def test_a_probed_network_knows_its_texts_and_only_its_last_layer_has_moved(
    started: tuple[Network, Pretrained, Part],
) -> None:
    network, encoder, part = started
    before = {name: value.clone() for name, value in network.state_dict().items()}
    probe(network, encoder, part, 100, 0)
    moved = [name for name, value in network.state_dict().items() if not torch.equal(value, before[name])]
    assert moved == ["dense.weight"]
    weights = network.dense.weight[0]
    assert {at for at in range(16) if weights[at]} == {3, 12}
    assert weights[3] > 0


def test_without_a_projection_nothing_moves(started: tuple[Network, Pretrained, Part], encoder: Pretrained) -> None:
    network, _, part = started
    before = network.dense.weight.clone()
    probe(network, encoder, part, 100, 0)
    assert torch.equal(network.dense.weight, before)
