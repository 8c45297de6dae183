"""From a text to ids, the same in training and in serving. Knows words, a vocabulary and n-grams, and no labels."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property

import numpy as np
from numpy.typing import NDArray

from plaudit.text.ngrams import NgramEncoder
from plaudit.text.vocabulary import NO_WORD, Vocabulary
from plaudit.text.words import Cleaning, Remembered, original_word, surfaces, words

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
        if self.cleaning == "original" and self.ngrams == 1:
            ids = [id for id in map(self._of_surfaces.__getitem__, surfaces(text)) if id]
            return ids[: self.max_words], len(ids)
        found = words(text, self.cleaning)
        return self.ids(found[: self.max_words]), len(found)

    def ids(self, found: Sequence[str]) -> list[int]:
        """The ids of words."""
        return self.vocabulary.ids(found) if self.ngrams == 1 else self._runs.encode(found)

    def by_word(self, found: Sequence[str], contributions: Floats) -> Floats:
        """What each id of `ids` contributed (ids,), as what each word did (words,): both add up to the same."""
        return contributions if self.ngrams == 1 else self._runs.spread(found, contributions)

    @cached_property
    def _of_surfaces(self) -> Remembered[int]:
        """From a surface form to its word's id at once; `NO_WORD` for a stop word."""

        def find(surface: str) -> int:
            word = original_word(surface)
            return self.vocabulary.ids([word])[0] if word else NO_WORD

        return Remembered(find)

    @cached_property
    def _runs(self) -> NgramEncoder:
        return NgramEncoder(self.vocabulary, self.ngrams)
