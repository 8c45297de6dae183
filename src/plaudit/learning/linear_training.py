"""The recipe `linear` on prepared reviews: a model, its evidence, its bundle. Knows how words were encoded."""

from __future__ import annotations

import itertools
import time

import numpy as np

from plaudit.bundle.bundle import Bundle
from plaudit.learning.bundling import Floats, biases_of, card, table_bundle, usable
from plaudit.learning.calibration import shares_of
from plaudit.learning.linear import LinearModel, LinearSettings, fit, fit_and_try
from plaudit.learning.recipes import Recipe
from plaudit.text.encoding import Encoded
from plaudit.text.ngrams import NgramEncoder
from plaudit.text.prepared import Prepared


def linear_bundle(data: Prepared, recipe: Recipe) -> Bundle:
    """Fits on the training part to find the temperature on the validation part, and then on both."""
    usable(data)
    started = time.perf_counter()
    words = data.vocabulary.words_of(itertools.chain(data.train.texts, data.validation.texts))
    labels = np.concatenate([data.train.labels, data.validation.labels])
    held = np.arange(len(data.train.labels), len(labels))
    model, evidence = fit_and_try(words, labels, biases_of(data), _settings(recipe), held)
    training = {"parameters": model.weights.size, "seconds": round(time.perf_counter() - started, 1)}
    made = card(data, recipe, evidence, training, growth=model.growth)
    return table_bundle(made, model.vocabulary, model.weights)


def linear_model(data: Prepared, recipe: Recipe) -> LinearModel:
    """Learns from the training part of ``data``."""
    return fit(data.vocabulary.words_of(data.train.texts), data.train.labels, biases_of(data), _settings(recipe))


def _settings(recipe: Recipe) -> LinearSettings:
    return LinearSettings(order=recipe.ngrams, strength=recipe.strength, most=recipe.most)


def linear_evidence(model: LinearModel, data: Prepared, texts: Encoded) -> Floats:
    """What the model adds to its biases for each text, (texts, units)."""
    encoder = NgramEncoder(model.vocabulary, model.order)
    rows = [encoder.encode(row) for row in data.vocabulary.words_of(texts)]
    sums = np.array([model.weights[row].sum(0, dtype=np.float64) for row in rows])
    shares = shares_of(np.array([len(row) for row in rows], dtype=np.int64), model.growth)
    return sums.reshape(len(texts), model.weights.shape[1]) * shares.astype(np.float64)[:, np.newaxis]
