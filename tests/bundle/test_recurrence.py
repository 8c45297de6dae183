"""The recurrence, compiled and on NumPy: ONNX Runtime's evidence, for any network, whatever lies beside a row."""

from __future__ import annotations

import os
import platform
import subprocess
import sys
from collections.abc import Callable
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

from plaudit.bundle import session
from plaudit.bundle.bundle import Bundle
from plaudit.bundle.card import Card
from plaudit.bundle.classifier import Classifier
from plaudit.bundle.compiled_kernel import LIBRARIES, functions
from plaudit.bundle.recurrence import Recurrence
from plaudit.bundle.session import open_session, scorer, tensors
from plaudit.bundle.weights import Weights
from plaudit.errors import BundleError
from plaudit.learning.export import export
from plaudit.learning.network import Network
from plaudit.learning.recipes import DIRECTIONS, POOLINGS, Recipe
from plaudit.text.encoding import pad
from plaudit.text.vocabulary import Vocabulary
from tests.compiling import VECTORS, compiled_plainly, compiled_with_checks, run_with_checks

WORDS = 50
VOCABULARY = Vocabulary(tuple(f"word{number}" for number in range(WORDS - 2)))
CARDS = {
    1: Card("two", ("negative", "positive"), "modern", 500, (0.4, 0.6)),
    3: Card("three", ("a", "b", "c"), "modern", 500, (0.2, 0.3, 0.5)),
}
ScoreOf = Callable[[Bundle], Recurrence]
SHAPES = list(product(DIRECTIONS, POOLINGS, [1, 2], [1, 3], [False, True]))
LENGTHS = (1, 336, 3, 130, 3, 18, 17, 2)
ROWS = [[int(word) for word in np.random.default_rng(length).integers(2, WORDS, length)] for length in LENGTHS]
CPU = Path("/proc/cpuinfo").read_text() if Path("/proc/cpuinfo").exists() else ""
INT8_ERROR = 2e-3 if "vnni" in CPU or platform.machine() not in ("x86_64", "AMD64") else 5e-2
"""Without VNNI, ONNX Runtime adds products in pairs of 16 bits, and cuts off what is larger; Plaudit does not."""
KERNELS = [*LIBRARIES, "NumPy"]
SOURCE = LIBRARIES["this machine"].with_name("recurrence.c")


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


@pytest.fixture(scope="session")
def plain(tmp_path_factory: pytest.TempPathFactory) -> Path | None:
    """What is compiled for processors other than x86-64, compiled for this one."""
    return compiled_plainly(SOURCE, tmp_path_factory.mktemp("plain"))


@pytest.fixture
def score_of(request: pytest.FixtureRequest, plain: Path | None) -> ScoreOf:
    """What scores a bundle on the kernel of the test's parameter."""
    path = plain if request.param == "this machine" else LIBRARIES.get(request.param)
    found = functions(path) if path else None
    if found is None and request.param != "NumPy":
        pytest.skip("not compiled here, or not for this processor")
    return lambda bundle: Recurrence(Weights.of(tensors(bundle)), found)


on_every_kernel = pytest.mark.parametrize("score_of", KERNELS, indirect=True)


def by_onnx_runtime(bundle: Bundle, rows: list[list[int]]) -> list[NDArray[np.float32]]:
    (found,) = open_session(bundle).run(None, {"ids": pad(rows)})
    return [evidence[: len(row)] for evidence, row in zip(found, rows, strict=True)]


@on_every_kernel
@pytest.mark.parametrize(("direction", "pooling", "layers", "units", "int8"), SHAPES)
def test_it_gives_onnx_runtimes_evidence_for_any_shape(
    direction: str, pooling: str, layers: int, units: int, int8: bool, score_of: ScoreOf
) -> None:
    bundle = bundle_of(direction, pooling, layers, units, int8)
    found = score_of(bundle)(ROWS)
    for row, ours, theirs in zip(ROWS, found, by_onnx_runtime(bundle, ROWS), strict=True):
        assert ours.shape == (len(row), units)
        assert ours.dtype == np.float32
        np.testing.assert_allclose(ours.sum(0), theirs.sum(0), atol=INT8_ERROR if int8 else 1e-5)
        if not int8:  # where rounding differs, another word may hold a unit's maximum
            np.testing.assert_allclose(ours, theirs, atol=1e-5)


