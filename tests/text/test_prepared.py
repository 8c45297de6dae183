from __future__ import annotations

import csv
import gc
import json
import warnings
from collections.abc import Iterable
from dataclasses import replace
from pathlib import Path
from typing import TypeVar

import numpy as np
import pytest

from plaudit.errors import ReviewsError, UsageError
from plaudit.text.prepared import (
    SPLIT_SEED,
    Part,
    Prepared,
    Reading,
    export_csv,
    language_texts,
    parts,
    prepare,
)
from plaudit.text.reviews import Review, Reviews, split
from plaudit.text.sources import read_reviews
from plaudit.text.vocabulary import Vocabulary
from plaudit.text.words import words

T = TypeVar("T")
READING = Reading("original", vocab_size=2_000, max_words=20, validation=0.2)


def _review(number: int, film: str | None = None) -> Review:
    """A review whose third word is its own and whose fourth is its film's."""
    opinion, label = ("lovely", "positive") if number % 2 else ("dreadful", "negative")
    return Review(f"{opinion} picture visitor{number} {film or 'unknown'}", label, film, line=number + 2)


def _reviews(train: Iterable[Review], test: Iterable[Review]) -> Reviews:
    return Reviews("mine", "mine.csv", ("negative", "positive"), list(train), list(test))


@pytest.fixture
def plain() -> Reviews:
    return _reviews(map(_review, range(100)), map(_review, range(100, 140)))


@pytest.fixture
def films() -> Reviews:
    """120 training reviews, six of each of 20 films."""
    return _reviews((_review(number, f"film{number // 6}") for number in range(120)), map(_review, range(200, 220)))


def _texts(data: Prepared, part: Part) -> list[list[str]]:
    """A part's words, found again by their ids."""
    names = ["<no word>", "<infrequent>", *data.vocabulary.words]
    return [[names[id] for id in part.texts[index].tolist()] for index in range(len(part.texts))]


def _is_refused(folder: Path) -> bool:
    """Whether prepared reviews cannot be loaded from ``folder``; nothing holds on to the error."""
    try:
        Prepared.load(folder)
    except UsageError:
        return True
    return False


