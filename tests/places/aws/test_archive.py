"""The archive, served for real: by SageMaker's toolkit, by Ray Serve and by its Dockerfile's command.

Each runs in an image's stead: a Python that has what the image has, and neither Plaudit nor ONNX Runtime. All of them
have to say what `plaudit serve` says.
"""

from __future__ import annotations

import contextlib
import http.client
import json
import os
import re
import shutil
import signal
import socket
import subprocess
import sys
import sysconfig
import tempfile
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import pytest

from plaudit.bundle.bundle import FILES, MANIFEST, Bundle
from plaudit.errors import BundleError, UsageError
from plaudit.places.aws import archive
from plaudit.places.aws.archive import contents, pack
from plaudit.places.aws.parts import Target
from plaudit.places.aws.unpacking import unpack
from plaudit.text.reviews import Reviews

TEXT, JSON = "text/plain", "application/json"
ODD = [
    "", " ", "A wonderful film.", "not good, not bad", "I can't say it was ever dull!",
    "<b>Great</b> plot<br />weak end",
    "zzzz qqqq", "\U0001f600\U0001f600 loved it", "Ünïcödé ist schön", "坏电影", "good\x00bad", "a" * 5_000,
    "superb " * 600, "…", "\n\tterrible\r\n", "&lt;i&gt;fine&lt;/i&gt; &amp; dandy", "WORST. MOVIE. EVER.",
    "1/10", "10/10",
]  # fmt: skip
WRONG = [
    (b"\xff", TEXT, JSON, 400),
    (b"{", JSON, JSON, 400),
    (b"x", "image/png", JSON, 415),
    (b"x", TEXT, "image/png", 415),
    (b"{}", JSON, JSON, 422),
    (b'{"texts": [1]}', JSON, JSON, 422),
    (b"1,2,3", "text/csv", JSON, 422),
]
TOO_LARGE = (b"x" * 1_048_577, TEXT, JSON, 413)
HIDDEN = ("plaudit", "_plaudit", "__editable__", "onnxruntime", "regex", "torch", "distutils-precedence")
"""What the venv of the tests has and no image of AWS's; its .pth files are not read through a link anyway."""


@dataclass(frozen=True)
class Answer:
    status: int
    kind: str
    body: bytes


Ask = Callable[[bytes, str, str], Answer]


def asker(address: str, path: str) -> Ask:
    """Sends a body to ``path``, with its Content-Type and Accept."""

    def ask(body: bytes, kind: str, accept: str) -> Answer:
        connection = http.client.HTTPConnection(urlsplit(address).netloc, timeout=30)
        with contextlib.closing(connection):
            connection.request("POST", path, body, {"content-type": kind, "accept": accept})
            found = connection.getresponse()
            return Answer(found.status, found.headers.get("content-type", ""), found.read())

    return ask


def same(found: Any, expected: Any) -> bool:
    """Whether two JSON values are equal, numbers to 1e-6."""
    if isinstance(expected, dict):
        return (
            isinstance(found, dict)
            and found.keys() == expected.keys()
            and all(same(found[k], expected[k]) for k in found)
        )
    if isinstance(expected, list):
        return isinstance(found, list) and len(found) == len(expected) and all(map(same, found, expected))
    if isinstance(expected, float):
        return isinstance(found, float) and abs(found - expected) <= 1e-6
    return bool(found == expected)


def free_port() -> int:
    with socket.socket() as found:
        found.bind(("127.0.0.1", 0))
        return int(found.getsockname()[1])


@pytest.fixture(scope="module")
def texts(sample: Reviews) -> list[str]:
    found = [*ODD, *(review.text for review in sample.train[:20])]
    assert len(found) >= 30
    return found


