"""`plaudit up` from reviews to a live page, in a process of its own."""

from __future__ import annotations

import json
import re
import signal
import subprocess
import sys
import threading
import urllib.request
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

BRIEF = (
    *("--epochs", "1", "--phrases", "1000", "--batch-size", "32", "--learning-rate", "0.01"),
    *("--least-batches", "0", "--least-steps", "0"),
)
QUICK = (*BRIEF, "--port", "0")
SMALL = ("--recipe", "original", "--epochs", "2", "--hidden-dim", "16")


@contextmanager
def up(folder: Path, *arguments: str) -> Iterator[tuple[str, str]]:
    """A running `plaudit up`: the page's address, and what was said until then."""
    command = [sys.executable, "-m", "plaudit", "up", *arguments]
    running = subprocess.Popen(command, cwd=folder, stderr=subprocess.PIPE, text=True)
    guard = threading.Timer(120, running.kill)
    guard.start()
    assert running.stderr is not None
    said = ""
    try:
        for line in running.stderr:
            said += line
            if found := re.search(r"^page +(http://\S+)", line):
                guard.cancel()
                yield found[1], said
                break
        else:
            pytest.fail(f"no page: {said}")
        running.send_signal(signal.SIGINT)
        assert running.wait(20) == 0
    finally:
        guard.cancel()
        running.kill()
        running.stderr.close()
        running.wait()


def ask(address: str, body: bytes, content_type: str) -> str:
    request = urllib.request.Request(address, body, {"content-type": content_type})
    with urllib.request.urlopen(request, timeout=10) as answer:
        return str(answer.read().decode())


def test_the_whole_road_and_the_second_time_nothing_is_done_again(tmp_path: Path) -> None:
    with up(tmp_path, *QUICK) as (address, said):
        assert ask(address + "/", b"A wonderful film", "application/x-www-form-urlencoded") == "1.0"
        verdict = json.loads(ask(address + "/api/reviews", b'{"text": "A wonderful film"}', "application/json"))
        assert verdict["label"] == "positive"
        assert re.search(r"evaluate +accuracy 0\.\d+ on 100 held-out reviews", said)
        assert "skipped" not in said
    report = (tmp_path / ".plaudit" / "sample-lstm" / "report.html").read_text()
    assert "<svg" in report
    with up(tmp_path, *QUICK) as (address, said):
        assert said.count("nothing changed, skipped") == 4
        assert ask(address + "/", b"Terrible, a waste of time", "text/plain") == "0.0"


def test_what_changed_is_done_again_and_what_did_not_is_not(tmp_path: Path) -> None:
    def said(*arguments: str) -> str:
        command = [sys.executable, "-m", "plaudit", "up", "--no-serve", *arguments]
        return subprocess.run(command, cwd=tmp_path, capture_output=True, text=True, check=True).stderr

    said(*SMALL)
    other_seed = said(*SMALL, "--seed", "1")
    assert re.search(r"words +nothing changed", other_seed)
    assert re.search(r"epoch +2/2", other_seed)
    (tmp_path / ".plaudit" / "sample-original" / "bundle" / "network.onnx").write_bytes(b"")
    damaged = said(*SMALL, "--seed", "1")
    assert "network.onnx is not the file that was saved" in damaged
    assert re.search(r"epoch +2/2", damaged)
    (tmp_path / ".plaudit" / "sample-original" / "prepared" / "train.npz").write_bytes(b"")
    assert "damaged: once more" in said(*SMALL, "--seed", "1")
