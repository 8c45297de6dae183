"""Behavioural tests in the manner of CheckList (Ribeiro et al. 2020): which capabilities a model has, case by case.

Knows a function from texts to probabilities, and the names of the labels. Knows no bundle, and nothing of how the
probabilities came about.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from plaudit.errors import UsageError
from plaudit.evaluation.behaviour_cases import KINDS, Case, Suite

TOLERANCE = 0.1
"""How far apart, in probability, two verdicts of an invariance test may lie if their labels differ."""
SURE = 0.9
"""The highest probability that a text without sentiment may give to a label."""
LEAST_RISE = 1e-6
"""The least rise, in log-odds, that counts as one: more than rounding."""
CEILING = 20.7
"""Log-odds of a probability within 1e-9 of 1; beyond it double precision shows no order worth judging."""
SIDES = (("negative", "positive"), ("neg", "pos"), ("bad", "good"), ("0", "1"), ("-1", "1"))

Floats = NDArray[np.float64]
Judge = Callable[[Sequence[str]], Floats]
Groups = Mapping[str, Sequence[str]]


@dataclass(frozen=True)
class Outcome:
    """What a model said to a case: for each text a probability for each of the results' labels."""

    case: Case
    passed: bool
    judged: tuple[str, ...]
    probabilities: tuple[tuple[float, ...], ...]

    def to_json(self) -> dict[str, Any]:
        label = {"label": self.case.label} if self.case.label else {}
        return {
            "kind": self.case.kind,
            **label,
            "texts": list(self.case.texts),
            "judged": list(self.judged),
            "probabilities": [list(row) for row in self.probabilities],
        }


@dataclass(frozen=True)
class Tally:
    """How many cases of a capability or a kind there are, and how many passed."""

    name: str
    cases: int
    passed: int
    about: str = ""

    @property
    def rate(self) -> float:
        """The share that passed, from 0 to 1."""
        return self.passed / self.cases


@dataclass(frozen=True)
class Results:
    """Every case's outcome. ``labels`` are the names that the outcomes' probabilities stand for, in their order."""

    labels: tuple[str, ...]
    outcomes: tuple[Outcome, ...]
    about: Mapping[str, str]

    @property
    def total(self) -> Tally:
        return _tally("all", self.outcomes)

    def capabilities(self) -> list[Tally]:
        """A tally for each capability, in the suite's order."""
        names = dict.fromkeys(outcome.case.capability for outcome in self.outcomes)
        return [_tally(name, self._of(name), self.about.get(name, "")) for name in names]

    def kinds(self) -> list[Tally]:
        """A tally for each kind of test that occurs."""
        of_kind = {kind: [outcome for outcome in self.outcomes if outcome.case.kind == kind] for kind in KINDS}
        return [_tally(KINDS[kind], found) for kind, found in of_kind.items() if found]

    def failures(self, capability: str) -> list[Outcome]:
        return [outcome for outcome in self._of(capability) if not outcome.passed]

    def _of(self, capability: str) -> list[Outcome]:
        return [outcome for outcome in self.outcomes if outcome.case.capability == capability]

    def to_json(self) -> dict[str, Any]:
        """Every figure, and every failure with its texts."""
        return {
            **_figures(self.total),
            "labels": list(self.labels),
            "tolerance": TOLERANCE,
            "sure": SURE,
            "kinds": [{"name": tally.name, **_figures(tally)} for tally in self.kinds()],
            "capabilities": [
                {
                    "name": tally.name,
                    "about": tally.about,
                    **_figures(tally),
                    "failures": [outcome.to_json() for outcome in self.failures(tally.name)],
                }
                for tally in self.capabilities()
            ],
        }


def _tally(name: str, outcomes: Sequence[Outcome], about: str = "") -> Tally:
    return Tally(name, len(outcomes), sum(outcome.passed for outcome in outcomes), about)


def _figures(tally: Tally) -> dict[str, float]:
    return {"cases": tally.cases, "passed": tally.passed, "rate": tally.rate}


def sides(labels: Sequence[str]) -> dict[str, list[str]]:
    """Which of two labels is the built-in suite's ``negative``, which its ``positive``; empty if it is not plain."""
    plain = {label.strip().casefold(): label for label in labels}
    for negative, positive in SIDES:
        if len(labels) == 2 and set(plain) == {negative, positive}:
            return {"negative": [plain[negative]], "positive": [plain[positive]]}
    return {}


