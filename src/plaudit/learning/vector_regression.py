"""An encoder's LSTMs learn to infer the document vectors of texts, and which made-up phrases are positive.

Knows ids and vectors, and no label of a text.
"""

from __future__ import annotations

import hashlib
import itertools
import json
from dataclasses import asdict, dataclass, field, replace
from pathlib import Path
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn

from plaudit.learning.arithmetic import bfloat16_pays, made_ready
from plaudit.learning.batches import block, blocks, by_length, plan_epoch, thinned
from plaudit.learning.descent import Descent
from plaudit.learning.document_vectors import DocumentVectors
from plaudit.learning.lessons import encoded_phrases
from plaudit.learning.network import WHOLE, Network, start_from
from plaudit.learning.pretrained import Pretrained
from plaudit.learning.recipes import Recipe
from plaudit.learning.schedule import VectorSettings
from plaudit.learning.watch import Watch
from plaudit.text.encoding import Encoded
from plaudit.text.ngrams import NgramCounts

MAX_WORDS = 1_000
PHRASES_A_TEXT = 10


@dataclass
class VectorRegression:
    """One direction of ``encoder`` learns to say ``vectors`` (texts, dim) of ``texts``; `run` it.

    One number more, after the vector, is the log-odds that a phrase is positive; a phrase's own vector is 0. Word
    vectors stay as they are. The last ``held`` texts only measure it.
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
        centred = torch.from_numpy(self.vectors - self.vectors[: self._learnt].mean(axis=0))
        count = min(settings.phrases, PHRASES_A_TEXT * self._learnt)
        phrases, positive = encoded_phrases(count, self.seed, encoder.vocabulary, self._recipe.cleaning)
        self._wanted = torch.cat([nn.functional.normalize(centred), torch.zeros(len(phrases), centred.shape[1])])
        self._positive = torch.from_numpy(positive)
        self._texts = Encoded.of(text[:MAX_WORDS] for text in itertools.chain(self.texts, phrases))
        torch.manual_seed(self.seed)
        said = centred.shape[1] + bool(len(phrases))
        network = Network(self._recipe, encoder.vocabulary.size, np.zeros(said))
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
        digest = hashlib.sha256(self.vectors.tobytes() + self._texts.ids.tobytes() + self._texts.offsets.tobytes())
        lstm = self.encoder.lstms[self.direction]
        for value in (self.encoder.embedding, *(lstm[name] for name in sorted(lstm))):  # a file has them in any order
            digest.update(value.numpy().tobytes())
        with self._arithmetic():
            how = (self._bfloat16, self._network.pads, torch.__version__)
        parts = (asdict(self.settings), self.seed, how, digest.hexdigest())
        return hashlib.sha256(json.dumps(parts, sort_keys=True).encode()).hexdigest()

    def _plan(self, epoch: int) -> list[Any]:
        self._thinned = thinned(self._texts, self.settings.span_dropout, self.seed, epoch)
        lengths = self._thinned.lengths.copy()
        lengths[self._learnt : len(self.texts)] = 0
        return plan_epoch(lengths, self.settings.batch_size, self.seed, epoch, len(self._positive))

    def _loss(self, batch: NDArray[np.int64]) -> Tensor:
        """The mean squared distance to the vectors, and to nothing for phrases, with the phrases' cross-entropy."""
        phrases = int((batch >= len(self.texts)).sum())
        total = torch.zeros((), device=self._device)
        with self._arithmetic():
            apart = blocks(self._thinned.lengths, batch) if self._network.pads else [batch]
        for alike in apart:
            said, wanted = self._said(self._thinned, alike)
            each = (said[:, : wanted.shape[1]] - wanted).square().sum(1)
            made_up = torch.from_numpy(alike[alike >= len(self.texts)]) - len(self.texts)
            texts = len(alike) - len(made_up)
            total = total + each[:texts].sum() / (len(batch) - phrases)
            if len(made_up):
                odds, positive = said[texts:, -1], self._positive[made_up].to(self._device)
                crossed = nn.functional.binary_cross_entropy_with_logits(odds, positive, reduction="sum")
                total = total + self.settings.phrase_weight * (each[texts:].sum() + crossed) / phrases
        return total

    def _said(self, texts: Encoded, batch: NDArray[np.int64]) -> tuple[Tensor, Tensor]:
        """What the network says of the texts in ``batch``, and the vectors that it should have said."""
        ids, lengths = (torch.from_numpy(part).to(self._device) for part in block(texts, batch, MAX_WORDS))
        with self._arithmetic():
            said = self._network.logits(ids, lengths, WHOLE)
        return said.float(), self._wanted[torch.from_numpy(batch)].to(self._device)

    def _arithmetic(self) -> torch.autocast:
        return torch.autocast(self._device.type, dtype=torch.bfloat16, enabled=self._bfloat16)

    def _measure(self) -> dict[str, float]:
        """The mean cosine between what it says of texts that were held out and their vectors."""
        self._network.eval()
        held = self._texts.lengths.copy()
        held[: self._learnt] = held[len(self.texts) :] = 0
        found = []
        with torch.no_grad():
            for batch in by_length(held, self.settings.batch_size):
                said, wanted = self._said(self._texts, batch)
                found.append(nn.functional.cosine_similarity(said[:, : wanted.shape[1]], wanted))
        return {"cosine": torch.cat(found).mean().item()}


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
