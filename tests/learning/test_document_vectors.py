"""Document vectors of texts on a few subjects: that these can be told apart, and that threads change nothing."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from plaudit.learning import document_vectors
from plaudit.learning.document_vectors import PARTS, DocumentVectors
from plaudit.learning.schedule import VectorSettings
from plaudit.learning.watch import Interrupted, Watch
from plaudit.text.encoding import Encoded
from plaudit.text.ngrams import NgramCounts

SUBJECTS, TEXTS = 3, 60
SETTINGS = VectorSettings(dim=8, epochs=12, least=2)


@pytest.fixture(scope="module")
def counts() -> NgramCounts:
    """Texts of 30 words: a third of them of the text's own subject, the others of none."""
    random = np.random.default_rng(0)
    return NgramCounts.of(
        (
            [
                f"own{at % SUBJECTS}-{random.integers(20)}" if random.random() < 1 / 3 else f"any{random.integers(20)}"
                for _ in range(30)
            ]
            for at in range(TEXTS)
        ),
        SETTINGS.order,
        SETTINGS.least,
    )


@pytest.fixture(scope="module")
def vectors(counts: NgramCounts) -> document_vectors.Singles:
    return DocumentVectors(counts, SETTINGS, seed=1).run()


def stopping(after: int) -> Callable[[], bool]:
    asked = iter([False] * (after - 1) + [True])
    return lambda: next(asked, False)


def test_texts_of_one_subject_lie_closer_than_others(vectors: document_vectors.Singles) -> None:
    assert vectors.shape == (TEXTS, SETTINGS.dim)
    assert np.allclose(np.linalg.norm(vectors, axis=1), 1, atol=1e-5)
    subject = np.arange(TEXTS) % SUBJECTS
    alike = subject[:, np.newaxis] == subject
    cosines = vectors @ vectors.T - np.eye(TEXTS)
    nearest = subject[cosines.argmax(axis=1)]
    assert (nearest == subject).mean() > 0.8
    assert cosines[alike].mean() > cosines[~alike].mean() + 0.2


def test_however_many_threads_there_are_the_vectors_are_the_same(
    counts: NgramCounts, vectors: document_vectors.Singles, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(document_vectors, "ThreadPoolExecutor", lambda _: OneThread())
    assert np.array_equal(DocumentVectors(counts, SETTINGS, seed=1).run(), vectors)
    assert not np.array_equal(DocumentVectors(counts, SETTINGS, seed=2).run(), vectors)


class OneThread:
    """A pool that does one thing after another, from the last to the first."""

    def __enter__(self) -> OneThread:
        return self

    def __exit__(self, *_: object) -> None:
        pass

    def map(self, function: Callable[[int], object], parts: range) -> list[object]:
        assert len(parts) == PARTS
        return [function(part) for part in reversed(parts)]


@pytest.mark.parametrize("after", [1, PARTS + 3])
def test_stopped_vectors_go_on_bit_for_bit(
    after: int, counts: NgramCounts, vectors: document_vectors.Singles, tmp_path: Path
) -> None:
    with pytest.raises(Interrupted, match="run the same command"):
        DocumentVectors(counts, SETTINGS, 1, tmp_path, Watch(stop=stopping(after))).run()
    lines: list[str] = []
    assert np.array_equal(DocumentVectors(counts, SETTINGS, 1, tmp_path, Watch(say=lines.append)).run(), vectors)
    assert lines == [f"document vectors: going on after {after} of {SETTINGS.epochs * PARTS} rounds"]
    assert np.array_equal(DocumentVectors(counts, SETTINGS, 1, tmp_path, Watch(stop=stopping(1))).run(), vectors)


def test_a_checkpoint_of_other_vectors_is_not_taken(
    counts: NgramCounts, vectors: document_vectors.Singles, tmp_path: Path
) -> None:
    DocumentVectors(counts, replace(SETTINGS, epochs=1), 1, tmp_path).run()
    assert np.array_equal(DocumentVectors(counts, SETTINGS, 1, tmp_path).run(), vectors)
    ids = counts.ngrams.ids.copy()
    ids[[0, -1]] = ids[[-1, 0]]  # as many texts, n-grams and pairs, and other pairs
    other = replace(counts, ngrams=Encoded(ids, counts.ngrams.offsets))
    DocumentVectors(other, SETTINGS, 1, tmp_path).run()
    assert np.array_equal(DocumentVectors(counts, SETTINGS, 1, tmp_path).run(), vectors)


def test_a_text_without_an_ngram_has_a_vector_too() -> None:
    counts = NgramCounts.of([["a", "b"], ["a", "b"], [], ["c"]], 2, 2)
    found = DocumentVectors(counts, SETTINGS).run()
    assert np.allclose(np.linalg.norm(found, axis=1), 1, atol=1e-5)
