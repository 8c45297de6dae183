from __future__ import annotations

import numpy as np
import pytest

from plaudit.learning.calibration import fit_temperature, log_loss


def test_log_loss_of_no_opinion_is_that_of_a_coin() -> None:
    assert log_loss(np.zeros(4), np.array([0, 1, 1, 0])) == pytest.approx(np.log(2))


@pytest.mark.parametrize("factor", [0.3, 1.0, 4.0])
def test_temperature_finds_how_far_scores_were_blown_up(factor: float) -> None:
    random = np.random.default_rng(0)
    scores = random.normal(0, 2, 40_000)
    labels = (random.random(40_000) < 1 / (1 + np.exp(-scores))).astype(np.int64)
    assert fit_temperature(scores * factor, labels) == pytest.approx(factor, rel=0.05)
