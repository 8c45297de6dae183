"""The heart of the recipe `linear`: logistic regression over n-grams scaled by their log-count ratios.

Wang & Manning 2012, with logistic loss, ratios that are bent towards each other, and reviews that count alike however
long they are. A review's score is the bias plus the weights of its distinct n-grams, shared out over more of them in a
longer one. Knows words and labels; no texts, no files, no recipe.
"""

from __future__ import annotations

import warnings
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import NamedTuple

import numpy as np
import torch
from numpy.typing import ArrayLike, NDArray
from torch import Tensor
from torch.nn import functional

from plaudit.learning.calibration import shares_of
from plaudit.text.encoding import Encoded
from plaudit.text.ngrams import NgramCounts
from plaudit.text.vocabulary import RESERVED, Vocabulary

Ints = NDArray[np.int64]
Singles = NDArray[np.float32]
Floats = NDArray[np.float64]
ITERATIONS = 100
PRECISE = 1e-5
HISTORY = 10
MANY = 100
UNKNOWN = -1


@dataclass(frozen=True)
class LinearSettings:
    """How n-grams are chosen and weighed.

    ``order``: the longest n-gram, in words. ``least``: the reviews that an n-gram stands in; 0 lets their number
    decide. ``smoothing``: what is added to each count. ``bend``: the power that log-count ratios are raised to.
    ``growth``: the power of a review's number of n-grams that its score is divided by. ``strength``: C, the weight of
    the reviews' losses against half the squared norm of the weights. ``most``: the n-grams that are kept, those with
    the largest weights.
    """

    order: int = 3
    least: int = 0
    smoothing: float = 1.0
    bend: float = 0.7
    growth: float = 0.5
    strength: float = 1.0
    most: int = 300_000


class LinearModel(NamedTuple):
    """A review's logits: ``biases`` (units,), and the sum of the rows of ``weights`` (ids, units) of its n n-grams.

    Each n-gram counts once, and the sum is multiplied by what `shares_of` has for n and ``growth``. Two labels have one
    unit, the log-odds of label 1; more have one each, a softmax of which is their probability. The n-grams of
    ``vocabulary`` have up to ``order`` words; the heaviest come first.
    """

    vocabulary: Vocabulary
    order: int
    growth: float
    weights: Singles
    biases: Singles


def fit(
    found: Iterable[Iterable[str]], labels: Sequence[int] | Ints, biases: ArrayLike, settings: LinearSettings
) -> LinearModel:
    """Learns from each review's words, which are read once, and its label.

    ``biases`` (units,) are the logits of a review without words, and stay: one for labels 0 and 1, K for K labels.
    """
    model, _ = fit_and_try(found, labels, biases, settings, ())
    return model


def fit_and_try(
    found: Iterable[Iterable[str]],
    labels: Sequence[int] | Ints,
    biases: ArrayLike,
    settings: LinearSettings,
    held: Sequence[int] | Ints,
) -> tuple[LinearModel, Floats]:
    """What `fit` learns from all reviews; and what a model that knows the labels of the others alone adds to its biases
    for the reviews at ``held``, (held, units), for a temperature. N-grams are counted once for both.
    """
    label, given = np.array(labels, dtype=np.int64), np.asarray(biases, dtype=np.float32)
    counts = NgramCounts.of(found, settings.order, settings.least or least_for(len(label)))
    model = _model(counts, _weights(counts, label, given, settings), given, settings)
    if not len(held):
        return model, np.zeros((0, len(given)))
    label[np.asarray(held)] = UNKNOWN
    weights = _weights(counts, label, given, settings)
    heavy = np.zeros_like(weights)
    kept = heaviest(weights, settings.most)
    heavy[kept] = weights[kept]
    rows = [heavy[counts.ngrams[int(at)]] for at in held]
    lengths = np.array([np.count_nonzero(row.any(axis=1)) for row in rows])
    sums = np.array([row.sum(0, dtype=np.float64) for row in rows])
    return model, sums * shares_of(lengths, settings.growth)[:, np.newaxis]


def _weights(counts: NgramCounts, labels: Ints, biases: Singles, settings: LinearSettings) -> Singles:
    ratios = log_count_ratios(counts, labels, len(biases), settings.smoothing)
    bent = (np.sign(ratios) * np.abs(ratios) ** settings.bend).astype(np.float32)
    return solve(counts, labels, bent, biases, settings.strength, growth=settings.growth)


def _model(counts: NgramCounts, weights: Singles, biases: Singles, settings: LinearSettings) -> LinearModel:
    kept = heaviest(weights, settings.most)
    rows = np.zeros((len(RESERVED) + len(kept), len(biases)), dtype=np.float32)
    rows[len(RESERVED) :] = weights[kept]
    return LinearModel(Vocabulary(tuple(counts.names(kept))), settings.order, settings.growth, rows, biases)


