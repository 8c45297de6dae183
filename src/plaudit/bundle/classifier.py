"""A loaded bundle: texts in, verdicts out. Knows nothing of training or HTTP.

The network gives each word's evidence for each label. A text's logits are the biases plus the sum of its evidence
divided by its temperature, so words' contributions add up with the bias to the score exactly.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from plaudit.bundle.bundle import SHIPPED, Bundle
from plaudit.bundle.session import scorer, usable_cores
from plaudit.bundle.verdict import Verdict, WordContribution
from plaudit.errors import UsageError
from plaudit.text.encoder import Encoder
from plaudit.text.vocabulary import INFREQUENT
from plaudit.text.words import Word, located_words

Floats = NDArray[np.float64]
BATCH, BATCH_WORDS = 8, 2_000
"""Texts of like length that are scored at once, and their words with padding: a word takes 10 kB while it is scored.

64 texts are three times as slow: most of their time goes to padding.
"""
UNKNOWN = "No word of this text is known to the model, so this is the share of each label in its training reviews."


@dataclass(frozen=True)
class Read:
    """A text's ids, its words with their spans where they were asked for, and how many it has in all."""

    ids: list[int]
    located: list[Word]
    total: int


class Classifier:
    """Scores texts with a bundle. Safe to use from several threads.

    ``threads`` is how many batches it scores at the same time; 0 means as many as there are cores.
    """

    def __init__(self, bundle: Bundle, threads: int = 0) -> None:
        self.bundle, self.card = bundle, bundle.card
        self._encoder = Encoder(bundle.vocabulary, bundle.card.cleaning, bundle.card.max_words, bundle.card.ngrams)
        self._biases = np.array(bundle.card.biases)
        self._network = scorer(bundle)
        self._threads = threads or usable_cores()
        self._pool = ThreadPoolExecutor(self._threads, "plaudit-batch")

    @property
    def classes_(self) -> tuple[str, ...]:
        return self.card.labels

    def predict_proba(self, texts: Sequence[str]) -> Floats:
        """The probability of each label, in the order of ``classes_``: an array (texts, labels)."""
        return self.proba_of_ids([self._encoder.encode(text) for text in _several(texts)])

    def predict(self, texts: Sequence[str]) -> list[str]:
        return [self.card.labels[int(index)] for index in self.predict_proba(texts).argmax(axis=1)]

    def proba_of_ids(self, rows: Sequence[Sequence[int]]) -> Floats:
        """The probability of each label for texts that are encoded already."""
        logits = np.array([self._biases + evidence.sum(0) for evidence in self._evidence(rows)])
        return _probabilities(logits.reshape(-1, len(self._biases)))

    def verdict(self, text: str, explain: bool = True) -> Verdict:
        return self.verdicts([text], explain)[0]

    def verdicts(self, texts: Sequence[str], explain: bool = True) -> list[Verdict]:
        """A verdict for each text, with its words' contributions if ``explain``."""
        read = self.read(texts, explain)
        return self.judge(read, self.score(read))

    def read(self, texts: Sequence[str], explain: bool = True) -> list[Read]:
        """The first step of `verdicts`: what `score` takes, with words' places if `judge` is to ``explain`` them."""
        return [self._read(text, explain) for text in _several(texts)]

    def score(self, read: Sequence[Read]) -> list[Floats]:
        """The second step, which takes most of the time, and the interpreter for little of it: each text's evidence."""
        return self._evidence([found.ids for found in read])

    def judge(self, read: Sequence[Read], evidence: Sequence[Floats]) -> list[Verdict]:
        """The last step: the verdicts."""
        return [self._verdict(found, of_text) for found, of_text in zip(read, evidence, strict=True)]

    def _read(self, text: str, explain: bool) -> Read:
        if not explain:
            ids, total = self._encoder.read(text)
            return Read(ids, [], total)
        located = located_words(text, self.card.cleaning)
        kept = located[: self.card.max_words]
        return Read(self._encoder.ids([word.text for word in kept]), kept, len(located))

    def _verdict(self, read: Read, evidence: Floats) -> Verdict:
        logits = self._biases + evidence.sum(0)
        shares = _probabilities(logits[np.newaxis])[0].tolist()
        best = shares.index(max(shares))  # argmax lets go of the interpreter, which takes long to come back to
        bias, toward = float(self._toward(best, self._biases)), self._toward(best, evidence)
        notes = [] if len(evidence) else [UNKNOWN]
        words_read = min(read.total, self.card.max_words)
        if words_read < read.total:
            notes.append(f"Only the first {words_read:,} of {read.total:,} words were read.")
        explained = read.located if len(evidence) else ()
        by_word = self._encoder.by_word([word.text for word in explained], toward) if explained else ()
        return Verdict(
            label=self.card.labels[best],
            probability=shares[best],
            scores=dict(zip(self.card.labels, shares, strict=True)),
            score=bias + float(toward.sum()),
            bias=bias,
            words=tuple(
                WordContribution(word.start, word.end, float(part))
                for word, part in zip(explained, by_word, strict=True)
            ),
            words_read=words_read,
            words_total=read.total,
            notes=tuple(notes),
        )

    def _toward(self, label: int, logits: Floats) -> Floats:
        """From logits (…, units) to what is for one label: the second of two, or ``label`` against the mean of all."""
        if len(self._biases) == 1:
            return logits[..., 0]
        return np.asarray(logits[..., label] - logits.mean(axis=-1))

    def _evidence(self, rows: Sequence[Sequence[int]]) -> list[Floats]:
        """For each row the evidence (ids, units), divided by its temperature; none where no word is known."""
        found: list[Floats] = [np.zeros((0, len(self._biases)))] * len(rows)
        known = (index for index, row in enumerate(rows) if any(word > INFREQUENT for word in row))
        batches = list(_alike({index: len(rows[index]) for index in known}))
        each = self._pool.map if self._threads > 1 and len(rows) > BATCH else map
        scored = each(self._network, ([rows[index] for index in chosen] for chosen in batches))
        for chosen, evidence in zip(batches, scored, strict=True):
            for index, row in zip(chosen, evidence, strict=True):
                ids = len(rows[index])
                found[index] = row[:ids].astype(np.float64) / self.card.temperature_of(ids)
        return found


