"""One review a request over HTTP: the endpoint beside LitServe, BentoML, Ray Serve and bare Starlette.

All answer with the same bundle and the same text code, one worker each, beside the load generator on one machine. All
run at once, but only the one that is measured is not suspended; they are measured in turn, a few seconds each.
"""

from __future__ import annotations

import json
import random
import shutil
import subprocess
import sys
import tempfile
import time
from collections.abc import Sequence
from contextlib import ExitStack
from dataclasses import replace
from importlib.metadata import version
from pathlib import Path
from typing import Any

from tqdm import tqdm

import plaudit
from benchmarks.networks import compare
from benchmarks.results import save, spread
from benchmarks.servers import JSON_LINES, NAMES, Server, started
from plaudit.bundle.bundle import SHIPPED
from plaudit.learning.fitting import fit
from plaudit.learning.recipes import Recipe
from plaudit.text.prepared import Prepared, prepare
from plaudit.text.reviews import Reviews
from plaudit.text.sources import read_reviews

ROUNDS = {"original": 3, "original_int8": 3, "shipped": 2}
REVIEWS, WORDS = 2_000, 230
SECONDS = {1: 2, 64: 3}
EXPLAINED = "application/json"
SCRIPT = Path(__file__).with_name("load.lua")
PEERS = {"starlette": "starlette", "litserve": "litserve", "bentoml": "bentoml", "ray_serve": "ray"}


def run(archive: Path | None) -> None:
    """Measures the original's network, with float32 and with int8 weights, and the bundle that comes with Plaudit."""
    if shutil.which("wrk") is None:
        raise SystemExit("the load comes from wrk, which is not there: apt-get install wrk (or brew install wrk)")
    reviews = read_reviews(str(archive) if archive else "sample")
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        bodies = folder / "bodies.jsonl"
        texts = like_imdb(reviews)
        bodies.write_text("".join(json.dumps({"texts": [text]}) + "\n" for text in texts), "utf-8")
        recipe = Recipe.of("original", epochs=1)
        data = prepare(reviews, recipe.reading)
        bundles = {"shipped": SHIPPED}
        for side, weights in (("original", "float32"), ("original_int8", "int8")):
            bundles[side] = folder / side
            fit(data, replace(recipe, weights=weights)).save(bundles[side])
        found = {side: _measured(bundles[side], texts, bodies, rounds) for side, rounds in ROUNDS.items()}
        plain, rounded = (plaudit.load(bundles[side]) for side in ("original", "original_int8"))
        found["int8"] = _rounded(plain, rounded, data)
        found["network"] = {side: compare(bundles[side], texts) for side in ROUNDS}
    save(
        "serving",
        {
            "reviews": f"{len(texts):,} of {reviews.name}, one a request",
            "load": "wrk, one thread",
            "peers": {name: version(package) for name, package in PEERS.items()},
            "rounds": ROUNDS,
            **found,
        },
    )


def _rounded(plain: plaudit.Classifier, rounded: plaudit.Classifier, data: Prepared) -> dict[str, float]:
    """What int8 weights change for the validation reviews: points of accuracy, and of a probability at most."""
    part = data.validation
    before, after = (model.proba_of_ids([ids.tolist() for ids in part.texts]) for model in (plain, rounded))
    right = [float((found.argmax(1) == part.labels).mean()) for found in (before, after)]
    return {
        "reviews": len(part.labels),
        "points_of_accuracy": round(100 * (right[1] - right[0]), 3),
        "largest_difference_of_a_probability": float(f"{abs(after - before).max():.2g}"),
    }


def like_imdb(reviews: Reviews) -> list[str]:
    """Training reviews by chance; where they are short, joined to about as many words as IMDb's have."""
    chance = random.Random(0)
    found = []
    for text in chance.sample([review.text for review in reviews.train], min(REVIEWS, len(reviews.train))):
        joined = [text]
        while reviews.name != "IMDb" and sum(len(part.split()) for part in joined) < WORDS:
            joined.append(chance.choice(reviews.train).text)
        found.append(" ".join(joined))
    return found


def _measured(bundle: Path, texts: Sequence[str], bodies: Path, turns: int) -> dict[str, Any]:
    model = plaudit.load(bundle)
    rounds: list[dict[str, Any]] = []
    with ExitStack() as stack:
        servers = [stack.enter_context(started(name, bundle)) for name in NAMES]
        for server in servers:
            _load(server, 8, bodies, 2)
            server.suspend()
        for _ in tqdm(range(turns), "serving", file=sys.stderr):
            rounds.append({"model_alone": _alone(model, texts)})
            for server in servers:
                server.resume()
                rounds[-1][server.name] = {c: _load(server, c, bodies, seconds) for c, seconds in SECONDS.items()}
                if server.name == "plaudit":
                    rounds[-1]["plaudit_explained"] = {
                        c: _load(server, c, bodies, seconds, EXPLAINED) for c, seconds in SECONDS.items()
                    }
                server.suspend()
    return _summary(rounds)


def _summary(rounds: Sequence[dict[str, Any]]) -> dict[str, Any]:
    sides = [name for name in rounds[0] if name != "model_alone"]
    ours = [found["plaudit"][64]["requests_a_second"] for found in rounds]
    return {
        "one_client_milliseconds": {
            name: {key: spread([found[name][1][key] for found in rounds]) for key in ("p50", "p99")} for name in sides
        },
        "p50_of_each_peer_by_ours": {
            name: spread([found[name][1]["p50"] / found["plaudit"][1]["p50"] for found in rounds]) for name in PEERS
        },
        "reviews_a_second_at_64_clients": {
            name: spread([found[name][64]["requests_a_second"] for found in rounds]) for name in sides
        },
        "times_the_reviews_of_each_peer": {
            name: spread([own / found[name][64]["requests_a_second"] for own, found in zip(ours, rounds, strict=True)])
            for name in PEERS
        },
        "model_alone_reviews_a_second": spread([found["model_alone"] for found in rounds]),
        "share_of_the_model_alone": spread(
            [own / found["model_alone"] for own, found in zip(ours, rounds, strict=True)]
        ),
    }


def _alone(model: plaudit.Classifier, texts: Sequence[str]) -> float:
    """Reviews a second in this process, 64 a call, on all cores, from texts to probabilities."""
    done, began = 0, time.perf_counter()
    while time.perf_counter() - began < SECONDS[64]:
        at = done % len(texts)
        done += len(model.predict_proba(texts[at : at + 64]))
    return done / (time.perf_counter() - began)


def _load(server: Server, clients: int, bodies: Path, seconds: int, accept: str = JSON_LINES) -> dict[str, float]:
    """What so many clients find who each send the next review when they have an answer. Raises RuntimeError where a
    request fails.
    """
    out = bodies.with_name("found.json")
    options = ["-t1", f"-c{clients}", f"-d{seconds}s", "--timeout", "30s", "-s", str(SCRIPT), server.address]
    subprocess.run(["wrk", *options, "--", str(bodies), str(out), accept], check=True, stdout=subprocess.DEVNULL)
    found = json.loads(out.read_text())
    if found["failed"] or not found["requests"]:
        raise RuntimeError(f"{server.name}: {found['failed']} of {found['requests']} requests failed")
    return {
        "requests_a_second": found["requests"] / found["seconds"],
        "p50": found["p50_us"] / 1e3,
        "p99": found["p99_us"] / 1e3,
    }
