"""The `plaudit` command: its steps, and how every error ends. Knows no step's work."""

from __future__ import annotations

import importlib
import os
import sys
from typing import NoReturn

import click

from plaudit.cli.terminal import say
from plaudit.errors import PlauditError
from plaudit.version import __version__

STEPS = {
    "up": "the whole road: reviews to a live page, with one command",
    "prepare": "reviews to words and ids",
    "train": "reviews to a bundle",
    "pretrain": "texts without labels to the encoder that training starts from",
    "tune": "which settings of a recipe are best",
    "runs": "the trainings so far, listed, sorted and compared",
    "show": "the network in a bundle, layer by layer",
    "evaluate": "how good a bundle or an endpoint is",
    "check": "what a bundle can and cannot do, case by case",
    "predict": "verdicts for texts, a file or standard input",
    "serve": "a bundle as an endpoint",
    "web": "the page and the public API",
    "pack": "a bundle as the archive that SageMaker takes",
    "deploy": "a bundle to a live page on AWS",
    "status": "what of Plaudit's is on AWS, and what it costs",
    "score": "a lake of reviews on AWS, in one batch",
    "down": "everything back from AWS, and proof that nothing is left",
    "doctor": "what is installed, where things are, and whether a bundle is sound",
}


class Road(click.Group):
    """The steps in the road's order; a step's module is imported only when it is called."""

    def list_commands(self, ctx: click.Context) -> list[str]:
        return list(STEPS)

    def get_command(self, ctx: click.Context, cmd_name: str) -> click.Command | None:
        if cmd_name not in STEPS:
            return None
        command: click.Command = importlib.import_module(f"plaudit.cli.{cmd_name}").command
        return command

    def format_commands(self, ctx: click.Context, formatter: click.HelpFormatter) -> None:
        with formatter.section("Steps"):
            formatter.write_dl(list(STEPS.items()))


def _with_dashes(name: str) -> str:
    """Flags may be written with underscores too, as SageMaker writes hyperparameters."""
    return name.replace("_", "-")


@click.group(
    cls=Road,
    invoke_without_command=True,
    context_settings={
        "help_option_names": ["-h", "--help"],
        "token_normalize_func": _with_dashes,
        "max_content_width": 100,
    },
    epilog="Start here:  plaudit up",
)
@click.version_option(__version__, prog_name="plaudit")
@click.pass_context
def road(context: click.Context) -> None:
    """Labelled reviews to a live sentiment web app: data, words, LSTM, bundle, endpoint, API, page."""
    if context.invoked_subcommand is None:
        click.echo(context.get_help())


def main(arguments: list[str] | None = None) -> NoReturn:
    """Runs the command line. Exit 0 is success, 2 the user's mistake, 1 ours, 130 a stop by Ctrl-C."""
    try:
        # Without standalone mode click returns the code of an Exit instead of raising it.
        sys.exit(road.main(arguments, prog_name="plaudit", standalone_mode=False) or 0)
    except (click.Abort, KeyboardInterrupt):
        say("\nplaudit: stopped; what was finished is kept, and the same command goes on from there")
        sys.exit(130)
    except click.ClickException as error:
        _show_usage(error)
        sys.exit(2)
    except PlauditError as error:
        say(f"plaudit: {error}")
        sys.exit(error.exit_code)
    except BrokenPipeError:
        # The reader of our output went away, as `head` does; Python would complain again at exit.
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        sys.exit(0)
    except OSError as error:
        # The disk is full, a folder may not be written: the system's own reason and the place are what helps.
        say(f"plaudit: {error.filename or 'a file'}: {error.strerror or error}")
        sys.exit(2)


def _show_usage(error: click.ClickException) -> None:
    say(f"plaudit: {error.format_message()}")
    context = getattr(error, "ctx", None)
    if context is not None:
        say(f"         {context.command_path} --help shows how it is called")
