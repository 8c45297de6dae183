"""A classifier somewhere else: an endpoint's URL in, verdicts out. Knows HTTP from the client's side."""

from __future__ import annotations

import http.client
import json
import threading
from collections.abc import Callable, Iterable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from typing import Any
from urllib.parse import quote, urlsplit

from plaudit.bundle.verdict import Verdict
from plaudit.errors import EndpointAway, EndpointError, UsageError

TIMEOUT = 30.0


class RemoteClassifier:
    """Asks the endpoint at ``url``, which answers ``/invocations`` by SageMaker's hosting contract.

    Each thread keeps one connection open. Raises EndpointError where no verdict comes back.
    """

    def __init__(self, url: str, timeout: float = TIMEOUT) -> None:
        try:
            parts = urlsplit(url if "//" in url else f"http://{url}")
            sound = parts.scheme in ("http", "https") and bool(parts.hostname) and "@" not in parts.netloc
            (parts.hostname or "").encode("idna")
            self._port = parts.port
        except ValueError:
            sound = False
        if not sound:
            raise UsageError(f"{url} is not an address: name the endpoint as http://127.0.0.1:8080")
        path = quote(parts.path.rstrip("/"), safe="/%")
        self._path = path if path.endswith("/invocations") else f"{path}/invocations"
        self._secure, self._host, self._place = parts.scheme == "https", parts.hostname or "", parts.netloc
        self._timeout, self._own = timeout, threading.local()

    def verdict(self, text: str) -> Verdict:
        return judged(text, self._ask, self._place)

    def verdicts(self, texts: Sequence[str], workers: int = 2) -> Iterator[Verdict]:
        """A verdict for each text, in order, one request a text."""
        with ThreadPoolExecutor(workers) as pool:
            yield from pool.map(self.verdict, texts)

    def _ask(self, body: bytes, content_type: str) -> Any:
        headers = {"content-type": content_type, "accept": "application/json"}
        for attempt in self._attempts():
            try:
                connection = self._connection()
                connection.request("POST", self._path, body, headers)
                answer = connection.getresponse()
                content = answer.read()
            except TimeoutError:
                # Not asked again: the endpoint may well be at work on it.
                self._close()
                raise EndpointAway(f"the endpoint at {self._place} gave no answer within {self._timeout:g} s") from None
            except (OSError, http.client.HTTPException) as error:
                self._close()
                if attempt == "last":
                    reason = str(error) or type(error).__name__
                    raise EndpointAway(
                        f"the endpoint at {self._place} does not answer ({reason}): is it running? plaudit serve BUNDLE"
                    ) from None
            else:
                return _parsed(answer, content, self._place)
        raise AssertionError("the last attempt either answers or raises")

    def _attempts(self) -> Iterable[str]:
        """A connection that was open before may have been closed by the other side: only then, twice."""
        return ("kept open", "last") if getattr(self._own, "connection", None) else ("last",)

    def _connection(self) -> http.client.HTTPConnection:
        connection: http.client.HTTPConnection | None = getattr(self._own, "connection", None)
        if connection is None:
            kind = http.client.HTTPSConnection if self._secure else http.client.HTTPConnection
            connection = self._own.connection = kind(self._host, self._port, timeout=self._timeout)
        return connection

    def _close(self) -> None:
        connection: http.client.HTTPConnection | None = getattr(self._own, "connection", None)
        if connection is not None:
            connection.close()
        self._own.connection = None


def judged(text: str, ask: Callable[[bytes, str], Any], place: str) -> Verdict:
    """The verdict on ``text`` of an endpoint; ``ask`` takes a body and its content type, and gives the answer's JSON.

    Raises EndpointError that names ``place`` where that is no verdict.
    """
    try:
        body, content_type = text.encode("utf-8"), "text/plain; charset=utf-8"
    except UnicodeEncodeError:
        # Half a surrogate pair has no UTF-8: only JSON's escapes carry it.
        body, content_type = json.dumps({"text": text}).encode(), "application/json"
    found = ask(body, content_type)
    try:
        return Verdict.from_json(found)
    except (KeyError, TypeError, ValueError, AttributeError):
        raise EndpointError(f"{place} answered with something that is not a verdict", 502) from None


def _parsed(answer: http.client.HTTPResponse, content: bytes, place: str) -> Any:
    try:
        found = json.loads(content)
    except ValueError:
        found = None
    if answer.status == 200 and found is not None:
        return found
    message = found.get("error") if isinstance(found, dict) else None
    wait = answer.headers.get("retry-after") or ""
    status = answer.status if answer.status >= 400 else 502
    raise EndpointError(
        str(message or f"{place} answered {answer.status}"), status, int(wait) if wait.isdecimal() else None
    )
