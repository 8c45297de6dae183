from __future__ import annotations

import csv
import json
from collections import Counter
from collections.abc import Callable, Sequence
from pathlib import Path

import pyarrow
import pyarrow.parquet
import pytest

from plaudit.errors import ReviewsError
from plaudit.text.reviews import text_key
from plaudit.text.tables import Columns, read_lines, read_table, read_texts

Rows = Sequence[tuple[str, ...]]

HEADER = ("text", "label", "split")
ROWS = (
    ("A fine film, with a comma", "good", "train"),
    ('She said "never again"', "bad", "train"),
    ("Two lines:\nthe second", "bad", "test"),
    ("\u00c7a alors \U0001f600\tand a tab", "good", "test"),
)


def _delimited(path: Path, header: Sequence[str], rows: Rows) -> None:
    with path.open("w", newline="", encoding="utf-8") as file:
        writer = csv.writer(file, delimiter="\t" if path.suffix == ".tsv" else ",")
        writer.writerows([header, *rows])


def _jsonl(path: Path, header: Sequence[str], rows: Rows) -> None:
    path.write_text("".join(json.dumps(dict(zip(header, row, strict=True))) + "\n" for row in rows), "utf-8")


def _parquet(path: Path, header: Sequence[str], rows: Rows) -> None:
    columns = {name: [row[at] for row in rows] for at, name in enumerate(header)}
    pyarrow.parquet.write_table(pyarrow.table(columns), path)


WRITERS: dict[str, Callable[[Path, Sequence[str], Rows], None]] = {
    ".csv": _delimited,
    ".tsv": _delimited,
    ".jsonl": _jsonl,
    ".parquet": _parquet,
}
EVERY = pytest.mark.parametrize("ending", WRITERS)


def _write(path: Path, content: str | bytes) -> Path:
    path.write_bytes(content if isinstance(content, bytes) else content.encode())
    return path


def _refusal(path: Path, columns: Columns | None = None) -> str:
    """What is said of a file that cannot be used, from the file's name on."""
    with pytest.raises(ReviewsError) as raised:
        read_table(path, columns or Columns())
    message = str(raised.value)
    assert message.startswith(str(path))
    assert "\n" not in message
    place = f":{raised.value.line}: " if raised.value.line else ": "
    assert message.startswith(f"{path}{place}")
    return message[len(str(path)) - len(path.name) :]


