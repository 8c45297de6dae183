"""A language model: the next word from the words before. Knows torch, and no text."""

from __future__ import annotations

from collections.abc import Mapping

import torch
from torch import Tensor, nn

from plaudit.bundle.weights import GATES
from plaudit.learning.compiled_lstm import State, reads, streamed
from plaudit.text.vocabulary import NO_WORD


class LanguageModel(nn.Module):
    """Embedding, LSTM, and a step back to the embedding's size, where words are scored by their own vectors.

    Input and output share one table (Press and Wolf 2017). ``counts`` (words,) are how often each id is a target.
    """

    def __init__(self, counts: Tensor, embedding_dim: int, hidden_dim: int, dropout: float) -> None:
        super().__init__()
        self.embedding = nn.Embedding(len(counts), embedding_dim, padding_idx=NO_WORD)
        self.lstm = nn.LSTM(embedding_dim, hidden_dim)
        self.back = nn.Linear(hidden_dim, embedding_dim)
        self.bias = nn.Parameter(torch.log(counts.float() + 1) - torch.log(counts.sum().float()))
        self._dropout = nn.Dropout(dropout)
        often = counts.float().pow(0.75)
        self.register_buffer("_shares", often / often.sum(), persistent=False)
        self._shares: Tensor
        with torch.no_grad():
            self.embedding.weight.mul_(embedding_dim**-0.5)
            for name, bias in self.lstm.named_parameters():
                if name == "bias_ih_l0":
                    bias[hidden_dim : 2 * hidden_dim] += 1  # open forget gates (Jozefowicz et al. 2015)

    def begin_as(self, vectors: Tensor, known: Tensor, lstm: Mapping[str, Tensor]) -> None:
        """Begins with the ``vectors`` (words, embedding) of the words that are ``known`` and as a smaller ``lstm``.

        Its units are the first ones here, and do what they did there: at first they hear nothing of the others, which
        begin by chance and hear all (growing a network: Chen et al. 2016).
        """
        own = dict(self.lstm.named_parameters())
        with torch.no_grad():
            self.embedding.weight[known] = vectors[known]
            for name, small in lstm.items():
                gates = small.view(GATES, -1, *small.shape[1:])
                first = own[name].view(GATES, -1, *own[name].shape[1:])[:, : gates.shape[1]]
                first.zero_()
                first[tuple(slice(size) for size in gates.shape)] = gates

    def read(self, vectors: Tensor, state: State | None) -> tuple[Tensor, State]:
        """What is expected after each word of ``vectors`` (time, batch, embedding), as (time * batch, embedding)."""
        mask = self._dropout(torch.ones_like(vectors[:1]))
        read = streamed if reads(self.lstm) else nn.LSTM.__call__
        states, state = read(self.lstm, vectors * mask, state)
        expected: Tensor = self.back(states * self._dropout(torch.ones_like(states[:1]))).flatten(0, 1)
        return expected, state

    def next_words_loss(self, ids: Tensor, state: State | None, negatives: int) -> tuple[Tensor, State]:
        """The `sampled_loss` of each of ``ids`` (time + 1, batch) after those before it, and the state at the end.

        Every vector is taken from the embedding once: each time anew makes a gradient of the whole table's size, and a
        step of 512 units then takes a quarter longer.
        """
        drawn = torch.multinomial(self._shares, negatives, replacement=True)
        words, places = torch.unique(torch.cat([ids.flatten(), drawn]), return_inverse=True)
        vectors = nn.functional.embedding(places, self.embedding(words))
        step, last = ids.shape[1], ids.numel()
        expected, state = self.read(vectors[: last - step].view(-1, step, vectors.shape[1]), state)
        targets, others = (ids[1:].flatten(), vectors[step:last]), (drawn, vectors[last:])
        return self.sampled_loss(expected, targets, others), state

    def sampled_loss(self, expected: Tensor, targets: tuple[Tensor, Tensor], drawn: tuple[Tensor, Tensor]) -> Tensor:
        """Mean cross-entropy in nats of ``targets``, (n,) and their vectors, over each target and all words ``drawn``.

        Each score is lowered by the logarithm of how often its word is expected in the sample
        (Bengio and Senecal 2008; Jean et al. 2015): the loss then aims at the softmax over all words. That a target
        is drawn too is part of it: without these draws frequent words would be expected far too often.
        """
        offset = self.bias - torch.log(self._shares * len(drawn[0]) + 1e-12)
        true = (expected.float() * targets[1]).sum(1) + offset[targets[0]]
        others = (expected @ drawn[1].t()).float() + offset[drawn[0]]
        loss: Tensor = (torch.logaddexp(torch.logsumexp(others, 1), true) - true).mean()
        return loss

    def full_loss(self, expected: Tensor, targets: Tensor) -> Tensor:
        """Mean cross-entropy in nats over all words: its exponential is the perplexity."""
        return nn.functional.cross_entropy(expected @ self.embedding.weight.t() + self.bias, targets)
