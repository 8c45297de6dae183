"""The original's road, rebuilt from its description with the real BeautifulSoup and NLTK: what we measure against.

`words_as_written` does per review what the original did; `words_with_memory` differs in speed alone.
"""

from __future__ import annotations

import re
import warnings
from collections.abc import Callable
from functools import cache
from pathlib import Path
from typing import Any

import nltk
import torch
from bs4 import BeautifulSoup
from nltk.corpus.reader import WordListCorpusReader
from nltk.stem.porter import PorterStemmer
from torch import Tensor, nn

from plaudit.text.stopwords import STOP_WORDS

STEMMER = PorterStemmer()
remembered = cache(STEMMER.stem)


def surfaces(text: str) -> list[str]:
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        plain = BeautifulSoup(text, "html.parser").get_text()
    return re.sub(r"[^a-zA-Z0-9]", " ", plain.lower()).split()


class StopWords:
    """The stop words as the original asks for them: read from their file for each word, through NLTK's corpus.

    NLTK 3.10 first asks whether it may read the file, which takes most of its time; `plainly` reads it without NLTK.
    """

    def __init__(self, folder: Path) -> None:
        self._file = folder / "english"
        self._file.write_text("\n".join(sorted(STOP_WORDS)) + "\n", "utf-8")
        nltk.data.path.append(str(folder))  # NLTK reads nothing elsewhere
        self._corpus = WordListCorpusReader(str(folder), ["english"])

    def words(self) -> list[str]:
        found: list[str] = self._corpus.words("english")
        return found

    def plainly(self) -> list[str]:
        return self._file.read_text("utf-8").splitlines()


def words_as_written(text: str, stop_words: Callable[[], list[str]]) -> list[str]:
    stemmer = PorterStemmer()
    return [stemmer.stem(word) for word in surfaces(text) if word not in stop_words()]


def words_with_memory(text: str) -> list[str]:
    return [remembered(word) for word in surfaces(text) if word not in STOP_WORDS]


class OriginalNetwork(nn.Module):
    """The original's network: rows of length and 500 ids in, probabilities out."""

    def __init__(self) -> None:
        super().__init__()
        self.embedding = nn.Embedding(5000, 32, padding_idx=0)
        self.lstm = nn.LSTM(32, 200)
        self.dense = nn.Linear(200, 1)

    def forward(self, rows: Tensor) -> Tensor:
        columns = rows.t()
        lengths, reviews = columns[0], columns[1:]
        states, _ = self.lstm(self.embedding(reviews))
        every: Any = self.dense(states)
        last: Tensor = every[lengths - 1, torch.arange(len(lengths))]
        return torch.sigmoid(last.squeeze())


def train_one_epoch(network: OriginalNetwork, rows: Tensor, labels: Tensor, batches: int | None = None) -> float:
    """The original's loop over shuffled batches of 512, padded to 500 words, in float32; the mean loss.

    ``batches`` stops it early.
    """
    optimizer = torch.optim.Adam(network.parameters(), lr=1e-3)
    order = torch.randperm(len(rows))[: batches * 512 if batches else None]
    total, count = 0.0, 0
    for chosen in torch.split(order, 512):
        optimizer.zero_grad()
        loss = nn.functional.binary_cross_entropy(network(rows[chosen]), labels[chosen])
        loss.backward()  # type: ignore[no-untyped-call]
        nn.utils.clip_grad_norm_(network.parameters(), 5)
        optimizer.step()
        total, count = total + loss.item(), count + 1
    return total / count
