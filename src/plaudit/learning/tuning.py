"""Search for a recipe's settings: which to search, one trial after another, hopeless ones cut short. Knows Optuna.

A trial is a training like any other; its worth is the calibrated log loss of the validation reviews, from the epoch
that is kept. The study is in an SQLite file, so that a search that was stopped or killed goes on; a trial's settings
are drawn from the seed and from how many went before, so that they are the same whether it was stopped or not.
"""

from __future__ import annotations

import hashlib
import json
import os
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any

from plaudit.errors import MissingExtra, PlauditError, UsageError
from plaudit.learning.machine import alive, process_mark
from plaudit.learning.recipes import NOTHING, Recipe, settings_of_a_recipe

if TYPE_CHECKING:
    from optuna import Study, Trial
    from optuna.distributions import BaseDistribution
    from optuna.trial import FrozenTrial

    from plaudit.bundle.bundle import Bundle

USUAL = {
    "network": {
        "embedding_dim": "16..256",
        "hidden_dim": "32..512",
        "vocab_size": "2500,5000,10000,20000,40000",
        "layers": "1..2",
        "dropout": "0..0.6",
        "learning_rate": "0.0003..0.01",
    },
    "linear": {"ngrams": "1..3", "strength": "0.01..100", "vocab_size": "5000,50000,1000000"},
}
OF_THE_ENCODER = ("embedding_dim", "hidden_dim", "vocab_size")
WIDE = 10
PRUNERS = ("median", "halving", "none")


class Hopeless(PlauditError):
    """A trial that was cut short because the others were better at the same epoch."""

    exit_code = 130


@dataclass(frozen=True)
class Span:
    """What values a setting may take: from ``low`` to ``high``, or one of ``choices``."""

    setting: str
    low: float = 0
    high: float = 0
    choices: tuple[Any, ...] = ()

    @classmethod
    def parse(cls, text: str) -> Span:
        """``hidden_dim=64..512``, ``layers=1,2``. Raises UsageError for what no recipe could take."""
        name, equals, values = text.partition("=")
        name = name.strip().replace("-", "_")
        known = {setting.name: setting for setting in settings_of_a_recipe()}
        if name not in known or not equals:
            what = f"{text!r} is not SETTING=LOW..HIGH or SETTING=A,B,C"
            raise UsageError(f"{what} with a setting of a recipe: {', '.join(known)}")
        kind = type(known[name].default)
        try:
            if (ends := values.split("..")) and len(ends) == 2 and kind is not str:
                low, high = (kind(end.strip()) for end in ends)
                if not low < high:
                    raise UsageError(f"{text}: the range has to rise")
                return cls(name, low, high)
            return cls(name, choices=tuple(kind(value.strip()) for value in values.split(",")))
        except ValueError:
            raise UsageError(f"{text}: {name} takes {kind.__name__} values, as in {name}=LOW..HIGH") from None

    @property
    def whole(self) -> bool:
        return isinstance(self.low, int) and isinstance(self.high, int)

    def check(self, recipe: Recipe) -> None:
        """Raises UsageError where an end or a choice is not a value that the recipe can have."""
        for value in self.choices or (self.low, self.high):
            Recipe.of(recipe.name, **{self.setting: value})

    def holds(self, value: Any) -> bool:
        return value in self.choices if self.choices else self.low <= value <= self.high

    def distribution(self) -> BaseDistribution:
        """Logarithmic where the range is wide: from 0.0001 to 0.01 each power of ten counts the same."""
        from optuna.distributions import CategoricalDistribution, FloatDistribution, IntDistribution

        if self.choices:
            return CategoricalDistribution(self.choices)
        wide = self.low > 0 and self.high / self.low >= WIDE
        if self.whole:
            return IntDistribution(int(self.low), int(self.high), log=wide)
        return FloatDistribution(self.low, self.high, log=wide)

    def __str__(self) -> str:
        return ",".join(map(str, self.choices)) if self.choices else f"{self.low}..{self.high}"


def usual_spans(recipe: Recipe) -> list[Span]:
    """What is searched where nothing is named: the settings that this kind of recipe has, in ranges that are usual.

    A recipe that starts from the encoder has the encoder's sizes.
    """
    ranges = USUAL.get(recipe.kind, {})
    fixed = OF_THE_ENCODER if recipe.start != NOTHING else ()
    return [Span.parse(f"{name}={values}") for name, values in ranges.items() if name not in fixed]


@dataclass(frozen=True)
class Outcome:
    """One trial that has ended: its ``worth`` is a log loss; None where it failed."""

    number: int
    settings: Mapping[str, Any]
    worth: float | None
    state: str
    seconds: float
    notes: Mapping[str, Any] = field(default_factory=dict)


Fit = Callable[[Recipe, int, Callable[[Sequence[Mapping[str, float]]], None]], "Bundle"]
"""Trains a recipe as trial so and so; calls back with all entries after each epoch. Raises what a training raises."""


