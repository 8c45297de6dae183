"""A language model: the next word from the words before. Knows torch, and no text."""

from __future__ import annotations

import torch
from torch import Tensor, nn

from plaudit.text.vocabulary import NO_WORD

State = tuple[Tensor, Tensor]


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

    def read(self, ids: Tensor, state: State | None) -> tuple[Tensor, State]:
        """What the model expects after each word of ``ids`` (time, batch): vectors (time * batch, embedding)."""
        words = self._dropout(ids.new_ones((1, ids.shape[1], self.embedding.embedding_dim), dtype=torch.float32))
        states, state = self.lstm(self.embedding(ids) * words, state)
        expected: Tensor = self.back(self._dropout(states)).flatten(0, 1)
        return expected, state

    def sampled_loss(self, expected: Tensor, targets: Tensor, negatives: int) -> Tensor:
        """Mean cross-entropy in nats of ``targets`` (n,), over each target and ``negatives`` words that all share.

        Each score is lowered by the logarithm of how often its word is expected in the sample
        (Bengio and Senecal 2008; Jean et al. 2015): the loss then aims at the softmax over all words. That a target
        is drawn too is part of it: without these draws frequent words would be expected far too often.
        """
        drawn = torch.multinomial(self._shares, negatives, replacement=True)
        offset = self.bias - torch.log(self._shares * negatives + 1e-12)
        true = (expected * self.embedding(targets)).sum(1) + offset[targets]
        others = expected @ self.embedding(drawn).t() + offset[drawn]
        loss: Tensor = (torch.logsumexp(torch.cat([true.unsqueeze(1), others], 1), 1) - true).mean()
        return loss

    def full_loss(self, expected: Tensor, targets: Tensor) -> Tensor:
        """Mean cross-entropy in nats over all words: its exponential is the perplexity."""
        return nn.functional.cross_entropy(expected @ self.embedding.weight.t() + self.bias, targets)
