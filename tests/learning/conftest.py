"""An encoder of a few words and numbers, for trainings that start from one."""

from __future__ import annotations

from pathlib import Path

import pytest

from plaudit.learning.pretrained import Pretrained
from plaudit.learning.pretraining import Corpus, pretrain
from plaudit.learning.schedule import Schedule
from tests.made import made_up

SCHEDULE = Schedule(
    vocab_size=400,
    embedding_dim=8,
    hidden_dim=8,
    epochs=1,
    streams=4,
    words=8,
    negatives=32,
    learning_rate=0.02,
)


@pytest.fixture(scope="session")
def schedule() -> Schedule:
    return SCHEDULE


@pytest.fixture(scope="session")
def corpus() -> Corpus:
    """500 short texts."""
    return Corpus.of(made_up(train=500).to_learn_a_language_from, SCHEDULE)


@pytest.fixture(scope="session")
def encoder(corpus: Corpus) -> Pretrained:
    """What was learnt of them in both directions."""
    return pretrain(corpus, SCHEDULE)


@pytest.fixture(scope="session")
def encoder_folder(encoder: Pretrained, tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("encoders") / "tiny"
    encoder.save(folder)
    return folder
