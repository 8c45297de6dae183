"""Requests that wait are answered together: each gets its own answer, whatever the others are."""

from __future__ import annotations

import asyncio
import contextlib
import json
import threading
from collections.abc import Sequence
from typing import Any

import pytest

from plaudit.bundle.bundle import Bundle
from plaudit.bundle.classifier import BATCH, Classifier, Read
from plaudit.errors import BadRequest, Unprocessable, UnsupportedMedia
from plaudit.serving.batching import SHORT, Batcher

TEXT, JSON, CSV = "text/plain", "application/json", "text/csv"
BOOM = 13
"""A text of so many words is what the model fails on."""


class Scored:
    """`Classifier.score`, held at its first call until it is let go, and what it was called with."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch) -> None:
        self.batches: list[list[Read]] = []
        self.threads: list[str] = []
        self.started, self.go = threading.Event(), threading.Event()
        real = Classifier.score

        def score(model: Classifier, read: Sequence[Read]) -> Any:
            self.batches.append(list(read))
            self.threads.append(threading.current_thread().name)
            self.started.set()
            assert self.go.wait(30)
            if any(text.total == BOOM for text in read):
                raise RuntimeError("secret")
            return real(model, read)

        monkeypatch.setattr(Classifier, "score", score)

    @property
    def words(self) -> list[list[int]]:
        """How many words each text of each batch has."""
        return [[text.total for text in batch] for batch in self.batches]


def together(model: Classifier, scored: Scored, *asked: tuple[bytes, str, str], threads: int = 1) -> list[Any]:
    """What each request gets, errors too, where all but the first come while that one is scored."""

    async def ask() -> list[Any]:
        batcher = Batcher(model, threads)
        first = asyncio.create_task(batcher.answer(b"the first", TEXT, TEXT))
        await asyncio.to_thread(scored.started.wait, 30)
        others = [asyncio.create_task(batcher.answer(*one)) for one in asked]
        await asyncio.sleep(0)
        scored.go.set()
        await first
        found = await asyncio.gather(*others, return_exceptions=True)
        await batcher.close()
        return found

    return asyncio.run(ask())


def test_those_who_wait_are_scored_at_once_and_each_gets_its_own(
    classifier: Classifier, monkeypatch: pytest.MonkeyPatch
) -> None:
    scored = Scored(monkeypatch)
    texts = [f"A {word} film" for word in ("wonderful", "terrible", "boring", "brilliant")]
    asked = [(text.encode(), TEXT, JSON) for text in texts]
    asked.append((json.dumps({"texts": texts[:2]}).encode(), JSON, JSON))
    asked.append((b'{"texts": []}', JSON, JSON))
    found = together(classifier, scored, *asked)
    assert scored.words == [[2], [3] * 6]
    for text, answer in zip(texts, found, strict=False):
        assert json.loads(answer) == classifier.verdict(text).to_json()
    both = [classifier.verdict(text).to_json() for text in texts[:2]]
    assert json.loads(found[4])["verdicts"] == both
    assert json.loads(found[5]) == {"verdicts": []}


@pytest.mark.parametrize("connection", [None, ("127.0.0.1", 50_000)])
def test_a_request_that_comes_alone_waits_for_nobody(
    classifier: Classifier, monkeypatch: pytest.MonkeyPatch, connection: object
) -> None:
    scored = Scored(monkeypatch)
    scored.go.set()

    async def ask() -> list[bytes]:
        batcher = Batcher(classifier)
        found = [await batcher.answer(b"A wonderful film", TEXT, TEXT, connection) for _ in range(3)]
        await batcher.close()
        return found

    assert asyncio.run(ask()) == [b"1.0"] * 3
    assert scored.words == [[3]] * 3


def test_one_client_after_another_is_answered_on_the_loops_own_thread_and_told_what_is_wrong(
    classifier: Classifier, monkeypatch: pytest.MonkeyPatch
) -> None:
    scored = Scored(monkeypatch)
    scored.go.set()

    async def ask() -> None:
        batcher, here, there = Batcher(classifier), ("127.0.0.1", 50_000), ("127.0.0.1", 50_001)
        for connection in (here, here, there, there, None, None):
            assert await batcher.answer(b"A wonderful film", TEXT, TEXT, connection) == b"1.0"
        assert await batcher.answer(b"wonderful " * SHORT, TEXT, TEXT, there) == b"1.0"
        with pytest.raises(BadRequest):
            await batcher.answer(b"{", JSON, JSON, there)
        await batcher.close()

    asyncio.run(ask())
    own = threading.current_thread().name
    assert [name == own for name in scored.threads] == [False, True, False, True, False, False, False]


def test_a_wrong_request_is_told_and_the_others_are_answered(
    classifier: Classifier, monkeypatch: pytest.MonkeyPatch
) -> None:
    good = (b"A wonderful film", TEXT, TEXT)
    wrong = [(b"{", JSON, JSON), (b'{"text": 3}', JSON, JSON), (b"x", "image/png", JSON), (b"1,2", CSV, CSV)]
    found = together(classifier, Scored(monkeypatch), good, wrong[0], good, *wrong[1:], good)
    assert [found[at] for at in (0, 2, 6)] == [b"1.0"] * 3
    assert [type(found[at]) for at in (1, 3, 4, 5)] == [BadRequest, Unprocessable, UnsupportedMedia, Unprocessable]


def test_a_text_that_the_model_fails_on_fails_alone(classifier: Classifier, monkeypatch: pytest.MonkeyPatch) -> None:
    good, bad = (b"A wonderful film", TEXT, TEXT), (b"boom " * BOOM, TEXT, TEXT)
    found = together(classifier, Scored(monkeypatch), good, bad, good)
    assert (found[0], found[2]) == (b"1.0", b"1.0")
    assert str(found[1]) == "secret"


def test_encoded_rows_and_texts_may_wait_together(original_bundle: Bundle, monkeypatch: pytest.MonkeyPatch) -> None:
    rows = b"0" + b",0" * 500
    asked = [(rows, CSV, CSV), (b"A wonderful film", TEXT, TEXT), (rows, CSV, CSV)]
    found = together(Classifier(original_bundle), Scored(monkeypatch), *asked)
    assert found == [b"0.0,0.5\n", found[1], b"0.0,0.5\n"]
    assert found[1] in (b"0.0", b"1.0")


def test_words_are_explained_only_where_the_answer_tells_them(
    classifier: Classifier, monkeypatch: pytest.MonkeyPatch
) -> None:
    scored = Scored(monkeypatch)
    kinds = (TEXT, JSON, CSV, "application/jsonlines", JSON)
    found = together(classifier, scored, *((b"A wonderful film", TEXT, kind) for kind in kinds))
    assert [bool(text.located) for text in scored.batches[1]] == [kind == JSON for kind in kinds]
    assert [b"contribution" in answer for answer in found] == [kind == JSON for kind in kinds]


def test_a_batch_is_of_those_who_waited_longest_and_of_like_length(
    classifier: Classifier, monkeypatch: pytest.MonkeyPatch
) -> None:
    scored = Scored(monkeypatch)
    words = [1, 700, *range(2, BATCH), 701, BATCH, 702, BATCH + 1]
    found = together(classifier, scored, *((b"wonderful " * count, TEXT, TEXT) for count in words))
    assert found == [b"1.0"] * len(words)
    assert [sorted(batch) for batch in scored.words[1:]] == [list(range(1, BATCH + 1)), [BATCH + 1, 700, 701, 702]]


def test_a_long_request_is_scored_alone(classifier: Classifier, monkeypatch: pytest.MonkeyPatch) -> None:
    scored = Scored(monkeypatch)
    long = json.dumps({"texts": ["A wonderful film"] * SHORT}).encode()[: SHORT + 1]
    short = (b"A wonderful film", TEXT, TEXT)
    found = together(classifier, scored, (long, TEXT, TEXT), short, (long, TEXT, TEXT), short)
    assert [found[1], found[3]] == [b"1.0"] * 2
    assert [len(batch) for batch in scored.batches] == [1, 1, 2, 1]


def test_each_thread_takes_a_batch(classifier: Classifier, monkeypatch: pytest.MonkeyPatch) -> None:
    scored = Scored(monkeypatch)
    found = together(classifier, scored, *[(b"A wonderful film", TEXT, TEXT)] * 3 * BATCH, threads=2)
    assert found == [b"1.0"] * 3 * BATCH
    assert sum(map(len, scored.batches)) == 3 * BATCH + 1
    assert max(map(len, scored.batches)) == BATCH


def test_who_has_gone_keeps_nobody_from_an_answer(classifier: Classifier, monkeypatch: pytest.MonkeyPatch) -> None:
    scored = Scored(monkeypatch)

    async def ask() -> bytes:
        batcher = Batcher(classifier, threads=1)
        first = asyncio.create_task(batcher.answer(b"the first", TEXT, TEXT))
        await asyncio.to_thread(scored.started.wait, 30)
        second = asyncio.create_task(batcher.answer(b"A wonderful film", TEXT, TEXT))
        await asyncio.sleep(0)
        first.cancel()
        with contextlib.suppress(asyncio.CancelledError):
            await first
        scored.go.set()
        return await second

    assert asyncio.run(ask()) == b"1.0"


def test_closing_answers_those_who_wait(classifier: Classifier, monkeypatch: pytest.MonkeyPatch) -> None:
    scored = Scored(monkeypatch)

    async def ask() -> list[bytes]:
        batcher = Batcher(classifier, threads=1)
        waiting = [asyncio.create_task(batcher.answer(b"A wonderful film", TEXT, TEXT)) for _ in range(3)]
        await asyncio.to_thread(scored.started.wait, 30)
        closing = asyncio.create_task(batcher.close())
        await asyncio.sleep(0.05)
        scored.go.set()
        await closing
        return await asyncio.gather(*waiting)

    assert asyncio.run(ask()) == [b"1.0"] * 3