@on_every_kernel
@pytest.mark.parametrize("int8", [False, True])
@pytest.mark.parametrize("sizes", [(32, 200), (256, 320), (1, 1), (16, 16)])
def test_it_does_so_for_any_size(sizes: tuple[int, int], int8: bool, score_of: ScoreOf) -> None:
    for pooling in POOLINGS:
        bundle = bundle_of("forward", pooling, 1, 1, int8, sizes)
        for ours, theirs in zip(score_of(bundle)(ROWS), by_onnx_runtime(bundle, ROWS), strict=True):
            np.testing.assert_allclose(ours.sum(0), theirs.sum(0), atol=1e-2 if int8 else 1e-5)


@pytest.mark.parametrize("score_of", LIBRARIES, indirect=True)
@pytest.mark.parametrize(("direction", "pooling", "layers", "units", "int8"), SHAPES)
def test_a_rows_evidence_is_the_same_to_the_bit_whatever_lies_beside_it(
    direction: str, pooling: str, layers: int, units: int, int8: bool, score_of: ScoreOf
) -> None:
    score = score_of(bundle_of(direction, pooling, layers, units, int8))
    together = score(ROWS)
    for row, found in zip(ROWS, together, strict=True):
        np.testing.assert_array_equal(score([row])[0], found)
    for found, again in zip(together, reversed(score(ROWS[::-1])), strict=True):
        np.testing.assert_array_equal(found, again)


@pytest.mark.parametrize(("direction", "pooling", "layers", "units", "int8"), SHAPES)
def test_on_numpy_it_is_the_same_but_for_rounding(
    direction: str, pooling: str, layers: int, units: int, int8: bool
) -> None:
    score = Recurrence(Weights.of(tensors(bundle_of(direction, pooling, layers, units, int8))), None)
    for row, found in zip(ROWS, score(ROWS), strict=True):
        np.testing.assert_allclose(score([row])[0], found, atol=2e-6)


def test_what_has_avx2_multiplies_what_avx_512_multiplies() -> None:
    """In int8 every product and sum is a whole number: only what follows them is rounded elsewhere."""
    both = [found for name in ("AVX-512", "AVX2") if (found := functions(LIBRARIES[name]))]
    if len(both) < 2:
        pytest.skip("not compiled here, or not for this processor")
    weights = Weights.of(tensors(bundle_of("forward", "last", 1, 1, True, (64, 64))))
    ours, theirs = (Recurrence(weights, found)(ROWS) for found in both)
    for one, other in zip(ours, theirs, strict=True):
        np.testing.assert_allclose(one, other, atol=1e-3)


@pytest.mark.parametrize("score_of", LIBRARIES, indirect=True)
def test_many_rows_at_once_and_long_ones_are_no_matter(score_of: ScoreOf) -> None:
    score = score_of(bundle_of("both", "mean and max", 2, 3, True))
    alone = score([ROWS[1]])[0]
    for found in score([ROWS[1]] * 200):
        np.testing.assert_array_equal(found, alone)
    assert np.isfinite(score([list(range(2, 50)) * 400])[0]).all()


@on_every_kernel
@pytest.mark.parametrize("pooling", POOLINGS)
def test_what_is_no_word_has_no_evidence_and_no_say(pooling: str, score_of: ScoreOf) -> None:
    score = score_of(bundle_of("both", pooling, 1, 1, False))
    (alone,) = score([[5, 6, 7]])
    found, nothing, none = score([[0, 5, 0, 6, 7, 0], [0, 0], []])
    np.testing.assert_allclose(found[[1, 3, 4]], alone, atol=1e-6)
    assert not found[[0, 2, 5]].any()
    assert nothing.tolist() == [[0], [0]]
    assert none.shape == (0, 1)
    assert score([]) == []


