"""BentoML: one service with one worker. Its adaptive batches made one client wait for up to a second: without."""

from __future__ import annotations

from typing import Any

import bentoml

from benchmarks.peers.model import answer, load


@bentoml.service(workers=1, logging={"access": {"enabled": False}})
class Reviews:
    def __init__(self) -> None:
        self.model = load()

    @bentoml.api(route="/invocations")
    def invocations(self, texts: list[str]) -> list[dict[str, Any]]:
        return answer(self.model, texts)
