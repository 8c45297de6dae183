"""The network: a review's ids in, each word's evidence for each label out. Knows torch, and no text."""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn

from plaudit.errors import UsageError
from plaudit.learning.compiled_lstm import Packed, pooled, reads
from plaudit.learning.pretrained import Pretrained
from plaudit.learning.recipes import Recipe
from plaudit.text.vocabulary import INFREQUENT, NO_WORD, Vocabulary

WHOLE = slice(None)
LSTMS = {"forward": "lstm", "backward": "lstm_backward"}


class Network(nn.Module):
    """Embedding, LSTM, and a linear layer that reads its states as logits beside the labels' ``biases``.

    ``biases`` (units,) stay as they are: one unit, the log-odds of the second label, for two labels, else one a label.
    The layer reads the state after the last word, or the mean and the maximum of the states after every word
    (Howard and Ruder 2018); both can be told apart by word exactly, which is a word's evidence. With 5,000 ids, 32, 200
    and the last state it is the original's network, parameter for parameter.
    """

    def __init__(self, recipe: Recipe, vocab_size: int, biases: NDArray[np.float64]) -> None:
        super().__init__()
        self.directions = recipe.directions
        self.pooled = recipe.pooling == "mean and max"
        states = recipe.hidden_dim * len(self.directions)
        self.embedding = nn.Embedding(vocab_size, recipe.embedding_dim, padding_idx=NO_WORD)
        self.others: nn.Embedding | None = None
        for direction in self.directions:
            self.add_module(LSTMS[direction], nn.LSTM(recipe.embedding_dim, recipe.hidden_dim, recipe.layers))
        self.dense = nn.Linear(2 * states if self.pooled else states, len(biases), bias=not self.pooled)
        self.register_buffer("biases", torch.tensor(biases, dtype=torch.float32), persistent=False)
        self.biases: Tensor
        self._dropout = nn.Dropout(recipe.dropout)
        self._word_dropout = recipe.word_dropout
        self._start(recipe.embedding_dim, recipe.hidden_dim)

    def _start(self, embedding: int, hidden: int) -> None:
        """Words start as vectors of length 1, not of sqrt(dim): the first epoch then reaches 0.79 instead of 0.70.

        Forget gates start open, so that what is read early reaches the end (Jozefowicz et al. 2015).
        """
        with torch.no_grad():
            self.embedding.weight.mul_(embedding**-0.5)
            for lstm in self.lstms.values():
                for name, bias in lstm.named_parameters():
                    if name.startswith("bias_ih"):
                        bias[hidden : 2 * hidden] += 1

    def narrow(self, words: NDArray[np.int64], held: int = 0) -> None:
        """Keeps the vectors of ``words`` alone, which are known by their places there from now on.

        The first ``held`` of them stay as they are: where there are some, the others have a table of their own to move
        in, since a gradient is as large as its table.
        """
        table = self.embedding.weight.detach()[torch.from_numpy(words)]
        self._embed(table)
        self.embedding.requires_grad_(not held)
        if 0 < held < len(words):
            own = table[held:].clone()
            self.others = nn.Embedding(len(own), own.shape[1], _weight=own)

    def widen(self, words: NDArray[np.int64], table: Tensor) -> None:
        """Puts the vectors of ``words`` back into the ``table`` of all, and knows them all by their ids again."""
        whole = table.clone()
        whole[torch.from_numpy(words)] = self.table
        self.others = None
        self._embed(whole)

    @property
    def table(self) -> Tensor:
        """The vector of every word that it knows now (words, embedding), those that move after those that stay."""
        table, others = self.embedding.weight.detach(), self.others
        return table if others is None else torch.cat([table[: -len(others.weight)], others.weight.detach()])

    def _embed(self, table: Tensor) -> None:
        words, size = table.shape
        self.embedding = nn.Embedding(words, size, padding_idx=NO_WORD, _weight=table)

    def _embedded(self, ids: Tensor) -> Tensor:
        """The vectors of words, without dropout."""
        found: Tensor = self.embedding(ids)
        if self.others is None:
            return found
        places = ids - (len(self.embedding.weight) - len(self.others.weight))
        return torch.where((places < 0).unsqueeze(-1), found, self.others(places.clamp(min=0)))

    @property
    def lstms(self) -> dict[str, nn.LSTM]:
        """The LSTM of each direction."""
        found = {direction: self.get_submodule(LSTMS[direction]) for direction in self.directions}
        return {direction: lstm for direction, lstm in found.items() if isinstance(lstm, nn.LSTM)}

    @property
    def parameters_count(self) -> int:
        return sum(parameter.numel() for parameter in self.parameters())

    def forward(self, ids: Tensor) -> Tensor:
        """The evidence (batch, time, units) of every word of ``ids`` (batch, time); nothing for padding.

        A review's logits are ``biases`` plus the sum of its evidence.
        """
        real = (ids != NO_WORD).unsqueeze(2)
        states = self._states(self._embedded(ids), real.sum((1, 2))).transpose(0, 1)
        if not self.pooled:
            logits: Tensor = self.dense(states)
            return torch.diff(logits, dim=1, prepend=torch.zeros_like(logits[:, :1])) * real
        mean, maximum = self.dense.weight.chunk(2, dim=1)
        highest, places = states.masked_fill(~real, float("-inf")).max(1, keepdim=True)
        parts = highest.transpose(1, 2) * maximum.t()
        spread: Tensor = (states * real / real.sum(1, keepdim=True)) @ mean.t()
        return spread.scatter_add(1, places.transpose(1, 2).expand_as(parts), parts)

    def logits(self, ids: Tensor, lengths: Tensor, share: slice = WHOLE, reviews: int | None = None) -> Tensor:
        """Logits (batch, units) of reviews; ``lengths`` are at least 1.

        Where ``ids`` are the ``share`` of a batch of so many ``reviews``, the masks of dropout are that batch's rows:
        a training with several processes drops what one process would.
        """
        reviews = len(ids) if reviews is None else reviews
        if self.pads:
            return self.logits_of_vectors(self.vectors(ids, share, reviews), lengths, share, reviews)
        return self._logits_of_read(self._read_packed(ids, lengths, share, reviews), share, reviews)

    @property
    def pads(self) -> bool:
        """Whether it reads a batch's texts with padding: where they are not read by compiled functions."""
        return not self.pooled or not all(reads(lstm) for lstm in self.lstms.values())

    def vectors(self, ids: Tensor, share: slice, reviews: int) -> Tensor:
        """The words as vectors (batch, time, embedding), after word dropout and dropout."""
        return self._dropped(self._embedded(self._words(ids, share, reviews)), share, reviews)

    def _words(self, ids: Tensor, share: slice, reviews: int) -> Tensor:
        """The ids after word dropout."""
        if not self.training or not self._word_dropout:
            return ids
        dropped = torch.rand((reviews, ids.shape[1]), device=ids.device)[share] < self._word_dropout
        return torch.where(dropped & (ids != NO_WORD), INFREQUENT, ids)

    def logits_of_vectors(self, vectors: Tensor, lengths: Tensor, share: slice, reviews: int) -> Tensor:
        """Logits (batch, units) of reviews whose words are vectors (batch, time, embedding)."""
        return self._logits_of_read(self.read(vectors, lengths), share, reviews)

    def _logits_of_read(self, read: Tensor, share: slice, reviews: int) -> Tensor:
        logits: Tensor = self.dense(self._dropped(read, share, reviews)) + self.biases
        return logits

    def _read_packed(self, ids: Tensor, lengths: Tensor, share: slice, reviews: int) -> Tensor:
        """What the last layer reads of reviews, without padding."""
        ids, packed = self._words(ids, share, reviews), Packed(lengths.numpy(), torch.get_num_threads())
        texts = torch.from_numpy(packed.texts)
        kept = self._dropout(self.dense.weight.new_ones((reviews, self.embedding.embedding_dim)))[share]
        found = []
        for direction, lstm in self.lstms.items():
            columns = torch.from_numpy(packed.columns(backward=direction == "backward"))
            vectors = self._embedded(ids[texts, columns])
            found.append(pooled(lstm, vectors * kept[texts] if self.training else vectors, packed))
        return torch.cat([pool for pools in zip(*found, strict=True) for pool in pools], 1)

    def read(self, vectors: Tensor, lengths: Tensor) -> Tensor:
        """What the last layer reads of reviews whose words are vectors (batch, time, embedding)."""
        states = self._states(vectors, lengths)
        return self._pooled(states, lengths) if self.pooled else states[lengths - 1, torch.arange(len(lengths))]

    def _pooled(self, states: Tensor, lengths: Tensor) -> Tensor:
        """Mean and maximum (batch, 2 * states) of ``states`` (time, batch, states) over each review's words."""
        real = (torch.arange(len(states), device=lengths.device).unsqueeze(1) < lengths).unsqueeze(2)
        mean = (states * real).sum(0) / lengths.unsqueeze(1)
        return torch.cat([mean, states.masked_fill(~real, float("-inf")).amax(0)], 1)

    def _states(self, vectors: Tensor, lengths: Tensor) -> Tensor:
        """The states (time, batch, states). Padding stands behind the words and cannot reach them."""
        found = []
        for direction, lstm in self.lstms.items():
            if direction == "forward":
                found.append(lstm(vectors.transpose(0, 1))[0])
            else:
                states = lstm(_turned(vectors, lengths).transpose(0, 1))[0]
                found.append(_turned(states.transpose(0, 1), lengths).transpose(0, 1))
        return found[0] if len(found) == 1 else torch.cat(found, 2)

    def _dropped(self, values: Tensor, share: slice, reviews: int) -> Tensor:
        """Dropout; the entries of a vector that a pooled network drops are the same for all words of a review."""
        if not self.training:
            return values
        shape = (reviews, *values.shape[1:])
        if self.pooled and values.ndim == 3:
            shape = (reviews, 1, values.shape[2])
        mask: Tensor = self._dropout(values.new_ones(shape))
        return values * mask[share]


