"""Prepared reviews: encoded once, split into training and validation, kept on disk. Knows no network.

prepared.json      what was prepared, how, and from which reviews; written last
vocabulary.txt     the words that have an id
train.npz          ids, offsets and labels of the training reviews
validation.npz     the same for the validation reviews
"""

from __future__ import annotations

import csv
import hashlib
import json
import zipfile
from collections import defaultdict
from collections.abc import Iterable, Sequence
from dataclasses import asdict, dataclass
from itertools import compress, count
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from plaudit.errors import UsageError
from plaudit.progress import Track, quiet
from plaudit.text.encoder import Encoder
from plaudit.text.encoding import PIECE, Encoded, Gatherer, pad, pieces, release
from plaudit.text.forms import Forms, Numbers
from plaudit.text.reviews import Review, Reviews, Rows, marks, split, text_key
from plaudit.text.vocabulary import NO_WORD, Vocabulary
from plaudit.text.words import Cleaning, forms, word_of

SPLIT_SEED = 0
FEWEST = 20
ROWS = 10_000
PARTS = ("prepared.json", "vocabulary.txt", "train.npz", "validation.npz", "unlabelled.npz")
EMPTY = Encoded.of([])


@dataclass(frozen=True)
class Part:
    """Encoded reviews with their labels as places in the data set's labels."""

    texts: Encoded
    labels: NDArray[np.int64]

    def save(self, path: Path) -> None:
        _save(path, ids=self.texts.ids, offsets=self.texts.offsets, labels=self.labels)

    @classmethod
    def load(cls, path: Path) -> Part:
        with path.open("rb") as opened, np.load(opened, allow_pickle=False) as file:
            return cls(Encoded(file["ids"], file["offsets"]), file["labels"])


@dataclass(frozen=True)
class Reading:
    """How reviews are read: the settings that preparing them depends on.

    ``start`` names what gave the vocabulary its first words: "nothing", or an encoder.
    """

    cleaning: Cleaning = "original"
    vocab_size: int = 5000
    max_words: int = 500
    validation: float = 0.1
    start: str = "nothing"


@dataclass(frozen=True)
class Preparation:
    """How reviews were prepared, and what came of it."""

    name: str
    origin: str
    labels: tuple[str, ...]
    reading: Reading
    fingerprint: str
    train: int
    validation: int
    test: int
    duplicates: int
    vocabulary: int
    unlabelled: int = 0

    @property
    def reviews(self) -> int:
        """How many training reviews there were, with those held out for validation and those left out."""
        return self.train + self.validation + self.duplicates

    @property
    def digest(self) -> str:
        """The same digest, the same prepared reviews."""
        return hashlib.sha256(json.dumps(asdict(self), sort_keys=True).encode()).hexdigest()


@dataclass(frozen=True)
class Prepared:
    """What training needs: two encoded parts, the vocabulary, and where it all came from."""

    about: Preparation
    vocabulary: Vocabulary
    train: Part
    validation: Part
    unlabelled: Encoded = EMPTY

    def save(self, folder: Path) -> None:
        """Writes the folder. Raises UsageError where it holds anything else."""
        free_for_preparation(folder)
        folder.mkdir(parents=True, exist_ok=True)
        (folder / "prepared.json").unlink(missing_ok=True)
        self.vocabulary.save(folder / "vocabulary.txt")
        self.train.save(folder / "train.npz")
        self.validation.save(folder / "validation.npz")
        _save(folder / "unlabelled.npz", ids=self.unlabelled.ids, offsets=self.unlabelled.offsets)
        (folder / "prepared.json").write_text(json.dumps(asdict(self.about), indent=2) + "\n", "utf-8")

    @classmethod
    def load(cls, folder: Path) -> Prepared:
        """Raises UsageError where ``folder`` does not hold prepared reviews."""
        try:
            found = json.loads((folder / "prepared.json").read_text("utf-8"))
            labels, reading = tuple(found["labels"]), Reading(**found["reading"])
            about = Preparation(**{**found, "labels": labels, "reading": reading})
            vocabulary = Vocabulary.load(folder / "vocabulary.txt")
            if vocabulary.size != about.vocabulary:
                raise ValueError(f"vocabulary.txt has {vocabulary.size} lines instead of {about.vocabulary}")
            train, validation = Part.load(folder / "train.npz"), Part.load(folder / "validation.npz")
            with (folder / "unlabelled.npz").open("rb") as opened, np.load(opened, allow_pickle=False) as file:
                unlabelled = Encoded(file["ids"], file["offsets"])
        except (OSError, EOFError, ValueError, TypeError, KeyError, zipfile.BadZipFile) as error:
            what = f"{folder}: no sound prepared reviews there ({error}): run plaudit prepare again"
            raise UsageError(what) from None
        return cls(about, vocabulary, train, validation, unlabelled)


