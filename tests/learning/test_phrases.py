from __future__ import annotations

import random
import re
from collections import Counter

import pytest

from plaudit.errors import UsageError
from plaudit.learning import phrases as module
from plaudit.learning.phrases import Example, Grammar, Pattern, examples, grammar, phrases, write

PATTERN_WORDS = """not n't never no nobody nothing neither hardly but although though despite however yet still even
only just than other if so oh who why what would could expected thought hoped used once now critics my i
you ? , ; :""".split()


@pytest.fixture(scope="module")
def some() -> list[Example]:
    return examples(8_000, seed=3)


def words(text: str) -> set[str]:
    return set(re.findall(r"n't\b|[a-z]+?(?=n't)|[a-z]+|[?!.,;:]", text.casefold()))


def adjectives(domain: str, good: bool, slot: str = "desc") -> set[str]:
    found = set()
    for item in grammar().words[domain][slot][good]:
        nested = re.fullmatch(r"\{\+(\w+)\}", item)
        found |= adjectives(domain, good, nested[1]) if nested else {item}
    return found


def test_the_same_seed_gives_the_same_phrases_and_another_seed_others() -> None:
    assert phrases(300, seed=1) == phrases(300, seed=1)
    assert phrases(300, seed=1) != phrases(300, seed=2)


@pytest.mark.parametrize("count", [0, 1, 2, 7, 10, 333])
def test_as_many_phrases_as_asked_for(count: int) -> None:
    assert len(phrases(count, seed=0)) == count


def test_phrases_are_distinct_whatever_their_case_and_punctuation(some: list[Example]) -> None:
    assert len({re.sub(r"<br />|\W", "", example.text.casefold()) for example in some}) == len(some)


def test_a_tenth_has_no_sentiment(some: list[Example]) -> None:
    assert Counter(example.target for example in some) == {1.0: 3_600, 0.0: 3_600, 0.5: 800}
    assert {example.phenomenon for example in some if example.target == 0.5} == {"neutral"}


def test_every_phenomenon_and_every_pattern_is_balanced(some: list[Example]) -> None:
    for groups in ("phenomenon", "pattern"):
        counts = Counter((getattr(example, groups), example.target) for example in some)
        assert all(counts[group, 1 - target] == count for (group, target), count in counts.items() if target != 0.5)


def test_no_word_of_the_patterns_gives_the_outcome_away(some: list[Example]) -> None:
    counts = Counter((word, example.target) for example in some for word in words(example.text))
    for word in PATTERN_WORDS:
        positive, negative = counts[word, 1.0], counts[word, 0.0]
        assert positive + negative >= 8, word
        assert abs(positive - negative) <= 0.12 * (positive + negative) + 6, (word, positive, negative)


def test_questions_and_connectives_occur_without_sentiment_too(some: list[Example]) -> None:
    neutral = Counter(word for example in some if example.target == 0.5 for word in words(example.text))
    assert all(neutral[word] for word in ("not", "but", "although", "?", "only", "never"))


def test_the_outcomes_of_a_pattern_differ() -> None:
    for pattern in grammar().patterns:
        assert write(pattern, True, random.Random(5)) != write(pattern, False, random.Random(5)), pattern


def test_everything_is_filled_in(some: list[Example]) -> None:
    for example in some:
        assert not re.search(r"[{}\[\]()|*]|<(?!br />)|  | [.,;:]|\.\.", example.text), example


def test_every_slot_has_words_in_every_domain() -> None:
    known = grammar()
    for domain, lists in known.words.items():
        patterns = [p.text for p in known.patterns + known.neutral if p.domain in ("any", domain)]
        rules = [item for outcomes in lists.values() for items in outcomes for item in items]
        for name in set(re.findall(r"\{[+-]?(\w+)\}", " ".join(patterns + rules))):
            if domain == "film" or any(f"{name}}}" in text for text in patterns):
                assert all(lists[name]), (domain, name)


def test_articles_agree(some: list[Example]) -> None:
    for example in some:
        for article, word in re.findall(r"\b(an?) (\w+)", example.text.casefold()):
            vowel = word[0] in "aeiou" or word.startswith(("8", "11", "18", "hour", "honest"))
            if re.match(r"uni[^mn]|us[ei]|eu|one?$|once", word):
                vowel = False
            assert (article == "an") == vowel, example


def test_there_is_variety() -> None:
    known = grammar()
    assert len(known.patterns) >= 200
    assert len({pattern.phenomenon for pattern in known.patterns}) >= 16
    assert len(known.words["film"]["part"][0]) >= 100
    for good in (True, False):
        assert len(adjectives("film", good)) >= 150


def test_no_adjective_is_both_good_and_bad() -> None:
    every = grammar().words
    assert not set().union(*(adjectives(d, True) for d in every)) & set().union(*(adjectives(d, False) for d in every))


@pytest.mark.parametrize(
    ("pattern", "good", "expected"),
    [
        (
            "I expected to {-like} it, and I did not.",
            True,
            r"I expected to (hate|dislike|detest|loathe|despise) it, .*",
        ),
        (
            "although {-point}, it {+did}.",
            False,
            r"Although .* (let|annoyed|disap|irrit|left|got|put|fell|tried|fail|drove).*",
        ),
        ("the {part} <is|are> [fine|bad].", True, r"The .* (is|are) fine\."),
        ("a [honest|useful] (idea).", True, "An honest idea."),
        ("a [honest|useful] (idea).", False, "A useful idea."),
    ],
)
def test_what_the_signs_of_a_pattern_mean(pattern: str, good: bool, expected: str) -> None:
    for seed in range(40):
        text = write(Pattern("", "film", pattern), good, random.Random(seed))
        assert re.fullmatch(rf"(?:.*\. )?{expected}", text), text


def test_plural_parts_take_plural_verbs() -> None:
    known = grammar().words["film"]["part"][0]
    plural = {part.removesuffix("*") for part in known if part.endswith("*")}
    for seed in range(100):
        text = write(Pattern("", "film", "the {part} <was|were> here"), True, random.Random(seed))
        match = re.search(r"[Tt]he ([^.]*) (was|were) here", text)
        assert match
        assert (match[1] in plural) == (match[2] == "were")


def test_texts_of_a_test_suite_can_be_left_out() -> None:
    unwanted = [text for text, _ in phrases(200, seed=4)][:50]
    kept = {text for text, _ in phrases(200, seed=4, without=[text.upper() for text in unwanted])}
    assert len(kept) == 200
    assert kept.isdisjoint(unwanted)


def test_a_count_below_nothing_is_refused() -> None:
    with pytest.raises(UsageError, match="-1"):
        phrases(-1, seed=0)


def test_more_than_the_patterns_can_give_is_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    few = grammar()._replace(patterns=(Pattern("plain", "any", "thumbs [up|down]."),))
    few = Grammar({"film": few.words["film"], "book": few.words["book"]}, few.patterns, few.neutral, few.plain)
    monkeypatch.setattr(module, "grammar", lambda: few)
    monkeypatch.setattr(module, "LEAD_SHARE", 0.0)
    with pytest.raises(UsageError, match="ask for fewer"):
        phrases(20, seed=0)