class TestFormats:
    @EVERY
    def test_every_format_gives_the_same_reviews(self, ending: str, tmp_path: Path) -> None:
        path = tmp_path / f"mine{ending}"
        WRITERS[ending](path, HEADER, ROWS)
        reviews = read_table(path, Columns())
        assert [(review.text, review.label, "train") for review in reviews.train] == list(ROWS[:2])
        assert [(review.text, review.label, "test") for review in reviews.test] == list(ROWS[2:])
        assert (reviews.name, reviews.origin, reviews.labels) == (path.name, str(path), ("bad", "good"))
        assert all(review.group is None for review in (*reviews.train, *reviews.test))

    @EVERY
    def test_columns_may_have_other_names_and_stand_anywhere(self, ending: str, tmp_path: Path) -> None:
        made = [(half, "ignored", label, text) for text, label, half in ROWS]
        WRITERS[ending](tmp_path / f"mine{ending}", ("half", "id", "verdict", "review"), made)
        path = (tmp_path / f"mine{ending}").rename(tmp_path / f"mine{ending.upper()}")
        reviews = read_table(path, Columns("review", "verdict", "half"), name="My reviews")
        assert [(review.text, review.label) for review in reviews.test] == [row[:2] for row in ROWS[2:]]
        assert reviews.name == "My reviews"

    @EVERY
    def test_reading_twice_gives_the_same(self, ending: str, tmp_path: Path) -> None:
        path = tmp_path / f"mine{ending}"
        WRITERS[ending](path, HEADER[:2], [(f"text {i}", "ab"[i % 2]) for i in range(40)])
        assert read_table(path, Columns()) == read_table(path, Columns())
        assert read_table(path, Columns(), seed=1).test != read_table(path, Columns(), seed=2).test

    def test_lines_are_those_of_an_editor(self, tmp_path: Path) -> None:
        path = _write(tmp_path / "mine.csv", 'text,label\r\n"one\r\n\r\nstill one",a\r\n\r\ntwo,b\r\n"three",a\r\n')
        reviews = read_table(path, Columns(), seed=0)
        found = sorted((r.line, r.text) for r in (*reviews.train, *reviews.test))
        assert found == [(2, "one\r\n\r\nstill one"), (6, "two"), (7, "three")]
        path = _write(tmp_path / "mine.jsonl", '{"text": "one", "label": "a"}\n\n{"text": "two", "label": "b"}')
        reviews = read_table(path, Columns())
        assert sorted(review.line for review in (*reviews.train, *reviews.test)) == [1, 3]

    @pytest.mark.parametrize("ending", [".csv", ".tsv", ".jsonl"])
    def test_a_byte_order_mark_belongs_to_no_column(self, ending: str, tmp_path: Path) -> None:
        path = tmp_path / f"mine{ending}"
        WRITERS[ending](path, HEADER, ROWS)
        _write(path, b"\xef\xbb\xbf" + path.read_bytes())
        assert [review.text for review in read_table(path, Columns()).train] == [row[0] for row in ROWS[:2]]

    def test_labels_may_be_numbers(self, tmp_path: Path) -> None:
        path = _write(tmp_path / "mine.jsonl", '{"text": "fine", "label": 1}\n{"text": "awful", "label": 0}\n')
        assert read_table(path, Columns()).labels == ("0", "1")
        path = tmp_path / "mine.parquet"
        pyarrow.parquet.write_table(pyarrow.table({"text": ["fine", "awful"], "label": [1, 0]}), path)
        reviews = read_table(path, Columns())
        assert reviews.labels == ("0", "1")
        assert reviews.label_ids(reviews.train).tolist() == [1, 0]

    def test_a_very_long_field_is_read(self, tmp_path: Path) -> None:
        path = _write(tmp_path / "mine.csv", "text,label\n" + "long " * 100_000 + ",a\nshort,b\n")
        assert len(read_table(path, Columns()).train[0].text) == 500_000

    def test_three_labels_are_read(self, tmp_path: Path) -> None:
        path = _write(tmp_path / "mine.csv", "text,label\none,c\ntwo,a\nthree,b\n")
        assert read_table(path, Columns()).labels == ("a", "b", "c")

    def test_the_positive_label_comes_last(self, tmp_path: Path) -> None:
        path = _write(tmp_path / "mine.csv", "text,label\none,fresh\ntwo,rotten\n")
        assert read_table(path, Columns()).labels == ("fresh", "rotten")
        reviews = read_table(path, Columns(positive="fresh"))
        assert reviews.labels == ("rotten", "fresh")
        assert reviews.label_ids(reviews.train).tolist() == [1, 0]

    def test_texts_of_a_parquet_column_of_bytes_are_read(self, tmp_path: Path) -> None:
        path = tmp_path / "mine.parquet"
        pyarrow.parquet.write_table(pyarrow.table({"text": [b"fine", b"awful"], "label": ["a", "b"]}), path)
        assert [review.text for review in read_table(path, Columns()).train] == ["fine", "awful"]


class TestHalves:
    @pytest.fixture
    def table(self, tmp_path: Path) -> Path:
        texts = [f"review number {i}" for i in range(100)]
        texts[90:] = [text.upper() + " " for text in texts[:10]]
        path = tmp_path / "mine.csv"
        _delimited(path, HEADER[:2], [(text, "good" if i % 10 < 5 else "bad") for i, text in enumerate(texts)])
        return path

    def test_a_fifth_is_held_out_where_nothing_says_which(self, table: Path) -> None:
        reviews = read_table(table, Columns())
        assert len(reviews.train) + len(reviews.test) == 100
        assert 20 <= len(reviews.test) <= 22
        lines = [review.line for review in (*reviews.train, *reviews.test)]
        assert sorted(lines) == list(range(2, 102))

    def test_the_fifth_is_balanced(self, table: Path) -> None:
        counts = Counter(review.label for review in read_table(table, Columns()).test)
        assert abs(counts["good"] - counts["bad"]) <= 1

    def test_the_same_text_is_on_one_side(self, table: Path) -> None:
        for seed in range(10):
            reviews = read_table(table, Columns(), seed=seed)
            train, test = ({text_key(review.text) for review in half} for half in (reviews.train, reviews.test))
            assert not train & test
            assert reviews.duplicates == ()

    @pytest.mark.parametrize("split", ["train", ""])
    def test_a_split_column_that_holds_nothing_out_is_as_none(self, split: str, table: Path, tmp_path: Path) -> None:
        with table.open(encoding="utf-8", newline="") as file:
            rows = list(csv.reader(file))[1:]
        _delimited(tmp_path / "split.csv", HEADER, [(*row, split) for row in rows])
        assert read_table(tmp_path / "split.csv", Columns()).test == read_table(table, Columns()).test

    def test_a_review_without_a_half_is_trained_on(self, tmp_path: Path) -> None:
        lines = ('{"text": "one", "label": "a"}', '{"text": "two", "label": "b", "split": "test"}')
        reviews = read_table(_write(tmp_path / "mine.jsonl", "\n".join(lines)), Columns())
        assert ([review.text for review in reviews.train], [review.text for review in reviews.test]) == (
            ["one"],
            ["two"],
        )

    def test_a_small_table_has_a_test_half(self, tmp_path: Path) -> None:
        path = _write(tmp_path / "mine.csv", "text,label\none,a\ntwo,b\nthree,a\nfour,b\n")
        for seed in range(10):
            reviews = read_table(path, Columns(), seed=seed)
            for half in (reviews.train, reviews.test):
                assert sorted(review.label for review in half) == ["a", "b"]

    def test_a_label_with_one_text_is_trained_on(self, tmp_path: Path) -> None:
        path = _write(tmp_path / "mine.csv", "text,label\none,a\nONE ,a\ntwo,b\nthree,b\n")
        for seed in range(10):
            reviews = read_table(path, Columns(), seed=seed)
            assert [review.label for review in reviews.train] == ["a", "a", "b"]
            assert [review.label for review in reviews.test] == ["b"]

    def test_a_table_may_have_test_rows_alone(self, tmp_path: Path) -> None:
        path = _write(tmp_path / "mine.csv", "text,label,split\nfine,a,test\nawful,b,test\n")
        reviews = read_table(path, Columns())
        assert reviews.train == []
        assert [review.text for review in reviews.test] == ["fine", "awful"]
        assert reviews.labels == ("a", "b")


