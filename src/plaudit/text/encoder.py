"""From a text to ids, the same in training and in serving. Knows words, a vocabulary and n-grams, and no labels."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property

import numpy as np
from numpy.typing import NDArray

from plaudit.text.forms import Forms
from plaudit.text.ngrams import NgramEncoder
from plaudit.text.vocabulary import NO_WORD, Vocabulary
from plaudit.text.words import Cleaning, forms, word_of, words

Floats = NDArray[np.float64]


@dataclass(frozen=True)
class Encoder:
    """What turns a text into ids. With ``ngrams`` above 1 they are those of its distinct runs of known words."""

    vocabulary: Vocabulary
    cleaning: Cleaning
    max_words: int
    ngrams: int = 1

    def encode(self, text: str) -> list[int]:
        """The ids of the text's first ``max_words`` words."""
        return self.read(text)[0]

    def read(self, text: str) -> tuple[list[int], int]:
        """The ids of the text's first ``max_words`` words, and how many words it has in all."""
        found = forms(text, self.cleaning) if self.ngrams == 1 else words(text, self.cleaning)
        if isinstance(found, bytes):
            ids = self._forms.numbers(found)
            return ids[: self.max_words].tolist(), len(ids)
        return self.ids(found[: self.max_words]), len(found)

    def ids(self, found: Sequence[str]) -> list[int]:
        """The ids of words."""
        return self.vocabulary.ids(found) if self.ngrams == 1 else self._runs.encode(found)

    def by_word(self, found: Sequence[str], contributions: Floats) -> Floats:
        """What each id of `ids` contributed (ids,), as what each word did (words,): both add up to the same."""
        return contributions if self.ngrams == 1 else self._runs.spread(found, contributions)

    @cached_property
    def _forms(self) -> Forms:
        """From a form to its word's id at once; `NO_WORD` for a stop word."""

        def find(form: str) -> int:
            word = word_of(form, self.cleaning)
            return self.vocabulary.ids([word])[0] if word else NO_WORD

        return Forms(find)

    @cached_property
    def _runs(self) -> NgramEncoder:
        return NgramEncoder(self.vocabulary, self.ngrams)
