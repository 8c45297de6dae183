"""Document vectors: texts whose n-grams are alike lie close together. Labels are not read.

Each text and each n-gram is a vector, and the cosine of two of them tells whether the n-gram stands in the text
(Le and Mikolov 2014, with n-grams by Li et al. 2016 and the cosine by Thongtan and Phienthrakul 2019). Knows n-gram
counts; no words, no network.
"""

from __future__ import annotations

import hashlib
import json
import math
import time
from concurrent.futures import ThreadPoolExecutor
from dataclasses import asdict, dataclass, field
from pathlib import Path

import numpy as np
from numba import njit
from numpy.typing import NDArray
from safetensors import SafetensorError, safe_open
from safetensors.numpy import save_file

from plaudit.learning.schedule import VectorSettings
from plaudit.learning.watch import CHECKPOINT_SECONDS, Interrupted, Watch
from plaudit.text.ngrams import NgramCounts

Singles = NDArray[np.float32]
Ints = NDArray[np.int64]
Narrow = NDArray[np.int32]
NAME = "vectors.safetensors"
PARTS = 8
SHIFTS = (np.uint64(13), np.uint64(7), np.uint64(17))


@dataclass
class DocumentVectors:
    """One learning of a vector for each text of ``counts``; `run` it. With ``folder`` it goes on from its checkpoint.

    Texts and n-grams are split into `PARTS` each, and in a round each part of the texts meets another of the n-grams:
    threads share nothing that they write, and however many there are, the vectors are the same (Gemulla et al. 2011).
    """

    counts: NgramCounts
    settings: VectorSettings
    seed: int = 0
    folder: Path | None = None
    watch: Watch = field(default_factory=Watch)

    def run(self) -> Singles:
        """The vectors (texts, dim), of length 1. A text without an n-gram keeps the one that chance gave it."""
        settings = self.settings
        random = np.random.default_rng(self.seed)
        sizes = (len(self.counts.ngrams), len(self.counts))
        texts, ngrams = (_begun(random, size, settings.dim) for size in sizes)
        pairs = self.counts.ngrams
        digest = hashlib.sha256(pairs.ids.tobytes() + pairs.offsets.tobytes()).hexdigest()
        self._identity = json.dumps([asdict(settings), self.seed, sizes, digest])
        done = self._restore(texts, ngrams)
        rounds = range(done, settings.epochs * PARTS)
        if not rounds:
            return _of_length_1(texts)
        parts = _Pairs.of(self.counts, self.seed)
        saved = time.perf_counter()
        with ThreadPoolExecutor(PARTS) as threads:
            for at in self.watch.track(rounds, "document vectors  round", len(rounds)):
                list(threads.map(lambda part, at=at: self._meet(parts, part, at, texts, ngrams), range(PARTS)))
                stop = self.watch.stop()
                if stop or time.perf_counter() - saved > CHECKPOINT_SECONDS:
                    self._save(at + 1, texts, ngrams)
                    saved = time.perf_counter()
                if stop:
                    raise Interrupted(
                        "stopped in the document vectors, with a checkpoint: run the same command to go on"
                    )
        self._save(len(rounds) + done, texts, ngrams)
        return _of_length_1(texts)

    def _meet(self, pairs: _Pairs, part: int, at: int, texts: Singles, ngrams: Singles) -> None:
        """One part of the texts and the part of the n-grams that is its in round ``at``."""
        epoch, turn = divmod(at, PARTS)
        other = (part + turn) % PARTS
        random = np.random.default_rng((self.seed, epoch, turn, part))
        own = random.permutation(np.arange(part, len(texts), PARTS))
        cells, tokens = pairs.cells[:, other : other + 2], pairs.tokens[pairs.bounds[other] : pairs.bounds[other + 1]]
        settings, chance = self.settings, np.uint64(random.integers(1, 2**63))
        how = (settings.negatives, np.float32(settings.sharpness), np.float32(settings.rate))
        _descend(texts, ngrams, own, cells, pairs.ngrams, tokens, chance, *how)

    def _restore(self, texts: Singles, ngrams: Singles) -> int:
        """Takes over what a checkpoint of the same learning has; how many rounds are done."""
        try:
            with safe_open(self.folder / NAME if self.folder else "", "np") as file:
                told = file.metadata() or {}
                if told.get("identity") != self._identity:
                    return 0
                texts[:], ngrams[:] = file.get_tensor("texts"), file.get_tensor("ngrams")
        except (OSError, SafetensorError):
            return 0
        self.watch.say(f"document vectors: going on after {told['rounds']} of {self.settings.epochs * PARTS} rounds")
        return int(told["rounds"])

    def _save(self, rounds: int, texts: Singles, ngrams: Singles) -> None:
        if self.folder is not None:
            self.folder.mkdir(parents=True, exist_ok=True)
            part = self.folder / (NAME + ".part")
            save_file({"texts": texts, "ngrams": ngrams}, part, {"identity": self._identity, "rounds": str(rounds)})
            part.replace(self.folder / NAME)


