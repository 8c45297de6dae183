from __future__ import annotations

from itertools import pairwise

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from plaudit.text.markup import PARSER_BUDGET, pieces, plain, plain_text

FRAGMENTS = [
    *"good bad <b> </b> <p> <br /> < > & ; &amp; &eacute &#98; &# <!-- --> <![CDATA[ ]]> <![ <! <? <rt> </rt>".split(),
    *"<script> </script> <a href=' ' \" &CounterClockwiseContourIntegral; &nbsp &notit; &zwnj; &fjlig;".split(),
    *(" ", "\n", "\r", "\x00", "\u2028", "\U0001f600"),
]


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("a <i>fine</i> film", "a fine film"),
        ("well<br />made", "wellmade"),
        ("well<br/>made<BR>twice", "wellmadetwice"),
        ("before<!-- a comment > with marks -->after", "beforeafter"),
        ("<!DOCTYPE html>text", "text"),
        ("<?php echo 1 ?>text", "text"),
        ("one<script>var bad = '<b>';</script>two", "onetwo"),
        ("one<STYLE>b { color: red }</STYLE>two", "onetwo"),
        ("one<template>hidden <b>too</b></template>two", "onetwo"),
        ("<ruby>base<rp>(</rp><rt>reading</rt><rp>)</rp></ruby>", "base"),
        ("<![CDATA[shown & <kept>]]>too", "shown & <kept>too"),
        ("caf&eacute; &amp; bar", "caf\u00e9 & bar"),
        ("&#233;&#xe9;&#XE9;", "\u00e9\u00e9\u00e9"),
        ("&#147;quoted&#148;", "\u201cquoted\u201d"),
        ("&#0;&#xD800;&#1114112;&#99999999999;", "\ufffd\ufffd\ufffd\ufffd"),
        ("&unheard; of", "&unheard of"),
        ("3 < 4 & 5 > 4", "3 < 4 & 5 > 4"),
        ("I <3 it", "I <3 it"),
        ("ends with &", "ends with &"),
        ("", ""),
        ("<br />", ""),
    ],
)
def test_text_is_what_a_reader_would_see(text: str, expected: str) -> None:
    assert plain_text(text) == expected
    assert plain(text).text == expected


def test_a_number_beyond_unicode_stands_for_the_replacement_character() -> None:
    assert plain_text("x&#" + "9" * 5000 + ";y") == "x\ufffdy"


@pytest.mark.parametrize("text", ["&#00000233;", "&#x000000e9;"])
def test_zeros_that_lead_a_reference_count_for_nothing(text: str) -> None:
    assert plain_text(text) == "\u00e9"


def test_a_hidden_element_ends_with_the_element_around_it() -> None:
    assert plain_text("<div><template>hidden</div>shown") == "shown"
    assert plain_text("<template>hidden</b>hidden too") == ""


def test_pieces_say_where_they_stood() -> None:
    text = "caf&eacute; <b>fine</b>\n<p>new"
    found = [(piece.text, text[piece.start : piece.end]) for piece in pieces(text)]
    assert found == [("caf", "caf"), ("\u00e9", "&eacute;"), (" ", " "), ("fine", "fine"), ("\n", "\n"), ("new", "new")]


def test_marks_that_separate_words_are_told_from_inline_ones() -> None:
    assert [(p.text, p.starts_block) for p in pieces("a<b>b</b><br />c<p><i>d<!-- x -->e&amp;f")] == [
        ("a", False),
        ("b", False),
        ("c", True),
        ("d", True),
        ("e", True),
        ("&", False),
        ("f", False),
    ]


def test_a_gap_stands_where_marks_separated_words() -> None:
    assert plain("un<b>believ</b>able<br />film", gap=" ").text == "unbelievable film"
    assert plain("one<script>x</script>two", gap=" ").text == "one two"


def test_origin_leads_back_through_references_marks_and_gaps() -> None:
    text = "na&iuml;ve<br /><b>fi</b>lm"
    bare = plain(text, gap=" ")
    assert bare.text == "na\u00efve film"
    for word, source in (("na\u00efve", "na&iuml;ve"), ("film", "fi</b>lm"), ("\u00ef", "&iuml;")):
        at = bare.text.index(word)
        start, end = bare.origin(at, at + len(word))
        assert text[start:end] == source


def test_lines_do_not_disturb_positions() -> None:
    text = "one\r\ntwo\n\n<b>three\u2028\x85\x0b</b>\nfo&uuml;r"
    for piece in pieces(text):
        if piece.text != "\u00fc":
            assert text[piece.start : piece.end] == piece.text


@pytest.mark.parametrize(
    "text", ["<![x", "good <![<", "a<!x[b", "<![CDATA[open", "<![ spaced ]>", "<![if x]>y<![endif]>"]
)
def test_broken_declarations_are_read_all_the_same(text: str) -> None:
    assert plain(text).text == plain_text(text)


def test_what_the_parser_refuses_loses_its_tags() -> None:
    assert plain_text("a <b>good</b> <![x film") == "a good <![x film"


@pytest.mark.parametrize("mark", ["<a ", "<", "&", "<!--", "</", "&#x", "<![CDATA["])
def test_a_megabyte_of_broken_marks_is_read_without_the_parser(mark: str) -> None:
    text = mark * (1_000_000 // len(mark)) + " good"
    assert text.count(mark[0]) * len(text) > PARSER_BUDGET
    assert plain_text(text).endswith(" good")


def test_tags_of_a_text_beyond_the_budget_are_cut_out() -> None:
    text = "<b>good</b> film<br />" * 2_000
    assert plain_text(text) == "good film" * 2_000
    assert plain(text, gap=" ").text.split() == ["good", "film"] * 2_000


@settings(max_examples=400, deadline=None, derandomize=True, suppress_health_check=[HealthCheck.too_slow])
@given(
    st.lists(
        st.sampled_from(FRAGMENTS),
        max_size=14,
    ).map("".join)
)
def test_pieces_lie_in_order_and_make_up_the_text(text: str) -> None:
    found = pieces(text)
    assert "".join(piece.text for piece in found) == plain_text(text) == plain(text).text
    assert all(0 <= piece.start < piece.end <= len(text) and piece.text for piece in found)
    assert all(one.end <= other.start for one, other in pairwise(found))
