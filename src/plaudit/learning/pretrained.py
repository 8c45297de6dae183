"""A pretrained encoder: what a language model learnt of words and their order, to start a classifier from.

On disk a folder: card.json says what it was trained on and how, vocabulary.txt its words, weights.safetensors its
embedding as one int8 row and one scale a word, its language models in float16, and what infers vectors in int8.
"""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

import torch
from safetensors import SafetensorError
from safetensors.torch import load as from_safetensors
from safetensors.torch import save as to_safetensors
from torch import Tensor

from plaudit.bundle.quantisation import int8_rows
from plaudit.errors import UsageError
from plaudit.learning.preparing import encoder_folder
from plaudit.text.vocabulary import INFREQUENT, NO_WORD, Vocabulary

CARD, VOCABULARY, WEIGHTS = "card.json", "vocabulary.txt", "weights.safetensors"
FILES = (CARD, VOCABULARY, WEIGHTS)
EMBEDDING, INFERRING, PROJECTION, SCALE = "embedding", "inferring", "projection", "_scale"


@dataclass(frozen=True)
class Pretrained:
    """``embedding`` (words, embedding), and by direction the tensors of one LSTM layer by torch's names, in float32.

    ``lstms`` are the language models'. ``inferring`` are LSTMs that have gone on from there to infer document vectors,
    by ``projections`` (vector, 2 * hidden) of the mean and the maximum of their states; an encoder may have none.
    """

    card: Mapping[str, Any]
    vocabulary: Vocabulary
    embedding: Tensor
    lstms: Mapping[str, Mapping[str, Tensor]]
    inferring: Mapping[str, Mapping[str, Tensor]] = field(default_factory=dict)
    projections: Mapping[str, Tensor] = field(default_factory=dict)

    @property
    def hidden_dim(self) -> int:
        return next(iter(self.lstms.values()))["weight_hh_l0"].shape[1]

    def rows(self, vocabulary: Vocabulary) -> list[int]:
        """For each id of ``vocabulary`` the row of its word here: that of the infrequent word for what is not known."""
        return [NO_WORD, INFREQUENT, *self.vocabulary.ids(vocabulary.words)]

    def must_read(self, directions: Iterable[str]) -> None:
        """Raises UsageError where the encoder has no LSTM for one of ``directions``."""
        if missing := [direction for direction in directions if direction not in self.lstms]:
            raise UsageError(
                f"the encoder reads {', '.join(self.lstms)} and not {missing[0]}: start from one of plaudit pretrain"
                " --direction both, or choose a --direction that it reads"
            )

    def projection(self, directions: Sequence[str]) -> Tensor | None:
        """What makes a document vector of the means and the maxima of all ``directions``; None where there is none."""
        if any(direction not in self.projections for direction in directions):
            return None
        halves = [self.projections[direction].chunk(2, dim=1) for direction in directions]
        return torch.cat([half[at] for at in (0, 1) for half in halves], 1) / len(directions)

    def joined(self, other: Pretrained) -> Pretrained:
        """This encoder with the LSTM of ``other``, which learnt with this one's embedding."""
        card = {**self.card, "directions": [*self.card["directions"], *other.card["directions"]]}
        return replace(self, card=card, lstms={**self.lstms, **other.lstms})

    def rounded(self) -> Pretrained:
        """What `save` and `load` make of it."""
        return self._of(self.card, self.vocabulary, from_safetensors(self._weights()))

    def save(self, folder: Path) -> None:
        """Writes the folder; what it holds of an encoder is replaced."""
        free_for_an_encoder(folder)
        folder.mkdir(parents=True, exist_ok=True)
        (folder / WEIGHTS).write_bytes(self._weights())
        self.vocabulary.save(folder / VOCABULARY)
        (folder / CARD).write_text(json.dumps(dict(self.card), indent=2, ensure_ascii=False) + "\n", "utf-8")

    @classmethod
    def load(cls, folder: Path) -> Pretrained:
        """Raises UsageError where ``folder`` holds no sound encoder."""
        try:
            card = json.loads((folder / CARD).read_text("utf-8"))
            vocabulary = Vocabulary.load(folder / VOCABULARY)
            return cls._of(card, vocabulary, from_safetensors((folder / WEIGHTS).read_bytes()))
        except (OSError, ValueError, KeyError, SafetensorError) as error:
            raise UsageError(f"{folder}: no sound encoder there ({error}): plaudit pretrain makes one") from None

    def _weights(self) -> bytes:
        tensors = _in_bytes(EMBEDDING, self.embedding)
        for kind, own in {**self.lstms, PROJECTION: self.projections}.items():
            tensors |= {f"{kind}.{name}": value.half().contiguous() for name, value in own.items()}
        for direction, lstm in self.inferring.items():
            for name, value in lstm.items():
                tensors |= _in_bytes(f"{INFERRING} {direction}.{name}", value)
        return to_safetensors(tensors)

    @classmethod
    def _of(cls, card: Mapping[str, Any], vocabulary: Vocabulary, tensors: Mapping[str, Tensor]) -> Pretrained:
        named: dict[str, dict[str, Tensor]] = {}
        for name in tensors:
            if not name.endswith(SCALE):
                kind, _, own = name.partition(".")
                named.setdefault(kind, {})[own] = _in_floats(name, tensors)
        embedding = named.pop(EMBEDDING)[""]
        if len(embedding) != vocabulary.size:
            raise ValueError(f"{len(embedding)} vectors for {vocabulary.size} words")
        projections = named.pop(PROJECTION, {})
        inferring = {direction: named.pop(f"{INFERRING} {direction}") for direction in projections}
        return cls(card, vocabulary, embedding, named, inferring, projections)


def _in_bytes(name: str, value: Tensor) -> dict[str, Tensor]:
    """A matrix as int8 rows with a scale each, anything else in float16."""
    if value.ndim != 2:
        return {name: value.half().contiguous()}
    rows, scales = int8_rows(value.numpy())
    return {name: torch.from_numpy(rows), name + SCALE: torch.from_numpy(scales)}


def _in_floats(name: str, tensors: Mapping[str, Tensor]) -> Tensor:
    scales = tensors.get(name + SCALE)
    return tensors[name].float() * (1 if scales is None else scales.float().unsqueeze(1))


def free_for_an_encoder(folder: Path) -> None:
    """Raises UsageError where ``folder`` holds anything but an encoder: nothing of anybody else's is replaced."""
    if folder.exists() and not folder.is_dir():
        raise UsageError(f"{folder} is a file: name a folder for the encoder")
    held = sorted(entry.name for entry in folder.iterdir() if entry.name not in FILES) if folder.exists() else []
    if held:
        raise UsageError(f"{folder} holds {held[0]}, which is not an encoder's: name another folder")


def load_encoder(start: str) -> Pretrained:
    """The encoder that a recipe's ``start`` names."""
    with encoder_folder(start) as folder:
        return Pretrained.load(folder)
