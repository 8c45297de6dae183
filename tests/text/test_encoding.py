from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from plaudit.text.encoder import Encoder
from plaudit.text.encoding import PIECE, Encoded, Gatherer, pad, pieces, release
from plaudit.text.vocabulary import INFREQUENT, NO_WORD, Vocabulary
from plaudit.text.words import words

ROWS = [[2, 3, 4], [], [5], [6, 7]]
rows_of_ids = st.lists(st.lists(st.integers(0, 2**31 - 1), max_size=8), max_size=8)


def test_an_encoder_gives_the_ids_of_the_first_words() -> None:
    encoder = Encoder(Vocabulary(("film", "good")), "original", max_words=3)
    assert encoder.encode("A good film, unheard of: goods, films, good") == [3, 2, INFREQUENT]
    assert encoder.encode("the of and <br />") == []
    assert encoder.encode("") == []


@given(st.lists(st.sampled_from(["good ", "the", "Films, ", "<b>", "it's ", "\u00e9", "x" * 50 + " "])).map("".join))
def test_an_encoder_knows_surface_forms_by_the_ids_of_their_words(text: str) -> None:
    vocabulary = Vocabulary(("film", "good", "x" * 50))
    for _ in range(2):
        assert Encoder(vocabulary, "original", 5).encode(text) == vocabulary.ids(words(text, "original"))[:5]


def test_an_encoder_of_runs_gives_each_that_a_text_has_once() -> None:
    encoder = Encoder(Vocabulary(("film", "good", "good film", "not", "not good film")), "modern", 5, ngrams=3)
    assert encoder.encode("Not good film, good film") == [5, 3, 2, 4, 6]
    assert encoder.encode("nothing known") == encoder.encode("") == []
    assert encoder.encode("one two three four five film") == [], "the sixth word is not read"


def test_what_runs_contribute_is_shared_by_their_words() -> None:
    found = ["not", "good", "film", "unheard"]
    plain = Encoder(Vocabulary(("film", "good", "not good")), "modern", 500)
    given = np.array([1.0, 2.0, 3.0, 4.0])
    assert plain.by_word(found, given) is given
    runs = Encoder(plain.vocabulary, "modern", 500, ngrams=2)
    assert runs.ids(found) == [3, 2, 4]
    assert runs.by_word(found, np.array([1.0, 10.0, 4.0])).tolist() == [2.0, 3.0, 10.0, 0.0]


def test_the_cleaning_decides_what_a_word_is() -> None:
    vocabulary = Vocabulary(("not", "good", "!"))
    assert Encoder(vocabulary, "modern", 500).encode("Not good!") == [2, 3, 4]
    assert Encoder(vocabulary, "original", 500).encode("Not good!") == [3]


def test_encoded_texts_come_back_row_by_row() -> None:
    encoded = Encoded.of(ROWS)
    assert len(encoded) == 4
    assert [encoded[index].tolist() for index in range(4)] == ROWS
    assert encoded.lengths.tolist() == [3, 0, 1, 2]
    assert encoded.ids.dtype == np.int32
    assert encoded.offsets.dtype == np.int64


def test_taking_follows_the_given_order_and_may_repeat() -> None:
    taken = Encoded.of(ROWS).take([3, 0, 3, 1])
    assert [taken[index].tolist() for index in range(len(taken))] == [[6, 7], [2, 3, 4], [6, 7], []]
    assert len(Encoded.of(ROWS).take(np.array([], dtype=np.int64))) == 0


def test_no_text_at_all_is_encoded_too() -> None:
    encoded = Encoded.of([])
    assert len(encoded) == 0
    assert encoded.lengths.tolist() == []


@settings(max_examples=200, deadline=None, derandomize=True)
@given(rows_of_ids)
def test_encoding_and_padding_lose_nothing(rows: list[list[int]]) -> None:
    encoded = Encoded.of(iter(rows))
    assert [encoded[index].tolist() for index in range(len(encoded))] == rows
    block = pad([encoded[index] for index in range(len(encoded))])
    assert block.shape == (len(rows), max([1, *map(len, rows)]))
    for row, padded in zip(rows, block.tolist(), strict=True):
        assert padded == row + [NO_WORD] * (len(padded) - len(row))


def test_padding_fills_up_to_a_width() -> None:
    assert pad([[2, 3], []], width=4).tolist() == [[2, 3, 0, 0], [0, 0, 0, 0]]
    assert pad([[2]], width=1).dtype == np.int64


def test_padding_no_words_still_has_a_column() -> None:
    assert pad([[], []]).tolist() == [[0], [0]]
    assert pad([]).shape == (0, 1)


def test_a_row_wider_than_the_block_is_refused() -> None:
    with pytest.raises(ValueError, match="broadcast"):
        pad([[2, 3, 4]], width=2)


@given(rows_of_ids, st.integers(0, 8))
def test_gathered_texts_are_those_of_a_list(rows: list[list[int]], at: int) -> None:
    at = min(at, len(rows))
    gatherer = Gatherer()
    for row in rows[:at]:
        gatherer.add(row)
    gatherer.extend(Encoded.of(rows[at:]))
    assert len(gatherer) == len(rows)
    found = gatherer.encoded()
    assert [row.tolist() for row in found] == rows
    assert found.ids.dtype == np.int32
    assert found.ids.flags.writeable, "torch takes no other"
    release(found.ids)
    assert [row.tolist() for row in found.part(0, at)] + [row.tolist() for row in found.part(at, len(rows))] == rows


def test_the_pieces_of_an_array_are_all_of_it() -> None:
    gatherer = Gatherer()
    gatherer.extend(Encoded.of([np.arange(2 * PIECE + 3, dtype=np.int32)]))
    ids = gatherer.encoded().ids
    found = list(pieces(ids))
    assert [len(piece) for piece in found] == [PIECE, PIECE, 3]
    assert np.array_equal(np.concatenate(found), ids)
    assert list(pieces(np.zeros(0))) == []