class Search:
    """A search over ``spans`` of ``recipe``, in the SQLite file ``path`` under a name made from all it depends on.

    ``data`` is the fingerprint of the reviews. Raises MissingExtra where Optuna is not installed.
    """

    def __init__(
        self, path: Path, recipe: Recipe, spans: Sequence[Span], data: str, *, seed: int = 0, pruner: str = PRUNERS[0]
    ) -> None:
        for span in spans:
            span.check(recipe)
        self.recipe, self.spans, self.seed = recipe, tuple(spans), seed
        told = (recipe.to_json(), sorted((span.setting, str(span)) for span in spans), data, seed, pruner)
        self.name = hashlib.sha256(json.dumps(told, sort_keys=True).encode()).hexdigest()[:8]
        self._study = _opened(path, self.name, pruner)
        if not self._study.get_trials(deepcopy=False) and self._own_fits():
            self._study.enqueue_trial({span.setting: getattr(recipe, span.setting) for span in spans})

    def outcomes(self) -> list[Outcome]:
        """The trials that have ended, and were not just interrupted."""
        return [_outcome(trial) for trial in self._study.get_trials(deepcopy=False) if _counts(trial)]

    def best(self) -> Outcome | None:
        """The finished trial with the lowest loss; a trial that was cut short does not count."""
        finished = [found for found in self.outcomes() if found.state == "finished" and found.worth is not None]
        return min(finished, key=lambda found: found.worth or 0.0, default=None)

    def run(self, trials: int, fit: Fit) -> Iterator[Outcome]:
        """Runs trials until ``trials`` have ended, in this process and in others that share the file.

        One that was interrupted comes first again, with the same settings. What a training raises beside `Hopeless` and
        UsageError ends the search.
        """
        self._take_back()
        while len(self.outcomes()) < trials:
            yield self._trial(fit)

    def settings(self, found: Mapping[str, Any]) -> dict[str, Any]:
        """Settings as a recipe takes them: four digits of a number are enough, and can be typed."""
        return {name: float(f"{value:.4g}") if isinstance(value, float) else value for name, value in found.items()}

    def _trial(self, fit: Fit) -> Outcome:
        from optuna.samplers import TPESampler
        from optuna.trial import TrialState

        before = len(self.outcomes()) + len(self._study.get_trials(deepcopy=False, states=(TrialState.RUNNING,)))
        # Seeds in a row would begin with numbers that lie close together.
        mixed = hashlib.sha256(f"{self.seed} {before}".encode()).digest()
        self._study.sampler = TPESampler(seed=int.from_bytes(mixed[:4], "little"))
        trial = self._study.ask({span.setting: span.distribution() for span in self.spans})
        trial.set_user_attr("process", process_mark(os.getpid()))
        chosen = self.settings(trial.params)
        try:
            bundle = fit(Recipe.of(self.recipe.name, **{**_own(self.recipe), **chosen}), trial.number, _watch(trial))
        except Hopeless as error:
            trial.set_user_attr("reason", str(error))
            self._study.tell(trial, state=TrialState.PRUNED)
        except UsageError as error:
            trial.set_user_attr("reason", str(error))
            self._study.tell(trial, state=TrialState.FAIL)
        except BaseException:
            self._again(trial.number, trial.params)
            raise
        else:
            figures = bundle.card.metrics["validation"]
            trial.set_user_attr("accuracy", figures["accuracy"])
            self._study.tell(trial, figures["log_loss"])
        return _outcome(self._study.get_trials(deepcopy=False)[trial.number])

    def _again(self, number: int, settings: Mapping[str, Any]) -> None:
        """Ends a trial that was interrupted, and puts its settings at the head of those to come."""
        from optuna.trial import TrialState

        self._study.tell(number, state=TrialState.FAIL)
        self._study.enqueue_trial(dict(settings))

    def _take_back(self) -> None:
        """Trials of processes that are gone."""
        from optuna.trial import TrialState

        for trial in self._study.get_trials(states=(TrialState.RUNNING,)):
            if not alive(trial.user_attrs.get("process", "")):
                self._again(trial.number, trial.params)

    def _own_fits(self) -> bool:
        return all(span.holds(getattr(self.recipe, span.setting)) for span in self.spans)


def need_optuna() -> None:
    """Raises MissingExtra where Optuna is not installed."""
    try:
        import optuna  # noqa: F401
    except ModuleNotFoundError as error:
        if error.name == "optuna":
            raise MissingExtra("Tuning", "tune") from None
        raise


def _opened(path: Path, name: str, pruner: str) -> Study:
    need_optuna()
    import optuna

    optuna.logging.set_verbosity(optuna.logging.WARNING)
    path.parent.mkdir(parents=True, exist_ok=True)
    chosen = {
        "median": optuna.pruners.MedianPruner(n_startup_trials=4, n_warmup_steps=2),
        "halving": optuna.pruners.SuccessiveHalvingPruner(),
        "none": optuna.pruners.NopPruner(),
    }[pruner]
    return optuna.create_study(
        storage=f"sqlite:///{path.resolve()}", study_name=name, pruner=chosen, load_if_exists=True
    )


def _watch(trial: Trial) -> Callable[[Sequence[Mapping[str, float]]], None]:
    """Reports the epochs that are new; raises `Hopeless` where the pruner gives the trial up."""
    reported: set[int] = set()

    def epoch(history: Sequence[Mapping[str, float]]) -> None:
        for entry in history:
            number = int(entry["epoch"])
            if number not in reported:
                reported.add(number)
                trial.report(entry["calibrated_loss"], number)
        if trial.should_prune():
            raise Hopeless(f"hopeless after epoch {max(reported)}: the other trials were better there")

    return epoch


def _own(recipe: Recipe) -> dict[str, Any]:
    return {setting.name: getattr(recipe, setting.name) for setting in settings_of_a_recipe()}


def _counts(trial: FrozenTrial) -> bool:
    """Whether the trial has ended for good: one that was interrupted left no reason."""
    return trial.state.name in ("COMPLETE", "PRUNED") or (trial.state.name == "FAIL" and "reason" in trial.user_attrs)


def _outcome(trial: FrozenTrial) -> Outcome:
    state = {"COMPLETE": "finished", "PRUNED": "hopeless"}.get(trial.state.name, "failed")
    seconds = trial.duration.total_seconds() if trial.duration else 0.0
    value = trial.value if trial.state.name in ("COMPLETE", "PRUNED") else None
    return Outcome(trial.number, dict(trial.params), value, state, seconds, dict(trial.user_attrs))
