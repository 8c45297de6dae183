"""Writes what the docs can take from the product itself: the README's table of figures and docs/commands.md.

`make docs` runs it; a test fails where what it would write is not what stands there.
"""

from __future__ import annotations

import re
import statistics
import sys
from pathlib import Path
from typing import Any

import click

from benchmarks import aims
from benchmarks.aims import PEERS
from benchmarks.results import load
from docs.learning_curves import learning_curves
from plaudit.cli.main import STEPS, road
from plaudit.evaluation.behaviour_cases import built_in
from plaudit.learning.phrases import key
from plaudit.learning.recipes import RECIPES, settings_of_a_recipe
from plaudit.places.aws.cost import estimate
from plaudit.places.aws.images import IMAGES, PURPOSES
from plaudit.places.aws.names import Name
from plaudit.places.aws.plan import Plan
from plaudit.places.aws.prices import dollars

ROOT = Path(__file__).parents[1]
CURVES = ROOT / "docs" / "small_data.svg"
HELD_OUT = ROOT / "src" / "plaudit" / "learning" / "held_out.txt"
BEGIN, END = "<!-- figures: begin -->", "<!-- figures: end -->"


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
        middle = _medians(recipes[name]["bundles"])
        cost = f"{_time(middle['seconds'])} from archive to bundle, {middle['milliseconds_a_review']:.1f} ms a review"
        rows.append(
            f"| accuracy on IMDb's 25,000 test reviews, recipe `{name}`: {cost} | 0.8372"
            f" | {_mean(recipes[name])} ({_seeds(recipes[name])}) |"
        )
    if {"lstm", "original"} <= set(recipes):
        ours, theirs = (_medians(recipes[name]["bundles"])["behaviour"] for name in ("lstm", "original"))
        rows.append(f"| behavioural suite: the original's network, recipe `lstm` | {theirs:.1%} | **{ours:.1%}** |")
    return "\n".join(rows)


def _medians(made: list[dict[str, Any]]) -> dict[str, float]:
    return {key: statistics.median(one[key] for one in made) for key in MEASURED}


def _accuracy(found: dict[str, Any]) -> str:
    return (
        "| accuracy on IMDb's 25,000 test reviews, the same network of 347,401 parameters, 10 epochs"
        f" | 0.8372 | {_mean(found)} ({_seeds(found)}) |"
    )


def _mean(found: dict[str, Any]) -> str:
    """The mean accuracy over the seeds, and the standard deviation where there are several."""
    spread = found["standard_deviation"]
    return f"**{found['mean']:.4f}**" + ("" if spread is None else f" ± {spread:.4f}")


def _seeds(found: dict[str, Any]) -> str:
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
        f"| archive to an LSTM, the original's from {original['measured']} | {_time(original['seconds']['median'])}"
        f" to 0.8372 | {_time(road['seconds']['median'])} to {min(accuracies):.4f}:"
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


def readme() -> str:
    """The README as it should be."""
    text = (ROOT / "README.md").read_text("utf-8")
    return re.sub(f"{BEGIN}.*?{END}", f"{BEGIN}\n{figures()}\n{END}", text, flags=re.DOTALL)


def images() -> str:
    """The table of AWS's images."""
    rows = [
        "| image | for | framework | Python | tag on CPUs | tag on GPUs | patched until |",
        "|---|---|---|---|---|---|---|",
    ]
    for image in IMAGES:
        if image.accelerator == "cpu":
            (cuda,) = (each.tag for each in IMAGES if (each.name, each.accelerator) == (image.name, "cuda"))
            until = f"{image.patched_until}{'' if image.published else ' *'}"
            tags = f"`{image.repository}:{image.tag}` | `{image.repository}:{cuda}`"
            about = f"{PURPOSES[image.purpose]} | {image.framework} | {image.python}"
            rows.append(f"| `{image.name}` | {about} | {tags} | {until} |")
    return "\n".join(rows)


def costs() -> str:
    """The table of what each kind of deployment costs."""
    rows = ["| | a month of nobody | a million reviews |", "|---|---|---|"]
    for about, plan in (
        ("`--to lambda`", Plan(Name("reviews"), "us-east-1", to="lambda")),
        ("`--to lambda --snapstart`", Plan(Name("reviews"), "us-east-1", to="lambda", snapstart=True)),
        ("`--to sagemaker`, serverless with 4,096 MB", Plan(Name("reviews"), "us-east-1")),
        ("`--to sagemaker --instance ml.c5.large`", Plan(Name("reviews"), "us-east-1", instance="ml.c5.large")),
        ("`--to sagemaker --async`", Plan(Name("reviews"), "us-east-1", asynchronous=True, least=0)),
    ):
        found = estimate(plan)
        rows.append(f"| {about} | {dollars(found.idle or 0)} | {dollars(found.million or 0)} |")
    return "\n".join(rows)


def between(text: str, mark: str, table: str) -> str:
    """``text`` with ``table`` between its two marks."""
    begin, end = f"<!-- {mark}: begin -->", f"<!-- {mark}: end -->"
    return re.sub(f"{begin}.*?{end}", lambda found: f"{begin}\n{table}\n{end}", text, flags=re.DOTALL)


