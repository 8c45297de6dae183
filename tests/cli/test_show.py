from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

import pytest

from plaudit.bundle.bundle import FILES, Bundle
from plaudit.bundle.layers import layers_of
from plaudit.cli.show import drawn, human
from plaudit.learning.fitting import fit
from plaudit.learning.preparing import prepare_for
from plaudit.learning.recipes import Recipe
from plaudit.text.reviews import Reviews

WITHOUT_TORCH = """
import sys
for name in ("torch", "onnx", "safetensors"):
    sys.modules[name] = None
from plaudit.cli.main import main
main(sys.argv[1:])
"""


def show(*arguments: str | Path) -> subprocess.CompletedProcess[str]:
    """The command where nothing of training is installed."""
    command = [sys.executable, "-c", WITHOUT_TORCH, "show", *map(str, arguments)]
    return subprocess.run(command, capture_output=True, text=True, check=False)


def test_the_network_is_drawn_without_torch(original_bundle: Bundle) -> None:
    assert original_bundle.path is not None
    done = show(original_bundle.path)
    assert done.returncode == 0, done.stderr
    assert done.stderr == ""
    lines = done.stdout.splitlines()
    names = [line.split()[0] for line in lines if "parameters" in line]
    assert names == ["embedding", "lstm", "dense", "together"]
    assert f"{original_bundle.vocabulary.size:,} → 32" in done.stdout
    assert f"{original_bundle.card.training['parameters']:,} parameters" in lines[-2]
    assert "8,224 multiply-adds a word (1.6 million for a review of 200)" in lines[-2]
    assert all(name in lines[-1] for name in FILES)
    assert f"divided by {original_bundle.card.temperature:.2f} · (ids / 200)^0.17, added" in done.stdout


def test_json_has_every_tensor_and_adds_up(original_bundle: Bundle) -> None:
    assert original_bundle.path is not None
    found = json.loads(show(original_bundle.path, "--json").stdout)
    assert found["parameters"] == original_bundle.card.training["parameters"]
    assert found["parameters"] == sum(layer["parameters"] for layer in found["layers"])
    assert found["operations_a_word"] == sum(layer["operations_a_word"] for layer in found["layers"])
    tensors = {tensor["name"]: tensor for layer in found["layers"] for tensor in layer["tensors"]}
    assert tensors["dense.weight"] == {"name": "dense.weight", "shape": [1, 32], "kind": "float32", "bytes": 128}
    assert found["files"]["weights.safetensors"] > found["bytes"]
    assert found["recipe"] == "original"


@pytest.mark.parametrize(
    ("settings", "wanted"),
    [
        ({}, ["embedding", "lstm 0", "dense"]),
        ({"layers": 2}, ["embedding", "lstm 0", "lstm 1", "dense"]),
        ({"direction": "both", "pooling": "mean and max"}, ["embedding", "lstm 0", "lstm_backward 0", "dense"]),
    ],
)
def test_every_network_is_drawn_from_its_words_down(
    settings: dict[str, object], wanted: list[str], sample: Reviews
) -> None:
    recipe = Recipe.of("original", epochs=1, hidden_dim=8, embedding_dim=4, batch_size=256, **settings)
    bundle = fit(prepare_for(recipe, sample), recipe)
    lines = drawn(bundle, layers_of(bundle))
    rows = [line.strip() for line in lines if " parameters " in line and not line.startswith("together")]
    assert [next(name for name in wanted if row.startswith(name)) for row in rows] == wanted
    assert f"{bundle.card.training['parameters']:,} parameters" in lines[-1]
    assert ("mean and max of a text's states" in "\n".join(lines)) == ("pooling" in settings)


def test_a_linear_model_is_drawn(sample: Reviews) -> None:
    recipe = Recipe.of("linear", ngrams=2, most=500)
    bundle = fit(prepare_for(recipe, sample), recipe)
    text = "\n".join(drawn(bundle, layers_of(bundle)))
    assert "runs of 1 to 2 words, each once" in text
    assert "evidence a word" in text
    assert f"{bundle.vocabulary.size:,} → 1 " in text


def test_without_a_bundle_the_next_command_is_named(tmp_path: Path) -> None:
    done = show(tmp_path / "nowhere")
    assert done.returncode == 2
    assert "make one with: plaudit train" in done.stderr


@pytest.mark.parametrize(("size", "text"), [(12, "12 bytes"), (1_500, "1.5 kB"), (2_340_000, "2.3 MB")])
def test_bytes_as_a_person_reads_them(size: int, text: str) -> None:
    assert human(size) == text
