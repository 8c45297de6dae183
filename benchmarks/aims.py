"""What the benchmarks found beside what they were to reach, row by row, from benchmarks/results."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from benchmarks.results import load

Spread = dict[str, float]
PEERS = {"litserve": "LitServe", "bentoml": "BentoML", "ray_serve": "Ray Serve", "starlette": "bare Starlette"}


@dataclass(frozen=True)
class Row:
    """One aim: what was measured, against what, what came of it, and why it is missed where it is."""

    what: str
    against: str
    found: str
    aim: str
    met: bool
    why: str = ""

    def __str__(self) -> str:
        end = ("met" if self.aim else "") if self.met else f"**missed**: {self.why}" if self.why else "**missed**"
        return f"| {self.what} | {self.against} | {self.found} | {self.aim} | {end} |"


def table() -> str:
    """All rows whose benchmarks have run, as Markdown."""
    rows = [row for name, of in ROWS.items() if (found := load(name)) is not None for row in of(found)]
    return "\n".join(["| what | against | found | aim | |", "|---|---|---|---|---|", *map(str, rows)])


def _told(found: Spread, unit: str = "", digits: int = 1) -> str:
    low, middle, high = (f"{found[key]:,.{digits}f}" for key in ("lowest", "median", "highest"))
    return f"**{middle}{unit}** ({low} to {high})"


def _at_least(what: str, against: str, found: Spread, aim: float, unit: str, why: str, digits: int = 1) -> Row:
    return Row(what, against, _told(found, unit, digits), f"{aim:,g}{unit}", found["median"] >= aim, why)


def _under(what: str, against: str, found: Spread, aim: float, unit: str, why: str, digits: int = 1) -> Row:
    return Row(what, against, _told(found, unit, digits), f"under {aim:,g}{unit}", found["median"] < aim, why)


def _pace(found: dict[str, Any]) -> str:
    """Why a figure in seconds may be missed."""
    share = found.get("share_of_the_processors_that_others_had", 0)
    return f"others had {share:.0%} of this machine's processors at the time; see below"


def _words(found: dict[str, Any]) -> list[Row]:
    what, times = "raw reviews to ids, one core", found["times_as_fast"]
    differ = found["texts_that_differ_from_the_oracle"]
    memory = "its function with stop words and stems remembered"
    return [
        _at_least(
            what,
            "the original's function as written",
            times["as_written"],
            1500,
            " times",
            "by less than the spread",
            0,
        ),
        _at_least(what, memory, times["with_memory"], 5, " times", ""),
        _at_least(what, "a second", found["reviews_a_second"]["plaudit"], 25_000, "", _pace(found), 0),
        Row(
            "texts whose words differ",
            f"BeautifulSoup + NLTK, {found['texts']:,} texts",
            f"**{differ}**",
            "0",
            not differ,
        ),
    ]


def _preparing(found: dict[str, Any]) -> list[Row]:
    tables = found["tables"]
    grown = [f"{entry['megabytes_at_most']:,} MB for {entry['reviews']:,} reviews" for entry in tables]
    a_review = (tables[-1]["megabytes_at_most"] - tables[0]["megabytes_at_most"]) * 1e6 / tables[-1]["reviews"]
    what = "archive to encoded data set"
    return [
        _under(what, "seconds, cold", found["seconds"]["plaudit"], 5, " s", _pace(found)),
        Row(
            what,
            "the original's road with words remembered",
            f"{_told(found['times_as_fast'])} times as fast",
            "ahead",
            found["times_as_fast"]["lowest"] > 1,
        ),
        _under(what, "memory", found["megabytes_at_most"], 1000, " MB", "", 0),
        Row(
            "preparing a table",
            "memory",
            f"{', '.join(grown)}: {a_review:.0f} bytes a review",
            "flat",
            tables[-1]["megabytes_at_most"] < 400,
        ),
    ]


def _training(found: dict[str, Any]) -> list[Row]:
    what = "an epoch, recipe `original`"
    losses = found["losses_after_an_epoch"]
    told = " / ".join(f"{', '.join(map(str, loss['validation_loss']))} in {kind}" for kind, loss in losses.items())
    return [
        _at_least(what, "the original's loop", found["times_as_fast"], 8, " times", ""),
        Row(what, "the same in float32, three seeds", f"validation loss {told}", "within noise", _overlap(losses)),
    ]


def _overlap(losses: dict[str, dict[str, list[float]]]) -> bool:
    lows, highs = zip(
        *((min(loss["validation_loss"]), max(loss["validation_loss"])) for loss in losses.values()), strict=True
    )
    return bool(max(lows) <= min(highs))


def _learning(found: dict[str, Any]) -> list[Row]:
    return [
        Row(
            f"gradients of a network of {units} units",
            against,
            f"{_told(of[key])} times as fast:"
            f" {of['words_a_second']['plaudit_in_' + of['trained_in']]['median']:,.0f} words a second",
            "ahead",
            of[key]["median"] > 1,
        )
        for units, of in found["units"].items()
        for against, key in (
            (f"torch's LSTM in {of['trained_in']}, padded", "times_as_fast"),
            ("torch's LSTM in float32, padded", "times_as_fast_as_torch_in_float32"),
        )
        if key in of
    ]


def _judging(found: dict[str, Any]) -> list[Row]:
    return [
        Row(
            f"texts judged while a network of {units} units learns",
            "torch, in the quicker of float32 and bfloat16",
            f"{_told(of['times_as_fast'])} times as fast: {of['words_a_second']['plaudit']['median']:,.0f}"
            " words a second",
            "ahead",
            of["times_as_fast"]["median"] > 1,
        )
        for units, of in found["units"].items()
    ]


def _road(found: dict[str, Any]) -> list[Row]:
    rows = []
    for road, aim in (("lstm", 100), ("linear", 300)):
        accuracies = [f"{value:.4f}" for value in found[road]["test_accuracy"]]
        what = f"archive to a model, {road} ({', '.join(accuracies)})"
        rows.append(
            _at_least(what, "the original's 0.8372", found[road]["times_as_fast"], aim, " times", _pace(found), 0)
        )
    differs = found["largest_difference_from_the_plain_network"]
    return [
        *rows,
        Row(
            "probabilities on the 25,000 test reviews",
            "the plain network, float32",
            f"**{differs['of_a_probability']:.1g}** apart at most",
            "1e-5",
            differs["of_a_probability"] <= 1e-5,
        ),
    ]


def _serving(found: dict[str, Any]) -> list[Row]:
    original = found["original"]
    alone, together = original["one_client_milliseconds"], original["reviews_a_second_at_64_clients"]
    what, crowd = "one review over HTTP, 1 client", "one review a request, 64 clients"
    peers = original["p50_of_each_peer_by_ours"]
    alone_rate = original["model_alone_reviews_a_second"]["median"]
    rounded, moved = found["original_int8"], found["int8"]["points_of_accuracy"]
    int8 = f"int8 weights, which move accuracy by {moved:+.2f} points"
    alone_int8 = rounded["one_client_milliseconds"]["plaudit"]
    of_network = _pace(found)
    if networks := [found["network"][side] for side in ("original", "original_int8") if found["network"][side]]:
        times = [each["milliseconds_of_a_review_alone"]["plaudit"]["median"] for each in networks]
        of_network = "the network alone takes {:.2f} ms; int8 weights take {:.2f}".format(*times)
    return [
        *(_network(name, found["network"][side]) for side, name in NETWORKS.items() if found["network"][side]),
        _under(what, "p50", alone["plaudit"]["p50"], 1.5, " ms", of_network, 2),
        _under(what, f"p50, {int8}", alone_int8["p50"], 1.5, " ms", _pace(found), 2),
        _under(what, "p99", alone["plaudit"]["p99"], 5, " ms", of_network),
        _under(what, "p99, int8 weights", alone_int8["p99"], 5, " ms", _pace(found)),
        *(
            Row(what, name, f"{_told(peers[peer], '', 2)} times our p50", "ahead", peers[peer]["median"] > 1, EVEN)
            for peer, name in PEERS.items()
        ),
        *(
            _at_least(
                crowd,
                name,
                original["times_the_reviews_of_each_peer"][peer],
                3,
                " times",
                SHARED.format(share=3 * together[peer]["median"] / alone_rate, alone=alone_rate),
            )
            for peer, name in PEERS.items()
        ),
        Row(crowd, "a second", _told(together["plaudit"], "", 0), "", met=True),
        Row(
            crowd,
            "a second, int8 weights",
            _told(rounded["reviews_a_second_at_64_clients"]["plaudit"], "", 0),
            "",
            met=True,
        ),
        _at_least(crowd, "the model alone in batches", original["share_of_the_model_alone"], 0.6, "", _pace(found), 2),
    ]


def _network(name: str, found: dict[str, Any]) -> Row:
    alone, together = (found[f"milliseconds_of_a_review_{how}"] for how in ("alone", "in_batches"))
    times = f"{_told(alone['times_as_fast'])} times as fast, in batches {_told(together['times_as_fast'])}"
    milliseconds = f"{alone['plaudit']['median']:.2f} ms a review of {found['ids_a_review']} ids"
    ahead = min(alone["times_as_fast"]["median"], together["times_as_fast"]["median"]) > 1
    return Row(f"the network of {name} on one core", "ONNX Runtime", f"{times}: {milliseconds}", "ahead", ahead, EVEN)


def _starting(found: dict[str, Any]) -> list[Row]:
    what, first, times = (
        "first answer after process start",
        found["seconds_to_the_first_answer"],
        found["times_as_fast"],
    )
    memory, disk = found["times_as_little_memory"], found["megabytes_on_disk"]
    names = {**PEERS, "original": "the original's imports and model"}
    return [
        _under(what, "seconds", first["plaudit"], 0.6, " s", _pace(found), 2),
        *(
            Row(what, name, f"{_told(times[side])} times as long", "ahead", times[side]["median"] > 1, BARE_START)
            for side, name in names.items()
        ),
        _under("memory of a serving process", "megabytes", found["megabytes_of_memory"]["plaudit"], 120, " MB", "", 0),
        *(
            Row(
                "memory of a serving process",
                name,
                f"{_told(memory[side])} times as much",
                "less",
                memory[side]["median"] > 0.95,
            )
            for side, name in names.items()
        ),
        Row(
            "installed for serving",
            ", ".join(f"{name} {disk[side]} MB" for side, name in names.items()),
            f"**{disk['plaudit']} MB**",
            "under 150 MB",
            disk["plaudit"] < 150,
            f"numpy {found['megabytes_of_numpy']} MB, as pip installs it",
        ),
    ]


NETWORKS = {
    "original": "`original`",
    "original_int8": "`original` with int8 weights",
    "shipped": "the bundle that comes with Plaudit",
}
EVEN = "even: nearly all of it is the model, which is the same"
SHARED = (
    "3 times would be {share:.0%} of the {alone:,.0f} a second that the model alone does on both cores,"
    " which load generator, HTTP and text code share with it"
)
BARE_START = "it loads a model and nothing else: no command line, no checks of settings"
ROWS: dict[str, Callable[[dict[str, Any]], list[Row]]] = {
    "words": _words,
    "preparing": _preparing,
    "training": _training,
    "learning": _learning,
    "judging": _judging,
    "road": _road,
    "serving": _serving,
    "starting": _starting,
}
