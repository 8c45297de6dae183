"""How a training is followed and stopped. Knows no torch, and nothing of what is trained."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass

from plaudit.errors import PlauditError
from plaudit.progress import Track, quiet

CHECKPOINT_SECONDS = 600


class Interrupted(PlauditError):
    """A training that was asked to stop, and has left a checkpoint."""

    exit_code = 130


@dataclass(frozen=True)
class Watch:
    """How a training tells of itself, and how it is told to stop.

    ``say`` gets one line an epoch, ``epoch`` what it measured; ``stop`` is asked after every batch.
    """

    say: Callable[[str], None] = lambda line: None
    track: Track = quiet
    stop: Callable[[], bool] = lambda: False
    epoch: Callable[[Mapping[str, float]], None] = lambda entry: None