def check(suite: Suite, judge: Judge, labels: Sequence[str], groups: Groups | None = None) -> Results:
    """Runs every case of ``suite``.

    ``judge`` gives an array (texts, labels) of probabilities. ``groups`` are names that the cases use for one or more
    of ``labels``: a group's probability is the sum of its labels'. Raises UsageError for a label that nothing has.
    """
    names = _Names(tuple(labels), {name: tuple(own) for name, own in (groups or {}).items()})
    cases = [_named(case, names) for case in suite.cases]
    texts = list(dict.fromkeys(text for case in cases for text in case.texts))
    probabilities = np.asarray(judge(texts), dtype=np.float64)
    if probabilities.shape != (len(texts), len(labels)):
        raise ValueError(f"judge gave {probabilities.shape}, not {(len(texts), len(labels))}: a row a text")
    said = dict(zip(texts, names.fold(probabilities), strict=True))
    outcomes = (_outcome(case, np.stack([said[text] for text in case.texts]), names.all) for case in cases)
    return Results(names.all, tuple(outcomes), suite.about)


@dataclass(frozen=True)
class _Names:
    """The model's labels, and the names that cases know them by."""

    labels: tuple[str, ...]
    groups: dict[str, tuple[str, ...]]

    def __post_init__(self) -> None:
        grouped = [label for own in self.groups.values() for label in own]
        for label in grouped:
            if label not in self.labels:
                raise UsageError(f"the model has no label '{label}': it has {', '.join(self.labels)}")
            if grouped.count(label) > 1:
                raise UsageError(f"the label '{label}' is in two groups: it can be in one")

    @property
    def all(self) -> tuple[str, ...]:
        """The groups, then the labels that are in none."""
        return (*self.groups, *(label for label in self.labels if not self._group(label)))

    def _group(self, label: str) -> str | None:
        return next((name for name, own in self.groups.items() if label in own), None)

    def of(self, label: str) -> str | None:
        """The name for a case's label, which may be the model's own word if it is alone in its group."""
        if label in self.all:
            return label
        group = self._group(label)
        return group if group and len(self.groups[group]) == 1 else None

    def fold(self, probabilities: Floats) -> Floats:
        """(texts, labels) to (texts, names)."""
        own = [self.groups.get(name, (name,)) for name in self.all]
        places = [[self.labels.index(label) for label in each] for each in own]
        return np.stack([probabilities[:, place].sum(axis=1) for place in places], axis=1)


def _named(case: Case, names: _Names) -> Case:
    if not case.label:
        return case
    name = names.of(case.label)
    if name is None:
        known = ", ".join(names.all)
        raise UsageError(f"{case.place}: '{case.capability}' has the label '{case.label}'; the model's are {known}")
    return Case(case.capability, case.kind, case.texts, name, case.place)


def _outcome(case: Case, rows: Floats, names: tuple[str, ...]) -> Outcome:
    """``rows`` (texts, names) are the case's own."""
    judged = tuple(names[int(best)] for best in rows.argmax(axis=1))
    index = names.index(case.label) if case.label else 0
    passed = {"expect": _expected, "same": _agree, "toward": _rises, "unsure": _unsure}[case.kind](rows, index)
    return Outcome(case, passed, judged, tuple(tuple(map(float, row)) for row in rows))


def _expected(rows: Floats, index: int) -> bool:
    """The label alone is the likeliest; a tie is no verdict."""
    others = np.delete(rows[0], index)
    return bool(rows[0, index] > others.max(initial=0.0))


def _agree(rows: Floats, _: int) -> bool:
    """Each text has the first one's label, or probabilities close to its."""
    labels = rows.argmax(axis=1)
    near = np.abs(rows - rows[0]).max(axis=1) <= TOLERANCE
    return bool(((labels == labels[0]) | near).all())


def _rises(rows: Floats, index: int) -> bool:
    """The label's log-odds rise, or were and stay too high for a rise to show."""
    before, after = log_odds(rows, index)
    return bool(after > before + LEAST_RISE or min(before, after) >= CEILING)


def _unsure(rows: Floats, _: int) -> bool:
    return bool(rows.max() <= SURE)


def log_odds(rows: Floats | Iterable[Sequence[float]], index: int) -> Floats:
    """The log-odds of one label for each row of probabilities. The rest is summed, which keeps its precision near 1."""
    found = np.array(rows, dtype=np.float64)
    rest = np.delete(found, index, axis=1).sum(axis=1)
    odds = np.log(np.maximum(found[:, index], 1e-300)) - np.log(np.maximum(rest, 1e-300))
    return np.asarray(np.clip(odds, -CEILING - 1, CEILING + 1), dtype=np.float64)
