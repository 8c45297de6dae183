from __future__ import annotations

import random
import re
import socket
import threading
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, HTTPServer
from pathlib import Path
from typing import TypeVar

import pytest

from plaudit.errors import UsageError
from plaudit.text.download import CHUNK, cache_folder, fetch_imdb

T = TypeVar("T")
CONTENT = random.Random(0).randbytes(3 * CHUNK // 2)


class Library:
    """A server on this machine that lends one file, and remembers who asked for what."""

    def __init__(self, content: bytes) -> None:
        self.content = content
        self.takes_ranges = True
        self.breaks_after: int | None = None
        self.missing = False
        self.asked: list[str | None] = []
        self.sent: list[int] = []
        self.address = ""

    def answer(self, handler: BaseHTTPRequestHandler) -> None:
        wanted = handler.headers.get("Range")
        self.asked.append(wanted)
        if self.missing:
            handler.send_error(404)
            return
        first = int(wanted[len("bytes=") : -1]) if wanted and self.takes_ranges else 0
        if wanted and self.takes_ranges and first >= len(self.content):
            handler.send_error(416)
            return
        body = self.content[first:]
        handler.send_response(206 if first else 200)
        handler.send_header("Content-Length", str(len(body)))
        if first:
            handler.send_header("Content-Range", f"bytes {first}-{len(self.content) - 1}/{len(self.content)}")
        handler.end_headers()
        body = body[: self.breaks_after]
        self.sent.append(len(body))
        handler.wfile.write(body)


@contextmanager
def _open(library: Library) -> Iterator[Library]:
    class Handler(BaseHTTPRequestHandler):
        timeout = 10

        def do_GET(self) -> None:
            library.answer(self)

        def log_message(self, format: str, *args: object) -> None:
            """The tests' output stays theirs."""

    with HTTPServer(("127.0.0.1", 0), Handler) as server:
        library.address = f"http://127.0.0.1:{server.server_port}/aclImdb_v1.tar.gz"
        thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.01}, daemon=True)
        thread.start()
        try:
            yield library
        finally:
            server.shutdown()
            thread.join(timeout=10)


@pytest.fixture
def library() -> Iterator[Library]:
    with _open(Library(CONTENT)) as opened:
        yield opened


@pytest.fixture(autouse=True)
def cache(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setenv("PLAUDIT_CACHE", str(tmp_path / "cache"))
    monkeypatch.setenv("no_proxy", "127.0.0.1")
    return tmp_path / "cache"


@pytest.fixture
def target(cache: Path) -> Path:
    return cache / "aclImdb_v1.tar.gz"


@pytest.fixture
def part(target: Path) -> Path:
    """Where a download stands while it is not whole."""
    target.parent.mkdir()
    return target.with_suffix(".part")


class TestCache:
    def test_the_chosen_folder_comes_first(self, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "xdg"))
        assert cache_folder() == tmp_path / "cache"
        monkeypatch.delenv("PLAUDIT_CACHE")
        assert cache_folder() == tmp_path / "xdg" / "plaudit"
        monkeypatch.setenv("XDG_CACHE_HOME", "")
        assert cache_folder() == Path.home() / ".cache" / "plaudit"


