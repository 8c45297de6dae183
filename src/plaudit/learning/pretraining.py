"""Pretraining: texts without labels in, an encoder out. Knows no files of reviews, no HTTP and no AWS."""

from __future__ import annotations

import hashlib
import json
import math
import platform
import time
from collections.abc import Sequence
from dataclasses import asdict, dataclass, field, replace
from pathlib import Path

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn

from plaudit.errors import UsageError
from plaudit.learning import checkpoint
from plaudit.learning.arithmetic import bfloat16_pays, made_ready
from plaudit.learning.checkpoint import State
from plaudit.learning.language_model import LanguageModel
from plaudit.learning.pretrained import Pretrained
from plaudit.learning.schedule import Schedule
from plaudit.learning.watch import CHECKPOINT_SECONDS, Interrupted, Watch
from plaudit.progress import Track, quiet
from plaudit.text.encoding import Encoded
from plaudit.text.vocabulary import NO_WORD, Vocabulary
from plaudit.text.words import words
from plaudit.version import __version__

HELD_OUT = 200


@dataclass(frozen=True)
class Corpus:
    """Encoded texts to learn a language from; the last `HELD_OUT` of them only measure it."""

    vocabulary: Vocabulary
    texts: Encoded
    fingerprint: str

    @property
    def backward(self) -> Corpus:
        """Every text from its end."""
        return replace(self, texts=Encoded.of(self.texts[at][::-1] for at in range(len(self.texts))))

    @classmethod
    def of(cls, texts: Sequence[str], schedule: Schedule, track: Track = quiet) -> Corpus:
        """Cleans and encodes ``texts``. Raises UsageError for too few of them."""
        if len(texts) < 2 * HELD_OUT:
            raise UsageError(f"{len(texts)} texts to learn a language from, and at least {2 * HELD_OUT} are needed")
        digest = hashlib.sha256()
        found = []
        for text in track(texts, "cleaning and counting words", len(texts)):
            digest.update(text.encode("utf-8", "surrogatepass") + b"\x1e")
            found.append(words(text, schedule.cleaning))
        order = np.random.default_rng(0).permutation(len(found))
        vocabulary = Vocabulary.of(found, schedule.vocab_size)
        return cls(vocabulary, Encoded.of(vocabulary.ids(found[i]) for i in order), digest.hexdigest())

    @property
    def learnt(self) -> int:
        """How many texts are learnt from."""
        return len(self.texts) - HELD_OUT

    def stream(self, order: NDArray[np.int64]) -> NDArray[np.int32]:
        """The texts at ``order``, one after another, each ended by id 0."""
        end = np.array([NO_WORD], dtype=np.int32)
        return np.concatenate([part for index in order for part in (self.texts[int(index)], end)])


