"""Training: prepared reviews and a recipe in, a bundle out. Knows no files of reviews, no HTTP and no AWS."""

from __future__ import annotations

import hashlib
import json
import math
import time
from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn

from plaudit.bundle.bundle import Bundle
from plaudit.errors import UsageError
from plaudit.learning import checkpoint
from plaudit.learning.arithmetic import bfloat16_pays, give_back, made_ready, resident
from plaudit.learning.batches import SHORT, block, blocks, plan_epoch, thinned
from plaudit.learning.bundling import biases_of, judged_bundle, usable
from plaudit.learning.calibration import accuracy, fit_temperature, log_loss, log_losses
from plaudit.learning.checkpoint import State
from plaudit.learning.distributed import World
from plaudit.learning.judging import evidence_of
from plaudit.learning.lessons import Lessons, lessons
from plaudit.learning.lines import epoch_line, kept_epoch
from plaudit.learning.loss import loss_of, worst_case
from plaudit.learning.network import Network
from plaudit.learning.optimizing import optimizer, pace
from plaudit.learning.probing import Beginning, started
from plaudit.learning.recipes import NOTHING, Recipe
from plaudit.learning.watch import CHECKPOINT_SECONDS, Interrupted, Watch
from plaudit.text.encoding import Encoded
from plaudit.text.prepared import Prepared
from plaudit.text.vocabulary import INFREQUENT, NO_WORD