def free_for_preparation(folder: Path) -> None:
    """Raises UsageError where ``folder`` holds files that are not prepared reviews: nothing of them is replaced."""
    if folder.exists() and not folder.is_dir():
        raise UsageError(f"{folder} is a file: name a folder for what is prepared")
    held = {entry.name for entry in folder.iterdir()} if folder.exists() else set()
    own = {*PARTS, "train.csv"} if "prepared.json" in held else set(PARTS)
    if held - own:
        raise UsageError(f"{folder} holds {min(held - own)}, which was not prepared there: name another folder")


def _save(path: Path, **arrays: NDArray[Any]) -> None:
    """Writes what `numpy.load` reads, a piece at a time: ids may be more than there is memory."""
    with zipfile.ZipFile(path, "w") as packed:
        for name, values in arrays.items():
            with packed.open(f"{name}.npy", "w", force_zip64=True) as file:
                np.lib.format.write_array_header_1_0(file, np.lib.format.header_data_from_array_1_0(values))
                for piece in pieces(values):
                    file.write(piece.data)


def parts(reviews: Reviews, share: float) -> tuple[Rows, Rows]:
    """The training reviews to learn from, and those to validate on, as indices.

    The validation reviews are whole groups (films), chosen by a fixed seed, so that runs can be compared.
    Training reviews whose text is held out, in the test half or in validation, are in neither.
    """
    found = marks(reviews.train)
    usable = np.flatnonzero(~np.isin(found.keys, marks(reviews.test).keys))
    if len(usable) < FEWEST:
        raise UsageError(f"{reviews.origin}: {len(usable)} reviews to train on, and at least {FEWEST} are needed")
    kept, held = split(found.take(usable), share, SPLIT_SEED)
    train, validation = usable[kept], usable[held]
    return train[~np.isin(found.keys[train], found.keys[validation])], validation


def language_texts(reviews: Reviews, share: float) -> list[str]:
    """What an encoder may read: every text but the test half and the validation part of so large a ``share``.

    A network that starts from the encoder is then validated on texts that nothing of it has seen.
    """
    _, validation = parts(reviews, share)
    held = set(marks(reviews.train).keys[validation].tolist())
    return [text for text in reviews.to_learn_a_language_from if text_key(text) not in held]


def prepare(reviews: Reviews, reading: Reading, track: Track = quiet, start: Vocabulary | None = None) -> Prepared:
    """Encodes the training half. The vocabulary is of that half alone, after the words of ``start`` if it is given;
    no test text is read but to find duplicates.

    The memory that it takes is the vocabulary's, and some 130 bytes a review, however long.
    """
    train, validation = parts(reviews, reading.validation)
    counted = _Counted.of(track(reviews.train, "cleaning and counting words", len(reviews.train)), reading)
    vocabulary = Vocabulary.of_counts(counted.words, reading.vocab_size, start)
    found, labels = marks(reviews.train), reviews.label_ids(reviews.train)
    loose = Gatherer()
    if reviews.unlabelled:
        known = np.concatenate([found.keys[validation], marks(reviews.test).keys])
        fresh = ~np.isin(marks(reviews.unlabelled).keys, known)
        encoder = Encoder(vocabulary, reading.cleaning, reading.max_words)
        texts = track(reviews.unlabelled, "cleaning reviews without a label", len(reviews.unlabelled))
        for review in compress(texts, fresh):
            loose.add(encoder.encode(review.text))
    about = Preparation(
        name=reviews.name,
        origin=reviews.origin,
        labels=reviews.labels,
        reading=reading,
        fingerprint=reviews.fingerprint,
        train=len(train),
        validation=len(validation),
        test=len(reviews.test),
        duplicates=len(reviews.train) - len(train) - len(validation),
        vocabulary=vocabulary.size,
        unlabelled=len(loose),
    )
    of_train, of_validation = counted.encoded(vocabulary, train), counted.encoded(vocabulary, validation)
    return Prepared(
        about, vocabulary, Part(of_train, labels[train]), Part(of_validation, labels[validation]), loose.encoded()
    )


