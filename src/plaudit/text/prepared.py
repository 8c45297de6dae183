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
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from plaudit.errors import UsageError
from plaudit.progress import Track, quiet
from plaudit.text.encoding import Encoded, pad
from plaudit.text.reviews import Reviews, split, text_key
from plaudit.text.vocabulary import Vocabulary
from plaudit.text.words import Cleaning, words

SPLIT_SEED = 0
FEWEST = 20
PARTS = ("prepared.json", "vocabulary.txt", "train.npz", "validation.npz", "unlabelled.npz")
EMPTY = Encoded.of([])


@dataclass(frozen=True)
class Part:
    """Encoded reviews with their labels as places in the data set's labels."""

    texts: Encoded
    labels: NDArray[np.int64]

    def save(self, path: Path) -> None:
        np.savez(path, ids=self.texts.ids, offsets=self.texts.offsets, labels=self.labels)

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
        np.savez(folder / "unlabelled.npz", ids=self.unlabelled.ids, offsets=self.unlabelled.offsets)
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


def parts(reviews: Reviews, share: float) -> tuple[list[int], list[int]]:
    """The training reviews to learn from, and those to validate on, as indices.

    The validation reviews are whole groups (films), chosen by a fixed seed, so that runs can be compared.
    Training reviews whose text is held out, in the test half or in validation, are in neither.
    """
    left_out = set(reviews.duplicates)
    usable = [i for i in range(len(reviews.train)) if i not in left_out]
    if len(usable) < FEWEST:
        raise UsageError(f"{reviews.origin}: {len(usable)} reviews to train on, and at least {FEWEST} are needed")
    kept, held = split([reviews.train[i] for i in usable], share, SPLIT_SEED)
    validation = [usable[i] for i in held]
    keys = {text_key(reviews.train[i].text) for i in validation}
    return [i for i in (usable[i] for i in kept) if text_key(reviews.train[i].text) not in keys], validation


def language_texts(reviews: Reviews, share: float) -> list[str]:
    """What an encoder may read: every text but the test half and the validation part of so large a ``share``.

    A network that starts from the encoder is then validated on texts that nothing of it has seen.
    """
    _, validation = parts(reviews, share)
    held = {text_key(reviews.train[i].text) for i in validation}
    return [text for text in reviews.to_learn_a_language_from if text_key(text) not in held]


def prepare(reviews: Reviews, reading: Reading, track: Track = quiet, start: Vocabulary | None = None) -> Prepared:
    """Encodes the training half. The vocabulary is of that half alone, after the words of ``start`` if it is given;
    no test text is read but to find duplicates.
    """
    found = [
        words(review.text, reading.cleaning)
        for review in track(reviews.train, "cleaning and counting words", len(reviews.train))
    ]
    train, validation = parts(reviews, reading.validation)
    vocabulary = Vocabulary.of(found, reading.vocab_size, start)
    held_keys = {text_key(reviews.train[i].text) for i in validation}
    labels = reviews.label_ids(reviews.train)
    known = {*held_keys, *(text_key(review.text) for review in reviews.test)} if reviews.unlabelled else set()
    loose = [
        vocabulary.ids(words(review.text, reading.cleaning)[: reading.max_words])
        for review in track(reviews.unlabelled, "cleaning reviews without a label", len(reviews.unlabelled))
        if text_key(review.text) not in known
    ]
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

    def part(indices: Sequence[int]) -> Part:
        rows = (vocabulary.ids(found[i][: reading.max_words]) for i in indices)
        return Part(Encoded.of(rows), np.array([labels[i] for i in indices], dtype=np.int64))

    return Prepared(about, vocabulary, part(train), part(validation), Encoded.of(loose))


def export_csv(
    reviews: Reviews, path: Path, vocab_size: int = 5000, max_words: int = 500, track: Track = quiet
) -> None:
    """Writes the original's train.csv: every training review as label, length and ``max_words`` ids; no header."""
    found = [
        words(review.text, "original")
        for review in track(reviews.train, "cleaning and counting words", len(reviews.train))
    ]
    vocabulary = Vocabulary.of(found, vocab_size)
    path.parent.mkdir(parents=True, exist_ok=True)
    part = path.with_name(path.name + ".part")
    with part.open("w", newline="", encoding="utf-8") as file:
        writer = csv.writer(file, lineterminator="\n")
        labelled = zip(reviews.label_ids(reviews.train), found, strict=True)
        for label, row in track(labelled, f"writing {path.name}", len(found)):
            ids = vocabulary.ids(row[:max_words])
            writer.writerow((label, len(ids), *pad([ids], max_words)[0].tolist()))
    part.replace(path)
