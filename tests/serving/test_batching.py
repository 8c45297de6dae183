"""Requests that wait are answered together: each gets its own answer, whatever the others are."""

from __future__ import annotations

import asyncio
import contextlib
import json
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import pytest

from plaudit.bundle.bundle import Bundle
from plaudit.bundle.classifier import Classifier
from plaudit.errors import BadRequest, Unprocessable, UnsupportedMedia
from plaudit.serving import handlers
from plaudit.serving.batching import MOST_TEXTS, Batcher

TEXT, JSON, CSV = "text/plain", "application/json", "text/csv"


class Scored:
    """`predict_fn`, held at its first call until it is let go, and what it was called with."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch) -> None:
        self.asked: list[Any] = []
        self.started, self.go = threading.Event(), threading.Event()
        self._real = handlers.predict_fn
        monkeypatch.setattr(handlers, "predict_fn", self)

    def __call__(self, data: Any, model: Classifier) -> Any:
        self.asked.append(data)
        self.started.set()
        assert self.go.wait(30)
        if data.texts and any("boom" in text for text in data.texts):
            raise RuntimeError("secret")
        return self._real(data, model)


@contextmanager
def batcher_of(model: Classifier) -> Iterator[Batcher]:
    made = Batcher(model)
    try:
        yield made
    finally:
        made.close()


def together(model: Classifier, scored: Scored, *asked: tuple[bytes, str, str]) -> list[Any]:
    """What each request gets, errors too, where all but the first come while that one is scored."""

    async def ask() -> list[Any]:
        first = asyncio.create_task(batcher.answer(b"the first", TEXT, TEXT))
        await asyncio.to_thread(scored.started.wait, 30)
        others = [asyncio.create_task(batcher.answer(*one)) for one in asked]
        await asyncio.sleep(0)
        scored.go.set()
        await first
        return await asyncio.gather(*others, return_exceptions=True)

    with batcher_of(model) as batcher:
        return asyncio.run(ask())


def test_those_who_wait_are_scored_at_once_and_each_gets_its_own(
    classifier: Classifier, monkeypatch: pytest.MonkeyPatch
) -> None:
    scored = Scored(monkeypatch)
    texts = [f"A {word} film" for word in ("wonderful", "terrible", "boring", "brilliant")]
    asked = [(text.encode(), TEXT, JSON) for text in texts]
    asked.append((json.dumps({"texts": texts[:2]}).encode(), JSON, JSON))
    asked.append((b'{"texts": []}', JSON, JSON))
    asked.append((texts[3].encode(), TEXT, TEXT))
    found = together(classifier, scored, *asked)
    assert [one.texts for one in scored.asked] == [("the first",), (*texts, *texts[:2], texts[3])]
    for text, answer in zip(texts, found, strict=False):
        assert json.loads(answer) == classifier.verdict(text).to_json()
    both = [classifier.verdict(text).to_json() for text in texts[:2]]
    assert json.loads(found[4])["verdicts"] == both
    assert json.loads(found[5]) == {"verdicts": []}
    assert found[6] == b"1.0"


def test_a_request_that_comes_alone_waits_for_nobody(classifier: Classifier, monkeypatch: pytest.MonkeyPatch) -> None:
    scored = Scored(monkeypatch)
    scored.go.set()

    async def ask() -> list[bytes]:
        return [await batcher.answer(b"A wonderful film", TEXT, TEXT) for _ in range(3)]

    with batcher_of(classifier) as batcher:
        assert asyncio.run(ask()) == [b"1.0"] * 3
    assert [one.texts for one in scored.asked] == [("A wonderful film",)] * 3


def test_a_wrong_request_is_told_and_the_others_are_answered(
    classifier: Classifier, monkeypatch: pytest.MonkeyPatch
) -> None:
    good = (b"A wonderful film", TEXT, TEXT)
    wrong = [(b"{", JSON, JSON), (b'{"text": 3}', JSON, JSON), (b"x", "image/png", JSON), (b"1,2", CSV, CSV)]
    found = together(classifier, Scored(monkeypatch), good, wrong[0], good, *wrong[1:], good)
    assert [found[at] for at in (0, 2, 6)] == [b"1.0"] * 3
    assert [type(found[at]) for at in (1, 3, 4, 5)] == [BadRequest, Unprocessable, UnsupportedMedia, Unprocessable]


def test_a_text_that_the_model_fails_on_fails_alone(classifier: Classifier, monkeypatch: pytest.MonkeyPatch) -> None:
    good, bad = (b"A wonderful film", TEXT, TEXT), (b"boom", TEXT, TEXT)
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
    for kinds, explained in (((TEXT, CSV, "application/jsonlines"), False), ((TEXT, JSON), True)):
        scored = Scored(monkeypatch)
        together(classifier, scored, *((b"A wonderful film", TEXT, kind) for kind in kinds))
        assert [one.explain for one in scored.asked] == [False, explained]


def test_a_batch_has_no_more_than_its_most_texts(classifier: Classifier, monkeypatch: pytest.MonkeyPatch) -> None:
    scored = Scored(monkeypatch)
    found = together(classifier, scored, *[(b"A wonderful film", TEXT, TEXT)] * (2 * MOST_TEXTS + 1))
    assert found == [b"1.0"] * (2 * MOST_TEXTS + 1)
    assert [len(one.texts) for one in scored.asked] == [1, MOST_TEXTS, MOST_TEXTS, 1]


def test_who_has_gone_keeps_nobody_from_an_answer(classifier: Classifier, monkeypatch: pytest.MonkeyPatch) -> None:
    scored = Scored(monkeypatch)

    async def ask() -> bytes:
        first = asyncio.create_task(batcher.answer(b"the first", TEXT, TEXT))
        await asyncio.to_thread(scored.started.wait, 30)
        second = asyncio.create_task(batcher.answer(b"A wonderful film", TEXT, TEXT))
        await asyncio.sleep(0)
        first.cancel()
        with contextlib.suppress(asyncio.CancelledError):
            await first
        scored.go.set()
        return await second

    with batcher_of(classifier) as batcher:
        assert asyncio.run(ask()) == b"1.0"


def test_closing_answers_those_who_wait(classifier: Classifier, monkeypatch: pytest.MonkeyPatch) -> None:
    scored = Scored(monkeypatch)
    batcher = Batcher(classifier)

    async def ask() -> list[bytes]:
        waiting = [asyncio.create_task(batcher.answer(b"A wonderful film", TEXT, TEXT)) for _ in range(3)]
        await asyncio.to_thread(scored.started.wait, 30)
        closing = asyncio.create_task(asyncio.to_thread(batcher.close))
        await asyncio.sleep(0.05)
        scored.go.set()
        await closing
        return await asyncio.gather(*waiting)

    assert asyncio.run(ask()) == [b"1.0"] * 3
