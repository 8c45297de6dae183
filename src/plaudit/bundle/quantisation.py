"""Weights as int8, a scale for each row or gate unit: a quarter of the bytes. Knows numbers only."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray


def int8_rows(rows: NDArray[np.float32]) -> tuple[NDArray[np.int8], NDArray[np.float16]]:
    """``rows`` (n, d) as int8 and a float16 scale (n,) for each: ``int8 * scale`` is near the row."""
    scales = (np.abs(rows).max(axis=1) / 127).astype(np.float16)
    safe = np.where(scales > 0, scales, 1).astype(np.float32)[:, np.newaxis]
    return np.clip(np.round(rows / safe), -127, 127).astype(np.int8), scales


def int8_gates(weights: NDArray[np.float32]) -> tuple[NDArray[np.int8], NDArray[np.float32]]:
    """``weights`` (directions, 4 * hidden, inputs) as int8 (directions, inputs, 4 * hidden) and a scale a gate unit."""
    scales = np.maximum(np.abs(weights).max(axis=2), 1e-12) / 127
    quantised = np.round(weights / scales[:, :, np.newaxis]).astype(np.int8)
    return np.ascontiguousarray(quantised.transpose(0, 2, 1)), scales.astype(np.float32)


def largest(rows: NDArray[np.int8], scales: NDArray[np.floating[Any]]) -> float:
    """The largest entry of `int8_rows`, whatever its sign."""
    return float((np.maximum(rows.max(axis=1), -rows.min(axis=1)).astype(np.float32) * scales).max())