class TestPrepare:
    def test_every_training_review_is_in_one_part(self, plain: Reviews) -> None:
        data = prepare(plain, READING)
        found = [row[2] for part in (data.train, data.validation) for row in _texts(data, part)]
        assert sorted(found) == sorted(f"visitor{number}" for number in range(100))
        assert (data.about.train, data.about.validation, data.about.test, data.about.duplicates) == (80, 20, 40, 0)

    def test_ids_and_labels_are_those_of_the_reviews(self, plain: Reviews) -> None:
        data = prepare(plain, READING)
        for part in (data.train, data.validation):
            for row, label in zip(_texts(data, part), part.labels.tolist(), strict=True):
                assert row[0] == {1: "love", 0: "dread"}[label]
                assert label == int(row[2].removeprefix("visitor")) % 2
        assert data.train.labels.dtype == np.int64

    def test_validation_is_balanced(self, plain: Reviews) -> None:
        assert prepare(plain, READING).validation.labels.mean() == 0.5

    def test_the_vocabulary_is_of_the_training_half_alone(self, plain: Reviews) -> None:
        test = [replace(review, text=review.text + " heldout" * 50) for review in plain.test]
        data = prepare(_reviews(plain.train, test), READING)
        assert "heldout" not in data.vocabulary.words
        assert not {f"visitor{number}" for number in range(100, 140)} & set(data.vocabulary.words)
        assert data.vocabulary == prepare(plain, READING).vocabulary
        assert data.vocabulary.words[0] == "pictur"

    def test_an_encoder_reads_nothing_that_validates(self, plain: Reviews) -> None:
        _, validation = parts(plain, READING.validation)
        loose = [Review("loose", ""), replace(plain.train[validation[0]], label="")]
        read = language_texts(replace(plain, unlabelled=loose), READING.validation)
        assert sorted(read) == sorted(
            ["loose", *(review.text for at, review in enumerate(plain.train) if at not in validation)]
        )

    def test_the_vocabulary_counts_its_words(self, plain: Reviews) -> None:
        data = prepare(plain, replace(READING, vocab_size=5))
        assert data.vocabulary.words == ("pictur", "unknown", "dread")
        assert {id for part in (data.train, data.validation) for id in part.texts.ids.tolist()} == {1, 2, 3, 4}

    def test_only_the_first_words_are_read(self, plain: Reviews) -> None:
        data = prepare(plain, replace(READING, max_words=2))
        assert set(data.train.texts.lengths.tolist()) == {2}

    def test_the_cleaning_is_the_readings(self, plain: Reviews) -> None:
        data = prepare(plain, replace(READING, cleaning="modern"))
        assert {"lovely", "picture"} < set(data.vocabulary.words)

    def test_reviews_that_are_held_out_too_are_left_out_and_counted(self, plain: Reviews) -> None:
        copies = [Review(f"  {review.text.upper()}\n", review.label) for review in plain.test[:7]]
        data = prepare(_reviews([*plain.train, *copies], plain.test), READING)
        assert data.about.duplicates == 7
        assert data.about.train + data.about.validation == 100
        found = {row[2] for part in (data.train, data.validation) for row in _texts(data, part)}
        assert found == {f"visitor{number}" for number in range(100)}

    def test_the_same_text_is_on_one_side(self, plain: Reviews) -> None:
        train = [*plain.train, *plain.train]
        data = prepare(_reviews(train, plain.test), READING)
        sides = [{row[2] for row in _texts(data, part)} for part in (data.train, data.validation)]
        assert not sides[0] & sides[1]
        assert (data.about.duplicates, data.about.train + data.about.validation) == (0, 200)

    def test_no_film_is_on_both_sides(self, films: Reviews) -> None:
        data = prepare(films, READING)
        train, validation = ({row[3] for row in _texts(data, part)} for part in (data.train, data.validation))
        assert not train & validation
        assert (len(train), len(validation)) == (16, 4)
        assert (data.about.train, data.about.validation) == (96, 24)

    def test_a_text_under_two_films_is_not_trained_on_and_validated(self, films: Reviews) -> None:
        twins = [replace(review, group=f"film{(number // 6 + 10) % 20}") for number, review in enumerate(films.train)]
        data = prepare(_reviews([*films.train, *twins], films.test), READING)
        train, validation = ({row[2] for row in _texts(data, part)} for part in (data.train, data.validation))
        assert not train & validation
        assert data.about.duplicates == 240 - data.about.train - data.about.validation > 0

    def test_the_same_reviews_give_the_same(self, films: Reviews) -> None:
        one, other = prepare(films, READING), prepare(films, READING)
        assert one.about == other.about
        assert one.about.digest == other.about.digest
        assert one.vocabulary == other.vocabulary
        for part in ("train", "validation"):
            assert np.array_equal(getattr(one, part).texts.ids, getattr(other, part).texts.ids)
            assert np.array_equal(getattr(one, part).labels, getattr(other, part).labels)

    def test_other_reviews_or_settings_have_another_digest(self, plain: Reviews) -> None:
        first = prepare(plain, READING).about.digest
        assert prepare(plain, replace(READING, max_words=19)).about.digest != first
        assert prepare(_reviews(plain.train, plain.test[1:]), READING).about.digest != first

    def test_progress_is_told(self, plain: Reviews) -> None:
        told: list[tuple[str, int | None]] = []

        def track(items: Iterable[T], what: str, total: int | None = None) -> Iterable[T]:
            told.append((what, total))
            return items

        prepare(plain, READING, track)
        assert told == [("cleaning and counting words", 100)]
        prepare(replace(plain, unlabelled=plain.test), READING, track)
        assert told[2:] == [("cleaning reviews without a label", len(plain.test))]

    @pytest.mark.parametrize("number", [0, 4, 19])
    def test_too_few_reviews_are_refused(self, number: int) -> None:
        test = [_review(number) for number in range(200, 206)]
        few = _reviews(map(_review, range(number)), test)
        expected = f"mine.csv: {number} reviews to train on, and at least 20 are needed"
        for reviews in (few, _reviews([*few.train, *test], test)):
            with pytest.raises(UsageError) as raised:
                prepare(reviews, READING)
            assert str(raised.value) == expected

    def test_twenty_reviews_are_enough(self) -> None:
        data = prepare(_reviews(map(_review, range(20)), map(_review, range(20, 26))), READING)
        assert (data.about.train, data.about.validation) == (16, 4)

    def test_three_labels_are_places_in_their_order(self, plain: Reviews) -> None:
        train = [replace(review, label="mixed") if at % 3 == 0 else review for at, review in enumerate(plain.train)]
        three = replace(_reviews(train, plain.test), labels=("mixed", "negative", "positive"))
        data = prepare(three, READING)
        assert data.about.labels == three.labels
        for part in (data.train, data.validation):
            for row, label in zip(_texts(data, part), part.labels.tolist(), strict=True):
                number = int(row[2].removeprefix("visitor"))
                assert label == (0 if number % 3 == 0 else 1 + number % 2)
            assert set(part.labels.tolist()) == {0, 1, 2}

    def test_the_words_to_start_with_come_first(self, plain: Reviews) -> None:
        start = Vocabulary(("unknown", "elsewhere"))
        often = [replace(review, text=review.text + " often") for review in plain.train[:5]]
        data = prepare(_reviews([*often, *plain.train[5:]], plain.test), READING, start=start)
        assert data.vocabulary.words[:3] == ("unknown", "elsewhere", "pictur")
        assert set(data.vocabulary.words[3:]) == {"love", "dread", "often"}

    def test_texts_without_a_label_are_encoded_but_those_that_are_held_out(self, plain: Reviews) -> None:
        first = prepare(plain, READING)
        kept, validated = (
            plain.train[int(_texts(first, part)[0][2].removeprefix("visitor"))]
            for part in (first.train, first.validation)
        )
        loose = [
            Review("a lovely picture nobody judged", ""),
            replace(validated, label=""),
            replace(plain.test[0], text=plain.test[0].text.upper()),
            replace(kept, label=""),
            Review("", ""),
        ]
        data = prepare(replace(plain, unlabelled=loose), READING)
        rows = _texts(data, Part(data.unlabelled, np.zeros(0, dtype=np.int64)))
        assert rows[0][:2] == ["love", "pictur"]
        assert rows[1][2] == kept.text.split()[2]
        assert (rows[2], len(data.unlabelled), data.about.unlabelled) == ([], 3, 3)
        assert data.vocabulary == first.vocabulary
        assert data.about.digest != first.about.digest

    def test_of_a_text_without_a_label_the_first_words_are_read(self, plain: Reviews) -> None:
        data = prepare(replace(plain, unlabelled=[Review("lovely picture " * 50, "")]), READING)
        assert data.unlabelled.lengths.tolist() == [20]


