from __future__ import annotations

from dataclasses import replace

import numpy as np
import onnxruntime
import pytest
import torch

from plaudit.errors import PlauditError
from plaudit.learning import export as module
from plaudit.learning.export import export
from plaudit.learning.network import Network
from plaudit.learning.recipes import Recipe

SMALL = replace(Recipe.of("original"), embedding_dim=6, hidden_dim=10)


@pytest.mark.parametrize("layers", [1, 3])
def test_the_exported_network_gives_torchs_scores_for_any_shape(layers: int) -> None:
    torch.manual_seed(layers)
    network = Network(replace(SMALL, layers=layers), vocab_size=50).eval()
    session = onnxruntime.InferenceSession(export(network))
    for shape in ((1, 1), (1, 500), (7, 3), (64, 20)):
        ids = np.random.default_rng(0).integers(0, 50, shape)
        (scores,) = session.run(None, {"ids": ids})
        with torch.no_grad():
            expected = network(torch.from_numpy(ids)).numpy()
        assert scores.shape == shape
        np.testing.assert_allclose(scores, expected, atol=1e-5)


def test_the_same_network_exports_to_the_same_bytes() -> None:
    network = Network(SMALL, vocab_size=50)
    assert export(network) == export(network)


def test_an_export_that_differs_from_torch_is_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "TOLERANCE", -1.0)
    with pytest.raises(PlauditError, match="differs from the trained one"):
        export(Network(SMALL, vocab_size=50))
