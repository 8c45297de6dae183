"""What was trained as a bundle: its card, its files, and the proof that they score alike. Knows no training loop."""

from __future__ import annotations

import platform
import time
from collections.abc import Mapping
from copy import deepcopy
from typing import Any

import numpy as np
import onnxruntime
import torch
from numpy.typing import NDArray

from plaudit.bundle.bundle import Bundle
from plaudit.bundle.card import Card
from plaudit.bundle.session import open_session
from plaudit.errors import PlauditError, UsageError
from plaudit.learning.calibration import accuracy, fit_temperature, log_loss, shares_of
from plaudit.learning.distributed import World
from plaudit.learning.export import export, export_table
from plaudit.learning.judging import evidence_of
from plaudit.learning.network import Network
from plaudit.learning.recipes import Recipe
from plaudit.learning.watch import Watch
from plaudit.text.prepared import Prepared
from plaudit.text.vocabulary import Vocabulary
from plaudit.version import __version__

Floats = NDArray[np.float64]
GROWTH_OF_LAST = 0.17
"""How the temperature of a network that reads the last state grows with a text's length: three seeds of `original` had
0.19, 0.16 and 0.16, with a standard error of 0.03, on 7,466 reviews of IMDb's training half that they had not seen.
With `lstm`, which reads all states, it was 0.00. Too few reviews are held out to find it anew each time.
"""
TOLERANCE = 1e-4
ROUGH_TOLERANCE = 0.5
"""Of int8: of 32 small networks the worst had 0.05 here; on another processor one had 0.15."""


def usable(data: Prepared) -> None:
    """Raises UsageError where a part does not hold every label."""
    for name, part in (("training", data.train), ("validation", data.validation)):
        present = set(part.labels[part.texts.lengths > 0].tolist())
        missing = [label for place, label in enumerate(data.about.labels) if place not in present]
        if missing:
            raise UsageError(f"the {name} reviews hold none of label {missing[0]!r}: more reviews of it are needed")


def priors_of(data: Prepared) -> tuple[float, ...]:
    """Each label's share of the training reviews, as if there were one more of each."""
    counts = np.bincount(data.train.labels, minlength=len(data.about.labels)) + 1
    return tuple(float(share) for share in counts / counts.sum())


def biases_of(data: Prepared) -> Floats:
    """The logits (units,) before any word is read."""
    priors = np.log(priors_of(data))
    return priors[1:] - priors[:1] if len(priors) == 2 else priors


def card(data: Prepared, recipe: Recipe, evidence: Floats, training: Mapping[str, Any], *, growth: float = 0.0) -> Card:
    """The card of a training that found ``evidence`` (reviews, units) in the validation reviews.

    What is divided by a power of a text's length, ``growth``, comes here already divided.
    """
    about, labels, biases = data.about, data.validation.labels, biases_of(data)
    temperature = fit_temperature(evidence, biases, labels)
    made = Card(
        name=f"{about.name}, {recipe.name}",
        labels=about.labels,
        cleaning=about.reading.cleaning,
        max_words=about.reading.max_words,
        priors=priors_of(data),
        temperature=temperature,
        growth=growth,
        ngrams=recipe.ngrams if recipe.kind == "linear" else 1,
        recipe=recipe.to_json(),
        data={
            "name": about.name,
            "fingerprint": about.fingerprint,
            "train": about.train,
            "validation": about.validation,
            "test": about.test,
            "duplicates": about.duplicates,
        },
        training={**training, "date": time.strftime("%Y-%m-%d", time.gmtime())},
        versions={
            "plaudit": __version__,
            "python": platform.python_version(),
            "torch": torch.__version__,
            "onnxruntime": onnxruntime.__version__,
        },
    )
    logits = biases + evidence / temperature
    figures = {"accuracy": accuracy(logits, labels), "log_loss": log_loss(logits, labels)}
    return made.with_metrics("validation", {"reviews": len(labels), **figures})


def judged_bundle(
    network: Network, data: Prepared, recipe: Recipe, training: Mapping[str, Any], *, watch: Watch, world: World
) -> Bundle:
    """The bundle of a trained network, calibrated on the validation reviews: as it is served, never in bfloat16."""
    texts, growth = data.validation.texts, GROWTH_OF_LAST if recipe.pooling == "last" else 0.0
    found = evidence_of(network, texts, recipe, watch, world) * shares_of(texts.lengths, growth)[:, np.newaxis]
    made = card(data, recipe, found, training, growth=growth)
    return network_bundle(made, data.vocabulary, network.cpu(), recipe.weights == "int8")


def network_bundle(card: Card, vocabulary: Vocabulary, network: Network, int8: bool) -> Bundle:
    """The bundle of a trained network.

    Raises PlauditError if ONNX Runtime's evidence is not torch's, UsageError if torch's own hangs on how it rounds.
    """
    plain = Bundle(card, vocabulary, *export(network, int8=False))
    _compare(network, plain, TOLERANCE)
    if not int8:
        return plain
    bundle = Bundle(card, vocabulary, *export(network, int8=True))
    _compare(network, bundle, ROUGH_TOLERANCE)
    return bundle


def table_bundle(card: Card, vocabulary: Vocabulary, table: NDArray[np.float32]) -> Bundle:
    """The bundle of a linear model: ``table`` (ids, units) is what each id is evidence of."""
    return Bundle(card, vocabulary, *export_table(table))


def _compare(network: Network, bundle: Bundle, tolerance: float) -> None:
    """Logits of random reviews, as ONNX Runtime has them and torch; ``tolerance`` is of the highest."""
    random = np.random.default_rng(0)
    ids = random.integers(1, network.embedding.num_embeddings, (16, 40))
    ids[3:, 20:] = 0
    (evidence,) = open_session(bundle).run(None, {"ids": ids})
    network.eval()
    with torch.no_grad():
        expected = network(torch.from_numpy(ids)).sum(1).numpy()
        highest = max(1.0, float(np.abs(expected).max()))
        difference = float(np.abs(evidence.sum(1) - expected).max())
        if difference <= tolerance * highest:
            return
        exact = deepcopy(network).double()(torch.from_numpy(ids)).sum(1).numpy()
    if float(np.abs(exact - expected).max()) > TOLERANCE * highest:
        told = "the network's weights have run away, and how its sums are rounded decides what it says"
        raise UsageError(f"{told}: try a smaller --learning-rate")
    raise PlauditError(f"the exported network differs from the trained one by {difference}: this is a fault of ours")