class TestFolder:
    def test_what_is_saved_comes_back(self, films: Reviews, tmp_path: Path) -> None:
        data = prepare(films, READING)
        data.save(tmp_path / "new" / "prepared")
        back = Prepared.load(tmp_path / "new" / "prepared")
        assert (back.about, back.vocabulary) == (data.about, data.vocabulary)
        assert back.about.digest == data.about.digest
        for part in ("train", "validation"):
            one, other = getattr(data, part), getattr(back, part)
            for array in ("ids", "offsets"):
                assert np.array_equal(getattr(one.texts, array), getattr(other.texts, array))
                assert getattr(one.texts, array).dtype == getattr(other.texts, array).dtype
            assert np.array_equal(one.labels, other.labels)

    def test_texts_without_a_label_come_back(self, plain: Reviews, tmp_path: Path) -> None:
        loose = [Review("a lovely picture nobody judged", ""), Review("", ""), Review("dreadful", "")]
        for reviews in (replace(plain, unlabelled=loose), plain):
            data = prepare(reviews, READING)
            data.save(tmp_path)
            back = Prepared.load(tmp_path)
            assert back.about == data.about
            assert len(back.unlabelled) == len(data.unlabelled) == len(reviews.unlabelled)
            assert np.array_equal(back.unlabelled.ids, data.unlabelled.ids)
            assert np.array_equal(back.unlabelled.offsets, data.unlabelled.offsets)

    def test_saving_again_replaces(self, films: Reviews, plain: Reviews, tmp_path: Path) -> None:
        prepare(films, READING).save(tmp_path)
        second = prepare(plain, READING)
        second.save(tmp_path)
        assert Prepared.load(tmp_path).about == second.about
        assert sorted(path.name for path in tmp_path.iterdir()) == [
            "prepared.json",
            "train.npz",
            "unlabelled.npz",
            "validation.npz",
            "vocabulary.txt",
        ]

    def test_a_folder_that_was_left_half_way_is_refused(self, plain: Reviews, tmp_path: Path) -> None:
        data = prepare(plain, READING)
        data.save(tmp_path)
        (tmp_path / "validation.npz").unlink()
        (tmp_path / "validation.npz").mkdir()
        with pytest.raises(OSError, match="validation"):
            data.save(tmp_path)
        assert not (tmp_path / "prepared.json").exists()
        with pytest.raises(UsageError):
            Prepared.load(tmp_path)

    @pytest.mark.parametrize(
        "name", ["prepared.json", "vocabulary.txt", "train.npz", "validation.npz", "unlabelled.npz"]
    )
    @pytest.mark.parametrize("damage", ["missing", "folder", "empty", "noise"])
    def test_a_damaged_folder_is_refused(self, name: str, damage: str, plain: Reviews, tmp_path: Path) -> None:
        prepare(plain, READING).save(tmp_path)
        path = tmp_path / name
        path.unlink()
        if damage == "folder":
            path.mkdir()
        elif damage != "missing":
            path.write_bytes(b"" if damage == "empty" else b"\xff\x00 noise \x80" * 9)
        with pytest.raises(
            UsageError, match=r"no sound prepared reviews there .*: run plaudit prepare again"
        ) as raised:
            Prepared.load(tmp_path)
        assert str(raised.value).startswith(f"{tmp_path}: ")

    @pytest.mark.parametrize("name", ["prepared.json", "vocabulary.txt"])
    def test_a_text_that_ends_half_way_is_refused(self, name: str, plain: Reviews, tmp_path: Path) -> None:
        prepare(plain, READING).save(tmp_path)
        content = (tmp_path / name).read_bytes()
        (tmp_path / name).write_bytes(content[: len(content) // 2].rstrip(b"\n"))
        with pytest.raises(UsageError, match="no sound prepared reviews there"):
            Prepared.load(tmp_path)

    @pytest.mark.parametrize("name", ["train.npz", "validation.npz", "unlabelled.npz"])
    def test_arrays_that_end_half_way_are_refused_and_closed(self, name: str, plain: Reviews, tmp_path: Path) -> None:
        prepare(plain, READING).save(tmp_path)
        content = (tmp_path / name).read_bytes()
        (tmp_path / name).write_bytes(content[: len(content) // 2])
        with warnings.catch_warnings(record=True) as caught:
            warnings.simplefilter("always")
            assert _is_refused(tmp_path)
            gc.collect()
        assert [str(warning.message) for warning in caught] == []

    @pytest.mark.parametrize(
        "content", ["[]", "null", "{}", '{"labels": ["a", "b"], "reading": {"cleaning": "modern"}}']
    )
    def test_a_description_of_something_else_is_refused(self, content: str, plain: Reviews, tmp_path: Path) -> None:
        prepare(plain, READING).save(tmp_path)
        (tmp_path / "prepared.json").write_text(content, "utf-8")
        with pytest.raises(UsageError, match="no sound prepared reviews there"):
            Prepared.load(tmp_path)

    def test_a_description_from_another_version_is_refused(self, plain: Reviews, tmp_path: Path) -> None:
        prepare(plain, READING).save(tmp_path)
        found = json.loads((tmp_path / "prepared.json").read_text("utf-8"))
        (tmp_path / "prepared.json").write_text(json.dumps({**found, "new": 1}), "utf-8")
        with pytest.raises(UsageError, match="no sound prepared reviews there"):
            Prepared.load(tmp_path)

    def test_a_vocabulary_that_lacks_words_is_refused(self, plain: Reviews, tmp_path: Path) -> None:
        prepare(plain, READING).save(tmp_path)
        lines = (tmp_path / "vocabulary.txt").read_text("utf-8").splitlines(keepends=True)
        (tmp_path / "vocabulary.txt").write_text("".join(lines[:10]), "utf-8")
        with pytest.raises(UsageError):
            Prepared.load(tmp_path)


class TestExport:
    def test_a_row_is_label_length_and_ids(self, plain: Reviews, tmp_path: Path) -> None:
        path = tmp_path / "new" / "train.csv"
        export_csv(plain, path, vocab_size=5, max_words=6)
        lines = path.read_bytes().decode("ascii").splitlines(keepends=True)
        assert lines[0] == "0,4,4,2,1,3,0,0\n"
        assert lines[1] == "1,4,1,2,1,3,0,0\n"
        assert len(lines) == len(plain.train)

    def test_rows_hold_the_words_of_the_training_reviews_in_order(self, plain: Reviews, tmp_path: Path) -> None:
        export_csv(plain, tmp_path / "train.csv", vocab_size=2_000, max_words=3)
        vocabulary = prepare(plain, READING).vocabulary
        with (tmp_path / "train.csv").open(encoding="ascii", newline="") as file:
            rows = [[int(value) for value in row] for row in csv.reader(file)]
        for review, (label, length, *ids) in zip(plain.train, rows, strict=True):
            assert (label, length) == (int(review.label == "positive"), 3)
            assert ids == vocabulary.ids(words(review.text, "original")[:3])

    def test_the_originals_settings_are_the_defaults(self, plain: Reviews, tmp_path: Path) -> None:
        export_csv(plain, tmp_path / "train.csv")
        first = (tmp_path / "train.csv").read_text("ascii").splitlines()[0].split(",")
        assert len(first) == 2 + 500
        assert first[6:] == ["0"] * 496

    def test_a_review_without_words_is_a_row_of_zeros(self, plain: Reviews, tmp_path: Path) -> None:
        train = [Review("the of <br /> ...", "positive"), *plain.train]
        export_csv(_reviews(train, plain.test), tmp_path / "train.csv", max_words=4)
        assert (tmp_path / "train.csv").read_text("ascii").splitlines()[0] == "1,0,0,0,0,0"

    def test_writing_again_replaces_and_leaves_nothing_else(self, plain: Reviews, tmp_path: Path) -> None:
        path = tmp_path / "train.csv"
        path.write_text("old")
        export_csv(plain, path)
        once = path.read_bytes()
        export_csv(plain, path)
        assert path.read_bytes() == once
        assert list(tmp_path.iterdir()) == [path]

    @pytest.mark.parametrize("broken", ["text,label\nfine,good\n,bad\n", 'text,label\nfine,good\n"never closed,bad\n'])
    def test_nothing_is_written_when_reading_fails(self, broken: str, tmp_path: Path) -> None:
        source, path = tmp_path / "mine.csv", tmp_path / "out" / "train.csv"
        source.write_text(broken, "utf-8")
        with pytest.raises(ReviewsError):
            export_csv(read_reviews(str(source)), path)
        assert list(tmp_path.iterdir()) == [source]

    @pytest.mark.parametrize("stage", ["cleaning", "writing"])
    def test_what_was_there_stays_when_work_is_broken_off(self, stage: str, plain: Reviews, tmp_path: Path) -> None:
        def track(items: Iterable[T], what: str, total: int | None = None) -> Iterable[T]:
            for number, item in enumerate(items):
                if what.startswith(stage) and number == 50:
                    raise KeyboardInterrupt
                yield item

        path = tmp_path / "train.csv"
        path.write_text("old")
        with pytest.raises(KeyboardInterrupt):
            export_csv(plain, path, track=track)
        assert path.read_text() == "old"


@pytest.mark.imdb
def test_imdbs_duplicates_are_left_out_and_its_films_stay_on_one_side(imdb_archive: Path) -> None:
    reviews = read_reviews(str(imdb_archive))
    assert len(reviews.duplicates) == 123
    left_out = set(reviews.duplicates)
    usable = [review for index, review in enumerate(reviews.train) if index not in left_out]
    assert all(review.group for review in usable)
    kept, held = split(usable, Reading().validation, SPLIT_SEED)
    assert not {usable[index].group for index in kept} & {usable[index].group for index in held}
    assert len(kept) + len(held) == 25_000 - 123
    assert 0.1 * len(usable) <= len(held) <= 0.1 * len(usable) + 30
