"""Whether a bundle says what the plain network says: torch's, in float32, from the bundle's own weights."""

from __future__ import annotations

import numpy as np
import safetensors.torch
import torch

from plaudit.bundle.bundle import Bundle
from plaudit.bundle.classifier import Classifier
from plaudit.learning.batches import by_length
from plaudit.learning.network import Network
from plaudit.learning.recipes import Recipe
from plaudit.text.encoder import Encoder
from plaudit.text.encoding import Encoded, pad
from plaudit.text.reviews import Reviews


def difference(bundle: Bundle, reviews: Reviews) -> float:
    """The most by which a probability of a test review differs from that of the plain network in float32.

    The bundle's go the way that serving takes: batches of like length, all cores.
    """
    texts = [review.text for review in reviews.test]
    served = Classifier(bundle).predict_proba(texts)[:, 1]
    card = bundle.card
    recipe = Recipe.of(card.recipe["name"], **{k: v for k, v in card.recipe.items() if k not in ("name", "kind")})
    network = Network(recipe, bundle.vocabulary.size, np.array(card.biases))
    network.load_state_dict(safetensors.torch.load(bundle.weights), strict=False)
    network.eval()
    encoder = Encoder(bundle.vocabulary, card.cleaning, card.max_words)
    encoded = Encoded.of([encoder.encode(text) for text in texts])
    found = np.full(len(texts), card.biases[0])
    with torch.no_grad():
        for batch in by_length(encoded.lengths, 256):
            rows = [encoded[int(index)] for index in batch]
            evidence = network(torch.from_numpy(pad(rows))).sum(1)[:, 0].double().numpy()
            scales = np.array([card.temperature_of(len(row)) for row in rows])
            found[batch] = card.biases[0] + evidence / scales
    return float(f"{np.abs(1 / (1 + np.exp(-found)) - served).max():.2g}")
