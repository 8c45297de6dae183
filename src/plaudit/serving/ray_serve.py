"""The endpoint as a Ray Serve application: the same routes, handlers, statuses and sentences. Knows no cluster.

AWS's Ray image listens at SageMaker's port itself and sends a request on to `/`, with its Content-Type and Accept.
It answers a ping for Ray as a whole, by its routes and not by its replicas: so an application with a bundle that
does not load has to fail before Ray has routes, and a replica is one only with a model.
"""

from __future__ import annotations

import asyncio
from pathlib import Path
from typing import Any

from starlette.applications import Starlette

from plaudit.errors import MissingExtra
from plaudit.serving.endpoint import MAX_WAITING, endpoint
from plaudit.serving.handlers import model_fn

try:
    from ray import serve
except ModuleNotFoundError as missing:
    if missing.name != "ray":
        raise
    raise MissingExtra("Ray Serve", "ray") from None

PATHS = ("/", "/invocations")


class Replica:
    """What Ray makes of the application, once or more often. A subclass names its ``bundle``.

    Ray hands a class to its workers by its module's name: with a subclass of its own, an archive's module is what
    a worker imports first, before anything of Plaudit's has to be found.
    """

    bundle: str | Path
    app: Starlette

    async def check_health(self) -> None:
        """What Ray asks before the first request, and again all the time. Raises NotReady with the cause."""
        hosted = self.app.state.hosted
        while hosted.loading:
            await asyncio.sleep(0.01)
        hosted.ready()


def application(replica: type[Replica]) -> Any:
    """The Ray Serve application of the bundle that ``replica`` names, for `import_path` in Ray's config.yaml.

    Raises BundleError where the bundle is not sound: Ray then gets no application, and a ping no 200.
    """
    model_fn(replica.bundle).verdict("a first review")

    def build() -> Starlette:
        return endpoint(replica.bundle, paths=PATHS)

    # More than the endpoint lets wait: it refuses what is too much itself, with 429, where Ray would only queue.
    deployed = serve.deployment(name="Plaudit", max_ongoing_requests=2 * MAX_WAITING)
    return deployed(serve.ingress(build)(replica)).bind()
