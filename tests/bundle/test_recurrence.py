"""The compiled recurrence: what ONNX Runtime's evidence is, for any network, whatever lies beside a row."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from itertools import product
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from numpy.typing import NDArray
from safetensors.numpy import load as tensors_of
from safetensors.numpy import save as to_safetensors

from plaudit.bundle import recurrence
from plaudit.bundle.bundle import Bundle
from plaudit.bundle.card import Card
from plaudit.bundle.classifier import Classifier
from plaudit.bundle.recurrence import Recurrence, library
from plaudit.bundle.session import open_session, scorer
from plaudit.errors import BundleError
from plaudit.learning.export import export
from plaudit.learning.network import Network
from plaudit.learning.recipes import DIRECTIONS, POOLINGS, Recipe
from plaudit.text.encoding import pad
from plaudit.text.vocabulary import Vocabulary

WORDS = 50
VOCABULARY = Vocabulary(tuple(f"word{number}" for number in range(WORDS - 2)))
CARDS = {
    1: Card("two", ("negative", "positive"), "modern", 500, (0.4, 0.6)),
    3: Card("three", ("a", "b", "c"), "modern", 500, (0.2, 0.3, 0.5)),
}
SHAPES = list(product(DIRECTIONS, POOLINGS, [1, 2], [1, 3], [False, True]))
LENGTHS = (1, 336, 3, 130, 3, 18, 17, 2)
ROWS = [[int(word) for word in np.random.default_rng(length).integers(2, WORDS, length)] for length in LENGTHS]

pytestmark = pytest.mark.skipif(library() is None, reason="not compiled, or a processor without AVX-512 and VNNI")


def bundle_of(
    direction: str, pooling: str, layers: int, units: int, int8: bool, sizes: tuple[int, int] = (6, 10)
) -> Bundle:
    """A bundle of random weights, which no multiple of a block's size fits."""
    torch.manual_seed(layers)
    recipe = replace(
        Recipe.of("original"),
        embedding_dim=sizes[0],
        hidden_dim=sizes[1],
        direction=direction,
        pooling=pooling,
        layers=layers,
    )
    network = Network(recipe, WORDS, np.array(CARDS[units].biases)).eval()
    return Bundle(CARDS[units], VOCABULARY, *export(network, int8))


def compiled(bundle: Bundle) -> Recurrence:
    found = scorer(bundle)
    assert isinstance(found, Recurrence)
    return found


def by_onnx_runtime(bundle: Bundle, rows: list[list[int]]) -> list[NDArray[np.float32]]:
    (found,) = open_session(bundle).run(None, {"ids": pad(rows)})
    return [evidence[: len(row)] for evidence, row in zip(found, rows, strict=True)]


@pytest.mark.parametrize(("direction", "pooling", "layers", "units", "int8"), SHAPES)
def test_it_gives_onnx_runtimes_evidence_for_any_shape(
    direction: str, pooling: str, layers: int, units: int, int8: bool
) -> None:
    bundle = bundle_of(direction, pooling, layers, units, int8)
    found = compiled(bundle)(ROWS)
    for row, ours, theirs in zip(ROWS, found, by_onnx_runtime(bundle, ROWS), strict=True):
        assert ours.shape == (len(row), units)
        assert ours.dtype == np.float32
        np.testing.assert_allclose(ours.sum(0), theirs.sum(0), atol=2e-3 if int8 else 1e-5)
        if not int8:  # where rounding differs, another word may hold a unit's maximum
            np.testing.assert_allclose(ours, theirs, atol=1e-5)


@pytest.mark.parametrize("int8", [False, True])
@pytest.mark.parametrize("sizes", [(32, 200), (256, 320), (1, 1), (16, 16)])
def test_it_does_so_for_any_size(sizes: tuple[int, int], int8: bool) -> None:
    for pooling in POOLINGS:
        bundle = bundle_of("forward", pooling, 1, 1, int8, sizes)
        for ours, theirs in zip(compiled(bundle)(ROWS), by_onnx_runtime(bundle, ROWS), strict=True):
            np.testing.assert_allclose(ours.sum(0), theirs.sum(0), atol=1e-2 if int8 else 1e-5)


@pytest.mark.parametrize(("direction", "pooling", "layers", "units", "int8"), SHAPES)
def test_a_rows_evidence_is_the_same_to_the_bit_whatever_lies_beside_it(
    direction: str, pooling: str, layers: int, units: int, int8: bool
) -> None:
    score = compiled(bundle_of(direction, pooling, layers, units, int8))
    together = score(ROWS)
    for row, found in zip(ROWS, together, strict=True):
        np.testing.assert_array_equal(score([row])[0], found)
    for found, again in zip(together, reversed(score(ROWS[::-1])), strict=True):
        np.testing.assert_array_equal(found, again)


def test_many_rows_at_once_and_long_ones_are_no_matter() -> None:
    score = compiled(bundle_of("both", "mean and max", 2, 3, True))
    alone = score([ROWS[1]])[0]
    for found in score([ROWS[1]] * 200):
        np.testing.assert_array_equal(found, alone)
    assert np.isfinite(score([list(range(2, 50)) * 400])[0]).all()


def test_what_is_no_word_has_no_evidence_and_no_say() -> None:
    score = compiled(bundle_of("both", "mean and max", 1, 1, False))
    (plain,) = score([[5, 6, 7]])
    found, nothing, none = score([[0, 5, 0, 6, 7, 0], [0, 0], []])
    np.testing.assert_array_equal(found[[1, 3, 4]], plain)
    assert not found[[0, 2, 5]].any()
    assert nothing.tolist() == [[0], [0]]
    assert none.shape == (0, 1)
    assert score([]) == []


