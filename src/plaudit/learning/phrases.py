"""Short texts with a known sentiment, for training: negation, contrast, irony and what else long reviews teach badly.

Knows how to expand the patterns of ``phrases.toml``, whose head explains them; all words are there. Every pattern is
written twice from the same choices, once for each outcome, so that no word of a pattern gives the outcome away.
Knows no network and no cleaning.
"""

from __future__ import annotations

import hashlib
import random
import re
import tomllib
from collections.abc import Callable, Iterable, Iterator
from functools import cache
from importlib.resources import files
from typing import Any, NamedTuple

from plaudit.errors import UsageError

POSITIVE, NEGATIVE, NEITHER = 1.0, 0.0, 0.5
NEITHER_SHARE = 0.1
FILM_SHARE = 0.7  # of the patterns that fit anything
LEAD_SHARE = 1 / 8  # of the texts begin with a plain fact
PATIENCE = 50  # rounds through all patterns with nothing new before giving up

Options = tuple[tuple[str, ...], tuple[str, ...]]  # for a text against, and for one in favour

_CHOICE = re.compile(r"\(([^()\[\]]*)\)|\[([^()\[\]]*)\]")
_SLOT = re.compile(r"\{([+-]?)(\w+)\}|<([^<>|]*)\|([^<>|]*)>")
_SENTENCE = re.compile(r"(?:^|(?<=[.!?] ))[a-z]")
_ARTICLE = re.compile(
    r"\b([Aa]) (?=[aeiou]|hour|honest|heir|8|11|18)(?!uni[^mn]|us[ei]|eu|on(?:e|ce)\b)", re.IGNORECASE
)
_NOT = re.compile(r"\b(is|are|was|were|do|does|did|has|have|had|could|would|should|need) not\b|\bcannot\b")
_IT_IS = re.compile(r"(^|[.,;:] |\b(?:and|but|that|because) )(it|they) (is|are) (?=[a-z])")


class Example(NamedTuple):
    """A text, its target (1.0 positive, 0.0 negative, 0.5 neither), and the pattern and phenomenon it comes from."""

    text: str
    target: float
    phenomenon: str
    pattern: str


class Pattern(NamedTuple):
    phenomenon: str
    domain: str  # "any", or the only thing it can be about
    text: str


class Grammar(NamedTuple):
    words: dict[str, dict[str, Options]]  # by domain, by slot
    patterns: tuple[Pattern, ...]
    neutral: tuple[Pattern, ...]  # those with no sentiment
    plain: frozenset[str]  # words with no sentiment, of five letters and more


def phrases(count: int, seed: int, without: Iterable[str] = ()) -> list[tuple[str, float]]:
    """``count`` distinct texts with their target: 1.0 positive, 0.0 negative, 0.5 no sentiment (a tenth of them).

    The same seed gives the same texts in the same order. The cases of the behavioural suite never come up, nor do the
    texts of ``without``; case, punctuation and contraction do not count. Raises ``UsageError`` for more than there can
    be.
    """
    return [(example.text, example.target) for example in examples(count, seed, without)]


def examples(count: int, seed: int, without: Iterable[str] = ()) -> list[Example]:
    """What ``phrases`` gives, with the pattern and the phenomenon of each text."""
    if count < 0:
        raise UsageError(f"phrases: the count is {count}: ask for 0 or more")
    rng = random.Random(seed)
    pairs = round(count * (1 - NEITHER_SHARE) / 2)
    taken = {key(text) for text in without} | held_out()
    found: list[Example] = []
    for patterns, targets, draws in (
        (grammar().patterns, (POSITIVE, NEGATIVE), pairs),
        (grammar().neutral, (NEITHER,), count - 2 * pairs),
    ):
        drawn = _draw(patterns, targets, rng, taken)
        for _ in range(draws):
            if not (texts := next(drawn, None)):
                raise UsageError(f"phrases: the patterns give fewer than {count} distinct texts: ask for fewer")
            found += texts
    rng.shuffle(found)
    return found


@cache
def grammar() -> Grammar:
    """The lexicon and the patterns of ``phrases.toml``."""
    data = tomllib.loads((files("plaudit.learning") / "phrases.toml").read_text("utf-8"))
    common = data["words"].pop("any")
    words = {domain: _merged(common, own) for domain, own in data["words"].items()}
    patterns = [
        Pattern(phenomenon, domain, line)
        for phenomenon, domains in data["patterns"].items()
        for domain, lines in domains.items()
        for line in lines.strip().splitlines()
    ]
    listed = " ".join(
        slot for own in (common, *data["words"].values()) for slot in own.values() if isinstance(slot, str)
    )
    return Grammar(
        words,
        tuple(p for p in patterns if p.phenomenon != "neutral"),
        tuple(p for p in patterns if p.phenomenon == "neutral"),
        frozenset(re.findall(r"\b[a-z]{5,}\b", listed)),
    )


def _merged(common: dict[str, Any], own: dict[str, Any]) -> dict[str, Options]:
    slots = {}
    for name in {*common, *own}:
        (bad, good), (more_bad, more_good) = _options(common.get(name, "")), _options(own.get(name, ""))
        slots[name] = (bad + more_bad, good + more_good)
    return slots


