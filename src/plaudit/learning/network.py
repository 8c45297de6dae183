"""The network: a review's ids in, a score after every word out. Knows torch, and no text."""

from __future__ import annotations

import torch
from torch import Tensor, nn

from plaudit.learning.recipes import Recipe
from plaudit.text.vocabulary import INFREQUENT, NO_WORD


class Network(nn.Module):
    """Embedding, LSTM, and one linear unit that reads the state as log-odds of the second label.

    With 5,000 ids, 32 and 200 it is the original's network, parameter for parameter.
    """

    def __init__(self, recipe: Recipe, vocab_size: int) -> None:
        super().__init__()
        self.embedding = nn.Embedding(vocab_size, recipe.embedding_dim, padding_idx=NO_WORD)
        self.lstm = nn.LSTM(recipe.embedding_dim, recipe.hidden_dim, recipe.layers)
        self.dense = nn.Linear(recipe.hidden_dim, 1)
        self._dropout = nn.Dropout(recipe.dropout)
        self._word_dropout = recipe.word_dropout
        self._start(recipe.embedding_dim, recipe.hidden_dim)

    def _start(self, embedding: int, hidden: int) -> None:
        """Words start as vectors of length 1, not of sqrt(dim): the first epoch then reaches 0.79 instead of 0.70.

        Forget gates start open, so that what is read early reaches the end (Jozefowicz et al. 2015).
        """
        with torch.no_grad():
            self.embedding.weight.mul_(embedding**-0.5)
            for name, bias in self.lstm.named_parameters():
                if name.startswith("bias_ih"):
                    bias[hidden : 2 * hidden] += 1

    @property
    def parameters_count(self) -> int:
        return sum(parameter.numel() for parameter in self.parameters())

    def forward(self, ids: Tensor) -> Tensor:
        """Scores (batch, time) after every word of ``ids`` (batch, time)."""
        scores: Tensor = self.dense(self._states(ids, slice(None), len(ids))).squeeze(2).transpose(0, 1)
        return scores

    def final(self, ids: Tensor, lengths: Tensor, share: slice = slice(None), reviews: int | None = None) -> Tensor:
        """Scores (batch,) after the last real word; ``lengths`` are at least 1.

        Where ``ids`` are the ``share`` of a batch of so many ``reviews``, the masks of dropout are that batch's rows:
        a training with several processes drops what one process would.
        """
        reviews = len(ids) if reviews is None else reviews
        last = self._states(ids, share, reviews)[lengths - 1, torch.arange(len(lengths), device=ids.device)]
        scores: Tensor = self.dense(self._dropped(last, share, reviews)).squeeze(1)
        return scores

    def _states(self, ids: Tensor, share: slice, reviews: int) -> Tensor:
        """The LSTM's states (time, batch, hidden). Padding stands behind the words and cannot reach them."""
        if self.training and self._word_dropout:
            dropped = torch.rand((reviews, ids.shape[1]), device=ids.device)[share] < self._word_dropout
            ids = torch.where(dropped & (ids != NO_WORD), INFREQUENT, ids)
        vectors = self._dropped(self.embedding(ids), share, reviews)
        states: Tensor = self.lstm(vectors.transpose(0, 1))[0]
        return states

    def _dropped(self, values: Tensor, share: slice, reviews: int) -> Tensor:
        if not self.training or reviews == len(values):
            kept: Tensor = self._dropout(values)
            return kept
        mask: Tensor = self._dropout(values.new_ones((reviews, *values.shape[1:])))
        return values * mask[share]
