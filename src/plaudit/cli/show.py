"""`plaudit show`: the network in a bundle, drawn in the terminal. Knows how to draw; needs no torch."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import click

from plaudit.bundle.bundle import FILES, Bundle
from plaudit.bundle.card import USUAL_LENGTH, Card
from plaudit.bundle.layers import Layer, layers_of
from plaudit.cli import options as shared
from plaudit.cli.aws import columns
from plaudit.cli.home import chosen_bundle
from plaudit.cli.terminal import give, give_json, printable

REVIEW = 200
INDENT = "      "
KINDS = {"lookup": "a vector a word", "table": "evidence a word", "linear": "linear", "numbers": "numbers"}


@click.command(
    "show",
    epilog=shared.examples("plaudit show bundle", "plaudit show bundle --json"),
)
@click.argument("bundle", type=shared.folder, required=False)
@click.option("--json", "as_json", is_flag=True, help="Print the layers, with every tensor, as JSON.")
def command(bundle: Path | None, as_json: bool) -> None:
    """Draw the network in a bundle: its layers, shapes, parameters, multiply-adds a word and bytes.

    Without BUNDLE it is the newest that plaudit up made, else Plaudit's own. What is drawn
    is read from the bundle's tensors.
    """
    loaded = Bundle.load(chosen_bundle(bundle))
    layers = layers_of(loaded)
    if as_json:
        give_json(_as_json(loaded, layers))
        return
    for line in drawn(loaded, layers):
        give(printable(line))


def _as_json(bundle: Bundle, layers: Sequence[Layer]) -> dict[str, Any]:
    card = bundle.card
    return {
        "bundle": str(bundle.path),
        "name": card.name,
        "recipe": card.recipe.get("name"),
        "labels": list(card.labels),
        "vocabulary": bundle.vocabulary.size,
        "max_words": card.max_words,
        "layers": [layer.to_json() for layer in layers],
        "parameters": sum(layer.parameters for layer in layers),
        "operations_a_word": sum(layer.operations for layer in layers),
        "bytes": sum(layer.bytes for layer in layers),
        "files": {name: (bundle.path / name).stat().st_size for name in FILES} if bundle.path else {},
    }


def drawn(bundle: Bundle, layers: Sequence[Layer]) -> list[str]:
    """The network from its words down to its verdict, a line a layer, with what passes between them."""
    card, size = bundle.card, bundle.vocabulary.size
    rows = columns([_row(layer, size) for layer in layers])
    runs = f"runs of 1 to {card.ngrams} words, each once" if card.ngrams > 1 else "words"
    lines = [f"{card.name}: {', '.join(card.labels)}", "", f"  {runs}, of the first {card.max_words:,} of a text"]
    for at, (layer, row) in enumerate(zip(layers, rows, strict=True)):
        if at == 0 or not _beside(layers[at - 1], layer):
            lines.append(f"{INDENT}│ {_between(layers, at, card)}".rstrip())
        lines.append(f"  {row}")
    lines.append(f"{INDENT}│ {len(card.biases):,} a word: its evidence")
    lines += [f"  summed, divided by {_divisor(card)}, added to what the labels' shares say", ""]
    return lines + _together(bundle, layers)


def _divisor(card: Card) -> str:
    grown = f" · (ids / {USUAL_LENGTH})^{card.growth:.2f}" if card.growth else ""
    return f"{card.temperature:.2f}{grown}"


def _row(layer: Layer, vocabulary: int) -> tuple[str, ...]:
    inputs = vocabulary if layer.kind in ("lookup", "table") else layer.inputs
    stored = "/".join(dict.fromkeys(tensor.kind for tensor in layer.tensors))
    return (
        layer.name, KINDS.get(layer.kind, layer.kind), f"{inputs:,} → {layer.outputs:,}",
        f"{layer.parameters:,} parameters", f"{layer.operations:,} multiply-adds a word",
        f"{human(layer.bytes)} {stored}",
    )  # fmt: skip


def _beside(before: Layer, layer: Layer) -> bool:
    """Whether two layers read the same: the two directions of one network."""
    return before.kind == layer.kind and before.inputs == layer.inputs and "backward" in layer.name


def _between(layers: Sequence[Layer], at: int, card: Card) -> str:
    """What a layer gets from those above it."""
    if at == 0:
        return "1 id a word"
    own, before = layers[at], layers[at - 1]
    pooling = card.recipe.get("pooling", "last")
    read_whole = own.kind == "linear" and before.kind not in ("linear", "lookup") and pooling != "last"
    return f"{own.inputs:,}" + (f": {pooling} of a text's states" if read_whole else "")


def _together(bundle: Bundle, layers: Sequence[Layer]) -> list[str]:
    parameters, operations = (
        sum(values) for values in zip(*((x.parameters, x.operations) for x in layers), strict=True)
    )
    held = sum(layer.bytes for layer in layers)
    review = f"{_thousands(operations * REVIEW)} for a review of {REVIEW}"
    lines = [f"together  {parameters:,} parameters, {operations:,} multiply-adds a word ({review}), {human(held)}"]
    if bundle.path:
        sizes = ((name, (bundle.path / name).stat().st_size) for name in FILES)
        lines.append("files     " + ", ".join(f"{name} {human(size)}" for name, size in sizes))
    return lines


def human(size: int) -> str:
    """Bytes as a person reads them."""
    for unit, factor in (("MB", 1e6), ("kB", 1e3)):
        if size >= factor:
            return f"{size / factor:.1f} {unit}"
    return f"{size} bytes"


def _thousands(count: int) -> str:
    for unit, factor in (("billion", 1e9), ("million", 1e6)):
        if count >= factor:
            return f"{count / factor:.1f} {unit}"
    return f"{count:,}"
