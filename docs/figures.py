"""The README's table of figures, from benchmarks/results, and how figures of several seeds are told."""

from __future__ import annotations

import statistics
from typing import Any

from benchmarks.aims import PEERS
from benchmarks.results import load

MEASURED = ("behaviour", "seconds", "peak_megabytes", "milliseconds_a_review", "bytes")


def figures() -> str:
    """The README's table, from benchmarks/results."""
    rows = ["| | the original | Plaudit |", "|---|---|---|"]
    for name, row in (
        ("ladder", _ladder), ("accuracy", _accuracy), ("road", _road), ("training", _training), ("words", _words),
        ("serving", _serving), ("starting", _starting), ("accuracy", _endpoint), ("function", _function),
    ):  # fmt: skip
        found = load(name)
        if found is not None and (told := row(found)):
            rows.append(told)
    return "\n".join(rows)


def _ladder(found: dict[str, Any]) -> str:
    recipes = found["recipes"]
    rows = []
    for name in (name for name in ("lstm", "best") if name in recipes):
        middle = medians(recipes[name]["bundles"])
        cost = (
            f"{duration(middle['seconds'])} from archive to bundle, {middle['milliseconds_a_review']:.1f} ms a review"
        )
        rows.append(
            f"| accuracy on IMDb's 25,000 test reviews, recipe `{name}`: {cost} | 0.8372"
            f" | {mean(recipes[name])} ({seeds(recipes[name])}) |"
        )
    if {"lstm", "original"} <= set(recipes):
        ours, theirs = (medians(recipes[name]["bundles"])["behaviour"] for name in ("lstm", "original"))
        rows.append(f"| behavioural suite: the original's network, recipe `lstm` | {theirs:.1%} | **{ours:.1%}** |")
    return "\n".join(rows)


def medians(made: list[dict[str, Any]]) -> dict[str, float]:
    return {key: statistics.median(one[key] for one in made) for key in MEASURED}


def _accuracy(found: dict[str, Any]) -> str:
    return (
        "| accuracy on IMDb's 25,000 test reviews, the same network of 347,401 parameters, 10 epochs"
        f" | 0.8372 | {mean(found)} ({seeds(found)}) |"
    )


def mean(found: dict[str, Any]) -> str:
    """The mean accuracy over the seeds, and the standard deviation where there are several."""
    spread = found["standard_deviation"]
    return f"**{found['mean']:.4f}**" + ("" if spread is None else f" ± {spread:.4f}")


def seeds(found: dict[str, Any]) -> str:
    count = len(found["seeds"])
    return f"{count} seeds" if count > 1 else "1 seed"


def _training(found: dict[str, Any]) -> str:
    times = found["times_as_fast"]
    original, ours = (found[f"{side}_seconds_an_epoch"]["median"] for side in ("original", "plaudit"))
    return (
        f"| one epoch on IMDb, in one run; the original's from {found['original_measured_batches']} | {original:.0f} s"
        f" | {ours:.0f} s: **{times['median']:.1f} times** as fast ({times['lowest']:.1f} to {times['highest']:.1f}) |"
    )


def _road(found: dict[str, Any]) -> str:
    road, original = found["lstm"], found["original"]
    accuracies = road["test_accuracy"]
    return (
        f"| archive to an LSTM, the original's from {original['measured']} | {duration(original['seconds']['median'])}"
        f" to 0.8372 | {duration(road['seconds']['median'])} to {min(accuracies):.4f}:"
        f" **{road['times_as_fast']['median']:,.0f} times** as fast |"
    )


def _serving(found: dict[str, Any]) -> str:
    rates = {side: rate["median"] for side, rate in found["original"]["reviews_a_second_at_64_clients"].items()}
    peers = ", ".join(f"{name} {rates[side]:,.0f}" for side, name in PEERS.items())
    return (
        "| one review a request over HTTP, 64 clients, 2 cores shared with them, the original's network:"
        f" {peers} reviews a second | | **{rates['plaudit']:,.0f}** |"
    )


def _starting(found: dict[str, Any]) -> str:
    seconds, memory = found["seconds_to_the_first_answer"], found["megabytes_of_memory"]
    first, held = (
        {side: one["median"] for side, one in of.items() if side in ("original", "plaudit")} for of in (seconds, memory)
    )
    return (
        "| first answer of a server after its start, and its memory; the original's imports and model"
        f" | {first['original']:.1f} s, {held['original']:.0f} MB | **{first['plaudit']:.2f} s**,"
        f" **{held['plaudit']:.0f} MB** |"
    )


def _words(found: dict[str, Any]) -> str:
    rates, times = found["reviews_a_second"], found["times_as_fast"]
    original, ours, memory = (rates[name]["median"] for name in ("as_written", "plaudit", "with_memory"))
    plainly = times["as_written_without_nltks_reader"]["median"]
    return (
        f"| texts of IMDb's {found['texts']:,} whose words differ from BeautifulSoup + NLTK's | |"
        f" **{found['texts_that_differ_from_the_oracle']}** |\n"
        f"| raw reviews to ids, one core; the same with stop words and stems remembered: {memory:,.0f} a second"
        f" | {original:,.1f} a second | {ours:,.0f} a second: **{times['as_written']['median']:,.0f} times** as fast"
        f" ({times['with_memory']['median']:.1f} times; {plainly:,.0f} times the original without NLTK's slow reader) |"
    )


def _endpoint(found: dict[str, Any]) -> str:
    inside, through = found["in_process"]["accuracy"], found["through_the_endpoint"]["accuracy"]
    return (
        "| all 25,000 raw test reviews through the running endpoint, against in process"
        f" | 500 were tried: “prohibitive” | {through:.5f} against {inside:.5f} |"
    )


def _function(found: dict[str, Any]) -> str:
    seconds = found["seconds"]
    imports, answer = seconds["import_torch_bs4_nltk"]["median"], seconds["first_answer"]["median"]
    return (
        "| first answer of a fresh process with the Lambda function's zip"
        f" ({found['bytes_unzipped'] / 1e6:.0f} MB unzipped of 262 allowed) | {imports:.2f} s for its imports alone"
        f" | {answer:.2f} s: **{found['times_as_fast_as_the_originals_imports']:.1f} times** as fast |"
    )


def duration(seconds: float) -> str:
    return f"{seconds:.0f} s" if seconds < 120 else f"{seconds / 60:.0f} min"
