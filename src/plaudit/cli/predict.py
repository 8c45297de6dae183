"""`plaudit predict`: verdicts for texts, a file or standard input, one a line. Knows no reviews and no training."""

from __future__ import annotations

import json
import sys
from collections.abc import Iterable, Iterator, Sequence
from itertools import islice
from pathlib import Path

import click

from plaudit.bundle.classifier import load
from plaudit.bundle.verdict import Verdict
from plaudit.cli import options as shared
from plaudit.cli.home import chosen_bundle
from plaudit.cli.terminal import give, say, track
from plaudit.errors import ReviewsError, UsageError
from plaudit.text.tables import READERS, read_lines, read_texts

CHUNK = 256


@click.command(
    "predict",
    epilog=shared.examples(
        'plaudit predict "A wonderful film"', "plaudit predict --file texts.txt --json",
        'echo "Not good at all" | plaudit predict --explain',
    ),
)  # fmt: skip
@click.argument("texts", nargs=-1)
@click.option("--file", "path", type=shared.file, help="One text a line; or a CSV, TSV, JSONL or Parquet file.")
@click.option("--text-column", default="text", show_default=True, help="Column with the text, for tables.")
@click.option("--bundle", type=shared.folder, help="Default: the newest that plaudit up made, else Plaudit's own.")
@click.option("--explain", is_flag=True, help="Show the words that tipped each verdict.")
@click.option("--json", "as_json", is_flag=True, help="One whole verdict as JSON a line.")
def command(
    texts: Sequence[str], path: Path | None, text_column: str, bundle: Path | None, explain: bool, as_json: bool
) -> None:
    """One verdict a line: label, probability, text, separated by tabs.

    Texts come from the command line, else from --file, else from standard input, one a line.
    """
    if texts and path:
        raise UsageError("give texts or --file, not both")
    classifier = load(chosen_bundle(bundle))
    incoming = iter(texts or _incoming(path, text_column))
    if not sys.stdout.isatty():
        incoming = iter(track(incoming, "judging"))
    noted = False
    while chunk := list(islice(incoming, 1 if _interactive(texts, path) else CHUNK)):
        for text, verdict in zip(chunk, classifier.verdicts(chunk, explain or as_json), strict=True):
            give(json.dumps(verdict.to_json(), ensure_ascii=False) if as_json else _line(text, verdict, explain))
            if verdict.notes and not as_json and not noted:
                say(f"plaudit: {verdict.notes[0]}")
                noted = True


def _interactive(texts: Sequence[str], path: Path | None) -> bool:
    return not texts and path is None and sys.stdin.isatty()


def _incoming(path: Path | None, column: str) -> Iterable[str]:
    if path is None:
        return _standard_input()
    if not path.exists():
        raise UsageError(f"{path}: there is no such file")
    return read_texts(path, column) if path.suffix.lower() in READERS else read_lines(path)


def _standard_input() -> Iterator[str]:
    if sys.stdin.isatty():
        say("one text a line; Ctrl-D ends")
    for number, raw in enumerate(sys.stdin.buffer, 1):
        try:
            yield raw.decode("utf-8").rstrip("\r\n")
        except UnicodeDecodeError as error:
            raise ReviewsError(f"not UTF-8 at byte {error.start + 1} of the line", "standard input", number) from None


def _line(text: str, verdict: Verdict, explain: bool) -> str:
    line = f"{verdict.label}\t{verdict.probability:.4f}\t{' '.join(text.split())}"
    if explain:
        heaviest = sorted(verdict.words, key=lambda word: -abs(word.contribution))[:5]
        line += "\t" + ", ".join(f"{text[word.start : word.end]} {word.contribution:+.2f}" for word in heaviest)
    return line
