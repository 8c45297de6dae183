"""Down a loss by Adam, epoch by epoch, with checkpoints. Knows a model and its batches' losses, and no texts."""

from __future__ import annotations

import math
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import TypeVar

import torch
from torch import Tensor, nn

from plaudit.errors import UsageError
from plaudit.learning import checkpoint
from plaudit.learning.checkpoint import State
from plaudit.learning.optimizing import pace
from plaudit.learning.watch import CHECKPOINT_SECONDS, Interrupted, Watch

Batch = TypeVar("Batch")


@dataclass
class Descent:
    """A training of ``model`` without labels; `run` it. With ``folder`` a stopped one goes on bit for bit.

    ``name`` is what it is called where it speaks; ``identity`` says of what it is: only the same one goes on.
    ``memory`` is what a step leaves for the next one of its epoch.
    """

    name: str
    model: nn.Module
    identity: str
    epochs: int
    learning_rate: float
    warm_up: float
    clip: float
    seed: int = 0
    folder: Path | None = None
    watch: Watch = field(default_factory=Watch)
    memory: dict[str, Tensor] = field(default_factory=dict)

    def run(
        self,
        plan: Callable[[int], Sequence[Batch]],
        loss: Callable[[Batch], Tensor],
        measure: Callable[[], Mapping[str, float]] = dict,
    ) -> list[dict[str, float]]:
        """Every epoch's ``plan``; its mean loss, its seconds, and what ``measure`` says after it.

        Raises Interrupted where it is told to stop, and UsageError where the loss is no longer a number.
        """
        moving = [value for value in self.model.parameters() if value.requires_grad]
        self._optimizer = torch.optim.Adam(moving, self.learning_rate, betas=(0.9, 0.99), fused=True)
        self._state = State(self.identity)
        content = checkpoint.read(self.folder) if self.folder else b""
        if found := checkpoint.restore(content, self.identity, self.model, self._optimizer):
            self._state, self.memory = found
            self.watch.say(f"{self.name}: going on after {self._state.epoch} of {self.epochs} epochs")
        for epoch in range(self._state.epoch, self.epochs):
            self._epoch(epoch, plan(epoch), loss)
            self._finish(epoch, measure())
        return self._state.history

    def _epoch(self, epoch: int, batches: Sequence[Batch], loss: Callable[[Batch], Tensor]) -> None:
        state, started = self._state, time.perf_counter()
        left = batches[state.batch :]
        for batch in self.watch.track(left, f"epoch {epoch + 1}/{self.epochs}  step", len(left)):
            state.loss += self._step(batch, loss, len(batches) * self.epochs) / len(batches)
            state.batch, state.step = state.batch + 1, state.step + 1
            stop = self.watch.stop()
            if stop or time.perf_counter() - started > CHECKPOINT_SECONDS:
                state.seconds += time.perf_counter() - started
                started = time.perf_counter()
                self._checkpoint()
            if stop:
                raise Interrupted(f"stopped in epoch {epoch + 1}, with a checkpoint: run the same command to go on")
        state.seconds += time.perf_counter() - started

    def _step(self, batch: Batch, loss: Callable[[Batch], Tensor], steps: int) -> float:
        """One step. What is drawn in it is drawn from the seed and the step alone."""
        torch.manual_seed((self.seed << 32) + self._state.step)
        self.model.train()
        self._optimizer.param_groups[0]["lr"] = self.learning_rate * pace(self.warm_up, self._state.step, steps)
        self._optimizer.zero_grad(set_to_none=True)
        found = loss(batch)
        found.backward()  # type: ignore[no-untyped-call]
        nn.utils.clip_grad_norm_(self.model.parameters(), self.clip)
        self._optimizer.step()
        if not math.isfinite(value := found.item()):
            raise UsageError("the loss is no longer a number: try a smaller --learning-rate")
        return value

    def _finish(self, epoch: int, measured: Mapping[str, float]) -> None:
        state = self._state
        entry = {"epoch": epoch + 1.0, "loss": state.loss, **measured, "seconds": state.seconds}
        state.history.append({name: round(value, 4) for name, value in entry.items()})
        told = "  ".join(f"{name} {value:.4g}" for name, value in {"loss": state.loss, **measured}.items())
        self.watch.say(f"{self.name}: epoch {epoch + 1}/{self.epochs}  {told}  {state.seconds:.0f} s")
        state.epoch, state.batch, state.loss, state.seconds = epoch + 1, 0, 0.0, 0.0
        self.memory = {}
        self._checkpoint()

    def _checkpoint(self) -> None:
        if self.folder is not None:
            checkpoint.save(self.folder, self._state, self.model, self._optimizer, self.memory)