@dataclass(frozen=True)
class _Counted:
    """How often each word is in texts, in order of first appearance, and the texts as words' numbers, from 1 on."""

    words: dict[str, int]
    texts: Encoded

    @classmethod
    def of(cls, reviews: Iterable[Review], reading: Reading) -> _Counted:
        number: defaultdict[str, int] = defaultdict(count(1).__next__)
        find = Forms(lambda form: number[word] if (word := word_of(form, reading.cleaning)) else NO_WORD)
        counts = np.zeros(1, dtype=np.int64)
        texts = Gatherer()
        waiting: list[Numbers] = []
        held = 0
        for review in reviews:
            found = forms(review.text, reading.cleaning)
            if isinstance(found, bytes):
                numbers = find.numbers(found)
            else:
                numbers = np.array([number[word] for word in found], np.int32)
            texts.add(numbers[: reading.max_words])
            waiting.append(numbers)
            held += len(numbers)
            if held > PIECE:
                counts, waiting, held = _added(counts, waiting), [], 0
        counts = _added(counts, waiting)
        return cls(dict(zip(number, counts[1:].tolist(), strict=True)), texts.encoded())

    def encoded(self, vocabulary: Vocabulary, rows: Rows) -> Encoded:
        """The texts of ``rows``, which ascend, as the vocabulary's ids."""
        ids = np.array([NO_WORD, *vocabulary.ids(list(self.words))], dtype=np.int32)
        found = Gatherer()
        for begin in range(0, len(self.texts), ROWS):
            part = self.texts.part(begin, min(begin + ROWS, len(self.texts)))
            chosen = rows[slice(*np.searchsorted(rows, (begin, begin + ROWS)))] - begin
            found.extend(Encoded(ids[part.ids], part.offsets).take(chosen))
            release(self.texts.ids)
        return found.encoded()


def _added(counts: NDArray[np.int64], texts: Sequence[Numbers]) -> NDArray[np.int64]:
    more = np.bincount(np.concatenate([[0], *texts]).astype(np.int64), minlength=len(counts))
    more[: len(counts)] += counts
    return more


def export_csv(
    reviews: Reviews, path: Path, vocab_size: int = 5000, max_words: int = 500, track: Track = quiet
) -> None:
    """Writes the original's train.csv: every training review as label, length and ``max_words`` ids; no header."""
    texts = track(reviews.train, "cleaning and counting words", len(reviews.train))
    counted = _Counted.of(texts, Reading("original", vocab_size, max_words))
    vocabulary = Vocabulary.of_counts(counted.words, vocab_size)
    rows = counted.encoded(vocabulary, np.arange(len(reviews.train)))
    labels = reviews.label_ids(reviews.train).tolist()
    path.parent.mkdir(parents=True, exist_ok=True)
    part = path.with_name(path.name + ".part")
    with part.open("w", newline="", encoding="utf-8") as file:
        writer = csv.writer(file, lineterminator="\n")
        for label, ids in track(zip(labels, rows, strict=True), f"writing {path.name}", len(labels)):
            writer.writerow((label, len(ids), *pad([ids], max_words)[0].tolist()))
    part.replace(path)
