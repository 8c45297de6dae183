"""Training: prepared reviews and a recipe in, a bundle out. Knows no files of reviews, no HTTP and no AWS."""

from __future__ import annotations

import hashlib
import json
import math
import platform
import time
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np
import onnxruntime
import torch
from numpy.typing import NDArray
from safetensors.torch import save as to_safetensors
from torch import Tensor, nn

from plaudit.bundle.bundle import Bundle
from plaudit.bundle.card import Card
from plaudit.errors import PlauditError, UsageError
from plaudit.learning import checkpoint
from plaudit.learning.batches import block, by_length, plan_epoch
from plaudit.learning.calibration import fit_temperature, log_loss
from plaudit.learning.checkpoint import State
from plaudit.learning.distributed import World
from plaudit.learning.export import export
from plaudit.learning.lines import epoch_line
from plaudit.learning.network import Network
from plaudit.learning.recipes import Recipe
from plaudit.progress import Track, quiet
from plaudit.text.prepared import Part, Prepared
from plaudit.version import __version__

SCORING_BATCH = 256
CHECKPOINT_SECONDS = 600


class Interrupted(PlauditError):
    """A training that was asked to stop, and has left a checkpoint."""

    exit_code = 130


@dataclass(frozen=True)
class Watch:
    """How a training tells of itself, and how it is told to stop.

    ``say`` gets one line an epoch; ``stop`` is asked after every batch.
    """

    say: Callable[[str], None] = lambda line: None
    track: Track = quiet
    stop: Callable[[], bool] = lambda: False