def least_for(reviews: int) -> int:
    """In how many of so many reviews an n-gram has to stand: in one of a few, in two of many."""
    return 1 if reviews < MANY else 2


def heaviest(weights: Singles, most: int) -> Ints:
    """The numbers of the ``most`` rows with the largest weight, in that order; none that weighs nothing."""
    size = np.abs(weights).max(axis=1, initial=0)
    order = np.argsort(-size, kind="stable")[:most]
    kept: Ints = order[size[order] > 0]
    return kept


def log_count_ratios(counts: NgramCounts, labels: Ints, units: int, smoothing: float) -> Singles:
    """How much more often each n-gram stands in the reviews of a label than in the others: an array (n-grams, units).

    The logarithm of p / sum(p) over q / sum(q), where p and q count the reviews of the label and the others that
    hold an n-gram, plus ``smoothing``. One unit is for label 1, more are for the labels from 0. Reviews whose label
    is `UNKNOWN` count for nothing.
    """
    holders, offsets = labels[counts.texts.ids], counts.texts.offsets
    frequency = _sums(holders != UNKNOWN, offsets)
    columns = []
    for label in range(1, 2) if units == 1 else range(units):
        inside = _sums(holders == label, offsets)
        p, q = inside + smoothing, frequency - inside + smoothing
        columns.append(np.log(p / p.sum()) - np.log(q / q.sum()))
    return np.stack(columns, axis=1).astype(np.float32)


def _sums(values: NDArray[np.bool_], offsets: Ints) -> Ints:
    """How many of ``values`` are true between one offset and the next."""
    running = np.zeros(len(values) + 1, dtype=np.int64)
    np.cumsum(values, out=running[1:])
    sums: Ints = running[offsets[1:]] - running[offsets[:-1]]
    return sums


def solve(
    counts: NgramCounts, labels: Ints, ratios: Singles, biases: Singles, strength: float, *, growth: float = 0.0
) -> Singles:
    """The weights (n-grams, units) of the regression over ``ratios``, which the weights take in.

    Minimises the mean loss of the reviews whose label is known, plus half the squared norm of the weights before
    ``ratios`` come in, divided by ``strength`` and the number of those reviews: with L-BFGS, from zero.
    """
    known = torch.from_numpy(np.flatnonzero(labels != UNKNOWN))
    if not ratios.size or not len(known):
        return np.zeros_like(ratios)
    holds, held = _matrix(counts.ngrams, len(counts)), _matrix(counts.texts, len(labels))
    scale, bias, target = (torch.from_numpy(array) for array in (ratios, biases, labels))
    share = torch.from_numpy(shares_of(counts.ngrams.lengths, growth)).unsqueeze(1)
    decay = 1 / (strength * len(known))
    weights = torch.zeros_like(scale, requires_grad=True)
    optimizer = torch.optim.LBFGS(
        [weights],
        max_iter=ITERATIONS,
        tolerance_grad=PRECISE,
        tolerance_change=0,
        history_size=HISTORY,
        line_search_fn="strong_wolfe",
    )

    def closure() -> Tensor:
        own = weights.detach()
        logits = (_product(holds, own * scale) * share + bias).requires_grad_()
        loss = _loss(logits[known], target[known])
        (slope,) = torch.autograd.grad(loss, logits)
        weights.grad = _product(held, slope * share) * scale + decay * own
        return loss.detach() + decay / 2 * own.square().sum()

    optimizer.step(closure)  # type: ignore[no-untyped-call]
    return (weights.detach() * scale).numpy()


def _loss(logits: Tensor, labels: Tensor) -> Tensor:
    if logits.shape[1] == 1:
        return functional.binary_cross_entropy_with_logits(logits[:, 0], labels.to(logits.dtype))
    return functional.cross_entropy(logits, labels)


def _product(matrix: Tensor, columns: Tensor) -> Tensor:
    """``matrix`` times ``columns``. One column alone takes half the time as a vector."""
    return (matrix @ columns[:, 0]).unsqueeze(1) if columns.shape[1] == 1 else matrix @ columns


def _matrix(rows: Encoded, columns: int) -> Tensor:
    """``rows`` as a sparse matrix of ones (rows, columns)."""
    offsets, ids = torch.from_numpy(rows.offsets.astype(np.int32)), torch.from_numpy(rows.ids)
    with warnings.catch_warnings():
        warnings.filterwarnings("ignore", "Sparse ")
        ones = torch.ones(len(ids), dtype=torch.float32)
        return torch.sparse_csr_tensor(offsets, ids, ones, size=(len(rows), columns))