def _turned(values: Tensor, lengths: Tensor) -> Tensor:
    """``values`` (batch, time, any) with each row's first ``lengths`` entries in reverse."""
    times = torch.arange(values.shape[1], device=values.device).unsqueeze(0)
    places = torch.where(times < lengths.unsqueeze(1), lengths.unsqueeze(1) - 1 - times, times)
    return values.gather(1, places.unsqueeze(2).expand_as(values))


def start_from(network: Network, vocabulary: Vocabulary, encoder: Pretrained) -> None:
    """Gives the network the encoder's word vectors and LSTM; words that it does not know begin as its unknown word.

    Raises UsageError where the sizes differ.
    """
    table, sizes = network.embedding.weight, {lstm.hidden_size for lstm in network.lstms.values()}
    encoder.must_read(network.directions)
    if table.shape[1] != encoder.embedding.shape[1] or sizes != {encoder.hidden_dim}:
        raise UsageError(
            f"the encoder has embedding_dim {encoder.embedding.shape[1]} and hidden_dim {encoder.hidden_dim}:"
            " leave these as they are, or start from nothing with --start nothing"
        )
    with torch.no_grad():
        table.copy_(encoder.embedding[encoder.rows(vocabulary)])
    for direction, lstm in network.lstms.items():
        lstm.load_state_dict({**lstm.state_dict(), **encoder.lstms[direction]})


def joined(forward: Mapping[str, Tensor], backward: Mapping[str, Tensor]) -> dict[str, Tensor]:
    """The weights of one network that reads both ways from two that read one each: it says what they say on average.

    That is so where they have one embedding; two, which began as the same, are averaged too.
    """
    both = {**forward, **backward, "embedding.weight": (forward["embedding.weight"] + backward["embedding.weight"]) / 2}
    halves = [weights["dense.weight"].chunk(2, dim=1) for weights in (forward, backward)]
    both["dense.weight"] = torch.cat([half[at] for at in (0, 1) for half in halves], 1) / 2
    return both
