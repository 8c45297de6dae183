"""A loaded bundle: texts in, verdicts out. Knows ONNX Runtime, and nothing of training or HTTP.

The network gives a score after every word: the last is the review's, and the steps between them are
the words' contributions, so they add up with the bias to the score exactly.
"""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import numpy as np
import onnxruntime
from numpy.typing import NDArray

from plaudit.bundle.bundle import NETWORK, VOCABULARY, Bundle
from plaudit.bundle.verdict import Verdict, WordContribution
from plaudit.errors import BundleError, UsageError
from plaudit.text.encoding import Encoder, pad
from plaudit.text.vocabulary import INFREQUENT
from plaudit.text.words import Word, located_words, words

Floats = NDArray[np.float64]
BATCH = 64
UNKNOWN = "No word of this text is known to the model, so this is the share of each label in its training reviews."


class Classifier:
    """Scores texts with a bundle. Safe to use from several threads.

    ``threads`` is how many the network may use for one batch; 0 means all cores.
    """

    def __init__(self, bundle: Bundle, threads: int = 1) -> None:
        self.bundle, self.card = bundle, bundle.card
        self._encoder = Encoder(bundle.vocabulary, bundle.card.cleaning, bundle.card.max_words)
        self._session = _session(bundle, threads)

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
        scores = np.array([steps[-1] for steps in self._steps(rows)], dtype=np.float64)
        return _probabilities(scores.reshape(-1))

    def verdict(self, text: str, explain: bool = True) -> Verdict:
        return self.verdicts([text], explain)[0]

    def verdicts(self, texts: Sequence[str], explain: bool = True) -> list[Verdict]:
        """A verdict for each text, with its words' contributions if ``explain``."""
        cleaning, limit = self.card.cleaning, self.card.max_words
        found = [located_words(text, cleaning) if explain else words(text, cleaning) for text in _several(texts)]
        plain = [[w.text if isinstance(w, Word) else w for w in row[:limit]] for row in found]
        steps = self._steps([self.bundle.vocabulary.ids(row) for row in plain])
        return [
            self._verdict(row, len(every), path)
            for row, every, path in zip(
                [[w for w in row[:limit] if isinstance(w, Word)] for row in found], found, steps, strict=True
            )
        ]

    def _verdict(self, located: list[Word], total: int, steps: Floats) -> Verdict:
        known = len(steps) > 1
        shares = _probabilities(steps[-1:])[0]
        best = int(shares.argmax())
        read = min(total, self.card.max_words)
        notes = [] if known else [UNKNOWN]
        if read < total:
            notes.append(f"Only the first {read:,} of {total:,} words were read.")
        parts = zip(located, np.diff(steps), strict=True) if known and located else ()
        return Verdict(
            label=self.card.labels[best],
            probability=float(shares[best]),
            scores={label: float(share) for label, share in zip(self.card.labels, shares, strict=True)},
            score=float(steps[-1]),
            bias=self.card.bias,
            words=tuple(WordContribution(word.start, word.end, float(part)) for word, part in parts),
            words_read=read,
            words_total=total,
            notes=tuple(notes),
        )

    def _steps(self, rows: Sequence[Sequence[int]]) -> list[Floats]:
        """For each row the score before any word and after each word; the bias alone where no word is known."""
        bias = np.array([self.card.bias])
        steps = [bias] * len(rows)
        order = [index for index, row in enumerate(rows) if any(word > INFREQUENT for word in row)]
        order.sort(key=lambda index: len(rows[index]))
        for start in range(0, len(order), BATCH):
            chosen = order[start : start + BATCH]
            (scores,) = self._session.run(None, {"ids": pad([rows[index] for index in chosen])})
            for index, row in zip(chosen, scores, strict=True):
                own = row[: len(rows[index])].astype(np.float64) / self.card.temperature
                steps[index] = np.concatenate([bias, own])
        return steps


def _several(texts: Sequence[str]) -> Sequence[str]:
    """``texts``, unless it is one text, whose characters would each be taken for a text."""
    if isinstance(texts, str):
        raise UsageError("texts is a list of texts: put the one text into a list")
    return texts


def load(path: str | Path, threads: int = 1) -> Classifier:
    """The classifier of the bundle at ``path``. Raises BundleError, one sentence, if it is not sound."""
    return Classifier(Bundle.load(path), threads)


def _probabilities(scores: Floats) -> Floats:
    """Log-odds of the second label as probabilities of both: an array (scores, 2)."""
    second = 0.5 * (1 + np.tanh(0.5 * scores))
    return np.stack([1 - second, second], axis=1)


def _session(bundle: Bundle, threads: int) -> onnxruntime.InferenceSession:
    name = bundle.path / NETWORK if bundle.path else NETWORK
    if b"location" in bundle.network:
        # An ONNX file may point to weights in other files of this machine. Plaudit's own never does.
        raise BundleError(f"{name} points to other files: it is not a network that Plaudit made")
    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = threads
    options.log_severity_level = 4
    try:
        session = onnxruntime.InferenceSession(bundle.network, options, providers=["CPUExecutionProvider"])
    except Exception as error:  # ONNX Runtime's own errors share no root but this one
        raise BundleError(f"{name} is not a network ({str(error).splitlines()[0]})") from None
    taken, given = ([entry.name for entry in entries] for entries in (session.get_inputs(), session.get_outputs()))
    if (taken, given) != (["ids"], ["scores"]):
        raise BundleError(f"{name} does not turn ids into scores: it is not a network that Plaudit made")
    try:
        scores = session.run(None, {"ids": pad([[bundle.vocabulary.size - 1]])})[0]
    except Exception as error:
        why = str(error).splitlines()[0]
        raise BundleError(f"{name} does not know every word of {VOCABULARY}: they are of two bundles ({why})") from None
    if scores.shape != (1, 1) or not np.isfinite(scores).all():
        raise BundleError(f"{name} gives no score for a word: it is not a network that Plaudit made")
    return session
