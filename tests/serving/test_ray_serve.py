"""The Ray Serve application by itself: its routes, its health, its bundle. tests/places/aws/test_archive.py runs it."""

from __future__ import annotations

import asyncio
import shutil
import subprocess
import sys
import warnings
from pathlib import Path

import pytest
from starlette.testclient import TestClient

from plaudit.bundle.bundle import Bundle
from plaudit.errors import BundleError, NotReady
from plaudit.serving.endpoint import endpoint
from tests.live import loaded

with warnings.catch_warnings():
    warnings.simplefilter("ignore")  # Ray's own classes use what Pydantic deprecates
    from plaudit.serving.ray_serve import PATHS, Replica, application

TEXT = {"content-type": "text/plain", "accept": "application/json"}


@pytest.fixture
def broken(bundle: Bundle, tmp_path: Path) -> Path:
    assert bundle.path is not None
    shutil.copytree(bundle.path, tmp_path / "broken")
    (tmp_path / "broken" / "network.onnx").write_bytes(b"")
    return tmp_path / "broken"


def test_it_answers_at_the_root_where_aws_s_image_sends_requests(bundle: Bundle) -> None:
    assert bundle.path is not None
    app = endpoint(bundle.path, paths=PATHS)
    with TestClient(app) as client:
        loaded(app)
        answers = [client.post(path, content=b"A wonderful film", headers=TEXT) for path in ("/", "/invocations")]
        assert [answer.status_code for answer in answers] == [200, 200]
        assert answers[0].json() == answers[1].json()
        assert client.get("/ping").status_code == 200
        assert client.get("/").status_code == 405


def test_plaudit_serve_has_no_such_route(bundle: Bundle) -> None:
    assert bundle.path is not None
    app = endpoint(bundle.path)
    with TestClient(app) as client:
        assert client.post("/", content=b"A wonderful film", headers=TEXT).status_code == 404


def health(path: Path) -> None:
    """A replica of the bundle at ``path``, asked for its health as Ray asks before the first request."""
    app = endpoint(path, paths=PATHS)
    replica = Replica()
    replica.app = app

    async def ask() -> None:
        async with app.router.lifespan_context(app):
            await replica.check_health()
            assert not app.state.hosted.loading

    asyncio.run(ask())


def test_a_replica_is_healthy_once_its_model_has_answered(bundle: Bundle) -> None:
    assert bundle.path is not None
    health(bundle.path)


def test_a_replica_without_a_model_says_why(broken: Path) -> None:
    with pytest.raises(NotReady, match=r"no model is loaded: .*network.onnx is not the file that was saved"):
        health(broken)


def test_there_is_no_application_of_a_bundle_that_is_not_sound(broken: Path) -> None:
    class Model(Replica):
        bundle = broken

    with pytest.raises(BundleError, match=r"network.onnx is not the file that was saved"):
        application(Model)


def test_the_application_is_ray_serve_s(bundle: Bundle) -> None:
    from ray import serve

    class Model(Replica):
        pass

    assert bundle.path is not None
    Model.bundle = bundle.path
    assert isinstance(application(Model), serve.Application)


def test_without_ray_the_sentence_names_the_extra() -> None:
    program = "import sys; sys.modules['ray'] = None; import plaudit.serving.ray_serve"
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=False)
    assert done.stderr.splitlines()[-1].endswith("Ray Serve needs the 'ray' extra: pip install 'plaudit[ray]'")


def test_ray_is_imported_by_this_module_only() -> None:
    program = "import sys, plaudit.serving.endpoint, plaudit.places.aws.archive; sys.exit('ray' in sys.modules)"
    assert subprocess.run([sys.executable, "-c", program], check=False).returncode == 0