TIDY, ROOM = 20, 4 * 2**30
"""Steps after which memory is looked at, and the bytes it may grow by before what is free of them is given back."""


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
    lessons: Lessons | None = None
    begin: Mapping[str, Tensor] | None = None

    def run(self) -> Bundle:
        """Trains, and exports the network of the `kept_epoch`."""
        return judged_bundle(self.learn(), self.data, self.recipe, self.told, watch=self.watch, world=self.world)

    @property
    def told(self) -> dict[str, Any]:
        """What a card says of a training that is done."""
        return {
            "seed": self.seed,
            "parameters": self._network.parameters_count,
            "best_epoch": self._state.best_epoch,
            "seconds": round(sum(entry["seconds"] for entry in self._state.history), 1),
            "arithmetic": "bfloat16" if self._bfloat16 else "float32",
            "history": self._state.history,
        }

    @made_ready()
    def learn(self) -> Network:
        """Trains; the network of the `kept_epoch`."""
        usable(self.data)
        self._device = self.world.device
        self._bfloat16 = not self.world.any(not bfloat16_pays(self.recipe.precision))
        self._biases = biases_of(self.data)
        began = time.perf_counter()
        torch.manual_seed(self.seed)
        self._network = Network(self.recipe, self.data.vocabulary.size, self._biases).to(self._device)
        self._began = self._begin()
        enough = self._began.loss if len(self.data.train.texts) <= self.recipe.few else None
        if enough is not None:
            self.watch.say("few reviews: the last layer is fitted, and nothing else (--few 0 trains all)")
            self.recipe = replace(self.recipe, phrases=0, epochs=1, least_steps=0)
        self._lessons = self.lessons or lessons(self.data, self.recipe, self.seed)
        self.recipe = self.recipe.for_texts(len(self._lessons.texts) - self._lessons.phrases)
        self._weights = self._lessons.weights(self.recipe.phrase_weight)
        table, words = self._network.embedding.weight.detach().clone(), self._narrow()
        self._optimizer = optimizer(self._network, self.recipe, self._began.loss is not None)
        self._state = State(self._identity())
        self._kept: dict[str, Tensor] = {}
        for name in ("best", "average") if self.recipe.average else ("best",):
            self._keep(name)
        self._agree()
        self._resume()
        give_back()  # what a training before this one in the same process has left is no part of its own growth
        self._resident = resident()
        for epoch in range(self._state.epoch, self.recipe.epochs):
            if enough is None:
                self._epoch(epoch)
            else:
                self._finish(epoch, enough, began)
        self._network.load_state_dict(self._kept_under("best"))
        self._network.widen(words, table)
        return self._network

    def _begin(self) -> Beginning:
        if self.begin is not None:
            self._network.load_state_dict(self.begin)
            return Beginning({"weights": checkpoint.digest(self.begin)}, self.data.vocabulary.size)
        if self.recipe.start == NOTHING:
            return Beginning({}, 0)
        return started(self._network, self.data, self.recipe)

    def _narrow(self) -> NDArray[np.int64]:
        """Takes the words that never occur out of the embedding while it is trained: a step moves every row.

        The ids of the words that are left.
        """
        texts, judged = self._lessons.texts, self.data.validation.texts
        words = np.unique(np.concatenate([[NO_WORD, INFREQUENT], texts.ids, judged.ids])).astype(np.int64)
        self._lessons = replace(self._lessons, texts=texts.renumbered(words))
        self._validation = judged.renumbered(words)
        known = int(np.searchsorted(words, self._began.words))
        self._network.narrow(words, 0 if self.recipe.embedding_rate else known)
        return words

    def _identity(self) -> str:
        of_data = (self.data.about.digest, self._lessons.fingerprint, self._began.card)
        with self._arithmetic():
            how = (self._bfloat16, self._network.pads, self._device.type, torch.__version__)
        parts = (self.recipe.to_json(), self.seed, of_data, how)
        return hashlib.sha256(json.dumps(parts, sort_keys=True).encode()).hexdigest()

    def _agree(self) -> None:
        identity = self._state.identity.encode()
        if self.world.any(self.world.from_leader(identity) != identity):
            raise UsageError(
                "the processes of this training differ in reviews, settings, torch or processors:"
                " give every host the whole channel (FullyReplicated), the same flags and the same kind of machine"
            )

    def _resume(self) -> None:
        content = checkpoint.read(self.folder) if self.folder is not None and self.world.leads else b""
        content = self.world.from_leader(content)
        if found := checkpoint.restore(content, self._state.identity, self._network, self._optimizer):
            self._state, self._kept = found
            done = f"{self._state.epoch} of {self.recipe.epochs} epochs and {self._state.batch} batches"
            self.watch.say(f"going on after {done}")

    def _checkpoint(self) -> None:
        if self.folder is not None and self.world.leads:
            checkpoint.save(self.folder, self._state, self._network, self._optimizer, self._kept)

    def _epoch(self, epoch: int) -> None:
        state = self._state
        self._texts = thinned(self._lessons.texts, self.recipe.span_dropout, self.seed, epoch)
        plan = plan_epoch(self._texts.lengths, self.recipe.batch_size, self.seed, epoch, self._lessons.phrases)
        left = plan[state.batch :]
        what = f"epoch {epoch + 1}/{self.recipe.epochs}"
        started = time.perf_counter()
        for batch in self.watch.track(left, f"{what}  batch", len(left)):
            state.loss += self._step(batch, len(plan) * self.recipe.epochs) * len(batch)
            state.batch, state.step = state.batch + 1, state.step + 1
            if state.step % TIDY == 0 and resident() > self._resident + ROOM:
                give_back()
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
        rate = self.recipe.learning_rate * pace(self.recipe.warm_up, self._state.step, steps)
        for group in self._optimizer.param_groups:
            group["lr"] = rate * group["share"]
        self._optimizer.zero_grad(set_to_none=True)
        loss = self.world.sum_gradients(self._network, self._backward(batch))
        nn.utils.clip_grad_norm_(self._network.parameters(), self.recipe.clip)
        self._optimizer.step()
        self._average()
        return loss.item()

    def _average(self) -> None:
        """Moves the running average of weights towards the weights; it begins with short memory."""
        if self.recipe.average:
            kept = min(self.recipe.average, (1 + self._state.step) / (10 + self._state.step))
            moving = {name: value.detach() for name, value in self._network.named_parameters() if value.requires_grad}
            averages = [self._kept[f"average.{name}"] for name in moving]
            torch._foreach_lerp_(averages, list(moving.values()), 1 - kept)

    def _backward(self, batch: NDArray[np.int64]) -> Tensor:
        """The share that this process's texts have in the batch's mean loss, and its gradients."""
        total = torch.zeros((), device=self._device)
        whole = self._weights[batch].sum()
        with self._arithmetic():
            apart = blocks(self._texts.lengths, batch) if self._network.pads or self.recipe.adversarial else [batch]
        for alike in apart:
            if len(alike[self.world.share]):
                total += self._backward_block(alike, whole)
        return total

    def _backward_block(self, batch: NDArray[np.int64], whole: np.float32) -> Tensor:
        """The same for texts of one block of a batch whose texts weigh ``whole``."""
        share = self.world.share
        own = batch[share]
        rows = block(self._texts, batch, self.recipe.max_words, share)
        ids, lengths = (torch.from_numpy(values).to(self._device) for values in rows)
        wanted = torch.from_numpy(self._lessons.targets[own]).to(self._device)
        parts = torch.from_numpy(self._weights[own] / whole).to(self._device)
        with self._arithmetic():
            if self.recipe.adversarial and ids.shape[1] > SHORT:
                whole_block = (ids, lengths, share, len(batch))
                return worst_case(self._network, whole_block, wanted, parts, self.recipe.adversarial)
            logits = self._network.logits(ids, lengths, share, len(batch))
        loss = loss_of(logits.float(), wanted, parts)
        loss.backward()  # type: ignore[no-untyped-call]
        return loss.detach()

    def _finish(self, epoch: int, training_loss: float, started: float) -> None:
        state, part = self._state, self.data.validation
        evidence = self._validated()
        logits = self._biases + evidence
        loss = log_loss(logits, part.labels)
        temperature = fit_temperature(evidence, self._biases, part.labels)
        calibrated = log_losses(self._biases + evidence / temperature, part.labels)
        seconds = time.perf_counter() - started
        if not math.isfinite(training_loss + loss):
            raise UsageError("the loss is no longer a number: try a smaller --learning-rate or --clip")
        state.history.append(
            {
                "epoch": epoch + 1,
                "loss": training_loss,
                "validation_loss": loss,
                "calibrated_loss": float(calibrated.mean()),
                "standard_error": float(calibrated.std() / len(calibrated) ** 0.5),
                "validation_accuracy": accuracy(logits, part.labels),
                "seconds": round(state.seconds + seconds, 3),
            }
        )
        if kept_epoch(state.history) is state.history[-1]:
            state.best_epoch = epoch + 1
            self._keep("best", "average" if self.recipe.average else None)
        state.epoch, state.batch, state.loss, state.seconds = epoch + 1, 0, 0.0, 0.0
        self._checkpoint()
        self.watch.say(epoch_line(state.history, self.recipe.epochs))
        self.watch.epoch(state.history[-1])

    def _validated(self) -> NDArray[np.float64]:
        """The evidence (reviews, units) for the validation reviews, from the averaged weights where there are some."""
        if not self.recipe.average:
            return self.evidence(self._validation)
        own = {name: value.clone() for name, value in self._network.state_dict().items()}
        self._network.load_state_dict(self._kept_under("average"))
        evidence = self.evidence(self._validation)
        self._network.load_state_dict(own)
        return evidence

    def evidence(self, texts: Encoded) -> NDArray[np.float64]:
        """The sum of each text's evidence (texts, units) as the network says it now; 0 for one without a word."""
        return evidence_of(self._network, texts, self.recipe, self.watch, self.world, bfloat16=self._bfloat16)

    def _keep(self, name: str, source: str | None = None) -> None:
        """Keeps the network's weights, or those kept as ``source``, under a name."""
        values = self._kept_under(source) if source else self._network.state_dict()
        self._kept |= {f"{name}.{key}": value.detach().clone() for key, value in values.items()}

    def _kept_under(self, name: str) -> dict[str, Tensor]:
        return {key.removeprefix(name + "."): value for key, value in self._kept.items() if key.startswith(name + ".")}

    def _arithmetic(self) -> torch.autocast:
        return torch.autocast(self._device.type, dtype=torch.bfloat16, enabled=self._bfloat16)
