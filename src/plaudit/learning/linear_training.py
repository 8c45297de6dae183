"""The recipe `linear` on prepared reviews: a model, its evidence, its bundle. Knows how words were encoded."""

from __future__ import annotations

import time
from collections.abc import Iterator, Sequence

import numpy as np

from plaudit.bundle.bundle import Bundle
from plaudit.learning.bundling import Floats, biases_of, card, table_bundle, usable
from plaudit.learning.linear import LinearModel, LinearSettings, fit
from plaudit.learning.recipes import Recipe
from plaudit.text.encoding import Encoded
from plaudit.text.ngrams import NgramEncoder
from plaudit.text.prepared import Part, Prepared
from plaudit.text.vocabulary import RESERVED


def linear_bundle(data: Prepared, recipe: Recipe) -> Bundle:
    """Fits on the training part to find the temperature on the validation part, and then on both."""
    usable(data)
    started = time.perf_counter()
    evidence = linear_evidence(linear_model(data, recipe, [data.train]), data, data.validation.texts)
    model = linear_model(data, recipe, [data.train, data.validation])
    training = {"parameters": model.weights.size, "seconds": round(time.perf_counter() - started, 1)}
    return table_bundle(card(data, recipe, evidence, training, recipe.ngrams), model.vocabulary, model.weights)


def linear_model(data: Prepared, recipe: Recipe, parts: Sequence[Part]) -> LinearModel:
    """Learns from the ``parts`` of ``data``."""
    found = (row for part in parts for row in _words(data, part.texts))
    labels = np.concatenate([part.labels for part in parts])
    settings = LinearSettings(order=recipe.ngrams, strength=recipe.strength, most=recipe.most)
    return fit(found, labels, biases_of(data), settings)


def linear_evidence(model: LinearModel, data: Prepared, texts: Encoded) -> Floats:
    """The sum of each text's evidence (texts, units)."""
    encoder = NgramEncoder(model.vocabulary, model.order)
    rows = (encoder.encode(row) for row in _words(data, texts))
    return np.array([model.weights[row].sum(0, dtype=np.float64) for row in rows]).reshape(
        len(texts), model.weights.shape[1]
    )


def _words(data: Prepared, texts: Encoded) -> Iterator[list[str]]:
    words = [*RESERVED, *data.vocabulary.words]
    return ([words[index] for index in texts[at]] for at in range(len(texts)))
