"""The line that a training says of each epoch, and what reads it: SageMaker finds its metrics there. Knows no torch."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

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


def _duration(seconds: float) -> str:
    return f"{seconds:.0f} s" if seconds < 100 else f"{seconds / 60:.0f} min"
