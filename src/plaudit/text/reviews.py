"""Reviews: labelled texts and the halves they come in. Knows no file format and no words."""

from __future__ import annotations

import hashlib
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from functools import cached_property

import numpy as np

from plaudit.errors import ReviewsError


@dataclass(frozen=True, slots=True)
class Review:
    """A text and its label. Reviews with the same ``group`` (a film, say) belong on one side of a split.

    ``line`` is where it begins in its file, counted from 1; 0 where it has a file of its own.
    """

    text: str
    label: str
    group: str | None = None
    line: int = 0


@dataclass(frozen=True)
class Reviews:
    """A data set: a training half and a held-out test half, with the labels in order.

    The score of two labels points to ``labels[1]``. ``origin`` says where the reviews came from. ``unlabelled``
    reviews have "" for a label; they belong to neither half.
    """

    name: str
    origin: str
    labels: tuple[str, ...]
    train: Sequence[Review]
    test: Sequence[Review]
    unlabelled: Sequence[Review] = ()

    @cached_property
    def duplicates(self) -> tuple[int, ...]:
        """The training reviews whose text stands in the test half too: they are kept out of training."""
        held_out = {text_key(review.text) for review in self.test}
        return tuple(i for i, review in enumerate(self.train) if text_key(review.text) in held_out)

    @cached_property
    def to_learn_a_language_from(self) -> tuple[str, ...]:
        """The texts of the training half and those without a label, each once; none that stands in the test half."""
        seen = {text_key(review.text) for review in self.test}
        found = []
        for review in (*self.train, *self.unlabelled):
            if (key := text_key(review.text)) not in seen:
                seen.add(key)
                found.append(review.text)
        return tuple(found)

    @cached_property
    def fingerprint(self) -> str:
        """A digest of every text and label, in order: the same reviews, the same fingerprint."""
        digest = hashlib.sha256(repr(self.labels).encode())
        for half in (self.train, self.test):
            digest.update(b"\x1d")
            for review in half:
                digest.update(f"{review.label}\x1f{review.text}\x1e".encode("utf-8", "surrogatepass"))
        return digest.hexdigest()

    def label_ids(self, half: Iterable[Review]) -> list[int]:
        """Each review's label as its place in ``labels``."""
        place = {label: index for index, label in enumerate(self.labels)}
        return [place[review.label] for review in half]


def text_key(text: str) -> bytes:
    """What makes two texts the same: their characters, whatever their case and white space."""
    return hashlib.blake2b(" ".join(text.casefold().split()).encode("utf-8", "surrogatepass")).digest()


def order_labels(found: Iterable[str], origin: str, positive: str | None = None) -> tuple[str, ...]:
    """The labels in the alphabet's order, so that negative, 0, no and bad come first; ``positive`` comes last."""
    labels = sorted(set(found))
    if len(labels) < 2:
        raise ReviewsError(f"every review has the same label, {labels}: two are needed", origin)
    if positive is not None:
        if positive not in labels:
            raise ReviewsError(f"no review has the positive label {positive!r}, only {labels}", origin)
        labels.remove(positive)
        labels.append(positive)
    return tuple(labels)


def split(reviews: Sequence[Review], share: float, seed: int) -> tuple[list[int], list[int]]:
    """The indices of ``reviews`` in two parts, the second with about ``share`` of them.

    A group stays on one side, and so do texts that are the same and have none. Without groups each label gives
    its share, and at least one.
    """
    groups: dict[object, list[int]] = {}
    for index, review in enumerate(reviews):
        groups.setdefault(review.group or text_key(review.text), []).append(index)
    strata: dict[str, list[list[int]]] = {}
    for members in groups.values():
        first = reviews[members[0]]
        strata.setdefault("" if first.group else first.label, []).append(members)
    random = np.random.default_rng(seed)
    held: list[int] = []
    for stratum in sorted(strata):
        wanted = max(1, round(share * sum(len(members) for members in strata[stratum])))
        taken = 0
        for at in random.permutation(len(strata[stratum])):
            if taken >= wanted or len(strata[stratum]) == 1:
                break
            held += strata[stratum][at]
            taken += len(strata[stratum][at])
    chosen = set(held)
    return [i for i in range(len(reviews)) if i not in chosen], sorted(held)
