"""A training's epochs: the line that it says of each, which SageMaker finds its metrics in, and which of them is kept.

Knows no torch.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from operator import itemgetter

METRICS = {
    "train:loss": r"epoch +[0-9]+/[0-9]+  loss ([0-9.]+)",
    "validation:loss": r"validation loss ([0-9.]+)",
    "validation:accuracy": r"accuracy ([0-9.]+)",
}
"""Regular expressions, by the name of a metric, that find it in an epoch's line: SageMaker's MetricDefinitions."""


def epoch_line(history: Sequence[Mapping[str, float]], epochs: int) -> str:
    """What is said after the last epoch of ``history``, with the time that is left for the rest of ``epochs``."""
    last = history[-1]
    left = (epochs - len(history)) * last["seconds"]
    return (
        f"epoch {len(history):>2}/{epochs}  loss {last['loss']:.4f}"
        f"  validation loss {last['validation_loss']:.4f}  accuracy {last['validation_accuracy']:.4f}"
        f"  {last['seconds']:.1f} s" + (f", about {_duration(left)} left" if left >= 2 else "")
    )


def kept_epoch(history: Sequence[Mapping[str, float]]) -> Mapping[str, float]:
    """The last epoch whose calibrated validation loss is within a standard error of the lowest before it.

    Where few reviews tell hardly more than chance does, the end of a training counts.
    """
    kept = lowest = history[0]
    for entry in history[1:]:
        if entry["calibrated_loss"] <= lowest["calibrated_loss"] + lowest["standard_error"]:
            kept = entry
        lowest = min(lowest, entry, key=itemgetter("calibrated_loss"))
    return kept


def _duration(seconds: float) -> str:
    return f"{seconds:.0f} s" if seconds < 100 else f"{seconds / 60:.0f} min"
