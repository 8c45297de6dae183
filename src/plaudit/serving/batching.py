"""Requests that wait are answered together. Knows the handlers, and no HTTP.

Nobody waits for a batch to fill: a request that comes alone is scored alone. While one batch is scored others queue,
and all that wait by then, up to a limit, are the next one.
"""

from __future__ import annotations

import asyncio
import threading
from dataclasses import dataclass, replace
from queue import Empty, SimpleQueue

from plaudit.bundle.classifier import Classifier
from plaudit.serving import handlers
from plaudit.serving.formats import EXPLAINED, Answer, Request

MOST_TEXTS = 64
"""A batch takes no further request once it has so many texts: who comes next waits for it."""


@dataclass(frozen=True)
class Asked:
    """A request's bytes with the types of its body and of its answer, and where the answer goes."""

    body: bytes
    content_type: str
    kind: str
    answer: asyncio.Future[bytes]


@dataclass
class _Read:
    asked: Asked
    request: Request
    found: Answer | None = None


class Batcher:
    """Answers requests with ``model`` on a thread of its own, which ends with `close`."""

    def __init__(self, model: Classifier) -> None:
        self._model = model
        self._waiting: SimpleQueue[Asked | None] = SimpleQueue()
        self._thread = threading.Thread(target=self._run, name="plaudit-scoring", daemon=True)
        self._thread.start()

    async def answer(self, body: bytes, content_type: str, kind: str) -> bytes:
        """The answer's bytes, in the format ``kind``. Raises what went wrong with this request."""
        found: asyncio.Future[bytes] = asyncio.get_running_loop().create_future()
        self._waiting.put(Asked(body, content_type, kind, found))
        return await found

    def close(self) -> None:
        """Ends the thread once those who wait have their answers."""
        self._waiting.put(None)
        self._thread.join()

    def _run(self) -> None:
        closing = False
        while not closing:
            batch: list[_Read] = []
            asked = self._waiting.get()
            while asked is not None:
                batch += self._read(asked)
                if sum(len(one.request.texts or ()) for one in batch) >= MOST_TEXTS:
                    break
                try:
                    asked = self._waiting.get_nowait()
                except Empty:
                    break
            closing = asked is None
            self._judge(batch)
            for one in batch:
                self._write(one)

    def _read(self, asked: Asked) -> list[_Read]:
        """The request, unless it is wrong, which it is told at once."""
        try:
            request = handlers.input_fn(asked.body, asked.content_type)
        except Exception as error:
            _deliver(asked, error)
            return []
        return [_Read(asked, replace(request, explain=asked.kind in EXPLAINED))]

    def _judge(self, batch: list[_Read]) -> None:
        """Finds the answers: of all texts at once, and one by one where that fails."""
        together = [one for one in batch if one.request.texts is not None]
        if len(together) > 1:
            texts = tuple(text for one in together for text in one.request.texts or ())
            explain = any(one.request.explain for one in together)
            try:
                found = handlers.predict_fn(Request(texts=texts, explain=explain), self._model)
            except Exception:  # one of them is at fault: each is tried alone, and that one is told
                return
            verdicts = iter(found.verdicts or ())
            for one in together:
                own = tuple(next(verdicts) for _ in one.request.texts or ())
                one.found = replace(found, verdicts=own, single=one.request.single)

    def _write(self, one: _Read) -> None:
        try:
            found = one.found or handlers.predict_fn(one.request, self._model)
            _deliver(one.asked, handlers.output_fn(found, one.asked.kind))
        except Exception as error:
            _deliver(one.asked, error)


def _deliver(asked: Asked, found: bytes | Exception) -> None:
    """Hands the answer over to the loop that awaits it."""

    def settle() -> None:
        if asked.answer.done():  # whoever asked has gone
            return
        if isinstance(found, Exception):
            asked.answer.set_exception(found)
        else:
            asked.answer.set_result(found)

    loop = asked.answer.get_loop()
    if not loop.is_closed():
        loop.call_soon_threadsafe(settle)
