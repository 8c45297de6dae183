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
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from plaudit.errors import UsageError
from plaudit.learning.arithmetic import bfloat16_pays, made_ready
from plaudit.learning.compiled_lstm import reads
from plaudit.learning.descent import Descent
from plaudit.learning.language_model import LanguageModel
from plaudit.learning.pretrained import Pretrained
from plaudit.learning.schedule import DIRECTIONS, Schedule
from plaudit.learning.watch import Watch
from plaudit.progress import Track, quiet
from plaudit.text.encoding import Encoded
from plaudit.text.prepared import Prepared
from plaudit.text.vocabulary import INFREQUENT, NO_WORD, Vocabulary
from plaudit.text.words import words
from plaudit.version import __version__

HELD_OUT = 200
LEAST_STEPS = 20
"""Steps of an epoch at least: fewer streams are read side by side where there is little to read."""


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

    @classmethod
    def prepared(cls, data: Prepared) -> Corpus:
        """The texts that ``data`` trains on, and those without a label."""
        found = [*data.train.texts, *data.unlabelled]
        order = np.random.default_rng(0).permutation(len(found))
        return cls(data.vocabulary, Encoded.of(found[i] for i in order), data.about.digest)

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

    With ``beside`` it learns another direction with that encoder's embedding, which stays as it is. With ``grown_from``
    it begins as that encoder, whose units are the first of its own.
    """

    corpus: Corpus
    schedule: Schedule
    seed: int = 0
    folder: Path | None = None
    beside: Pretrained | None = None
    watch: Watch = field(default_factory=Watch)
    grown_from: Pretrained | None = None

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
        if self.grown_from is not None:
            _grow(model, self.corpus.vocabulary, self.grown_from, schedule)
        if self.beside is not None:
            model.embedding.load_state_dict({"weight": self.beside.embedding})
            model.embedding.requires_grad_(False)
        self._model = model.to(self._device)
        how = (schedule.epochs, schedule.learning_rate, schedule.warm_up, schedule.clip, self.seed)
        self._descent = Descent(schedule.direction, self._model, self._identity(), *how, self.folder, self.watch)
        return self._encoder(self._descent.run(self._plan, self._loss, self._measure))

    def _identity(self) -> str:
        with self._arithmetic():
            how = (self._bfloat16, reads(self._model.lstm), torch.__version__)
        parts = (asdict(self.schedule), self.corpus.fingerprint, self.seed, how)
        cards = [one.card if one is not None else {} for one in (self.beside, self.grown_from)]
        begin = [{name: value for name, value in card.items() if name != "date"} for card in cards]
        return hashlib.sha256(json.dumps([parts, begin], sort_keys=True).encode()).hexdigest()

    def _plan(self, epoch: int) -> Sequence[Tensor]:
        """The epoch's steps: ids (words + 1, streams) each, which go on where those before end."""
        schedule = self.schedule
        order = np.random.default_rng((self.seed, epoch)).permutation(self.corpus.learnt)
        stream = self.corpus.stream(order)
        streams = min(schedule.streams, len(stream) // (LEAST_STEPS * schedule.words))
        if not streams:
            raise UsageError(f"{len(stream):,} words are too few: at least {LEAST_STEPS * schedule.words:,} are needed")
        rows = len(stream) // streams
        block = torch.from_numpy(stream[: rows * streams].reshape(streams, rows).T.astype(np.int64))
        starts = range(0, rows - schedule.words, schedule.words)
        return [block[at : at + schedule.words + 1] for at in starts]

    def _loss(self, block: Tensor) -> Tensor:
        block, memory = block.to(self._device), self._descent.memory
        before = (memory["hidden"].to(self._device), memory["cell"].to(self._device)) if memory else None
        with self._arithmetic():
            loss, after = self._model.next_words_loss(block, before, self.schedule.negatives)
        self._descent.memory = {name: value.detach() for name, value in zip(("hidden", "cell"), after, strict=True)}
        return loss

    def _arithmetic(self) -> torch.autocast:
        return torch.autocast(self._device.type, dtype=torch.bfloat16, enabled=self._bfloat16)

    def _measure(self) -> dict[str, float]:
        return {"perplexity": self._perplexity()}

    def _perplexity(self) -> float:
        """The perplexity a word, over all words, of the texts that were held out."""
        self._model.eval()
        total, count = 0.0, 0
        with torch.no_grad():
            for index in range(self.corpus.learnt, len(self.corpus.texts)):
                row = torch.from_numpy(self.corpus.texts[index].astype(np.int64)).to(self._device).unsqueeze(1)
                if len(row) > 1:
                    expected, _ = self._model.read(self._model.embedding(row[:-1]), None)
                    total += self._model.full_loss(expected.float(), row[1:, 0]).item() * (len(row) - 1)
                    count += len(row) - 1
        return math.exp(min(total / max(count, 1), 50))

    def _encoder(self, history: list[dict[str, float]]) -> Pretrained:
        model = self._model.cpu()
        direction = {
            "settings": asdict(self.schedule),
            "seed": self.seed,
            "perplexity": history[-1]["perplexity"],
            "history": history,
            "seconds": round(sum(entry["seconds"] for entry in history)),
            "arithmetic": "bfloat16" if self._bfloat16 else "float32",
        }
        card: dict[str, Any] = {"grown_from": self.grown_from.card} if self.grown_from is not None else {}
        card |= {
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


def _grow(model: LanguageModel, vocabulary: Vocabulary, encoder: Pretrained, schedule: Schedule) -> None:
    """Lets ``model`` begin as ``encoder``, in the words and units that it has."""
    encoder.must_read([schedule.direction])
    if encoder.embedding.shape[1] != schedule.embedding_dim or encoder.hidden_dim > schedule.hidden_dim:
        held = f"embedding_dim {encoder.embedding.shape[1]} and hidden_dim {encoder.hidden_dim}"
        raise UsageError(
            f"the encoder has {held}: no language model of {schedule.embedding_dim} and {schedule.hidden_dim} grows"
            " from it; take these numbers, or more units, or begin with nothing: --language-start nothing"
        )
    rows = torch.tensor(encoder.rows(vocabulary))
    known = (rows != INFREQUENT) | (torch.arange(len(rows)) == INFREQUENT)
    model.begin_as(encoder.embedding[rows], known, encoder.lstms[schedule.direction])


def pretrain(
    corpus: Corpus,
    schedule: Schedule,
    seed: int = 0,
    folder: Path | None = None,
    watch: Watch | None = None,
    *,
    directions: Sequence[str] = DIRECTIONS,
    grown_from: Pretrained | None = None,
) -> Pretrained:
    """A language model for each of ``directions``, one after the other, with one embedding: that of the first.

    With ``grown_from`` each begins as that encoder. Where that does not read its way, it begins as the first of them,
    which has learnt of the same texts, and makes a pass less. Raises UsageError where the encoder is too large, or does
    not read the first way.
    With ``folder`` each leaves its checkpoints there, and the first its result: a killed pretraining goes on.
    """
    found: Pretrained | None = None
    for direction in directions:
        texts = corpus if direction == "forward" else corpus.backward
        settings, own = replace(schedule, direction=direction), folder and folder / direction
        begin = grown_from
        if begin is not None and found is not None and direction not in begin.lstms:
            begin = replace(found, lstms={direction: found.lstms[directions[0]]})
            settings = replace(settings, epochs=max(1, settings.epochs - 1))
        made = Pretraining(texts, settings, seed, own, found, watch or Watch(), begin).run()
        found = made.rounded() if found is None else found.joined(made)
    assert found is not None
    return found