def _options(slot: str | list[str] | dict[str, str]) -> Options:
    if isinstance(slot, dict):
        return _options(slot["bad"])[0], _options(slot["good"])[0]
    items = slot if isinstance(slot, list) else [item.strip() for item in slot.replace("\n", ",").split(",")]
    kept = tuple(item for item in items if item)
    return kept, kept


def _draw(
    patterns: tuple[Pattern, ...], targets: tuple[float, ...], rng: random.Random, taken: set[str]
) -> Iterator[list[Example]]:
    """One new text for every target, pattern after pattern, in rounds; ends when the patterns give nothing new."""
    idle = 0
    while idle < PATIENCE:
        idle += 1
        for pattern in rng.sample(patterns, len(patterns)):
            choices, either = rng.getrandbits(32), rng.random() < 0.5
            texts, keys = [], set[str]()
            for target in targets:
                clean = write(pattern, either if target == NEITHER else target == POSITIVE, random.Random(choices))
                texts.append(Example(_roughened(clean, target, rng), target, pattern.phenomenon, pattern.text))
                keys |= {key(clean), key(texts[-1].text)}
            if len({example.text for example in texts}) == len(targets) and taken.isdisjoint(keys):
                taken |= keys
                idle = 0
                yield texts


def key(text: str) -> str:
    """What makes two phrases the same, as a digest: their letters, whatever the case, punctuation and contraction."""
    spelt_out = (
        text.casefold().replace("can't", "cannot").replace("n't", "not").replace("'s", "is").replace("'re", "are")
    )
    return hashlib.sha256(re.sub(r"<br />|[\W_]", "", spelt_out).encode()).hexdigest()[:16]


@cache
def held_out() -> frozenset[str]:
    """The `key` of every text of the behavioural suite, which this room does not know; `make docs` writes the file."""
    return frozenset((files("plaudit.learning") / "held_out.txt").read_text("utf-8").split())


def write(pattern: Pattern, good: bool, rng: random.Random) -> str:
    """One text of the pattern, without surface noise: in favour if ``good``, else against."""
    words = grammar().words
    others = [domain for domain in words if domain != "film"]
    domain = "film" if rng.random() < FILM_SHARE else others[int(rng.random() * len(others))]
    lead = "{lead}" if rng.random() < LEAD_SHARE else ""
    text = _Writer(words[domain if pattern.domain == "any" else pattern.domain], rng).expand(lead + pattern.text, good)
    text = re.sub(r" +(?=[ .,])", "", text)
    text = _NOT.sub(lambda m: _contracted(m) if rng.random() < 0.5 else m[0], text)
    text = _IT_IS.sub(lambda m: f"{m[1]}{m[2]}'{'s' if m[3] == 'is' else 're'} " if rng.random() < 0.3 else m[0], text)
    return _SENTENCE.sub(lambda m: m[0].upper(), _ARTICLE.sub(r"\1n ", text))


def _contracted(match: re.Match[str]) -> str:
    return f"{match[1]}n't" if match[1] else "can't"


class _Writer:
    """Fills one text, repeating no word of a slot. Every choice takes one number, so that two outcomes stay in step."""

    def __init__(self, words: dict[str, Options], rng: random.Random) -> None:
        self._words, self._rng = words, rng
        self._plural = False
        self._used: set[str] = set()

    def expand(self, pattern: str, good: bool) -> str:
        while match := _CHOICE.search(pattern):
            either, by_outcome = match.groups()
            chosen = self._pick(either.split("|")) if by_outcome is None else by_outcome.split("|")[0 if good else 1]
            pattern = pattern[: match.start()] + chosen + pattern[match.end() :]
        return _SLOT.sub(lambda slot: self._fill(slot, good), pattern)

    def _fill(self, slot: re.Match[str], good: bool) -> str:
        sign, name, one, many = slot.groups()
        if name is None:
            return many if self._plural else one
        good = good != (sign == "-")
        options = self._words[name][good]
        item = self._pick(options)
        if item in self._used and "{" not in item:
            item = self._pick([other for other in options if other not in self._used] or options)
        self._used.add(item)
        if name == "part":
            self._plural = item.endswith("*")
        return self.expand(item.removesuffix("*"), good)

    def _pick(self, options: list[str] | tuple[str, ...]) -> str:
        return options[int(self._rng.random() * len(options))]


def _roughened(text: str, target: float, rng: random.Random) -> str:
    """The text as people type it: most stay as they are."""
    noise: list[tuple[float, Callable[[str], str]]] = [
        (0.03, lambda text: _with_typo(text, rng)),
        (0.02, lambda text: text.replace("'", "")),
        (0.04, lambda text: re.sub(r"([.!?]) ", r"\1<br /><br />", text)),
        (0.06, lambda text: text.rstrip(".!")),
        (0.0 if target == NEITHER else 0.06, lambda text: text[:-1] + "!" if text.endswith(".") else text),
        (0.08, str.lower),
        (0.02, lambda text: text.upper().replace("<BR />", "<br />")),
    ]
    for rate, change in noise:
        if rng.random() < rate:
            text = change(text)
    return text


def _with_typo(text: str, rng: random.Random) -> str:
    """Two neighbouring letters swapped inside one word that carries no sentiment, if there is one."""
    words = [match for match in re.finditer(r"\b[a-z]+\b", text) if match[0] in grammar().plain]
    if not words:
        return text
    word = rng.choice(words)
    at = rng.randrange(word.start() + 1, word.end() - 2)
    return text[:at] + text[at + 1] + text[at] + text[at + 2 :]