def _alike(lengths: Mapping[int, int]) -> Iterator[list[int]]:
    """Batches of the keys of ``lengths``, the longest first: what runs last, when other threads are idle, is short."""
    order = sorted(lengths, key=lengths.__getitem__, reverse=True)
    at = 0
    while at < len(order):
        texts = max(1, min(BATCH, BATCH_WORDS // lengths[order[at]]))
        yield order[at : at + texts]
        at += texts


def _several(texts: Sequence[str]) -> Sequence[str]:
    """``texts``, unless it is one text, whose characters would each be taken for a text."""
    if isinstance(texts, str):
        raise UsageError("texts is a list of texts: put the one text into a list")
    return texts


def load(path: str | Path = SHIPPED, threads: int = 0) -> Classifier:
    """The classifier of the bundle at ``path``, else of the one that comes with Plaudit.

    Raises BundleError, one sentence, if it is not sound.
    """
    return Classifier(Bundle.load(path), threads)


def _probabilities(logits: Floats) -> Floats:
    """Logits (texts, units) as probabilities (texts, labels): one unit is the log-odds of the second of two labels."""
    if logits.shape[1] == 1:
        shares = np.empty((len(logits), 2))
        shares[:, 1] = 0.5 * (1 + np.tanh(0.5 * logits[:, 0]))
        shares[:, 0] = 1 - shares[:, 1]
        return shares
    powers = np.exp(logits - logits.max(axis=1, keepdims=True))
    return np.asarray(powers / powers.sum(axis=1, keepdims=True))
