"""Which epoch of a training is kept."""

from __future__ import annotations

import pytest

from plaudit.learning.lines import kept_epoch


@pytest.mark.parametrize(
    ("losses", "kept"),
    [
        ([0.5], 1),
        ([0.5, 0.4, 0.3], 3),
        ([0.5, 0.4, 0.44], 3),  # chance cannot tell it from the lowest
        ([0.5, 0.4, 0.46], 2),
        ([0.5, 0.4, 0.46, 0.44, 0.45], 4),
    ],
)
def test_the_last_that_chance_cannot_tell_from_the_best_is_kept(losses: list[float], kept: int) -> None:
    history = [
        {"epoch": at, "calibrated_loss": loss, "standard_error": 0.045} for at, loss in enumerate(losses, start=1)
    ]
    assert kept_epoch(history)["epoch"] == kept