def test_ids_that_it_does_not_know_are_refused() -> None:
    with pytest.raises(IndexError):
        compiled(bundle_of("forward", "last", 1, 1, True))([[WORDS]])


def test_threads_do_not_disturb_each_other() -> None:
    score = compiled(bundle_of("both", "mean and max", 2, 1, True, (32, 64)))
    alone = [score([row])[0] for row in ROWS]
    with ThreadPoolExecutor(8) as pool:
        for many in pool.map(lambda turn: score(ROWS[turn % 8 :] + ROWS[: turn % 8]), range(64)):
            assert len(many) == len(ROWS)
        for turn, many in enumerate(pool.map(lambda turn: score(ROWS[turn:] + ROWS[:turn]), range(8))):
            for found, expected in zip(many, alone[turn:] + alone[:turn], strict=True):
                np.testing.assert_array_equal(found, expected)


def changed(bundle: Bundle, **values: Any) -> Bundle:
    """With other tensors, or without those that are None."""
    stored = {**tensors_of(bundle.weights), **{name.replace("__", "."): value for name, value in values.items()}}
    return replace(bundle, weights=to_safetensors({key: value for key, value in stored.items() if value is not None}))


def trying(bundle: Bundle) -> object:
    """What scores a bundle, or why ONNX Runtime refuses it."""
    try:
        return scorer(bundle)
    except BundleError as error:
        return str(error)


@pytest.mark.parametrize(
    "values",
    [
        {"lstm__weight_hh_l0": None},
        {"lstm__weight_hh_l0": np.zeros((40, 9), np.float32)},
        {"lstm__weight_ih_l0": np.zeros((40, 5), np.float32)},
        {"lstm__bias_hh_l0": np.zeros(39, np.float32)},
        {"dense__weight": np.zeros((1, 9), np.float32)},
        {"dense__weight": np.zeros((2, 10), np.float32)},
        {"dense__bias": np.full(1, np.nan, np.float32)},
        {"embedding__weight": np.zeros((WORDS, 7), np.float32)},
        {"embedding__weight": np.zeros(WORDS, np.float32)},
        {"embedding__scale": np.zeros(3, np.float16)},
        {"gru__weight_hh_l0": np.zeros((30, 10), np.float32)},
        {"lstm__weight_hh_l0_reverse": np.zeros((40, 10), np.float32)},
    ],
    ids=str,
)
def test_another_network_is_left_to_onnx_runtime_or_refused(values: dict[str, Any]) -> None:
    bundle = changed(bundle_of("forward", "last", 1, 1, False), **values)
    assert not isinstance(trying(bundle), Recurrence)


def test_where_it_was_not_compiled_onnx_runtime_scores(
    bundle: Bundle, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    texts = ["A wonderful film, and I did not expect it.", "A boring mess.", "Nothing happens. " * 40]
    ours = Classifier(bundle).predict_proba(texts)
    library.cache_clear()
    monkeypatch.setattr(recurrence, "LIBRARY", tmp_path / "none.so")
    assert library() is None
    theirs = Classifier(bundle).predict_proba(texts)
    library.cache_clear()
    np.testing.assert_allclose(ours, theirs, atol=5e-3)
    assert (ours.argmax(1) == theirs.argmax(1)).all()


def test_it_can_be_switched_off() -> None:
    script = "import sys, plaudit; plaudit.load().predict(['fine']); sys.exit('onnxruntime' not in sys.modules)"
    environment = {**os.environ, "PLAUDIT_COMPILED": "0"}
    assert subprocess.run([sys.executable, "-c", script], env=environment, check=False, timeout=60).returncode == 0


def test_scoring_with_it_imports_no_onnx_runtime() -> None:
    script = "import sys, plaudit; plaudit.load().predict(['fine']); sys.exit('onnxruntime' in sys.modules)"
    assert subprocess.run([sys.executable, "-c", script], check=False, timeout=60).returncode == 0


@pytest.mark.parametrize("int8", [False, True])
def test_it_reads_and_writes_no_memory_but_its_own(int8: bool, tmp_path: Path) -> None:
    """With the compiler's own check of addresses, in a process of its own."""
    compiler, source = shutil.which("gcc"), recurrence.LIBRARY.with_name("recurrence.c")
    if not compiler:
        pytest.skip("no gcc here")
    made, weights = tmp_path / "checked.so", tmp_path / "weights.safetensors"
    vectors = ["-mfma", "-mavx512f", "-mavx512bw", "-mavx512dq", "-mavx512vl", "-mavx512vnni"]
    build = [compiler, "-g", "-O1", "-fsanitize=address", "-shared", "-fPIC", *vectors, "-o", str(made), str(source)]
    if subprocess.run(build, check=False, capture_output=True, timeout=120).returncode:
        pytest.skip("gcc checks no addresses here")
    where = subprocess.run([compiler, "-print-file-name=libasan.so"], check=True, capture_output=True, text=True)
    bundle = bundle_of("both", "mean and max", 2, 3, int8, (6, 20))
    weights.write_bytes(bundle.weights)
    script = f"""
import pathlib
from safetensors.numpy import load
from plaudit.bundle import recurrence
recurrence.LIBRARY = pathlib.Path({str(made)!r})
score = recurrence.Recurrence(load(pathlib.Path({str(weights)!r}).read_bytes()), recurrence.library())
for rows in ({ROWS}, [[5]], [[5]] * 150, [[3] * 1000]):
    score(rows)
print("done")
"""
    environment = {"LD_PRELOAD": where.stdout.strip(), "ASAN_OPTIONS": "detect_leaks=0", "PATH": ""}
    done = subprocess.run(
        [sys.executable, "-c", script], env=environment, capture_output=True, text=True, check=False, timeout=120
    )
    assert done.stdout == "done\n", done.stderr[-2000:]
