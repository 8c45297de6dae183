"""Options that several steps share. Knows click, and the recipes' settings."""

from __future__ import annotations

import shlex
from collections.abc import Callable
from dataclasses import fields
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypeVar

import click

if TYPE_CHECKING:
    from plaudit.text.tables import Columns

F = TypeVar("F", bound=Callable[..., Any])

REVIEWS_HELP = (
    "REVIEWS is a CSV, TSV, JSONL or Parquet file, the IMDb archive (aclImdb_v1.tar.gz) or its folder,"
    " 'imdb' to download it, or 'sample' for the reviews that come with Plaudit."
)


def examples(*lines: str) -> str:
    """A command's epilog: calls that run as they stand."""
    return "\b\nExamples:\n" + "\n".join(f"  {line}" for line in lines)


def column_options(command: F) -> F:
    """--text-column, --label-column, --split-column and --positive, for tables."""
    for option in (
        click.option(
            "--positive", metavar="LABEL", help="The label that scores point to; else the last in the alphabet."
        ),
        click.option(
            "--split-column", default="split", show_default=True, help="Column that says train or test, if any."
        ),
        click.option("--label-column", default="label", show_default=True, help="Column with the label."),
        click.option("--text-column", default="text", show_default=True, help="Column with the text."),
    ):
        command = option(command)
    return command


def columns_from(options: dict[str, Any]) -> Columns:
    """Takes the column options out of ``options``."""
    from plaudit.text.tables import Columns

    return Columns(
        text=options.pop("text_column"),
        label=options.pop("label_column"),
        split=options.pop("split_column"),
        positive=options.pop("positive"),
    )


def column_flags(columns: Columns) -> str:
    """The flags that give ``columns`` again, for a next command."""
    given = {
        "--text-column": (columns.text, "text"),
        "--label-column": (columns.label, "label"),
        "--split-column": (columns.split, "split"),
        "--positive": (columns.positive, None),
    }
    return "".join(f" {flag} {shlex.quote(str(value))}" for flag, (value, usual) in given.items() if value != usual)


def recipe_options(command: F) -> F:
    """--recipe and one flag for each setting of a recipe."""
    from plaudit.learning.recipes import settings_of_a_recipe

    return _recipe_flags(command, settings_of_a_recipe())


def reading_options(command: F) -> F:
    """--recipe and the flags of the settings that preparing reviews depends on."""
    from plaudit.learning.recipes import settings_of_a_recipe
    from plaudit.text.prepared import Reading

    reading = {setting.name for setting in fields(Reading)}
    return _recipe_flags(command, [setting for setting in settings_of_a_recipe() if setting.name in reading])


def _recipe_flags(command: F, settings: list[Any]) -> F:
    from plaudit.learning.recipes import RECIPES

    for setting in reversed(settings):
        about = setting.metadata
        kind: Any = click.Choice(about["choices"]) if about["choices"] else type(setting.default)
        flag = "--" + setting.name.replace("_", "-")
        help = f"{about['help'][0].upper()}{about['help'][1:]}.  [{_defaults(setting.name)}]"
        command = click.option(flag, setting.name, type=kind, help=help)(command)
    recipe_help = "; ".join(f"{recipe.name}: {recipe.about}" for recipe in RECIPES.values())
    recipe = click.option(
        "--recipe", type=click.Choice(list(RECIPES)), help=f"Default: by the number of reviews. {recipe_help}."
    )
    return recipe(command)


def _defaults(setting: str) -> str:
    """What each recipe takes where the flag is not given."""
    from plaudit.learning.recipes import RECIPES

    values = {recipe.name: getattr(recipe, setting) for recipe in RECIPES.values()}
    if len(set(values.values())) == 1:
        return f"default: {next(iter(values.values()))}"
    return ", ".join(f"{name}: {value}" for name, value in values.items())


def recipe_settings(options: dict[str, Any]) -> dict[str, Any]:
    """Takes the settings that were given out of ``options``."""
    from plaudit.learning.recipes import settings_of_a_recipe

    found = {setting.name: options.pop(setting.name, None) for setting in settings_of_a_recipe()}
    return {name: value for name, value in found.items() if value is not None}


folder = click.Path(path_type=Path, file_okay=False)
file = click.Path(path_type=Path, dir_okay=False)
