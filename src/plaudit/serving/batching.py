"""Requests that wait are answered together. Knows the handlers, and no HTTP.

Texts are read and answers written on the event loop's own thread, between requests; what takes long, the network, runs
on threads that need the interpreter for a moment only. Nobody waits for a batch to fill: a request that finds a thread
idle is scored at once, alone. Those that find none wait, and the first thread that is done takes the one that has
waited longest, with others of like length.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field, replace
from functools import partial
from itertools import chain, islice
from typing import Any

from plaudit.bundle.classifier import BATCH, Classifier, Floats, Read
from plaudit.bundle.session import usable_cores
from plaudit.serving import handlers
from plaudit.serving.formats import EXPLAINED, Answer, Request

SHORT = 8_192
"""A request of no more bytes, a long review's, is read on the event loop's own thread."""


@dataclass(eq=False)
class Asked:
    """A request that waits: its texts as they were read, or else the ``work`` that gives its whole answer."""

    kind: str
    request: Request = field(default_factory=Request)
    read: Sequence[Read] = ()
    work: Callable[[], bytes] | None = None
    alone: bool = False
    answer: asyncio.Future[bytes] = field(default_factory=lambda: asyncio.get_running_loop().create_future())

    @property
    def ids(self) -> int:
        return sum(len(text.ids) for text in self.read)


class Batcher:
    """Answers the requests of one event loop with ``model``, a batch on each of its threads at a time."""

    def __init__(self, model: Classifier, threads: int = 0) -> None:
        self._model = model
        self._threads = threads or usable_cores()
        self._pool = ThreadPoolExecutor(self._threads, "plaudit-scoring")
        self._waiting: list[Asked] = []
        self._busy = 0
        self._last: object = None

    async def answer(self, body: bytes, content_type: str, kind: str, connection: object = None) -> bytes:
        """The answer's bytes, in the format ``kind``. Raises what went wrong with this request.

        Where ``connection`` is that of the last request too, nobody else is asking: a short request is then scored
        right here, which saves waking a thread on a core whose caches do not hold the weights (0.4 of 2.1 ms).
        """
        alone = connection is not None and connection == self._last and not (self._busy or self._waiting)
        self._last = connection
        if len(body) > SHORT:
            return await self._wait(Asked(kind, work=partial(_answered, self._model, body, content_type, kind)))
        if alone:
            return _answered(self._model, body, content_type, kind)
        request = _request(body, content_type, kind)
        if request.texts is None:
            return await self._wait(Asked(kind, work=partial(_of_request, self._model, request, kind)))
        return await self._wait(Asked(kind, request, self._model.read(request.texts, request.explain)))

    async def close(self) -> None:
        """Ends the threads once those who wait have their answers."""
        while self._waiting or self._busy:
            await asyncio.sleep(0.01)
        self._pool.shutdown()

    async def _wait(self, asked: Asked) -> bytes:
        self._waiting.append(asked)
        self._hand_out()
        return await asked.answer

    def _hand_out(self) -> None:
        """Gives each idle thread a batch. Like `_deliver` it runs on the event loop's thread alone."""
        while self._waiting and self._busy < self._threads:
            batch = _alike(self._waiting)
            self._waiting = [asked for asked in self._waiting if asked not in batch]
            self._busy += 1
            read = list(chain.from_iterable(asked.read for asked in batch))
            work = batch[0].work or partial(self._model.score, read)
            asyncio.get_running_loop().run_in_executor(self._pool, work).add_done_callback(
                partial(self._deliver, batch)
            )

    def _deliver(self, batch: Sequence[Asked], scored: asyncio.Future[Any]) -> None:
        self._busy -= 1
        if scored.exception() and len(batch) > 1:  # each is tried alone, and the one that is at fault is told
            for asked in batch:
                asked.alone = True
            self._waiting = [*batch, *self._waiting]
            self._hand_out()
            return
        self._hand_out()
        evidence = None if batch[0].work or scored.exception() else iter(scored.result())
        for asked in batch:
            own = None if evidence is None else list(islice(evidence, len(asked.read)))
            if asked.answer.done():  # whoever asked has gone
                continue
            try:
                asked.answer.set_result(scored.result() if own is None else self._written(asked, own))
            except Exception as error:
                asked.answer.set_exception(error)

    def _written(self, asked: Asked, evidence: Sequence[Floats]) -> bytes:
        verdicts = tuple(self._model.judge(asked.read, evidence))
        labels, single = self._model.card.labels, asked.request.single
        return handlers.output_fn(Answer(labels, verdicts=verdicts, single=single), asked.kind)


def _alike(waiting: Sequence[Asked]) -> list[Asked]:
    """The one that has waited longest, and those that are closest to it in length."""
    first = waiting[0]
    if first.work or first.alone:
        return [first]
    fitting = [asked for asked in waiting if not (asked.work or asked.alone)]
    if len(fitting) > BATCH:
        fitting.sort(key=lambda asked: abs(asked.ids - first.ids))
    return fitting[:BATCH]


def _answered(model: Classifier, body: bytes, content_type: str, kind: str) -> bytes:
    return _of_request(model, _request(body, content_type, kind), kind)


def _of_request(model: Classifier, request: Request, kind: str) -> bytes:
    return handlers.output_fn(handlers.predict_fn(request, model), kind)


def _request(body: bytes, content_type: str, kind: str) -> Request:
    return replace(handlers.input_fn(body, content_type), explain=kind in EXPLAINED)
