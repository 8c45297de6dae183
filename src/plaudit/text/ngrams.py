"""N-grams: runs of one word or more, joined by a space. Knows words and a vocabulary, no labels and no weights.

A word holds no white space, so that an n-gram's name says which words it is made of.

`NgramEncoder` finds the known n-grams of one text, and shares what they contribute between the text's words;
`NgramCounts` says which n-grams stand in which of many texts.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import ArrayLike, NDArray

from plaudit.text.encoding import Encoded
from plaudit.text.vocabulary import INFREQUENT, RESERVED, Vocabulary

Ints = NDArray[np.int64]
Floats = NDArray[np.float64]
Narrow = NDArray[np.int32]
NONE = -1
LONGEST = 63


@dataclass(frozen=True)
class NgramEncoder:
    """What turns a text's words into n-grams of 1 to ``order`` words: the same in training and in serving."""

    vocabulary: Vocabulary
    order: int

    def encode(self, words: Sequence[str]) -> list[int]:
        """The ids of the distinct known n-grams of ``words``, in order of first appearance.

        Single words come first, then pairs, and so on.
        """
        found = dict.fromkeys(self.vocabulary.ids(_ngrams(words, self.order)))
        found.pop(INFREQUENT, None)
        return list(found)

    def spread(self, words: Sequence[str], contributions: ArrayLike) -> Floats:
        """What each of ``words`` contributes, given what each n-gram that `encode` finds in them contributes.

        An n-gram's contribution is shared equally between all the words of all its occurrences. ``contributions``
        are (n-grams,) or (n-grams, units), the answer (words,) or (words, units); both add up to the same.
        """
        given = np.asarray(contributions, dtype=np.float64)
        ids = self.vocabulary.ids(_ngrams(words, self.order))
        row = {ngram: index for index, ngram in enumerate(dict.fromkeys(id for id in ids if id != INFREQUENT))}
        if len(given) != len(row):
            raise ValueError(f"{len(given)} contributions for {len(row)} n-grams")
        rows = np.array([row.get(ngram, NONE) for ngram in ids], dtype=np.int64)
        starts, lengths = _spans(len(words), self.order)
        known = rows != NONE
        rows, starts, lengths = rows[known], starts[known], lengths[known]
        covered = np.bincount(rows, lengths, minlength=len(row))
        shares = (given.T / covered).T[rows]
        spread = np.zeros((len(words), *given.shape[1:]))
        for offset in range(self.order):
            inside = lengths > offset
            np.add.at(spread, starts[inside] + offset, shares[inside])
        return spread


def _ngrams(words: Sequence[str], order: int) -> list[str]:
    """Every n-gram of ``words``: the words, then the pairs, and so on."""
    found = longer = list(words)
    for length in range(2, order + 1):
        longer = [f"{ngram} {word}" for ngram, word in zip(longer, words[length - 1 :], strict=False)]
        found = found + longer
    return found


def _spans(words: int, order: int) -> tuple[Ints, Ints]:
    """The first word and the length of every n-gram, in the order of `_ngrams`."""
    counts = [max(0, words - length + 1) for length in range(1, order + 1)]
    return np.concatenate([np.arange(count) for count in counts]), np.repeat(np.arange(1, order + 1), counts)


