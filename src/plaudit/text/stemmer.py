"""Porter's stemmer with the departures that NLTK makes by default. Knows one word at a time.

Porter, "An algorithm for suffix stripping", Program 14(3), 1980. Importing NLTK for this costs
1.4 s, which would be the first answer of every process; the tests hold this to NLTK word for word.
"""

from __future__ import annotations

from collections.abc import Callable

Condition = Callable[[str], bool]
Rule = tuple[str, str, Condition]

IRREGULAR = {
    "sky": "sky", "skies": "sky", "dying": "die", "lying": "lie", "tying": "tie", "news": "news",
    "innings": "inning", "inning": "inning", "outings": "outing", "outing": "outing",
    "cannings": "canning", "canning": "canning", "howe": "howe",
    "proceed": "proceed", "exceed": "exceed", "succeed": "succeed",
}  # fmt: skip


def stem(word: str) -> str:
    """The stem of a lower-case word of the letters a-z and digits."""
    if word in IRREGULAR:
        return IRREGULAR[word]
    if len(word) <= 2:
        return word
    for step in (_plural, _past_and_gerund, _final_y, _double_suffix, _single_suffix, _residue):
        word = step(word)
    return _final_ll(_final_e(word))


def _shape(word: str) -> str:
    """``word`` as c(onsonants) and v(owels); y is a vowel after a consonant, digits are consonants."""
    shape = ""
    for letter in word:
        vowel = letter in "aeiou" or (letter == "y" and shape.endswith("c"))
        shape += "v" if vowel else "c"
    return shape


def _measure(stem: str) -> int:
    """Porter's m: how often a vowel is followed by a consonant."""
    return _shape(stem).count("vc")


def _has_vowel(stem: str) -> bool:
    return "v" in _shape(stem)


def _short_end(stem: str) -> bool:
    """Porter's *o: consonant, vowel, consonant other than w, x, y; NLTK adds two letters v, c."""
    shape = _shape(stem)
    return shape == "vc" or (shape.endswith("cvc") and stem[-1] not in "wxy")


def _m0(stem: str) -> bool:
    return _measure(stem) > 0


def _m1(stem: str) -> bool:
    return _measure(stem) > 1


def _by_end(rules: list[Rule]) -> dict[str, list[Rule]]:
    """Rules by their suffixes' last two letters, in their order: most words need none of them."""
    found: dict[str, list[Rule]] = {}
    for rule in rules:
        found.setdefault(rule[0][-2:], []).append(rule)
    return found


def _first_rule(word: str, rules: dict[str, list[Rule]]) -> str:
    """The first rule whose suffix fits decides, whether or not its condition holds."""
    for suffix, replacement, condition in rules.get(word[-2:], ()):
        if word.endswith(suffix):
            rest = word[: len(word) - len(suffix)]
            return rest + replacement if condition(rest) else word
    return word


def _plural(word: str) -> str:
    if not word.endswith("s") or word.endswith("ss"):
        return word
    if word.endswith("sses") or (word.endswith("ies") and len(word) != 4):
        return word[:-2]
    return word[:-1]


def _past_and_gerund(word: str) -> str:
    if word.endswith("ied"):
        return word[:-1] if len(word) == 4 else word[:-2]
    if word.endswith("eed"):
        return word[:-1] if _m0(word[:-3]) else word
    for suffix in ("ed", "ing"):
        if word.endswith(suffix) and _has_vowel(word[: -len(suffix)]):
            return _mend(word[: -len(suffix)])
    return word


def _mend(rest: str) -> str:
    """What remains of a word after -ed or -ing fell, with the ending that it needs."""
    if rest.endswith(("at", "bl", "iz")):
        return rest + "e"
    if len(rest) >= 2 and rest[-1] == rest[-2] and _shape(rest)[-1] == "c":
        return rest if rest[-1] in "lsz" else rest[:-1]
    return rest + "e" if _measure(rest) == 1 and _short_end(rest) else rest


def _final_y(word: str) -> str:
    rest = word[:-1]
    if word.endswith("y") and len(rest) > 1 and _shape(rest)[-1] == "c":
        return rest + "i"
    return word


DOUBLE = _by_end([
    ("ational", "ate", _m0), ("tional", "tion", _m0), ("enci", "ence", _m0), ("anci", "ance", _m0),
    ("izer", "ize", _m0), ("bli", "ble", _m0), ("alli", "al", _m0), ("entli", "ent", _m0),
    ("eli", "e", _m0), ("ousli", "ous", _m0), ("ization", "ize", _m0), ("ation", "ate", _m0),
    ("ator", "ate", _m0), ("alism", "al", _m0), ("iveness", "ive", _m0), ("fulness", "ful", _m0),
    ("ousness", "ous", _m0), ("aliti", "al", _m0), ("iviti", "ive", _m0), ("biliti", "ble", _m0),
    ("fulli", "ful", _m0), ("logi", "log", lambda rest: _m0(rest + "l")),
])  # fmt: skip


def _double_suffix(word: str) -> str:
    while word.endswith("alli") and _m0(word[:-4]):
        word = word[:-2]
    return _first_rule(word, DOUBLE)


SINGLE = _by_end([
    ("icate", "ic", _m0), ("ative", "", _m0), ("alize", "al", _m0), ("iciti", "ic", _m0),
    ("ical", "ic", _m0), ("ful", "", _m0), ("ness", "", _m0),
])  # fmt: skip


def _single_suffix(word: str) -> str:
    return _first_rule(word, SINGLE)


RESIDUES = _by_end([
    ("al", "", _m1), ("ance", "", _m1), ("ence", "", _m1), ("er", "", _m1), ("ic", "", _m1),
    ("able", "", _m1), ("ible", "", _m1), ("ant", "", _m1), ("ement", "", _m1), ("ment", "", _m1),
    ("ent", "", _m1), ("ion", "", lambda rest: _m1(rest) and rest[-1] in "st"), ("ou", "", _m1),
    ("ism", "", _m1), ("ate", "", _m1), ("iti", "", _m1), ("ous", "", _m1), ("ive", "", _m1),
    ("ize", "", _m1),
])  # fmt: skip


def _residue(word: str) -> str:
    return _first_rule(word, RESIDUES)


def _final_e(word: str) -> str:
    rest = word[:-1]
    if word.endswith("e") and (_m1(rest) or (_measure(rest) == 1 and not _short_end(rest))):
        return rest
    return word


def _final_ll(word: str) -> str:
    return word[:-1] if word.endswith("ll") and _m1(word[:-1]) else word