class TestDownload:
    def test_a_download_lands_in_the_cache(self, library: Library, target: Path) -> None:
        assert fetch_imdb(address=library.address, size=len(CONTENT)) == target
        assert target.read_bytes() == CONTENT
        assert [path.name for path in target.parent.iterdir()] == [target.name]
        assert library.asked == [None]

    def test_what_is_there_is_not_asked_for_again(self, library: Library) -> None:
        first = fetch_imdb(address=library.address, size=len(CONTENT))
        assert fetch_imdb(address=library.address, size=len(CONTENT)) == first
        assert len(library.asked) == 1

    def test_progress_is_told_in_chunks(self, library: Library) -> None:
        told: list[tuple[str, int | None, int]] = []

        def track(items: Iterable[T], what: str, total: int | None = None) -> Iterable[T]:
            passed = list(items)
            told.append((what, total, len(passed)))
            return passed

        fetch_imdb(track, library.address, len(CONTENT))
        assert told == [("downloading IMDb (MB)", 2, 2)]

    def test_only_the_rest_of_a_broken_download_is_asked_for(self, library: Library, target: Path, part: Path) -> None:
        part.write_bytes(CONTENT[:1_000_000])
        fetch_imdb(address=library.address, size=len(CONTENT))
        assert library.asked == ["bytes=1000000-"]
        assert library.sent == [len(CONTENT) - 1_000_000]
        assert target.read_bytes() == CONTENT
        assert not part.exists()

    def test_a_connection_that_breaks_is_gone_on_with(self, library: Library, target: Path) -> None:
        library.breaks_after = 500_000
        with pytest.raises(UsageError, match=r"500,000 bytes instead of 1,572,864: run the same command again"):
            fetch_imdb(address=library.address, size=len(CONTENT))
        assert not target.exists()
        library.breaks_after = None
        assert fetch_imdb(address=library.address, size=len(CONTENT)).read_bytes() == CONTENT
        assert library.asked == [None, "bytes=500000-"]

    def test_a_server_without_ranges_is_read_from_the_start(self, library: Library, part: Path) -> None:
        library.takes_ranges = False
        part.write_bytes(b"something else" * 1000)
        assert fetch_imdb(address=library.address, size=len(CONTENT)).read_bytes() == CONTENT

    def test_a_part_that_is_whole_needs_no_server(self, library: Library, part: Path) -> None:
        part.write_bytes(CONTENT)
        assert fetch_imdb(address=library.address, size=len(CONTENT)).read_bytes() == CONTENT
        assert library.asked == []


class TestRefusals:
    def test_too_many_bytes_are_thrown_away(self, library: Library, target: Path) -> None:
        with pytest.raises(
            UsageError, match=r"^the download has 1,572,864 bytes instead of 1,000: run the same command"
        ):
            fetch_imdb(address=library.address, size=1000)
        assert list(target.parent.iterdir()) == []

    def test_too_few_bytes_are_not_taken_for_the_archive(self, library: Library, target: Path, part: Path) -> None:
        with pytest.raises(UsageError, match=r"1,572,864 bytes instead of 1,572,865"):
            fetch_imdb(address=library.address, size=len(CONTENT) + 1)
        assert not target.exists()
        assert part.read_bytes() == CONTENT

    def test_offline_says_where_to_put_the_file(self, target: Path) -> None:
        with socket.socket() as closed:
            closed.bind(("127.0.0.1", 0))
            address = f"http://127.0.0.1:{closed.getsockname()[1]}/aclImdb_v1.tar.gz"
        with pytest.raises(UsageError) as raised:
            fetch_imdb(address=address)
        message = str(raised.value)
        assert message.startswith("cannot download IMDb (")
        assert f"get {address} elsewhere and put it at {target}, or name the file" in message
        assert "\n" not in message
        assert not re.search(r"[.!?] ", message)
        assert not target.exists()

    def test_a_server_that_does_not_have_it_says_so(self, library: Library, target: Path) -> None:
        library.missing = True
        with pytest.raises(
            UsageError, match=rf"cannot download IMDb \(Not Found\).* put it at {re.escape(str(target))}"
        ):
            fetch_imdb(address=library.address, size=len(CONTENT))
        assert not target.exists()

    def test_a_cache_that_cannot_be_made_is_named(self, library: Library, target: Path) -> None:
        target.parent.write_text("a file where the folder has to be")
        with pytest.raises(UsageError, match=f"put it at {re.escape(str(target))}"):
            fetch_imdb(address=library.address, size=len(CONTENT))
        assert library.asked == []

    def test_a_part_that_is_too_long_does_not_stay_in_the_way(self, library: Library, part: Path) -> None:
        part.write_bytes(CONTENT + b"x")
        for _ in range(2):
            try:
                found = fetch_imdb(address=library.address, size=len(CONTENT))
            except UsageError:
                continue
            assert found.read_bytes() == CONTENT
            return
        raise AssertionError("it is still in the way")
