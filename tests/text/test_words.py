from __future__ import annotations

import re
import unicodedata
import warnings
from functools import cache
from html.entities import html5
from itertools import pairwise

import pytest
from bs4 import BeautifulSoup
from bs4.exceptions import ParserRejectedMarkup
from hypothesis import HealthCheck, assume, example, given, settings
from hypothesis import strategies as st
from nltk.stem import PorterStemmer

from plaudit.text.stemmer import stem
from plaudit.text.stopwords import STOP_WORDS
from plaudit.text.words import CLEANINGS, Cleaning, Word, located_words, words

NLTK = PorterStemmer()
QUICK = settings(max_examples=400, deadline=None, derandomize=True, suppress_health_check=[HealthCheck.too_slow])
BOTH = pytest.mark.parametrize("cleaning", CLEANINGS)

PROSE = [
    "good",
    "bad ",
    "running ",
    " films",
    "didn't ",
    "didn\u2019t",
    "the ",
    " not ",
    "10/10",
    " ",
    "!",
    "?",
    "-",
    "/",
]
LINES = ["\n", "\r", "\r\n", "\t", "\x0b", "\x0c", "\x1c", "\x85", "\u2028", "\u2029", "\u00a0"]
LETTERS = [
    "caf\u00e9",
    "e\u0301",
    "\u0130stanbul",
    "\u212aelvin",
    "\u00df",
    "\u0444\u0438\u043b\u044c\u043c ",
    "\u7535\u5f71",
]
ODD = ["\x00", "\U0001f600", "\u2764\ufe0f", "\ufeff", "\u200d", "\u0e44\u0e21\u0e48\u0e14\u0e35"]
TAGS = [
    "<b>",
    "</b>",
    "<p>",
    "</p>",
    "<br />",
    "<br>",
    "<br/>",
    "</br>",
    "<a href='x>y'>",
    "</a>",
    "<img src=x>",
    "<P CLASS=x>",
]
BROKEN = [
    "<",
    ">",
    "</",
    "<a ",
    "<a href='x",
    '<a href="',
    "</ >",
    "</3",
    "<3",
    "<b",
    "</b",
    "<b\x00c>",
    "'",
    '"',
    "=",
    "]",
    "<>",
]
OTHER = [
    "<!-- good -->",
    "<!--",
    "-->",
    "--!>",
    "<!",
    "<!x>",
    "<?",
    "<?x?>",
    "<!DOCTYPE html>",
    "<!doctype",
    "<![if x]>",
]
CDATA = ["<![CDATA[good]]>", "<![cdata[", "<![CDATA[", "]]>", "<!["]
HIDDEN = [f"<{end}{tag}>" for tag in ("script", "STYLE", "template", "rt", "rp", "ruby") for end in ("", "/")]
HIDDEN += ["<script/>", "<rt/>", "<script", "</script >", "</styleX>", "<textarea>", "<title>", "<svg>"]
NAMED = [
    "&amp;",
    "&lt;",
    "&gt;",
    "&quot;",
    "&eacute;",
    "&eacute",
    "&nbsp;",
    "&notit;",
    "&fjlig;",
    "&bogus;",
    "&bogus",
    "&;",
    "&",
]
NUMBERED = [
    "&#98;",
    "&#98",
    "&#098;",
    "&#x62;",
    "&#X62",
    "&#233;",
    "&#150;",
    "&#129;",
    "&#0;",
    "&#xD800;",
    "&#1114112;",
]
NUMBERED += ["&#8490;", "&#304;", "&#", "&#x", "&#;", "&#xg;", ";"]

FRAGMENTS = PROSE + LINES + LETTERS + ODD + TAGS + BROKEN + OTHER + CDATA + HIDDEN + NAMED + NUMBERED
texts = st.lists(st.sampled_from(FRAGMENTS), max_size=16).map("".join)


