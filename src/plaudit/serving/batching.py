"""Requests that wait are answered together. Knows the handlers, and no HTTP.

Nobody waits for a batch to fill: a request that finds a thread idle is scored at once, alone. Those that find none
wait, and the first thread that is done takes the one that has waited longest, with others of like length.
"""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, replace
from functools import partial
from itertools import chain, islice

from plaudit.bundle.classifier import BATCH, Classifier
from plaudit.bundle.session import usable_cores
from plaudit.serving import handlers
from plaudit.serving.formats import EXPLAINED, Answer, Request

SHORT = 8_192
"""A request of no more bytes, a long review's, is scored with others, or on the event loop's own thread."""


@dataclass(frozen=True, eq=False)
class Asked:
    """A request's bytes with the types of its body and of its answer, and where the answer goes."""

    body: bytes
    content_type: str
    kind: str
    answer: asyncio.Future[bytes] | None = None

    @property
    def explain(self) -> bool:
        return self.kind in EXPLAINED

    @property
    def short(self) -> bool:
        return len(self.body) <= SHORT


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
        if alone and (asked := Asked(body, content_type, kind)).short:
            (found,) = _answers(self._model, [asked])
            if isinstance(found, Exception):
                raise found
            return found
        answer: asyncio.Future[bytes] = asyncio.get_running_loop().create_future()
        self._waiting.append(Asked(body, content_type, kind, answer))
        self._hand_out()
        return await answer

    async def close(self) -> None:
        """Ends the threads once those who wait have their answers."""
        while self._waiting or self._busy:
            await asyncio.sleep(0.01)
        self._pool.shutdown()

    def _hand_out(self) -> None:
        """Gives each idle thread a batch. Like `_deliver` it runs on the event loop's thread alone."""
        while self._waiting and self._busy < self._threads:
            batch = _alike(self._waiting)
            self._waiting = [asked for asked in self._waiting if asked not in batch]
            self._busy += 1
            scoring = asyncio.get_running_loop().run_in_executor(self._pool, _answers, self._model, batch)
            scoring.add_done_callback(partial(self._deliver, batch))

    def _deliver(self, batch: Sequence[Asked], scored: asyncio.Future[list[bytes | Exception]]) -> None:
        self._busy -= 1
        self._hand_out()
        for asked, found in zip(batch, scored.result(), strict=True):
            if asked.answer is None or asked.answer.done():  # whoever asked has gone
                continue
            if isinstance(found, Exception):
                asked.answer.set_exception(found)
            else:
                asked.answer.set_result(found)


def _alike(waiting: Sequence[Asked]) -> list[Asked]:
    """The one that has waited longest, and short ones that are closest to it in length; a long one goes alone."""
    first = waiting[0]
    if not first.short:
        return [first]
    fitting = [asked for asked in waiting if asked.short and asked.explain == first.explain]
    if len(fitting) > BATCH:
        fitting.sort(key=lambda asked: abs(len(asked.body) - len(first.body)))
    return fitting[:BATCH]


def _answers(model: Classifier, batch: Sequence[Asked]) -> list[bytes | Exception]:
    """Each one's answer, or what is wrong with it."""
    requests = [_read(asked) for asked in batch]
    return [
        _written(model, request, asked.kind, answer)
        for asked, request, answer in zip(batch, requests, _judged(model, requests), strict=True)
    ]


def _read(asked: Asked) -> Request | Exception:
    try:
        return replace(handlers.input_fn(asked.body, asked.content_type), explain=asked.explain)
    except Exception as error:
        return error


def _judged(model: Classifier, requests: Sequence[Request | Exception]) -> list[Answer | None]:
    """The answers to all that have texts, found at once; None for each that is to be tried alone."""
    texts = [None if isinstance(request, Exception) else request.texts for request in requests]
    several = [given for given in texts if given is not None]
    if len(several) > 1:
        explain = any(isinstance(request, Request) and request.explain for request in requests)
        try:
            found = handlers.predict_fn(Request(texts=tuple(chain.from_iterable(several)), explain=explain), model)
        except Exception:  # one of them is at fault: each is tried alone, and that one is told
            return [None] * len(requests)
        verdicts = iter(found.verdicts or ())
        return [
            None
            if isinstance(request, Exception) or request.texts is None
            else replace(found, verdicts=tuple(islice(verdicts, len(request.texts))), single=request.single)
            for request in requests
        ]
    return [None] * len(requests)


def _written(model: Classifier, request: Request | Exception, kind: str, answer: Answer | None) -> bytes | Exception:
    if isinstance(request, Exception):
        return request
    try:
        return handlers.output_fn(answer or handlers.predict_fn(request, model), kind)
    except Exception as error:
        return error
