"""What the tests share: bundles that are trained once, small tables, and the IMDb archive where it is at hand."""

from __future__ import annotations

import os
import socket
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, contextmanager
from pathlib import Path

import pytest
import uvicorn
from starlette.types import ASGIApp

from plaudit.bundle.bundle import Bundle
from plaudit.bundle.classifier import Classifier
from plaudit.learning.recipes import Recipe
from plaudit.learning.training import Training
from plaudit.text.download import cache_folder
from plaudit.text.prepared import Prepared, prepare
from plaudit.text.reviews import Reviews
from plaudit.text.sources import read_reviews

ARCHIVE = "aclImdb_v1.tar.gz"


@pytest.fixture(scope="session")
def sample() -> Reviews:
    """The reviews that come with Plaudit."""
    return read_reviews("sample")


@pytest.fixture(scope="session")
def prepared(sample: Reviews) -> Prepared:
    """The sample with the original's cleaning."""
    return prepare(sample, Recipe.of("original").reading)


@pytest.fixture(scope="session")
def bundle(sample: Reviews, tmp_path_factory: pytest.TempPathFactory) -> Bundle:
    """A bundle of the recipe `small`, trained on the sample for a few epochs: good enough to judge plain words."""
    recipe = Recipe.of("small", epochs=5)
    made = Training(prepare(sample, recipe.reading), recipe).run()
    return made.save(tmp_path_factory.mktemp("bundles") / "small")


@pytest.fixture(scope="session")
def original_bundle(prepared: Prepared, tmp_path_factory: pytest.TempPathFactory) -> Bundle:
    """A bundle of the recipe `original`, which takes encoded rows too."""
    recipe = Recipe.of("original", epochs=4, batch_size=16, hidden_dim=32)
    return Training(prepared, recipe).run().save(tmp_path_factory.mktemp("bundles") / "original")


@pytest.fixture(scope="session")
def classifier(bundle: Bundle) -> Classifier:
    return Classifier(bundle)


@pytest.fixture(scope="session")
def live() -> Callable[..., AbstractContextManager[str]]:
    """`with live(app) as address`: the application on a real server and a real port, in a thread."""
    return _live


@contextmanager
def _live(app: ASGIApp, port: int = 0) -> Iterator[str]:
    with socket.create_server(("127.0.0.1", port)) as place:
        server = uvicorn.Server(uvicorn.Config(app, log_level="critical", lifespan="on"))
        thread = threading.Thread(target=server.run, kwargs={"sockets": [place]})
        thread.start()
        try:
            while not server.started:
                assert thread.is_alive(), "the server did not start"
                time.sleep(0.005)
            hosted = getattr(getattr(app, "state", None), "hosted", None)
            while hosted and hosted.loading:
                time.sleep(0.005)
            yield f"http://127.0.0.1:{place.getsockname()[1]}"
        finally:
            server.should_exit = True
            thread.join()


@pytest.fixture(scope="session")
def imdb_archive() -> Path:
    """The IMDb archive: named by PLAUDIT_IMDB, else beside the project, else in the cache; skips where there is none."""
    beside = Path(__file__).parents[2] / "shared" / "data" / ARCHIVE
    for path in (Path(os.environ.get("PLAUDIT_IMDB", "")), beside, cache_folder() / ARCHIVE):
        if path.is_file():
            return path
    pytest.skip("no IMDb archive: name it with PLAUDIT_IMDB")
