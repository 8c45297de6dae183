"""What a training reads: the training reviews, and the phrases that a recipe adds to them. Knows no torch."""

from __future__ import annotations

import hashlib
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from plaudit.learning.phrases import phrases
from plaudit.learning.recipes import Recipe
from plaudit.text.encoding import Encoded
from plaudit.text.prepared import Prepared
from plaudit.text.vocabulary import Vocabulary
from plaudit.text.words import Cleaning, words

SENTIMENT = ("negative", "positive")
FEWEST_PHRASES, PHRASES_A_TEXT = 5_000, 2


@dataclass(frozen=True)
class Lessons:
    """Encoded texts with ``targets`` (texts, labels): the share of each label that is right for a text.

    The last ``phrases`` of them are phrases, which every batch of reviews gets a few of.
    """

    texts: Encoded
    targets: NDArray[np.float32]
    phrases: int = 0

    @property
    def fingerprint(self) -> str:
        """A digest of texts and targets."""
        digest = hashlib.sha256(self.texts.ids.tobytes() + self.texts.offsets.tobytes())
        digest.update(self.targets.tobytes())
        return digest.hexdigest()

    def weights(self, of_a_phrase: float) -> NDArray[np.float32]:
        """What each text counts for in the loss (texts,): 1, but ``of_a_phrase`` for one."""
        found = np.ones(len(self.texts), dtype=np.float32)
        found[len(self.texts) - self.phrases :] = of_a_phrase
        return found

    def with_more(self, texts: Encoded, targets: NDArray[np.float32]) -> Lessons:
        """These texts after ``texts``, so that phrases stay last."""
        ids = np.concatenate([texts.ids, self.texts.ids])
        offsets = np.concatenate([texts.offsets, texts.offsets[-1] + self.texts.offsets[1:]])
        return Lessons(Encoded(ids, offsets), np.concatenate([targets, self.targets]), self.phrases)


def lessons(data: Prepared, recipe: Recipe, seed: int, texts: int | None = None) -> Lessons:
    """The training reviews; and phrases, where the recipe has them and the labels are negative and positive.

    There are as many phrases as suit so many ``texts``, as which these reviews count if not told otherwise.
    """
    own = Lessons(data.train.texts, np.eye(len(data.about.labels), dtype=np.float32)[data.train.labels])
    if not recipe.phrases or data.about.labels != SENTIMENT:
        return own
    suitable = max(FEWEST_PHRASES, PHRASES_A_TEXT * (texts or len(own.texts)))
    made_up, positive = encoded_phrases(min(recipe.phrases, suitable), seed, data.vocabulary, recipe.cleaning)
    added = Lessons(made_up, np.stack([1 - positive, positive], axis=1), phrases=len(made_up))
    return added.with_more(own.texts, own.targets)


def encoded_phrases(
    count: int, seed: int, vocabulary: Vocabulary, cleaning: Cleaning
) -> tuple[Encoded, NDArray[np.float32]]:
    """So many phrases as ids, and how positive each is: 0, 0.5 or 1."""
    made = phrases(count, seed)
    encoded = Encoded.of(vocabulary.ids(words(text, cleaning)) for text, _ in made)
    return encoded, np.array([share for _, share in made], dtype=np.float32)
