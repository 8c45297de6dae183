"""Reviews: labelled texts and the halves they come in. Knows no file format and no words."""

from __future__ import annotations

import hashlib
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from functools import cached_property
from itertools import chain, compress

import numpy as np
from numpy.typing import NDArray

from plaudit.errors import ReviewsError

Rows = NDArray[np.int64]


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
        return tuple(np.flatnonzero(np.isin(marks(self.train).keys, marks(self.test).keys)).tolist())

    @cached_property
    def to_learn_a_language_from(self) -> tuple[str, ...]:
        """The texts of the training half and those without a label, each once; none that stands in the test half."""
        keys = np.concatenate([marks(self.train).keys, marks(self.unlabelled).keys])
        _, firsts = np.unique(keys, return_index=True)
        wanted = np.zeros(len(keys), dtype=bool)
        wanted[firsts] = ~np.isin(keys[firsts], marks(self.test).keys)
        return tuple(review.text for review in compress(chain(self.train, self.unlabelled), wanted))

    @cached_property
    def fingerprint(self) -> str:
        """A digest of every text and label, in order: the same reviews, the same fingerprint."""
        digest = hashlib.sha256(repr(self.labels).encode())
        for half in (self.train, self.test):
            digest.update(b"\x1d")
            for review in half:
                digest.update(f"{review.label}\x1f{review.text}\x1e".encode("utf-8", "surrogatepass"))
        return digest.hexdigest()

    def label_ids(self, half: Sequence[Review]) -> NDArray[np.int64]:
        """Each review's label as its place in ``labels``."""
        found = marks(half)
        places = [self.labels.index(name) if name in self.labels else -1 for name in found.names]
        return np.array(places, dtype=np.int64)[found.labels]


@dataclass(frozen=True)
class Marks:
    """What tells reviews apart, as arrays (reviews,).

    ``labels`` are places in ``names``. Reviews with the same text have the same ``keys``, and those that belong on one
    side of a split have the same ``units``: a group's, or a text's where there is no group (``grouped`` is False).
    """

    names: tuple[str, ...]
    labels: NDArray[np.int32]
    keys: NDArray[np.uint64]
    units: NDArray[np.uint64]
    grouped: NDArray[np.bool_]

    def __len__(self) -> int:
        return len(self.keys)

    def take(self, rows: NDArray[np.int64]) -> Marks:
        return Marks(self.names, self.labels[rows], self.keys[rows], self.units[rows], self.grouped[rows])


def marks(reviews: Sequence[Review]) -> Marks:
    """The marks of reviews, wherever they are kept."""
    held: Marks | None = getattr(reviews, "marks", None)
    if held is not None:
        return held
    names: dict[str, int] = {}
    labels = np.array([names.setdefault(review.label, len(names)) for review in reviews], dtype=np.int32)
    keys = np.array([mark(review) for review in reviews], dtype=np.uint64).reshape(-1, 2)
    grouped = np.array([bool(review.group) for review in reviews], dtype=bool)
    return Marks(tuple(names), labels, keys[:, 0], keys[:, 1], grouped)


def mark(review: Review) -> tuple[int, int]:
    """A review's key and unit."""
    key = text_key(review.text)
    return key, unit_of(review.group) if review.group else key


def unit_of(group: str) -> int:
    """The unit of every review in a group."""
    return _digest(f"\x1d{group}".encode("utf-8", "surrogatepass"))


def text_key(text: str) -> int:
    """What makes two texts the same, in 64 bits: their characters, whatever their case and white space.

    Two of a million different texts have the same key with a chance of 3 in 100 million.
    """
    if not text.isascii():
        return _digest(" ".join(text.casefold().split()).encode("utf-8", "surrogatepass"))
    bare = text.encode().translate(LOWER_AND_SPACED).strip()
    return _digest(b" ".join(bare.split()) if b"  " in bare else bare)


LOWER_AND_SPACED = bytes(32 if chr(byte).isspace() else byte for byte in bytes(range(256)).lower())
"""ASCII in lower case with every white space a space; eight times as fast as what holds for every text."""


def _digest(content: bytes) -> int:
    return int.from_bytes(hashlib.blake2b(content, digest_size=8).digest(), "little")


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


def split(reviews: Sequence[Review] | Marks, share: float, seed: int) -> tuple[Rows, Rows]:
    """The places of ``reviews`` in two parts, in order, the second with about ``share`` of them.

    A group stays on one side, and so do texts that are the same and have none. Without groups each label gives
    its share, and at least one.
    """
    found = reviews if isinstance(reviews, Marks) else marks(reviews)
    _, firsts, units = np.unique(found.units, return_index=True, return_inverse=True)
    sizes = np.bincount(units, minlength=len(firsts))
    by_appearance = np.argsort(firsts)
    strata: dict[str, list[int]] = {}
    for unit in by_appearance.tolist():
        first = firsts[unit]
        strata.setdefault("" if found.grouped[first] else found.names[found.labels[first]], []).append(unit)
    random = np.random.default_rng(seed)
    held = np.zeros(len(firsts), dtype=bool)
    for stratum in sorted(strata):
        members = np.array(strata[stratum])
        wanted = max(1, round(share * int(sizes[members].sum())))
        shuffled = members[random.permutation(len(members))]
        if len(members) > 1:
            held[shuffled[: int(np.searchsorted(sizes[shuffled].cumsum(), wanted)) + 1]] = True
    on_side = held[units]
    return np.flatnonzero(~on_side), np.flatnonzero(on_side)
