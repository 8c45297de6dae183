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
from dataclasses import dataclass, replace
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
    single: bool = False
    read: Sequence[Read] = ()
    work: Callable[[], bytes] | None = None
    alone: bool = False

    def __post_init__(self) -> None:
        self.ids = sum([len(text.ids) for text in self.read])
        self.answer: asyncio.Future[bytes] = asyncio.get_running_loop().create_future()


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
        request = handlers.input_fn(body, content_type)
        if request.texts is None:
            return await self._wait(Asked(kind, work=partial(_judged, self._model, request, kind)))
        asked = Asked(kind, request.single, self._model.read(request.texts, kind in EXPLAINED))
        return self._written(asked, self._model.score(asked.read)) if alone else await self._wait(asked)

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
            taken = set(batch)
            self._waiting = [asked for asked in self._waiting if asked not in taken]
            read = list(chain.from_iterable(asked.read for asked in batch))
            work = batch[0].work or partial(self._model.score, read)
            try:
                scoring = asyncio.get_running_loop().run_in_executor(self._pool, work)
            except RuntimeError as error:  # the system gives no thread
                for asked in batch:
                    if not asked.answer.done():
                        asked.answer.set_exception(error)
                continue
            self._busy += 1
            scoring.add_done_callback(partial(self._deliver, batch))

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
        return handlers.output_fn(Answer(self._model.card.labels, verdicts, single=asked.single), asked.kind)


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
    return _judged(model, handlers.input_fn(body, content_type), kind)


def _judged(model: Classifier, request: Request, kind: str) -> bytes:
    return handlers.output_fn(handlers.predict_fn(replace(request, explain=kind in EXPLAINED), model), kind)