@dataclass(frozen=True)
class _Pairs:
    """Which n-gram stands in which text, by parts of the n-grams.

    N-grams have new numbers, in an order of chance. ``ngrams[cells[i, j] : cells[i, j + 1]]`` are those of text i in
    part j. ``tokens`` holds each n-gram once for each of its texts, and ``bounds`` where each part begins there.
    """

    ngrams: Narrow
    cells: Ints
    tokens: Narrow
    bounds: Ints

    @classmethod
    def of(cls, counts: NgramCounts, seed: int) -> _Pairs:
        number = np.random.default_rng(seed).permutation(len(counts))
        edges = np.linspace(0, len(counts), PARTS + 1).astype(np.int64)
        texts, size = np.arange(len(counts.ngrams)), max(1, len(counts))
        keys = np.repeat(texts, counts.ngrams.lengths) * size + number[counts.ngrams.ids]
        keys.sort()
        ngrams = (keys % size).astype(np.int32)
        cells = np.searchsorted(keys, texts[:, np.newaxis] * size + edges)
        tokens = np.sort(ngrams)
        return cls(ngrams, cells, tokens, np.searchsorted(tokens, edges))


def _begun(random: np.random.Generator, size: int, dim: int) -> Singles:
    return (random.random((size, dim), dtype=np.float32) - np.float32(0.5)) / np.float32(dim)


def _of_length_1(vectors: Singles) -> Singles:
    found: Singles = vectors / np.linalg.norm(vectors, axis=1, keepdims=True)
    return found


@njit(nogil=True, fastmath=True)
def _descend(  # noqa: PLR0917 - numba
    texts: Singles,
    ngrams: Singles,
    own: Ints,
    cells: Ints,
    held: Narrow,
    tokens: Narrow,
    chance: np.uint64,
    negatives: int,
    sharpness: np.float32,
    rate: np.float32,
) -> None:
    """A step down the logistic loss for each n-gram of each of ``own`` texts, and for others that chance draws.

    Steps keep a vector's direction apart from its length, which only grows: the longer it is, the less it turns.
    """
    dim = texts.shape[1]
    one, nothing = np.float32(1), np.float32(0)
    for text in own:
        x = texts[text]
        for place in range(cells[text, 0], cells[text, 1]):
            for draw in range(negatives + 1):
                ngram = held[place]
                if draw:
                    chance ^= chance << SHIFTS[0]
                    chance ^= chance >> SHIFTS[1]
                    chance ^= chance << SHIFTS[2]
                    ngram = tokens[chance % np.uint64(len(tokens))]
                y = ngrams[ngram]
                xy, xx, yy = nothing, nothing, nothing
                for at in range(dim):
                    xy += x[at] * y[at]
                    xx += x[at] * x[at]
                    yy += y[at] * y[at]
                cosine = xy / np.float32(math.sqrt(xx * yy))
                wanted = nothing if draw else one
                slope = rate * sharpness * (wanted - one / (one + np.float32(math.exp(-sharpness * cosine))))
                across, of_x, of_y = slope / np.float32(math.sqrt(xx * yy)), slope * cosine / xx, slope * cosine / yy
                for at in range(dim):
                    before = x[at]
                    x[at] += across * y[at] - of_x * before
                    y[at] += across * before - of_y * y[at]