class TestRefusals:
    @pytest.mark.parametrize(
        ("name", "content", "expected"),
        [
            ("mine.csv", 'text,label\nfine,a\n" ",b\n', "mine.csv:3: the column 'text' is empty"),
            ("mine.csv", 'text,label\n"two\nlines",a\n,b\n', "mine.csv:4: the column 'text' is empty"),
            ("mine.tsv", "text\tlabel\nfine\t\n", "mine.tsv:2: the column 'label' is empty"),
            ("mine.jsonl", '{"text": "", "label": "a"}\n', "mine.jsonl:1: the column 'text' is empty"),
            ("mine.jsonl", '\n{"text": "x", "label": null}\n', "mine.jsonl:2: the column 'label' is empty"),
            (
                "mine.csv",
                "review,label\nfine,a\n",
                "mine.csv:2: there is no column 'text' among review, label: name it with --text-column",
            ),
            (
                "mine.tsv",
                "text\tstars\nfine\t5\n",
                "mine.tsv:2: there is no column 'label' among text, stars: name it with --label-column",
            ),
            (
                "mine.jsonl",
                '{"text": "x", "label": "a"}\n{"label": "b"}\n',
                "mine.jsonl:2: there is no column 'text' among label: name it with --text-column",
            ),
            ("mine.csv", b"text,label\nfine,a\ncaf\xe9,b\n", "mine.csv:3: not UTF-8 at byte 4 of the line"),
            ("mine.csv", b'text,label\n"one\ncaf\xe9",b\n', "mine.csv:3: not UTF-8 at byte 4 of the line"),
            ("mine.csv", b"te\xfft,label\n", "mine.csv:1: not UTF-8 at byte 3 of the line"),
            ("mine.jsonl", b'{"text": "\xff"}\n', "mine.jsonl:1: not UTF-8 at byte 11 of the line"),
            ("mine.csv", "text,label\nfine,a\none,two,b\n", "mine.csv:3: 3 fields where the header has 2"),
            ("mine.csv", 'text,label\n"a\nb",a\n\nfine\n', "mine.csv:5: 1 fields where the header has 2"),
            ("mine.tsv", "text\tlabel\na, b, a\n", "mine.tsv:2: 1 fields where the header has 2"),
            (
                "mine.csv",
                'text,label\nfine,a\n"never\nclosed,b\nfine,a\n',
                "mine.csv:3: the row that begins here is broken or ends half-way",
            ),
            ("mine.csv", 'text,label\n"fine" film,a\n', "mine.csv:2: the row that begins here is broken"),
            ("mine.jsonl", '{"text": "x", "label": "a"}\n{"text": "half', "mine.jsonl:2: not JSON"),
            ("mine.jsonl", "text,label\nfine,a\n", "mine.jsonl:1: not JSON"),
            ("mine.jsonl", '{"text": ' + "[" * 100_000 + "\n", "mine.jsonl:1: not JSON"),
            ("mine.jsonl", '{"text": "x", "label": "a"}\n["x", "a"]\n', "mine.jsonl:2: not a JSON object"),
            ("mine.jsonl", '"text"\n', "mine.jsonl:1: not a JSON object"),
            (
                "mine.csv",
                "text,label,split\nfine,a,train\nfine,b,validation\n",
                "mine.csv:3: the split has to be train or test, not 'validation'",
            ),
            ("mine.csv", "", "mine.csv: the file is empty"),
            ("mine.tsv", b"\xef\xbb\xbf", "mine.tsv: there is no review in it"),
            ("mine.csv", "text,label\n", "mine.csv: there is no review in it"),
            ("mine.jsonl", "", "mine.jsonl: there is no review in it"),
            ("mine.parquet", b"", "mine.parquet: not Parquet, or it ends half-way"),
            ("mine.parquet", "text,label\nfine,a\n", "mine.parquet: not Parquet, or it ends half-way"),
            ("mine.csv", "text,label\nfine,a\nfiner,a\n", "mine.csv: every review has the same label, ['a']"),
            ("mine.txt", "fine\n", "mine.txt: reviews come as .csv, .tsv, .jsonl, .parquet, a folder"),
            ("mine", "fine\n", "mine: reviews come as .csv, .tsv, .jsonl, .parquet, a folder"),
            ("mine.csv.gz", "fine\n", "mine.csv.gz: reviews come as .csv, .tsv, .jsonl, .parquet, a folder"),
        ],
    )
    def test_a_file_is_refused_with_its_place(
        self, name: str, content: str | bytes, expected: str, tmp_path: Path
    ) -> None:
        assert _refusal(_write(tmp_path / name, content)).startswith(expected)

    def test_a_positive_label_that_nobody_has_is_refused(self, tmp_path: Path) -> None:
        path = _write(tmp_path / "mine.csv", "text,label\nfine,a\nawful,b\n")
        assert (
            _refusal(path, Columns(positive="c")) == "mine.csv: no review has the positive label 'c', only ['a', 'b']"
        )

    def test_parquet_has_rows_for_lines(self, tmp_path: Path) -> None:
        path = tmp_path / "mine.parquet"
        _parquet(path, HEADER[:2], [("fine", "a"), ("  ", "b")])
        assert _refusal(path) == "mine.parquet:2: the column 'text' is empty"
        assert _refusal(path, Columns(text="review")).startswith("mine.parquet:1: there is no column 'review' among")

    def test_a_truncated_parquet_file_is_refused_wherever_it_ends(self, tmp_path: Path) -> None:
        path = tmp_path / "mine.parquet"
        _parquet(path, HEADER[:2], [(f"text {i}", "ab"[i % 2]) for i in range(500)])
        whole = path.read_bytes()
        for size in range(0, len(whole), len(whole) // 40):
            assert _refusal(_write(path, whole[:size])).startswith("mine.parquet: not Parquet, or it ends half-way")

    def test_a_csv_file_that_ends_half_way_through_a_quote_is_refused(self, tmp_path: Path) -> None:
        whole = 'text,label\nfine,a\n"a very, very long\nreview of a film",b\n'
        for size in range(whole.index('"') + 1, whole.rindex('"')):
            assert _refusal(_write(tmp_path / "mine.csv", whole[:size])).startswith(
                "mine.csv:3: the row that begins here"
            )

    def test_a_parquet_text_that_is_not_utf8_is_refused(self, tmp_path: Path) -> None:
        offsets, content = pyarrow.py_buffer(b"\0\0\0\0\4\0\0\0\x08\0\0\0"), pyarrow.py_buffer(b"finecaf\xe9")
        texts = pyarrow.Array.from_buffers(pyarrow.string(), 2, [None, offsets, content])
        path = tmp_path / "mine.parquet"
        pyarrow.parquet.write_table(pyarrow.table({"text": texts, "label": ["a", "b"]}), path)
        assert _refusal(path) == "mine.parquet:1: a text among the next rows is not UTF-8"


class TestTexts:
    @EVERY
    def test_a_column_of_texts_needs_no_labels(self, ending: str, tmp_path: Path) -> None:
        path = tmp_path / f"mine{ending}"
        WRITERS[ending](path, ("review",), [(row[0],) for row in ROWS])
        assert list(read_texts(path, "review")) == [row[0] for row in ROWS]

    def test_texts_before_a_broken_one_are_given(self, tmp_path: Path) -> None:
        texts = read_texts(_write(tmp_path / "mine.csv", 'text\none\n""\n'), "text")
        assert next(texts) == "one"
        with pytest.raises(ReviewsError, match=r"mine\.csv:3: the column 'text' is empty"):
            next(texts)

    def test_lines_of_a_plain_file_come_without_their_ends(self, tmp_path: Path) -> None:
        path = _write(tmp_path / "mine.txt", b"\xef\xbb\xbfone\r\n\n two \nthree\x0b\xe2\x80\xa8four")
        assert list(read_lines(path)) == ["one", "", " two ", "three\x0b\u2028four"]

    def test_a_line_that_is_not_utf8_is_refused(self, tmp_path: Path) -> None:
        with pytest.raises(ReviewsError, match=r"mine\.txt:2: not UTF-8 at byte 1 of the line"):
            list(read_lines(_write(tmp_path / "mine.txt", b"one\n\xff\n")))
