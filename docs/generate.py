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
from benchmarks.results import load
from docs.figures import duration, figures, mean, medians
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
        middle = medians(made)
        rows.append(
            f"| `{name}` | {mean(found)} | {', '.join(map(str, found['seeds']))}"
            f" | {max(one['calibration_error'] for one in made):.4f}"
            f" | {max(one['calibration_error_of_short'] for one in made):.4f} | {middle['behaviour']:.1%}"
            f" | {duration(middle['seconds'])} | {middle['peak_megabytes'] / 1000:.1f} GB"
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
