"""Phrases for an encoder: it learns what "not" and "but" do before it meets a review. Knows trainings, and no corpus.

Training for another task between the language model and the classifier is of Phang et al. (2018).
"""

from __future__ import annotations

import time
from dataclasses import replace
from pathlib import Path

import numpy as np

from plaudit.learning.calibration import accuracy
from plaudit.learning.lessons import SENTIMENT, Lessons, of_phrases
from plaudit.learning.network import Network, start_from
from plaudit.learning.pretrained import Pretrained
from plaudit.learning.recipes import Recipe
from plaudit.learning.training import Training
from plaudit.learning.watch import Watch
from plaudit.text.encoding import Encoded
from plaudit.text.prepared import Part, Preparation, Prepared

HELD_OUT, VALIDATION_SEED = 2_000, 2**31 - 1


def with_phrases(
    encoder: Pretrained, count: int, seed: int = 0, folder: Path | None = None, watch: Watch | None = None
) -> Pretrained:
    """The ``encoder`` once it has learnt ``count`` phrases; every direction with one embedding, all together.

    With ``folder`` it leaves a checkpoint there and goes on from it.
    """
    if not count:
        return encoder
    cleaning, started = encoder.card["directions"][0]["settings"]["cleaning"], time.perf_counter()
    learnt = of_phrases(encoder.vocabulary, cleaning, count, seed)
    recipe = Recipe(
        "phrases",
        "what an encoder learns last",
        cleaning=cleaning,
        embedding_dim=encoder.embedding.shape[1],
        hidden_dim=encoder.hidden_dim,
        direction="both" if len(encoder.lstms) > 1 else next(iter(encoder.lstms)),
        pooling="mean and max",
        dropout=0.1,
        epochs=1,
        batch_size=256,
        learning_rate=3e-3,
        warm_up=0.05,
        average=0.998,
        clip=1.0,
    )
    network = Network(recipe, encoder.vocabulary.size, np.zeros(1))
    start_from(network, encoder.vocabulary, encoder)
    data, to_learn = _prepared(encoder, recipe, learnt), replace(learnt, phrases=0)
    training = Training(data, recipe, seed, folder, watch or Watch(), lessons=to_learn, begin=network.state_dict())
    network = training.learn().cpu()
    right = accuracy(training.evidence(data.validation.texts), data.validation.labels)
    told = {"count": count, "seed": seed, "accuracy": right, "seconds": round(time.perf_counter() - started)}
    lstms = {
        direction: {name: value.detach().clone() for name, value in lstm.named_parameters()}
        for direction, lstm in network.lstms.items()
    }
    card = {**encoder.card, "phrases": told}
    return Pretrained(card, encoder.vocabulary, network.embedding.weight.detach().clone(), lstms)


def _prepared(encoder: Pretrained, recipe: Recipe, learnt: Lessons) -> Prepared:
    """``learnt`` as reviews to train on, and further phrases that have a sentiment to validate on."""
    fresh = of_phrases(encoder.vocabulary, recipe.cleaning, HELD_OUT, VALIDATION_SEED)
    sure = np.flatnonzero(fresh.targets.max(axis=1) == 1)
    validation = Part(Encoded.of(fresh.texts[int(at)] for at in sure), fresh.targets[sure].argmax(axis=1))
    train = Part(learnt.texts, learnt.targets.argmax(axis=1))
    counts = (len(train.labels), len(validation.labels), 0, 0)
    about = Preparation(
        "phrases", "phrases", SENTIMENT, recipe.reading, learnt.fingerprint, *counts, encoder.vocabulary.size
    )
    return Prepared(about, encoder.vocabulary, train, validation)
