"""An encoder's LSTMs learn to infer the document vectors of texts. Knows ids and vectors; no words, no labels."""

from __future__ import annotations

import hashlib
import json
from dataclasses import asdict, dataclass, field, replace
from pathlib import Path
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn

from plaudit.learning.arithmetic import bfloat16_pays, made_ready
from plaudit.learning.batches import block, by_length, plan_epoch, thinned
from plaudit.learning.descent import Descent
from plaudit.learning.document_vectors import DocumentVectors
from plaudit.learning.network import WHOLE, Network, start_from
from plaudit.learning.pretrained import Pretrained
from plaudit.learning.recipes import Recipe
from plaudit.learning.schedule import VectorSettings
from plaudit.learning.watch import Watch
from plaudit.text.encoding import Encoded
from plaudit.text.ngrams import NgramCounts

MAX_WORDS = 1_000


@dataclass
class VectorRegression:
    """One direction of ``encoder`` learns to say ``vectors`` (texts, dim) of ``texts``; `run` it.

    Word vectors stay as they are. The last ``held`` texts only measure it.
    """

    encoder: Pretrained
    direction: str
    texts: Encoded
    vectors: NDArray[np.float32]
    settings: VectorSettings
    held: int
    seed: int = 0
    folder: Path | None = None
    watch: Watch = field(default_factory=Watch)

    @made_ready()
    def run(self) -> Pretrained:
        """The encoder with an LSTM more, which infers vectors, and the projection that makes them of its states."""
        settings, encoder, name = self.settings, self.encoder, self.direction
        self._device = torch.device("cuda" if torch.cuda.is_available() else "cpu")
        self._bfloat16 = bfloat16_pays("auto")
        centred = self.vectors - self.vectors[: self._learnt].mean(axis=0)
        self._wanted = torch.from_numpy(centred)
        self._texts = Encoded.of(text[:MAX_WORDS] for text in self.texts)
        torch.manual_seed(self.seed)
        network = Network(self._recipe, encoder.vocabulary.size, np.zeros(self.vectors.shape[1]))
        start_from(network, encoder.vocabulary, encoder)
        network.embedding.requires_grad_(False)
        self._network = network.to(self._device)
        how = (settings.regression_epochs, settings.regression_rate, settings.warm_up, settings.clip, self.seed)
        descent = Descent(f"{name} vectors", self._network, self._identity(), *how, self.folder, self.watch)
        history = descent.run(self._plan, self._loss, self._measure)
        network = self._network.cpu()
        lstm = {key: value.detach().clone() for key, value in network.lstms[name].named_parameters()}
        told = {**encoder.card["vectors"], name: history}
        return replace(
            encoder,
            card={**encoder.card, "vectors": told},
            inferring={**encoder.inferring, name: lstm},
            projections={**encoder.projections, name: network.dense.weight.detach().clone()},
        )

    @property
    def _learnt(self) -> int:
        return len(self.texts) - self.held

    @property
    def _recipe(self) -> Recipe:
        return Recipe.of(
            "lstm",
            direction=self.direction,
            embedding_dim=self.encoder.embedding.shape[1],
            hidden_dim=self.encoder.hidden_dim,
            dropout=self.settings.dropout,
            word_dropout=self.settings.word_dropout,
        )

    def _identity(self) -> str:
        digest = hashlib.sha256(self.vectors.tobytes() + self.texts.ids.tobytes()).hexdigest()
        weights = [self.encoder.lstms[self.direction]["weight_hh_l0"], self.encoder.embedding]
        begin = hashlib.sha256(b"".join(value.numpy().tobytes() for value in weights)).hexdigest()
        parts = (asdict(self.settings), self.seed, self._bfloat16, torch.__version__, digest, begin)
        return hashlib.sha256(json.dumps(parts, sort_keys=True).encode()).hexdigest()

    def _plan(self, epoch: int) -> list[Any]:
        self._thinned = thinned(self._texts, self.settings.span_dropout, self.seed, epoch)
        return plan_epoch(self._thinned.lengths[: self._learnt], self.settings.batch_size, self.seed, epoch)

    def _loss(self, batch: NDArray[np.int64]) -> Tensor:
        return 1 - self._cosines(self._thinned, batch).mean()

    def _cosines(self, texts: Encoded, batch: NDArray[np.int64]) -> Tensor:
        ids, lengths = (torch.from_numpy(part).to(self._device) for part in block(texts, batch, MAX_WORDS))
        with torch.autocast(self._device.type, dtype=torch.bfloat16, enabled=self._bfloat16):
            said = self._network.logits(ids, lengths, WHOLE)
        return nn.functional.cosine_similarity(said.float(), self._wanted[torch.from_numpy(batch)].to(self._device))

    def _measure(self) -> dict[str, float]:
        """The mean cosine between what it says of texts that were held out and their vectors."""
        self._network.eval()
        held = self._texts.lengths.copy()
        held[: self._learnt] = 0
        with torch.no_grad():
            found = torch.cat(
                [self._cosines(self._texts, batch) for batch in by_length(held, self.settings.batch_size)]
            )
        return {"cosine": found.mean().item()}


def with_vectors(
    encoder: Pretrained,
    texts: Encoded,
    settings: VectorSettings,
    *,
    held: int,
    seed: int = 0,
    folder: Path | None = None,
    watch: Watch | None = None,
) -> Pretrained:
    """The encoder with LSTMs more that infer the document vectors of ``texts``, one for each of its directions.

    With ``folder`` each step leaves its checkpoints there.
    """
    watch = watch or Watch()
    counts = NgramCounts.of(encoder.vocabulary.words_of(texts), settings.order, settings.least)
    watch.say(f"{len(counts):,} n-grams in {len(texts):,} texts")
    vectors = DocumentVectors(counts, settings, seed, folder and folder / "vectors", watch).run()
    told = {"settings": asdict(settings), "ngrams": len(counts)}
    made = replace(encoder.rounded(), card={**encoder.card, "vectors": told})
    for direction in encoder.lstms:
        where = folder and folder / f"{direction} vectors"
        made = VectorRegression(made, direction, texts, vectors, settings, held, seed, where, watch).run()
    return made