@dataclass
class Training:
    """One training of one recipe on one data set with one seed; `run` it.

    With ``folder`` it leaves a checkpoint there after each epoch and when it is stopped, and goes on from
    it: a training that was killed at any moment ends with the same weights as one that was not.

    Several processes of one `World` take every step together, each with its share of the batch, and all end with the
    bundle; only the first speaks and writes checkpoints. It runs on a GPU where there is one.
    """

    data: Prepared
    recipe: Recipe
    seed: int = 0
    folder: Path | None = None
    watch: Watch = field(default_factory=Watch)
    world: World = field(default_factory=World)

    def run(self) -> Bundle:
        """Trains, keeps the epoch with the lowest validation loss once calibrated, and exports it."""
        _usable(self.data)
        self._device = self.world.device
        self._bfloat16 = not self.world.any(not bfloat16_pays(self.recipe.precision))
        torch.manual_seed(self.seed)
        self._network = Network(self.recipe, self.data.vocabulary.size).to(self._device)
        self._optimizer = torch.optim.Adam(self._network.parameters(), lr=self.recipe.learning_rate)
        self._state, self._best = State(self._identity()), self._copy()
        self._agree()
        self._resume()
        for epoch in range(self._state.epoch, self.recipe.epochs):
            self._epoch(epoch)
        return self._bundle()

    def _identity(self) -> str:
        device = self._device.type
        parts = (self.recipe.to_json(), self.data.about.digest, self.seed, self._bfloat16, device, torch.__version__)
        return hashlib.sha256(json.dumps(parts, sort_keys=True).encode()).hexdigest()

    def _agree(self) -> None:
        identity = self._state.identity.encode()
        if self.world.any(self.world.from_leader(identity) != identity):
            raise UsageError(
                "the processes of this training differ in reviews, settings or torch:"
                " give every host the whole channel (FullyReplicated) and the same flags"
            )

    def _resume(self) -> None:
        content = checkpoint.read(self.folder) if self.folder is not None and self.world.leads else b""
        content = self.world.from_leader(content)
        found = checkpoint.restore(content, self._state.identity, self._network, self._optimizer)
        if found:
            self._state, self._best = found
            done = f"{self._state.epoch} of {self.recipe.epochs} epochs and {self._state.batch} batches"
            self.watch.say(f"going on after {done}")

    def _checkpoint(self) -> None:
        if self.folder is not None and self.world.leads:
            checkpoint.save(self.folder, self._state, self._network, self._optimizer, self._best)

    def _epoch(self, epoch: int) -> None:
        state, lengths = self._state, self.data.train.texts.lengths
        plan = plan_epoch(lengths, self.recipe.batch_size, self.seed, epoch)
        left = plan[state.batch :]
        what = f"epoch {epoch + 1}/{self.recipe.epochs}"
        started = time.perf_counter()
        for batch in self.watch.track(left, f"{what}  batch", len(left)):
            state.loss += self._step(batch, len(plan) * self.recipe.epochs) * len(batch)
            state.batch, state.step = state.batch + 1, state.step + 1
            stop = self.world.any(self.watch.stop())
            if stop or time.perf_counter() - started > CHECKPOINT_SECONDS:
                state.seconds += time.perf_counter() - started
                started = time.perf_counter()
                self._checkpoint()
            if stop:
                self.world.wait()  # torchrun ends the others as soon as one has ended: the checkpoint comes first
                raise Interrupted(f"stopped in {what}, with a checkpoint: run the same command to go on")
        self._finish(epoch, state.loss / sum(len(batch) for batch in plan), started)

    def _step(self, batch: NDArray[np.int64], steps: int) -> float:
        """One step on one batch; its mean loss. Dropout is drawn from the seed and the step alone."""
        torch.manual_seed((self.seed << 32) + self._state.step)
        self._network.train()
        for group in self._optimizer.param_groups:
            group["lr"] = self.recipe.learning_rate * (1 - self._state.step / steps)
        self._optimizer.zero_grad(set_to_none=True)
        loss = self.world.sum_gradients(self._network, self._backward(batch))
        nn.utils.clip_grad_norm_(self._network.parameters(), self.recipe.clip)
        self._optimizer.step()
        return loss.item()

    def _backward(self, batch: NDArray[np.int64]) -> Tensor:
        """The share that this process's reviews have in the batch's mean loss, and its gradients."""
        share = self.world.share
        own = batch[share]
        if not len(own):
            return torch.zeros((), device=self._device)
        ids, lengths = self._block(self.data.train, batch, share)
        wanted = torch.from_numpy(self.data.train.labels[own]).float().to(self._device)
        with self._arithmetic():
            scores = self._network.final(ids, lengths, share, len(batch))
        loss = nn.functional.binary_cross_entropy_with_logits(scores.float(), wanted) * (len(own) / len(batch))
        loss.backward()  # type: ignore[no-untyped-call]
        return loss.detach()

    def _block(self, part: Part, batch: NDArray[np.int64], share: slice = slice(None)) -> tuple[Tensor, Tensor]:
        ids, lengths = block(part.texts, batch, self.recipe.max_words, share)
        return torch.from_numpy(ids).to(self._device), torch.from_numpy(lengths).to(self._device)

    def _finish(self, epoch: int, training_loss: float, started: float) -> None:
        state, part = self._state, self.data.validation
        scores = self._score(part)
        loss, accuracy = log_loss(scores, part.labels), float(np.mean((scores > 0) == part.labels))
        calibrated = log_loss(scores / fit_temperature(scores, part.labels), part.labels)
        seconds = time.perf_counter() - started
        if not math.isfinite(training_loss + loss):
            raise UsageError("the loss is no longer a number: try a smaller --learning-rate or --clip")
        if not state.history or calibrated < min(entry["calibrated_loss"] for entry in state.history):
            state.best_epoch, self._best = epoch + 1, self._copy()
        state.history.append(
            {
                "epoch": epoch + 1,
                "loss": training_loss,
                "validation_loss": loss,
                "calibrated_loss": calibrated,
                "validation_accuracy": accuracy,
                "seconds": round(state.seconds + seconds, 3),
            }
        )
        state.epoch, state.batch, state.loss, state.seconds = epoch + 1, 0, 0.0, 0.0
        self._checkpoint()
        self.watch.say(epoch_line(state.history, self.recipe.epochs))

    def _score(self, part: Part) -> NDArray[np.float64]:
        """The network's log-odds for each review; 0 for one without a word."""
        self._network.eval()
        scores = torch.zeros(len(part.texts), dtype=torch.float64, device=self._device)
        with torch.no_grad(), self._arithmetic():
            for batch in by_length(part.texts.lengths, SCORING_BATCH)[self.world.share]:
                scores[batch] = self._network.final(*self._block(part, batch)).double()
        return self.world.sum(scores).cpu().numpy()

    def _arithmetic(self) -> torch.autocast:
        return torch.autocast(self._device.type, dtype=torch.bfloat16, enabled=self._bfloat16)

    def _copy(self) -> dict[str, Tensor]:
        return {name: value.detach().clone() for name, value in self._network.state_dict().items()}

    def _bundle(self) -> Bundle:
        self._network.load_state_dict(self._best)
        self._bfloat16, trained_so = False, self._bfloat16
        scores, part = self._score(self.data.validation), self.data.validation
        about, history = self.data.about, self._state.history
        temperature = fit_temperature(scores, part.labels)
        card = Card(
            name=f"{about.name}, {self.recipe.name}",
            labels=about.labels,
            cleaning=about.reading.cleaning,
            max_words=about.reading.max_words,
            prior=float((self.data.train.labels.sum() + 1) / (len(self.data.train.labels) + 2)),
            temperature=temperature,
            recipe=self.recipe.to_json(),
            data={
                "name": about.name,
                "fingerprint": about.fingerprint,
                "train": about.train,
                "validation": about.validation,
                "test": about.test,
                "duplicates": about.duplicates,
            },
            metrics={
                "validation": {
                    "reviews": len(part.labels),
                    "accuracy": float(np.mean((scores > 0) == part.labels)),
                    "log_loss": log_loss(scores / temperature, part.labels),
                }
            },
            training={
                "seed": self.seed,
                "parameters": self._network.parameters_count,
                "best_epoch": self._state.best_epoch,
                "seconds": round(sum(entry["seconds"] for entry in history), 1),
                "arithmetic": "bfloat16" if trained_so else "float32",
                "date": time.strftime("%Y-%m-%d", time.gmtime()),
                "history": history,
            },
            versions={
                "plaudit": __version__,
                "python": platform.python_version(),
                "torch": torch.__version__,
                "onnxruntime": onnxruntime.__version__,
            },
        )
        weights = {name: value.cpu().contiguous() for name, value in self._best.items()}
        return Bundle(card, self.data.vocabulary, to_safetensors(weights), export(self._network.cpu()))


def _usable(data: Prepared) -> None:
    for name, part in (("training", data.train), ("validation", data.validation)):
        present = set(part.labels[part.texts.lengths > 0].tolist())
        if len(present) < 2:
            raise UsageError(f"the {name} reviews hold only one label: more reviews of the other are needed")


def bfloat16_pays(precision: str) -> bool:
    """Whether to train in bfloat16: as told, or if the GPU or the processor (AMX, AVX-512) multiplies it natively."""
    if precision != "auto":
        return precision == "bfloat16"
    if torch.cuda.is_available():
        return bool(torch.cuda.is_bf16_supported())
    able = torch.cpu.get_capabilities() if hasattr(torch.cpu, "get_capabilities") else {}
    return bool(able.get("amx_bf16") or able.get("avx512_bf16"))