def recipes() -> str:
    """The table of recipes: every setting, its value in each, what it means."""
    names = list(RECIPES)
    rows = [f"| setting | {' | '.join(f'`{name}`' for name in names)} | meaning |", "|---|" + "---|" * (len(names) + 1)]
    for setting in settings_of_a_recipe():
        values = [getattr(RECIPES[name], setting.name) for name in names]
        rows.append(f"| `{setting.name}` | {' | '.join(map(str, values))} | {setting.metadata['help']} |")
    return "\n".join(rows)


def climbed() -> dict[str, Any]:
    """What the ladder's benchmark has found of each recipe, in the order of the recipes."""
    found = (load("ladder") or {"recipes": {}})["recipes"]
    return {name: found[name] for name in RECIPES if name in found}


def ladder() -> str:
    """The table of what each recipe reaches on IMDb, from benchmarks/results."""
    rows = [
        "| recipe | test accuracy | seeds | calibration error | of short ones | behaviour | archive to bundle | memory"
        " | one review | bundle |",
        "|---|---|---|---|---|---|---|---|---|---|",
        "| the original system | 0.8372 | 1 | | | | 103 min | | 5.1 ms | |",
    ]
    for name, found in climbed().items():
        made = found["bundles"]
        middle = _medians(made)
        rows.append(
            f"| `{name}` | {_mean(found)} | {', '.join(map(str, found['seeds']))}"
            f" | {max(one['calibration_error'] for one in made):.4f}"
            f" | {max(one['calibration_error_of_short'] for one in made):.4f} | {middle['behaviour']:.1%}"
            f" | {_time(middle['seconds'])} | {middle['peak_megabytes'] / 1000:.1f} GB"
            f" | {middle['milliseconds_a_review']:.2f} ms | {middle['bytes'] / 1e6:.1f} MB |"
        )
    return "\n".join(rows)


def behaviour() -> str:
    """The table of pass rates by capability, from benchmarks/results."""
    found = climbed()
    names = list(found)
    rows = [f"| capability | {' | '.join(f'`{name}`' for name in names)} |", "|---|" + "---|" * len(names)]
    rates = {name: [one["behaviour_by_capability"] for one in found[name]["bundles"]] for name in names}
    for capability in rates[names[0]][0] if names else ():
        medians = (statistics.median(one[capability] for one in rates[name]) for name in names)
        rows.append(f"| {capability} | {' | '.join(f'{rate:.0%}' for rate in medians)} |")
    return "\n".join(rows)


def small_data() -> str:
    """The table of accuracies with few reviews, from benchmarks/results; nothing before its benchmark has run."""
    found = load("small_data")
    if found is None:
        return ""
    sizes = list(next(iter(found["accuracy"].values())))
    rows = [f"| recipe | {' | '.join(f'{int(size):,} reviews' for size in sizes)} |", "|---|" + "---|" * len(sizes)]
    for name, by_size in found["accuracy"].items():
        cells = (f"{statistics.mean(by_size[size]):.4f} ± {statistics.stdev(by_size[size]):.4f}" for size in sizes)
        rows.append(f"| `{name}` | {' | '.join(cells)} |")
    return "\n".join(rows)


def curves() -> str | None:
    """docs/small_data.svg; None before its benchmark has run."""
    found = load("small_data")
    return learning_curves(found["accuracy"]) if found else None


def _time(seconds: float) -> str:
    return f"{seconds:.0f} s" if seconds < 120 else f"{seconds / 60:.0f} min"


MEASURED = ("behaviour", "seconds", "peak_megabytes", "milliseconds_a_review", "bytes")
TABLES = {
    "archive.md": {"images": images},
    "aws.md": {"costs": costs},
    "learning.md": {"recipes": recipes},
    "performance.md": {"aims": aims.table},
    "accuracy.md": {"ladder": ladder, "behaviour": behaviour, "small data": small_data},
}


def page(name: str) -> str:
    """A page of docs with its tables as they should be."""
    text = (ROOT / "docs" / name).read_text("utf-8")
    for mark, table in TABLES[name].items():
        text = between(text, mark, table())
    return text


def held_out() -> str:
    """learning/held_out.txt: what training phrases must not be, since the behavioural suite has it."""
    return "\n".join(sorted({key(text) for case in built_in().cases for text in case.texts})) + "\n"


def commands() -> str:
    """docs/commands.md: every command's own help."""
    parts = [
        "# Commands",
        "",
        "What each command says of itself with `--help`, in the road's order. Data goes to standard output, talk to"
        " standard error. Exit 0 is success, 2 a mistake in the call or the data, 1 a failure, 130 a stop by Ctrl-C.",
        "",
    ]
    top = click.Context(road, info_name="plaudit", **{**road.context_settings, "max_content_width": 100})
    for name in STEPS:
        command = road.get_command(top, name)
        assert command is not None
        vars(command)["_help_option"] = None  # click keeps that of the first context it met, which may know no -h
        context = click.Context(command, info_name=name, parent=top, terminal_width=100, max_content_width=100)
        parts += [f"## plaudit {name}", "", "```text", command.get_help(context), "```", ""]
    return "\n".join(parts)


def main() -> int:
    (ROOT / "README.md").write_text(readme(), "utf-8")
    (ROOT / "docs" / "commands.md").write_text(commands(), "utf-8")
    HELD_OUT.write_text(held_out(), "utf-8")
    if drawn := curves():
        CURVES.write_text(drawn, "utf-8")
    for name in TABLES:
        (ROOT / "docs" / name).write_text(page(name), "utf-8")
    return 0


if __name__ == "__main__":
    sys.exit(main())