@pytest.fixture(scope="module")
def model(bundle: Bundle, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The packed archive, unpacked in a folder that nothing knew of when it was packed."""
    assert bundle.path is not None
    folder = tmp_path_factory.mktemp("archive")
    packed = pack(bundle.path, folder / "model.tar.gz", Target.here())
    unpacked = folder / "some where"
    unpacked.mkdir()
    sizes = unpack(packed.path, unpacked)
    assert sum(sizes.values()) == packed.unpacked
    return unpacked


@pytest.fixture(scope="module")
def image(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The programs of a Python with what an image has: Ray, NumPy, Starlette, SageMaker's toolkit; nothing of ours."""
    folder = tmp_path_factory.mktemp("image")
    site = folder / "site"
    site.mkdir()
    for entry in Path(sysconfig.get_paths()["purelib"]).iterdir():
        if not entry.name.startswith(HIDDEN):
            (site / entry.name).symlink_to(entry)
    subprocess.run([sys.executable, "-m", "venv", "--without-pip", folder / "venv"], check=True)
    (installed,) = (folder / "venv" / "lib").glob("python*/site-packages")
    (installed / "image.pth").write_text(f"{site}\n")
    python = folder / "venv" / "bin" / "python"
    program = f"#!{python}\nimport sys\nfrom ray.serve.scripts import cli\nsys.exit(cli())\n"
    (folder / "venv" / "bin" / "serve").write_text(program)
    (folder / "venv" / "bin" / "serve").chmod(0o755)
    seen = (
        "import importlib.util as u; print([bool(u.find_spec(n)) for n in ('ray', 'numpy', 'plaudit', 'onnxruntime')])"
    )
    done = subprocess.run([python, "-I", "-c", seen], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "[True, True, False, False]"
    return folder / "venv" / "bin"


def environment(image: Path, **more: str) -> dict[str, str]:
    return {"PATH": f"{image}:/usr/bin:/bin", "HOME": str(image), "PYTHONDONTWRITEBYTECODE": "1", **more}


@pytest.fixture(scope="module")
def served(bundle: Bundle) -> Iterator[Ask]:
    """The command `plaudit serve`, with ONNX Runtime, which scores in an archive too."""
    program = Path(sys.executable).parent / "plaudit"
    running = subprocess.Popen(
        [program, "serve", str(bundle.path), "--port", "0", "--json"],
        env={**os.environ, "PLAUDIT_COMPILED": "0"},
        stdout=subprocess.PIPE,
        stderr=subprocess.DEVNULL,
    )
    try:
        assert running.stdout is not None
        lines = iter(running.stdout.readline, b"}\n")
        address = json.loads(b"".join(lines) + b"}")["endpoint"]
        yield asker(address, "/invocations")
    finally:
        running.terminate()
        running.wait(20)
        running.stdout.close()  # type: ignore[union-attr]


def session(leader: int) -> list[int]:
    """The processes of a session, by their ids."""
    found = []
    for entry in Path("/proc").iterdir():
        if entry.name.isdigit():
            with contextlib.suppress(OSError):
                fields = (entry / "stat").read_text().rpartition(")")[2].split()
                if int(fields[3]) == leader and fields[0] != "Z":
                    found.append(int(entry.name))
    return found


def end(running: subprocess.Popen[bytes]) -> None:
    """Ends a process that leads a session, with all of the session: Ray's workers have groups of their own."""
    with contextlib.suppress(ProcessLookupError):
        running.send_signal(signal.SIGINT)
    with contextlib.suppress(subprocess.TimeoutExpired):
        running.wait(20)
    until = time.monotonic() + 20
    while (left := session(running.pid)) and time.monotonic() < until:
        for process in left:
            with contextlib.suppress(ProcessLookupError):
                os.kill(process, signal.SIGKILL)
        time.sleep(0.1)
    running.wait(5)
    assert session(running.pid) == []


@pytest.fixture(scope="module")
def ray(model: Path, image: Path) -> Iterator[str]:
    """The address of `serve run config.yaml`, as AWS's image starts it: the archive is all that is on its path."""
    port = free_port()
    # AWS's image sets host and port before, with `serve start`; a test has to stay on loopback, at a free port.
    config = f"{(model / 'config.yaml').read_text()}http_options:\n  host: 127.0.0.1\n  port: {port}\n"
    with tempfile.TemporaryDirectory(prefix="ray-", dir="/tmp") as short:  # Ray's sockets allow no long path
        (Path(short) / "config.yaml").write_text(config)
        variables = environment(
            image, PYTHONPATH=str(model), RAY_TMPDIR=short, RAY_USAGE_STATS_ENABLED="0",
            RAY_DEFAULT_OBJECT_STORE_MAX_MEMORY_BYTES=str(100 * 1024 * 1024),
        )  # fmt: skip
        with (Path(short) / "log").open("wb") as log:
            running = subprocess.Popen(
                [image / "serve", "run", "--address", "local", f"{short}/config.yaml"],
                env=variables, cwd="/", stdout=log, stderr=log, start_new_session=True,
            )  # fmt: skip
        try:
            wait(f"http://127.0.0.1:{port}", "/-/healthz", running, Path(short) / "log", 90)
            yield f"http://127.0.0.1:{port}"
        finally:
            end(running)


def wait(address: str, path: str, running: subprocess.Popen[bytes], log: Path, seconds: float) -> None:
    """Until ``path`` answers 200."""
    until = time.monotonic() + seconds
    while time.monotonic() < until and running.poll() is None:
        connection = http.client.HTTPConnection(urlsplit(address).netloc, timeout=5)
        with contextlib.suppress(OSError), contextlib.closing(connection):
            connection.request("GET", path)
            if connection.getresponse().status == 200:
                return
        time.sleep(0.2)
    raise AssertionError(log.read_text("utf-8", "replace")[-4_000:])


def agree(there: Ask, served: Ask, texts: list[str]) -> None:
    """Every verdict, one by one and together, and in every format for answers."""
    for text in texts:
        asked = (text.encode(), TEXT, JSON)
        expected, found = served(*asked), there(*asked)
        assert (found.status, found.kind) == (expected.status, expected.kind) == (200, JSON)
        assert same(json.loads(found.body), json.loads(expected.body)), text[:80]
    together = json.dumps({"texts": texts}).encode()
    for accept in (JSON, TEXT, "text/csv", "*/*"):
        expected, found = served(together, JSON, accept), there(together, JSON, accept)
        assert (found.status, found.kind) == (expected.status, expected.kind)
        if found.kind == JSON:
            assert same(json.loads(found.body), json.loads(expected.body))
        elif accept == TEXT:
            assert found.body == expected.body


def test_ray_serve_answers_as_plaudit_serve_does(ray: str, served: Ask, texts: list[str]) -> None:
    agree(asker(ray, "/"), served, texts)
    one = asker(ray, "/invocations")(texts[2].encode(), TEXT, TEXT)
    assert one == served(texts[2].encode(), TEXT, TEXT)


@pytest.mark.parametrize(("body", "kind", "accept", "status"), [*WRONG, TOO_LARGE])
def test_ray_serve_refuses_as_plaudit_serve_does(
    ray: str, served: Ask, body: bytes, kind: str, accept: str, status: int
) -> None:
    expected, found = served(body, kind, accept), asker(ray, "/")(body, kind, accept)
    assert found == expected
    assert found.status == status
    assert json.loads(found.body).keys() == {"error"}


def test_ray_serve_answers_a_ping(ray: str) -> None:
    connection = http.client.HTTPConnection(urlsplit(ray).netloc, timeout=10)
    with contextlib.closing(connection):
        connection.request("GET", "/ping")
        assert connection.getresponse().status == 200


TOOLKIT = """
import json, sys
from sagemaker_inference.default_handler_service import DefaultHandlerService

class Context:
    def __init__(self, headers):
        self.system_properties, self.request_processor = {"model_dir": sys.argv[1]}, [self]
        self.headers, self.kind, self.status = headers, "", 200
    def get_request_properties(self):
        return self.headers
    def set_response_content_type(self, index, kind):
        self.kind = kind
    def set_response_status(self, code, phrase):
        self.status = code

service = DefaultHandlerService()
service.initialize(Context({}))
answers = []
for body, kind, accept in json.load(sys.stdin):
    context = Context({"Content-Type": kind, "Accept": accept})
    (answer,) = service.handle([{"body": body.encode("latin-1")}], context)
    answer = answer.decode("latin-1") if isinstance(answer, bytes) else answer
    answers.append([context.status, context.kind, answer])
import numpy, onnxruntime, plaudit
print(json.dumps({"answers": answers, "from": [m.__file__ for m in (plaudit, onnxruntime, numpy)]}))
"""


def toolkit(model: Path, image: Path, requests: list[tuple[bytes, str, str]]) -> Any:
    """What SageMaker's inference toolkit answers in a process of its own, with `code` on its path."""
    asked = json.dumps([(body.decode("latin-1"), kind, accept) for body, kind, accept in requests])
    done = subprocess.run(
        [image / "python", "-c", TOOLKIT, str(model)], input=asked, capture_output=True, text=True, check=False,
        env=environment(image, PYTHONPATH=str(model / "code")), cwd="/",
    )  # fmt: skip
    assert done.returncode == 0, done.stderr[-3_000:]
    return json.loads(done.stdout.splitlines()[-1])


def test_sagemaker_s_toolkit_answers_as_plaudit_serve_does(
    model: Path, image: Path, served: Ask, texts: list[str]
) -> None:
    requests = [(text.encode(), TEXT, JSON) for text in texts]
    requests.append((json.dumps({"texts": texts}).encode(), JSON, JSON))
    found = toolkit(model, image, requests)
    for request, (status, kind, answer) in zip(requests, found["answers"], strict=True):
        expected = served(*request)
        assert (status, kind) == (expected.status, expected.kind)
        assert same(json.loads(answer.encode("latin-1")), json.loads(expected.body)), request[0][:80]


def test_sagemaker_s_toolkit_passes_the_sentence_on(model: Path, image: Path, served: Ask) -> None:
    requests = [(body, kind, accept) for body, kind, accept, _ in WRONG if body != b"\xff"]
    for request, (status, _, answer) in zip(requests, toolkit(model, image, requests)["answers"], strict=True):
        assert status == 500, "the toolkit has no other status for an error that is not its own"
        assert answer.splitlines()[0] == json.loads(served(*request).body)["error"]


def test_code_and_missing_wheels_come_from_the_archive_and_all_else_from_the_image(model: Path, image: Path) -> None:
    plaudit, onnxruntime, numpy = toolkit(model, image, [])["from"]
    assert plaudit.startswith(str(model / "code" / "plaudit"))
    assert onnxruntime.startswith(str(model / "code" / "lib"))
    assert numpy.startswith(str(image.parents[1] / "site"))


def test_the_dockerfile_s_command_serves_the_archive(
    model: Path, image: Path, served: Ask, texts: list[str], tmp_path: Path
) -> None:
    (line,) = re.findall(r"^ENTRYPOINT (.*)$", (model / "Dockerfile").read_text(), re.MULTILINE)
    command = [part.replace("/opt/ml/model/code", f"'{model / 'code'}'") for part in json.loads(line)]
    port = free_port()
    variables = environment(image, SAGEMAKER_BIND_TO_PORT=str(port))
    with (tmp_path / "log").open("wb") as log:
        running = subprocess.Popen([*command, "serve"], env=variables, stdout=log, stderr=log, start_new_session=True)
    try:
        wait(f"http://127.0.0.1:{port}", "/ping", running, tmp_path / "log", 30)
        there = asker(f"http://127.0.0.1:{port}", "/invocations")
        agree(there, served, texts)
        for body, kind, accept, status in WRONG:
            assert there(body, kind, accept) == served(body, kind, accept)
            assert there(body, kind, accept).status == status
    finally:
        end(running)


def test_the_dockerfile_pins_what_it_installs_and_is_nobody_s_root(bundle: Bundle) -> None:
    assert bundle.path is not None
    text = contents(bundle.path, Target("3.12", "aarch64"), vendored=False)["Dockerfile"].decode()
    assert "FROM python:3.12-slim\n" in text
    assert "--platform linux/arm64" in text
    (installed,) = re.findall(r"pip install --no-cache-dir (.*?) \\\n", text)
    assert all("==" in requirement for requirement in installed.split())
    assert {"onnxruntime", "uvicorn"} <= {requirement.split("==")[0] for requirement in installed.split()}
    assert text.index("USER plaudit") < text.index("ENTRYPOINT")


def test_the_layout(model: Path, bundle: Bundle) -> None:
    assert bundle.path is not None
    for name in (*FILES, MANIFEST):
        assert (model / name).read_bytes() == (bundle.path / name).read_bytes()
    assert {path.name for path in model.iterdir()} == {
        *FILES,
        MANIFEST,
        "Dockerfile",
        "config.yaml",
        "plaudit_ray.py",
        "code",
    }
    assert not (model / "code" / "requirements.txt").exists(), "nothing is installed at start-up"
    assert not list((model / "code" / "lib").glob("ray*"))


def test_the_same_bundle_gives_the_same_bytes(bundle: Bundle, tmp_path: Path) -> None:
    assert bundle.path is not None
    shutil.copytree(bundle.path, tmp_path / "copy")
    one = pack(bundle.path, tmp_path / "one.tar.gz", vendored=False)
    two = pack(tmp_path / "copy", tmp_path / "two.tar.gz", vendored=False)
    assert one.path.read_bytes() == two.path.read_bytes()
    assert contents(bundle.path, Target.here()) == contents(tmp_path / "copy", Target.here())


def test_without_wheels_the_image_is_told_what_to_install(bundle: Bundle) -> None:
    assert bundle.path is not None
    files = contents(bundle.path, vendored=False)
    assert b"onnxruntime==" in files["code/requirements.txt"]
    assert not any(name.startswith("code/lib/") for name in files)


@pytest.mark.parametrize("module", ["inference", "plaudit_endpoint", "plaudit_ray"])
def test_another_python_gets_one_sentence(
    module: str, bundle: Bundle, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    assert bundle.path is not None
    other = "3.12" if Target.here().python != "3.12" else "3.13"
    monkeypatch.setattr(archive, "unpacked", lambda *_: {})
    for name, content in contents(bundle.path, Target(other)).items():
        (tmp_path / name).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / name).write_bytes(content)
    path = [str(tmp_path), str(tmp_path / "code")]
    done = subprocess.run(
        [sys.executable, "-I", "-S", "-c", f"import sys; sys.path += {path}; import {module}"],
        capture_output=True, text=True, check=False,
    )  # fmt: skip
    last = done.stderr.splitlines()[-1]
    assert last.startswith("ImportError: the wheels in ")
    assert f"are for Python {other} on {Target.here().machine}, and this is Python {Target.here().python}" in last
    assert f"plaudit pack --python {Target.here().python} --machine" in last


def test_only_an_archive_is_replaced(bundle: Bundle, tmp_path: Path) -> None:
    assert bundle.path is not None
    (tmp_path / "notes.txt").write_text("mine")
    with pytest.raises(UsageError, match="is there and is no archive"):
        pack(bundle.path, tmp_path / "notes.txt", vendored=False)
    with pytest.raises(UsageError, match="is a folder: name a file such as"):
        pack(bundle.path, tmp_path, vendored=False)
    out = tmp_path / "model.tar.gz"
    assert pack(bundle.path, out, vendored=False) == pack(bundle.path, out, vendored=False)


def test_a_damaged_bundle_is_not_packed(bundle: Bundle, tmp_path: Path) -> None:
    assert bundle.path is not None
    shutil.copytree(bundle.path, tmp_path / "copy")
    (tmp_path / "copy" / "network.onnx").write_bytes(b"")
    with pytest.raises(BundleError, match=r"network.onnx is not the file that was saved"):
        pack(tmp_path / "copy", tmp_path / "model.tar.gz", vendored=False)
    assert not (tmp_path / "model.tar.gz").exists()