def oracle(text: str) -> list[str]:
    """The original's cleaning, with the libraries it is made of."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        bare = BeautifulSoup(text, "html.parser").get_text()
    found = re.sub(r"[^a-zA-Z0-9]", " ", bare.lower()).split()
    return [_nltk(word) for word in found if word not in STOP_WORDS]


@cache
def _nltk(word: str) -> str:
    return str(NLTK.stem(word))


class TestOriginal:
    @QUICK
    @given(texts)
    @example("<!DOCTYPE html><p>A <b>well</b>made film<br /><br />It&#39;s caf&eacute; noir")
    @example("&#;x &#;y<b>z</b>")
    @example("x &am")
    @example("<script>never closed <b>good</b>")
    def test_words_are_those_of_beautiful_soup_and_nltk(self, text: str) -> None:
        found = words(text, "original")
        try:
            expected = oracle(text)
        except ParserRejectedMarkup:
            assume(False)
        assert found == expected

    @settings(QUICK, max_examples=200)
    @given(st.text(st.characters(codec="utf-8"), max_size=40))
    def test_any_characters_give_the_same_words(self, text: str) -> None:
        found = words(text, "original")
        try:
            expected = oracle(text)
        except ParserRejectedMarkup:
            assume(False)
        assert found == expected

    @pytest.mark.parametrize("form", ["good&{} bad", "good&{}; bad", "x&{}y; bad"])
    def test_every_named_reference_gives_the_same_words(self, form: str) -> None:
        made = [form.format(name.rstrip(";")) for name in html5]
        assert [words(text, "original") for text in made] == [oracle(text) for text in made]

    @pytest.mark.parametrize("form", ["y&#{};z", "y&#x{:x};z", "y&#{} z"])
    def test_numbered_references_give_the_same_words(self, form: str) -> None:
        made = [form.format(number) for number in [*range(0x180), 0x212A, 0xD800, 0xDFFF, 0xFFFE, 0x10FFFF, 0x110000]]
        assert [words(text, "original") for text in made] == [oracle(text) for text in made]

    def test_zeros_that_lead_a_reference_count_for_nothing(self) -> None:
        assert words("&#00000098;ig", "original") == oracle("&#00000098;ig") == ["big"]

    def test_an_empty_cdata_section_separates_words(self) -> None:
        assert words("good<![CDATA[]]>film", "original") == oracle("good<![CDATA[]]>film") == ["good", "film"]

    def test_stop_words_fall_and_negation_with_them(self) -> None:
        assert words("I did not think it was a very good film, and it isn't.", "original") == ["think", "good", "film"]

    def test_stop_words_are_nltks_that_an_apostrophe_does_not_break(self) -> None:
        assert len(STOP_WORDS) == 179 - 26
        assert all(re.fullmatch("[a-z]+", word) for word in STOP_WORDS)

    def test_order_and_repetition_are_kept(self) -> None:
        assert words("good bad good, GOOD films filming", "original") == ["good", "bad", "good", "good", "film", "film"]

    def test_breaks_join_words_as_in_the_original(self) -> None:
        assert words("a well<br /><br />made film", "original") == ["wellmad", "film"]

    @pytest.mark.parametrize("text", ["", " \n", "...", "<br />", "the and of", "\u7535\u5f71", "\U0001f600"])
    def test_a_text_may_have_no_words(self, text: str) -> None:
        assert words(text, "original") == []

    @pytest.mark.parametrize(
        "text", ["\ud800", "<![x good", "<!bad[good", "good <![<", "<![if", "&#" + "9" * 5000 + ";good"]
    )
    def test_what_beautiful_soup_refuses_is_answered(self, text: str) -> None:
        assert isinstance(words(text, "original"), list)


class TestModern:
    def test_negation_order_and_marks_are_kept(self) -> None:
        found = words("Not good, NO! I don't like it; why would I? Never.", "modern")
        assert found == "not good no ! i don't like it why would i ? never".split()

    @pytest.mark.parametrize("form", ["didn't", "didn\u2019t", "DIDN'T", "Didn&#39;t", "didn&rsquo;t", "did<b>n't</b>"])
    def test_one_spelling_for_a_negated_verb(self, form: str) -> None:
        assert words(form, "modern") == ["didn't"]

    def test_apostrophes_belong_to_a_word_only_inside_it(self) -> None:
        assert words("'tis the actors' 'best' o'clock", "modern") == ["tis", "the", "actors", "best", "o'clock"]

    def test_neither_stems_nor_stop_words(self) -> None:
        assert words("the running jokes were", "modern") == ["the", "running", "jokes", "were"]

    @pytest.mark.parametrize(
        ("text", "expected"),
        [
            ("Фильм НЕ плох!", ["фильм", "не", "плох", "!"]),
            ("Δεν καλός", ["δεν", "καλόσ"]),
            ("لم يعجبني؟", ["لم", "يعجبني", "؟"]),
            ("재미 없어요!", ["재미", "없어요", "!"]),
            ("不好看！", ["不", "好", "看", "!"]),
            ("面白くナイ？", ["面", "白", "く", "ナ", "イ", "?"]),
            ("ไม่ดี", ["ไ", "ม่", "ดี"]),
            ("好film坏", ["好", "film", "坏"]),
            ("fine😀👎 ❤️", ["fine", "😀", "👎", "❤"]),
            ("Stra\u00dfe \ufb01lm \uff26\uff29\uff2c\uff2d", ["strasse", "film", "film"]),
            ("10/10, 7.5", ["10", "10", "7", "5"]),
        ],
        ids="Cyrillic Greek Arabic Korean Chinese Japanese Thai mixed emoji forms digits".split(),
    )
    def test_words_of_every_script(self, text: str, expected: list[str]) -> None:
        assert words(text, "modern") == expected

    def test_combining_marks_stay_in_their_word(self) -> None:
        text = (
            "\u092b\u093c\u093f\u0932\u094d\u092e \u0905\u091a\u094d\u091b\u0940 \u0928\u0939\u0940\u0902 \u0925\u0940"
        )
        assert words(text, "modern") == text.split()
        assert words("cafe\u0301", "modern") == words("caf\u00e9", "modern") == ["caf\u00e9"]
        assert words("\u095e", "modern") == words("\u092b\u093c", "modern")

    def test_breaks_and_blocks_separate_words(self) -> None:
        assert words("well<br />made", "modern") == ["well", "made"]
        assert words("<p>well</p><p>made</p>", "modern") == ["well", "made"]
        assert words("well<!-- x -->made", "modern") == ["well", "made"]

    def test_inline_tags_do_not_separate_words(self) -> None:
        assert words("un<b>believ</b>able <i>f</i>ilm", "modern") == ["unbelievable", "film"]

    def test_what_a_reader_never_sees_is_not_read(self) -> None:
        text = "fine<script>bad()</script><style>bad</style><template>bad</template><!-- bad --> film"
        assert words(text, "modern") == ["fine", "film"]

    @QUICK
    @given(texts)
    def test_words_are_in_one_spelling(self, text: str) -> None:
        for word in words(text, "modern"):
            assert word
            assert not any(character.isspace() for character in word)
            assert "\u2019" not in word
            assert word == unicodedata.normalize("NFKC", word).casefold()


class TestSpans:
    @BOTH
    @QUICK
    @given(texts)
    def test_located_words_are_the_words(self, cleaning: Cleaning, text: str) -> None:
        found = located_words(text, cleaning)
        assert [word.text for word in found] == words(text, cleaning)
        assert all(0 <= word.start < word.end <= len(text) for word in found)
        for one, other in pairwise(found):
            assert one.start <= other.start
            assert one.end <= other.end

    @BOTH
    @QUICK
    @given(texts)
    def test_spans_do_not_overlap(self, cleaning: Cleaning, text: str) -> None:
        assert all(one.end <= other.start for one, other in pairwise(located_words(text, cleaning)))

    @BOTH
    @pytest.mark.parametrize(
        "text", ["<![CDATA[good bad]]>", "good bad</>", "good bad &a", "good bad </>film", "&good-bad;"]
    )
    def test_words_that_stand_in_the_text_have_their_own_spans(self, text: str, cleaning: Cleaning) -> None:
        good, bad, *_ = located_words(text, cleaning)
        assert (text[good.start : good.end], text[bad.start : bad.end]) == ("good", "bad")

    @QUICK
    @given(st.text(st.characters(max_codepoint=127, exclude_characters="<&"), max_size=60))
    def test_a_span_of_plain_ascii_is_the_surface(self, text: str) -> None:
        for word in located_words(text, "modern"):
            assert text[word.start : word.end].lower() == word.text
        for word in located_words(text, "original"):
            surface = text[word.start : word.end].lower()
            assert re.fullmatch("[a-z0-9]+", surface)
            assert stem(surface) == word.text

    @pytest.mark.parametrize(
        ("text", "cleaning", "expected"),
        [
            ("a caf&eacute;!", "modern", ["a", "caf&eacute;", "!"]),
            ("&#98;ig &#x62;ad&#33;", "modern", ["&#98;ig", "&#x62;ad", "&#33;"]),
            ("&#98;ig &#x62;ad", "original", ["&#98;ig", "&#x62;ad"]),
            ("well<br /><br />made film", "original", ["well<br /><br />made", "film"]),
            ("well<br /><br />made film", "modern", ["well", "made", "film"]),
            ("un<b class='x'>believ</b>able", "modern", ["un<b class='x'>believ</b>able"]),
            ("un<b class='x'>believ</b>able", "original", ["un<b class='x'>believ</b>able"]),
            ("<i>good</i>", "original", ["good"]),
            ("\u0130stanbul film", "original", ["stanbul", "film"]),
            ("\u0130stanbul film", "modern", ["\u0130stanbul", "film"]),
            ("fine \U0001f600 film", "original", ["fine", "film"]),
            ("fine \U0001f600 film", "modern", ["fine", "\U0001f600", "film"]),
            ("Stra\u00dfe gut", "modern", ["Stra\u00dfe", "gut"]),
            ("didn&rsquo;t &amp; won't", "modern", ["didn&rsquo;t", "won't"]),
            ("one\r\n<script>x</script>\ntwo", "original", ["one", "two"]),
            ("good &bogus; film", "original", ["good", "bogus", "film"]),
        ],
    )
    def test_a_span_covers_its_source(self, text: str, cleaning: Cleaning, expected: list[str]) -> None:
        assert [text[word.start : word.end] for word in located_words(text, cleaning)] == expected


class TestHostile:
    @BOTH
    @pytest.mark.parametrize(
        "part", ["<a ", "<", "&", "&#", "<!--", "<![CDATA[", "<script>", "<b>", "&amp;", "'", "a'", "\u0301", "\u7535"]
    )
    def test_a_megabyte_of_it_is_answered(self, part: str, cleaning: Cleaning) -> None:
        text = "good " + part * (1_000_000 // len(part.encode()))
        assert words(text, cleaning)[0].startswith("good")
        short = text[:100_000]
        assert [word.text for word in located_words(short, cleaning)] == words(short, cleaning)

    @BOTH
    def test_a_megabyte_without_a_space_is_one_word(self, cleaning: Cleaning) -> None:
        assert located_words("b" * 1_000_000, cleaning) == [Word("b" * 1_000_000, 0, 1_000_000)]

    @BOTH
    @pytest.mark.parametrize("part", ["<a ", "<b ", "</", "<!--", "&#", "<a b='"])
    def test_what_the_parser_is_still_trusted_with_is_answered(self, part: str, cleaning: Cleaning) -> None:
        count = int((20_000_000 / len(part)) ** 0.5) - 10
        text = "good " + part * count
        assert words(text, cleaning)[0] == "good"