@dataclass(frozen=True)
class NgramCounts:
    """Which n-grams stand in which texts, however often: one relation, read from either side.

    ``ngrams`` are each text's n-grams and ``texts`` each n-gram's texts, as ascending numbers from 0. Short n-grams
    have lower numbers than long ones.
    """

    ngrams: Encoded
    texts: Encoded
    _words: Sequence[str]
    _prefix: Ints
    _last: Ints

    @classmethod
    def of(cls, texts: Iterable[Iterable[str]], order: int, least: int = 1) -> NgramCounts:
        """The n-grams of 1 to ``order`` words that stand in at least ``least`` of ``texts``, which are read once.

        The vocabulary's reserved words stand for others: they are in no n-gram.
        """
        words, tokens, lengths = _tokens(texts)
        text = np.repeat(np.arange(len(lengths), dtype=np.int32), lengths)
        at = np.flatnonzero(tokens >= len(RESERVED))
        level = _count(tokens[at].astype(np.int64), at, text, least)
        prefix, last = [np.full(len(level.keys), NONE)], [level.keys]
        holders, frequency = [level.holders], [level.frequency]
        below = 0
        for length in range(2, order + 1):
            size = max(1, len(level.keys))
            at = _both_known(level.numbers, text, length)
            keys = level.numbers[at].astype(np.int64) * size + level.numbers[at + 1]
            level = _count(keys, at, text, least)
            prefix.append(below + level.keys // size)
            last.append(last[-1][level.keys % size])
            holders.append(level.holders)
            frequency.append(level.frequency)
            below += size
        held, counted = np.concatenate(holders), np.concatenate(frequency)
        return cls(
            _turned(held, counted, len(lengths)),
            Encoded(held, _offsets(counted)),
            words,
            np.concatenate(prefix),
            np.concatenate(last),
        )

    def __len__(self) -> int:
        """How many n-grams there are."""
        return len(self._last)

    def names(self, numbers: Ints) -> Iterator[str]:
        """The n-grams with these numbers."""
        prefix, last = self._prefix.tolist(), self._last.tolist()
        for number in numbers.tolist():
            parts, rest = [self._words[last[number]]], prefix[number]
            while rest != NONE:
                parts.append(self._words[last[rest]])
                rest = prefix[rest]
            yield " ".join(reversed(parts))


class _Level(NamedTuple):
    """The n-grams of one length: the number of the one that begins at each place, or NONE; each one's key, and in
    how many texts it stands; those texts, end to end.
    """

    numbers: Narrow
    keys: Ints
    frequency: Ints
    holders: Narrow


def _tokens(texts: Iterable[Iterable[str]]) -> tuple[list[str], Narrow, Ints]:
    """The distinct words, the reserved ones first, then in order of first appearance; the words of all texts, end to
    end, as numbers of these; how many words each text has.
    """
    number: defaultdict[str, int] = defaultdict(None, {word: index for index, word in enumerate(RESERVED)})
    number.default_factory = number.__len__
    parts = [np.fromiter(map(number.__getitem__, text), dtype=np.int32) for text in texts]
    lengths = np.array([len(part) for part in parts], dtype=np.int64)
    tokens = np.concatenate(parts) if parts else np.zeros(0, dtype=np.int32)
    return list(number), tokens, lengths


def _both_known(numbers: Narrow, text: Narrow, length: int) -> Ints:
    """The places where an n-gram of ``length`` may begin: both n-grams in it that are shorter by one are known.

    No other can be frequent enough.
    """
    last = max(0, len(numbers) - length + 1)
    known = (numbers[:last] != NONE) & (numbers[1:][:last] != NONE) & (text[:last] == text[length - 1 :][:last])
    return np.flatnonzero(known)


def _count(keys: Ints, at: Ints, text: Narrow, least: int) -> _Level:
    """Numbers the ``keys`` at the places ``at`` that stand in at least ``least`` texts, in ascending order."""
    order = _ascending(keys)
    keys, at = keys[order], at[order]
    holder = text[at]
    first = _changes(keys)
    fresh = first | _changes(holder)
    which = np.cumsum(first, dtype=np.int32) - np.int32(1)
    frequency = np.bincount(which[fresh], minlength=int(first.sum()))
    kept = frequency >= least
    number = np.where(kept, np.cumsum(kept) - 1, NONE).astype(np.int32)
    numbers = np.full(len(text), NONE, dtype=np.int32)
    numbers[at] = number[which]
    return _Level(numbers, keys[first][kept], frequency[kept], holder[fresh & kept[which]])


def _ascending(keys: Ints) -> Ints:
    """The stable order of ``keys``, none below 0. Key and place in one number sort in a fifth of argsort's time."""
    bits = len(keys).bit_length()
    if int(keys.max(initial=0)) >> max(0, LONGEST - bits):
        return np.argsort(keys, kind="stable")
    packed = keys << bits | np.arange(len(keys))
    packed.sort()
    return packed & ((1 << bits) - 1)


def _changes(values: NDArray[Any]) -> NDArray[np.bool_]:
    """Where a value differs from the one before it; the first one does."""
    changes = np.ones(len(values), dtype=np.bool_)
    np.not_equal(values[1:], values[:-1], out=changes[1:])
    return changes


def _turned(holders: Narrow, frequency: Ints, texts: int) -> Encoded:
    """Each text's n-grams, from each n-gram's texts."""
    ngrams = np.repeat(np.arange(len(frequency), dtype=np.int32), frequency)
    return Encoded(ngrams[_ascending(holders.astype(np.int64))], _offsets(np.bincount(holders, minlength=texts)))


def _offsets(lengths: Ints) -> Ints:
    return np.concatenate([[0], np.cumsum(lengths)])