@on_every_kernel
@pytest.mark.parametrize("id", [WORDS, -1, 1 << 40])
def test_ids_that_it_does_not_know_are_refused(id: int, score_of: ScoreOf) -> None:
    with pytest.raises(IndexError):
        score_of(bundle_of("forward", "last", 1, 1, True))([[5, id]])


@pytest.mark.parametrize("score_of", LIBRARIES, indirect=True)
def test_threads_do_not_disturb_each_other(score_of: ScoreOf) -> None:
    score = score_of(bundle_of("both", "mean and max", 2, 1, True, (32, 64)))
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


@pytest.mark.parametrize("installed", [True, False], ids=["ONNX Runtime is there", "it is not"])
def test_where_nothing_is_compiled_onnx_runtime_scores_or_numpy(
    bundle: Bundle, monkeypatch: pytest.MonkeyPatch, installed: bool
) -> None:
    texts = ["A wonderful film, and I did not expect it.", "A boring mess.", "Nothing happens. " * 40]
    ours = Classifier(bundle).predict_proba(texts)
    monkeypatch.setattr(session, "library", lambda: None)
    monkeypatch.setattr(session, "find_spec", lambda name: installed or None)
    assert isinstance(scorer(bundle), Recurrence) != installed
    theirs = Classifier(bundle).predict_proba(texts)
    np.testing.assert_allclose(ours, theirs, atol=5e-3)
    assert (ours.argmax(1) == theirs.argmax(1)).all()


def test_without_onnx_runtime_another_network_is_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "onnxruntime", None)
    bundle = changed(bundle_of("forward", "last", 1, 1, False), gru__weight_hh_l0=np.zeros((30, 10), np.float32))
    with pytest.raises(BundleError, match=r"holds no network that Plaudit trains.*pip install 'plaudit\[onnx\]'"):
        scorer(bundle)


def test_it_can_be_switched_off() -> None:
    script = "import sys, plaudit; plaudit.load().predict(['fine']); sys.exit('onnxruntime' not in sys.modules)"
    environment = {**os.environ, "PLAUDIT_COMPILED": "0"}
    assert subprocess.run([sys.executable, "-c", script], env=environment, check=False, timeout=60).returncode == 0


def test_scoring_with_it_imports_no_onnx_runtime() -> None:
    script = "import sys, plaudit; plaudit.load().predict(['fine']); sys.exit('onnxruntime' in sys.modules)"
    assert subprocess.run([sys.executable, "-c", script], check=False, timeout=60).returncode == 0


@pytest.mark.parametrize("int8", [False, True])
@pytest.mark.parametrize("vectors", VECTORS.values(), ids=VECTORS)
def test_it_reads_and_writes_no_memory_but_its_own(vectors: tuple[str, ...], int8: bool, tmp_path: Path) -> None:
    """With the compiler's own check of addresses, in a process of its own."""
    made, weights = compiled_with_checks(SOURCE, vectors, tmp_path), tmp_path / "weights.safetensors"
    bundle = bundle_of("both", "mean and max", 2, 3, int8, (6, 20))
    weights.write_bytes(bundle.weights)
    run_with_checks(f"""
import pathlib
from safetensors.numpy import load
from plaudit.bundle.compiled_kernel import functions
from plaudit.bundle.recurrence import Recurrence
from plaudit.bundle.weights import Weights
if found := functions(pathlib.Path({str(made)!r})):
    score = Recurrence(Weights.of(load(pathlib.Path({str(weights)!r}).read_bytes())), found)
    for rows in ({ROWS}, [[5]], [[5]] * 150, [[3] * 1000]):
        score(rows)
""")
