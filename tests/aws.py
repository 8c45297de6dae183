"""AWS's control plane on loopback: moto's server, with dummy credentials and nothing of the machine's own."""

from __future__ import annotations

import socket
import subprocess
import sys
import time
import urllib.request
from collections.abc import Iterator
from pathlib import Path

import pytest

from plaudit.places.aws.account import Account

REGION = "us-east-1"
ROOT = Path(__file__).parents[1]


@pytest.fixture
def credentials(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    """AWS's settings: dummy credentials, one region, and no other source of either."""
    for name, value in {
        "AWS_ACCESS_KEY_ID": "dummy",
        "AWS_SECRET_ACCESS_KEY": "dummy",
        "AWS_REGION": REGION,
        "AWS_DEFAULT_REGION": REGION,
        "AWS_CONFIG_FILE": str(tmp_path / "config"),
        "AWS_SHARED_CREDENTIALS_FILE": str(tmp_path / "credentials"),
        "AWS_EC2_METADATA_DISABLED": "true",
        "NO_PROXY": "127.0.0.1",
    }.items():
        monkeypatch.setenv(name, value)
    for name in ("AWS_PROFILE", "AWS_SESSION_TOKEN", "AWS_ENDPOINT_URL", "AWS_ENDPOINT_URL_SAGEMAKER_RUNTIME"):
        monkeypatch.delenv(name, raising=False)


@pytest.fixture(scope="session")
def moto_address() -> Iterator[str]:
    """The address of a moto server, a process of its own that lives as long as the tests."""
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    command = [sys.executable, "-m", "tests.places.aws.moto_server", "--host", "127.0.0.1", "--port", str(port)]
    server = subprocess.Popen(command, cwd=ROOT, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
    address = f"http://127.0.0.1:{port}"
    try:
        for _ in range(300):
            try:
                urllib.request.urlopen(f"{address}/moto-api/").close()
                break
            except OSError:
                assert server.poll() is None, "moto's server did not start"
                time.sleep(0.1)
        yield address
    finally:
        server.terminate()
        server.wait(10)


@pytest.fixture
def account(credentials: None, moto_address: str, monkeypatch: pytest.MonkeyPatch) -> Account:
    """An empty account at moto's server: every client, of this process and of commands that it starts, goes there."""
    monkeypatch.setenv("AWS_ENDPOINT_URL", moto_address)
    urllib.request.urlopen(urllib.request.Request(f"{moto_address}/moto-api/reset", method="POST")).close()
    return Account()
