"""Which of many runs: their fields by name, conditions on them, an order, and what differs. Knows no files."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from plaudit.errors import UsageError
from plaudit.learning.lines import kept_epoch
from plaudit.learning.recipes import RECIPES
from plaudit.learning.runs import Run

CONDITION = re.compile(r"\s*([A-Za-z_][\w.-]*)\s*(<=|>=|!=|==?|<|>|~)\s*(.*?)\s*")
ORDERS: Mapping[str, Callable[[Any, Any], bool]] = {
    "=": lambda found, wanted: found == wanted,
    "==": lambda found, wanted: found == wanted,
    "!=": lambda found, wanted: found != wanted,
    "<": lambda found, wanted: found < wanted,
    "<=": lambda found, wanted: found <= wanted,
    ">": lambda found, wanted: found > wanted,
    ">=": lambda found, wanted: found >= wanted,
}
OF_ONE = ("id", "started", "reason")
LEAST_IS_BEST = re.compile(r"loss|brier|error|seconds")
Value = str | int | float | bool | None


def fields_of(run: Run) -> dict[str, Value]:
    """Everything that has one value, by a name: settings, figures of validation by their own names, `test_accuracy`.

    A run that is not finished has the figures of its best epoch so far.
    """
    settings = {name: value for name, value in run.recipe.items() if name != "name"}
    found: dict[str, Value] = {
        "id": run.id,
        "started": run.started,
        "state": run.state,
        "recipe": run.recipe.get("name"),
        "data": run.data.get("name"),
        "seed": run.seed,
        **settings,
    }
    metrics = dict(run.metrics) or {"validation": _best_so_far(run)}
    figures = dict(metrics.get("validation", {}))
    for split, values in metrics.items():
        if split != "validation":
            figures |= {f"{split}_{name}": value for name, value in values.items()}
    sizes = {f"{part}_reviews": run.data.get(part) for part in ("train", "validation", "test")}
    others = {
        **figures, **run.training, "epochs_done": len(run.history), "seconds": run.seconds, **run.tags, **run.machine,
        **sizes, "fingerprint": run.data.get("fingerprint"), "reason": run.reason,
    }  # fmt: skip
    for name, value in others.items():
        if name not in found and not isinstance(value, list | dict | tuple):
            found[name] = value
    return found


def _best_so_far(run: Run) -> dict[str, float]:
    known = [entry for entry in run.history if "standard_error" in entry]
    if not known:
        return {}
    best = kept_epoch(known)
    return {"accuracy": best["validation_accuracy"], "log_loss": best["calibrated_loss"]}


@dataclass(frozen=True)
class Condition:
    """A condition on one field: ``accuracy>0.9``, ``hidden_dim=200``, ``data~mine`` for a part of a text."""

    field: str
    order: str
    wanted: str

    @classmethod
    def parse(cls, text: str) -> Condition:
        """Raises UsageError for what is not a condition."""
        match = CONDITION.fullmatch(text)
        if match is None or not match[3]:
            raise UsageError(f"{text!r} is not a condition: write a field, one of = != < <= > >= ~, and a value")
        return cls(match[1].replace("-", "_"), match[2], match[3])

    def holds(self, values: Mapping[str, Value]) -> bool:
        """Whether it does for a run's fields; for a field without a value only ``!=`` can."""
        found = values.get(self.field)
        if found is None:
            return self.order == "!="
        if self.order == "~":
            return self.wanted.casefold() in str(found).casefold()
        if isinstance(found, int | float) and not isinstance(found, bool):
            return ORDERS[self.order](float(found), self._number())
        return ORDERS[self.order](str(found).casefold(), self.wanted.casefold())

    def _number(self) -> float:
        try:
            return float(self.wanted)
        except ValueError:
            raise UsageError(f"{self.field} is a number, and {self.wanted!r} is none") from None


def matching(runs: Iterable[Run], conditions: Sequence[Condition]) -> list[Run]:
    """The runs for which every condition holds. Raises UsageError for a field that no run has."""
    several = [(run, fields_of(run)) for run in runs]
    for condition in conditions:
        _known(condition.field, [values for _, values in several])
    return [run for run, values in several if all(condition.holds(values) for condition in conditions)]


def ordered(runs: Sequence[Run], field: str, backwards: bool = False) -> list[Run]:
    """The runs by a field, the best first: the largest number, but the smallest loss or time; texts by the alphabet.

    Those without a value come last.
    """
    several = [(fields_of(run).get(field.replace("-", "_")), run) for run in runs]
    _known(field.replace("-", "_"), [fields_of(run) for run in runs])
    valued = [(value, run) for value, run in several if value is not None]
    numbers = all(isinstance(value, int | float) for value, _ in valued)
    largest_first = numbers and not LEAST_IS_BEST.search(field)

    def key(entry: tuple[Value, Run]) -> Any:
        return entry[0] if numbers else str(entry[0])

    valued.sort(key=key, reverse=largest_first != backwards)
    return [run for _, run in valued] + [run for value, run in several if value is None]


def _known(field: str, several: Sequence[Mapping[str, Value]]) -> None:
    names = {name for values in several for name in values}
    if several and field not in names:
        raise UsageError(f"no run has a field {field!r}; they have {', '.join(sorted(names))}")


def differences(runs: Sequence[Run]) -> dict[str, list[Value]]:
    """The fields in which the runs differ, each with its value in every run."""
    several = [fields_of(run) for run in runs]
    names = list(dict.fromkeys(name for values in several for name in values))
    table = {name: [values.get(name) for values in several] for name in names if name not in OF_ONE}
    return {name: row for name, row in table.items() if any(value != row[0] for value in row)}


def changed_settings(run: Run) -> dict[str, Value]:
    """The settings that differ from those of the recipe of that name."""
    usual = RECIPES.get(str(run.recipe.get("name")))
    if usual is None:
        return {}
    own = usual.to_json()
    return {name: value for name, value in run.recipe.items() if name in own and own[name] != value}