@dataclass
class Pretraining:
    """One pretraining; `run` it. With ``folder`` it leaves a checkpoint there and goes on from it.

    With ``beside`` it learns another direction with that encoder's embedding, which stays as it is.
    """

    corpus: Corpus
    schedule: Schedule
    seed: int = 0
    folder: Path | None = None
    beside: Pretrained | None = None
    watch: Watch = field(default_factory=Watch)

    def run(self) -> Pretrained:
        """Trains for all epochs and measures the perplexity on texts that were held out."""
        with made_ready():
            return self._learn()

    def _learn(self) -> Pretrained:
        schedule, corpus = self.schedule, self.corpus
        self._device = torch.device("cuda" if torch.cuda.is_available() else "cpu")
        self._bfloat16 = bfloat16_pays("auto")
        torch.manual_seed(self.seed)
        counts = torch.bincount(torch.from_numpy(corpus.texts.ids).long(), minlength=corpus.vocabulary.size)
        counts[NO_WORD] = len(corpus.texts)
        model = LanguageModel(counts, schedule.embedding_dim, schedule.hidden_dim, schedule.dropout)
        if self.beside is not None:
            model.embedding.load_state_dict({"weight": self.beside.embedding})
            model.embedding.requires_grad_(False)
        self._model = model.to(self._device)
        moving = [value for value in model.parameters() if value.requires_grad]
        self._optimizer = torch.optim.Adam(moving, schedule.learning_rate, betas=(0.9, 0.99), fused=True)
        self._state = State(self._identity())
        self._memory: dict[str, Tensor] = {}
        found = checkpoint.restore(
            checkpoint.read(self.folder) if self.folder else b"", self._state.identity, self._model, self._optimizer
        )
        if found:
            self._state, self._memory = found
            self.watch.say(f"{schedule.direction}: going on after {self._state.epoch} of {schedule.epochs} epochs")
        for epoch in range(self._state.epoch, schedule.epochs):
            self._epoch(epoch)
        return self._encoder()

    def _identity(self) -> str:
        parts = (asdict(self.schedule), self.corpus.fingerprint, self.seed, self._bfloat16, torch.__version__)
        card = self.beside.card if self.beside is not None else {}
        begin = {name: value for name, value in card.items() if name != "date"}
        return hashlib.sha256(json.dumps([parts, begin], sort_keys=True).encode()).hexdigest()

    def _epoch(self, epoch: int) -> None:
        schedule, state = self.schedule, self._state
        order = np.random.default_rng((self.seed, epoch)).permutation(self.corpus.learnt)
        stream = self.corpus.stream(order)
        rows = len(stream) // schedule.streams
        if rows <= schedule.words:
            raise UsageError(f"{len(stream):,} words are too few for {schedule.streams} streams of {schedule.words}")
        block = torch.from_numpy(stream[: rows * schedule.streams].reshape(schedule.streams, rows).T.astype(np.int64))
        steps = (rows - 1) // schedule.words
        started = time.perf_counter()
        left = range(state.batch, steps)
        for at in self.watch.track(left, f"epoch {epoch + 1}/{schedule.epochs}  step", len(left)):
            state.loss += self._step(block[at * schedule.words : (at + 1) * schedule.words + 1], steps)
            state.batch, state.step = at + 1, state.step + 1
            stop = self.watch.stop()
            if stop or time.perf_counter() - started > CHECKPOINT_SECONDS:
                state.seconds += time.perf_counter() - started
                started = time.perf_counter()
                self._checkpoint()
            if stop:
                raise Interrupted(f"stopped in epoch {epoch + 1}, with a checkpoint: run the same command to go on")
        seconds = state.seconds + time.perf_counter() - started
        entry = {"epoch": epoch + 1.0, "loss": state.loss / steps, "perplexity": self._perplexity(), "seconds": seconds}
        state.history.append({name: round(value, 4) for name, value in entry.items()})
        state.epoch, state.batch, state.loss, state.seconds = epoch + 1, 0, 0.0, 0.0
        self._memory = {}
        self._checkpoint()
        said = f"epoch {epoch + 1}/{schedule.epochs}  sampled loss {entry['loss']:.4f}"
        self.watch.say(f"{said}  perplexity {entry['perplexity']:.1f}  {seconds:.0f} s")

    def _step(self, block: Tensor, steps: int) -> float:
        """One step on ids (words + 1, streams). Dropout and negatives are drawn from the seed and the step alone."""
        schedule, block = self.schedule, block.to(self._device)
        torch.manual_seed((self.seed << 32) + self._state.step)
        self._model.train()
        self._optimizer.param_groups[0]["lr"] = schedule.learning_rate * self._pace(steps * schedule.epochs)
        self._optimizer.zero_grad(set_to_none=True)
        with torch.autocast(self._device.type, dtype=torch.bfloat16, enabled=self._bfloat16):
            expected, memory = self._model.read(block[:-1], self._remembered())
        loss = self._model.sampled_loss(expected.float(), block[1:].flatten(), schedule.negatives)
        loss.backward()  # type: ignore[no-untyped-call]
        nn.utils.clip_grad_norm_(self._model.parameters(), schedule.clip)
        self._optimizer.step()
        self._memory = {name: value.detach() for name, value in zip(("hidden", "cell"), memory, strict=True)}
        if not math.isfinite(value := loss.item()):
            raise UsageError("the loss is no longer a number: try a smaller --learning-rate")
        return value

    def _pace(self, steps: int) -> float:
        """The share of the learning rate: up in a straight line, then down to nothing."""
        rising = max(1.0, self.schedule.warm_up * steps)
        done = self._state.step + 1
        return min(done / rising, (steps - done + 1) / (steps - rising + 1))

    def _remembered(self) -> tuple[Tensor, Tensor] | None:
        if not self._memory:
            return None
        return self._memory["hidden"].to(self._device), self._memory["cell"].to(self._device)

    def _perplexity(self) -> float:
        """The perplexity a word, over all words, of the texts that were held out."""
        self._model.eval()
        total, count = 0.0, 0
        with torch.no_grad():
            for index in range(self.corpus.learnt, len(self.corpus.texts)):
                row = torch.from_numpy(self.corpus.texts[index].astype(np.int64)).to(self._device).unsqueeze(1)
                if len(row) > 1:
                    expected, _ = self._model.read(row[:-1], None)
                    total += self._model.full_loss(expected.float(), row[1:, 0]).item() * (len(row) - 1)
                    count += len(row) - 1
        return math.exp(min(total / max(count, 1), 50))

    def _checkpoint(self) -> None:
        if self.folder is not None:
            checkpoint.save(self.folder, self._state, self._model, self._optimizer, self._memory)

    def _encoder(self) -> Pretrained:
        model, history = self._model.cpu(), self._state.history
        direction = {
            "settings": asdict(self.schedule),
            "seed": self.seed,
            "perplexity": history[-1]["perplexity"],
            "history": history,
            "seconds": round(sum(entry["seconds"] for entry in history)),
            "arithmetic": "bfloat16" if self._bfloat16 else "float32",
        }
        card = {
            "texts": self.corpus.learnt,
            "words": int(self.corpus.texts.offsets[self.corpus.learnt]),
            "fingerprint": self.corpus.fingerprint,
            "directions": [direction],
            "date": time.strftime("%Y-%m-%d", time.gmtime()),
            "versions": {"plaudit": __version__, "python": platform.python_version(), "torch": torch.__version__},
        }
        weights = {name: value.detach().clone() for name, value in model.lstm.named_parameters()}
        table = model.embedding.weight.detach().clone()
        return Pretrained(card, self.corpus.vocabulary, table, {self.schedule.direction: weights})


def pretrain(
    corpus: Corpus, schedule: Schedule, seed: int = 0, folder: Path | None = None, watch: Watch | None = None
) -> Pretrained:
    """Both directions, one after the other, with one embedding: that of the forward model.

    With ``folder`` each leaves its checkpoints there, and the first its result: a killed pretraining goes on.
    """
    watch = watch or Watch()
    forward = Pretraining(
        corpus, replace(schedule, direction="forward"), seed, folder and folder / "forward", None, watch
    )
    first = forward.run().rounded()
    then = replace(schedule, direction="backward")
    second = Pretraining(corpus.backward, then, seed, folder and folder / "backward", first, watch).run()
    return first.joined(second)
