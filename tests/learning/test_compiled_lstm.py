"""The compiled LSTM: torch's states and gradients, for texts of any lengths, whatever lies beside a text."""

from __future__ import annotations

import ctypes
from collections.abc import Callable, Iterator
from dataclasses import replace
from itertools import pairwise
from pathlib import Path

import numpy as np
import pytest
import torch
from numpy.typing import NDArray
from torch import Tensor, nn

from plaudit.bundle.bundle import Bundle
from plaudit.learning import compiled_lstm, training
from plaudit.learning.arithmetic import has_amx
from plaudit.learning.batches import blocks
from plaudit.learning.compiled_lstm import (
    IN_BFLOAT16,
    LIBRARIES,
    Packed,
    Parts,
    State,
    functions,
    library,
    pooled,
    reads,
    streamed,
)
from plaudit.learning.network import Network
from plaudit.learning.recipes import DIRECTIONS, Recipe
from plaudit.learning.training import Training
from plaudit.learning.watch import Interrupted, Watch
from plaudit.text.prepared import Prepared
from tests.compiling import AVX_512, VECTORS, compiled_plainly, compiled_with_checks, run_with_checks

SOURCE = LIBRARIES["this machine"].with_name("lstm.c")
RECIPE = Recipe.of("lstm", embedding_dim=24, hidden_dim=64, dropout=0.3, word_dropout=0.2)
TRAINED = Recipe.of(
    "lstm", start="nothing", embedding_dim=8, hidden_dim=32, phrases=300, unlabelled=0, turns=0, epochs=2,
    least_batches=5, embedding_rate=1.0, precision="float32",
)  # fmt: skip
LENGTHS = (3, 1, 40, 17, 17, 2, 39, 1, 25, 8, 9, 30, 31, 5, 12, 40, 22, 6, 7, 14, 3, 33, 18, 11, 2, 27)
WORDS = 300


@pytest.fixture(scope="session")
def plain(tmp_path_factory: pytest.TempPathFactory) -> Path | None:
    return compiled_plainly(SOURCE, tmp_path_factory.mktemp("plain"))


@pytest.fixture(params=LIBRARIES)
def compiled(
    request: pytest.FixtureRequest, plain: Path | None, monkeypatch: pytest.MonkeyPatch
) -> Iterator[ctypes.CDLL]:
    """Compiled functions of one kind, as those that training takes."""
    path = plain if request.param == "this machine" else LIBRARIES[request.param]
    found = functions(path) if path else None
    if found is None:
        pytest.skip("not compiled here, or not for this processor")
    monkeypatch.setattr(compiled_lstm, "library", lambda dtype: found if dtype == torch.float32 else None)
    threads = torch.get_num_threads()
    yield found
    torch.set_num_threads(threads)


@pytest.fixture
def in_bfloat16() -> Iterator[None]:
    """Where the processor has functions of its own for bfloat16, a block in which torch computes in it."""
    if functions(IN_BFLOAT16) is None or has_amx():
        pytest.skip("not compiled here, or not for this processor")
    with torch.autocast("cpu", dtype=torch.bfloat16):
        yield


def batch(lengths: tuple[int, ...] = LENGTHS) -> tuple[Tensor, Tensor]:
    """Padded ids and lengths of texts."""
    ids = torch.randint(2, WORDS, (len(lengths), 44), generator=torch.Generator().manual_seed(1))
    return ids * (torch.arange(44) < torch.tensor(lengths).unsqueeze(1)), torch.tensor(lengths)


def learnt(network: Network, ids: Tensor, lengths: Tensor) -> list[Tensor]:
    """The logits of a batch and every gradient of their squares."""
    network.zero_grad()
    torch.manual_seed(5)
    logits = network.logits(ids, lengths)
    logits.square().sum().backward()  # type: ignore[no-untyped-call]
    return [logits.detach(), *(parameter.grad for parameter in network.parameters() if parameter.grad is not None)]


def by_torch(monkeypatch: pytest.MonkeyPatch, network: Network, ids: Tensor, lengths: Tensor) -> list[Tensor]:
    with monkeypatch.context() as patch:
        patch.setattr(compiled_lstm, "library", lambda _: None)
        assert network.pads
        return learnt(network, ids, lengths)


@pytest.mark.parametrize("threads", [1, 2, 3])
@pytest.mark.parametrize("direction", DIRECTIONS)
@pytest.mark.usefixtures("compiled")
def test_logits_and_gradients_are_torchs_dropout_and_all(
    direction: str, threads: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    torch.manual_seed(0)
    network = Network(replace(RECIPE, direction=direction), WORDS, np.array([0.3]))
    torch.set_num_threads(threads)
    assert not network.pads
    ours, theirs = learnt(network, *batch()), by_torch(monkeypatch, network, *batch())
    assert len(ours) == len(theirs) == 2 + sum(1 for _ in network.lstms.values()) * 4 + 1
    for own, other in zip(ours, theirs, strict=True):
        assert other.any()
        assert torch.allclose(own, other, atol=3e-6 * other.abs().max().item(), rtol=1e-4)


@pytest.mark.parametrize("texts", [*range(1, 15), 24, 25])
@pytest.mark.usefixtures("compiled")
def test_any_number_of_texts_fills_its_tiles(texts: int, monkeypatch: pytest.MonkeyPatch) -> None:
    torch.manual_seed(0)
    network = Network(replace(RECIPE, hidden_dim=32), WORDS, np.array([0.3]))
    ids, lengths = batch((9,) * texts)
    for own, other in zip(learnt(network, ids, lengths), by_torch(monkeypatch, network, ids, lengths), strict=True):
        assert torch.allclose(own, other, atol=3e-6 * other.abs().max().item(), rtol=1e-4)


@pytest.mark.usefixtures("compiled")
def test_a_text_says_the_same_whatever_is_beside_it() -> None:
    torch.manual_seed(0)
    network = Network(RECIPE, WORDS, np.array([0.3])).eval()
    ids, lengths = batch()
    with torch.no_grad():
        found = []
        for threads in (1, 3):
            torch.set_num_threads(threads)
            found.append(network.logits(ids, lengths))
        turned = network.logits(ids.flip(0), lengths.flip(0)).flip(0)
        alone = torch.cat([network.logits(ids[at : at + 1], lengths[at : at + 1]) for at in range(len(ids))])
    for other in (found[1], turned, alone):  # how torch adds up a word's products depends on its row
        assert torch.allclose(found[0], other, atol=1e-6)


def test_rows_are_words_step_by_step_and_the_longest_texts_come_first() -> None:
    packed = Packed(np.array([2, 0, 3, 1]) + 1, threads=1)
    assert packed.texts.tolist() == [2, 0, 3, 1, 2, 0, 3, 2, 0, 2]
    assert packed.columns(backward=False).tolist() == [0, 0, 0, 0, 1, 1, 1, 2, 2, 3]
    assert packed.columns(backward=True).tolist() == [3, 2, 1, 0, 2, 1, 0, 1, 0, 0]
    assert packed.before.tolist() == [0, 1, 2, 4, 5, 7]


def test_texts_are_dealt_out_to_threads_evenly_and_no_thread_has_few() -> None:
    lengths = np.arange(1, 33)
    packed = Packed(lengths, threads=3)
    shares = [sum(lengths[packed.order[first:end]]) for first, end in pairwise(packed.parts.firsts)]
    assert len(shares) == 3
    assert max(shares) < 1.15 * min(shares)
    assert sorted(packed.order) == list(range(32))
    assert len(Packed(np.ones(15, dtype=np.int64), threads=8).parts.active) == 1
    for (first, end), active in zip(pairwise(packed.parts.firsts), packed.parts.active, strict=True):
        own = lengths[packed.order[first:end]]
        assert active.tolist() == [(own > step).sum() for step in range(own.max())]


def test_streams_are_dealt_out_evenly_and_begin_where_the_next_word_of_all_does() -> None:
    parts = Parts.of_streams(steps=3, streams=20, threads=2)
    assert parts.firsts == [0, 10, 20]
    assert [begins.tolist() for begins in parts.begins] == [[0, 20, 40], [10, 30, 50]]
    assert [active.tolist() for active in parts.active] == [[10, 10, 10]] * 2
    assert Parts.of_streams(3, 15, 2).firsts == [0, 15]


def stream_learnt(read: Callable[..., tuple[Tensor, State]], state: State | None) -> list[Tensor]:
    """The states of an LSTM over words, those at its end, and every gradient of the states weighed by chance."""
    torch.manual_seed(3)
    lstm, words, weights = nn.LSTM(24, 64), torch.randn(30, 20, 24, requires_grad=True), torch.randn(30, 20, 64)
    states, after = read(lstm, words, state)
    (states * weights).sum().backward()  # type: ignore[no-untyped-call]
    found = [states, *after, words.grad, *(parameter.grad for parameter in lstm.parameters())]
    return [value.detach().float() for value in found if value is not None]


BEFORE = (torch.full((1, 20, 64), 0.3), torch.linspace(-1, 1, 20 * 64).view(1, 20, 64))


@pytest.mark.parametrize("threads", [1, 2, 3])
@pytest.mark.parametrize("state", [None, BEFORE], ids=["at the beginning", "after others"])
@pytest.mark.usefixtures("compiled")
def test_states_of_streams_and_gradients_are_torchs(state: State | None, threads: int) -> None:
    torch.set_num_threads(threads)
    for own, other in zip(stream_learnt(streamed, state), stream_learnt(nn.LSTM.__call__, state), strict=True):
        assert own.shape == other.shape
        assert torch.allclose(own, other, atol=3e-6 * other.abs().max().item(), rtol=1e-4)


@pytest.mark.usefixtures("in_bfloat16")
def test_states_of_streams_and_gradients_in_bfloat16_are_as_near_as_torchs() -> None:
    with torch.autocast("cpu", enabled=False):
        exact = stream_learnt(nn.LSTM.__call__, BEFORE)
    ours, theirs = stream_learnt(streamed, BEFORE), stream_learnt(nn.LSTM.__call__, BEFORE)
    for own, other, best in zip(ours, theirs, exact, strict=True):
        assert (own - best).norm() <= max(1.5 * (other - best).norm().item(), 5e-3 * best.norm().item())


@pytest.mark.parametrize("direction", DIRECTIONS)
@pytest.mark.usefixtures("in_bfloat16")
def test_logits_and_gradients_in_bfloat16_are_as_near_as_torchs(
    direction: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    torch.manual_seed(0)
    network = Network(replace(RECIPE, direction=direction), WORDS, np.array([0.3]))
    assert not network.pads
    ours, theirs = learnt(network, *batch()), by_torch(monkeypatch, network, *batch())
    with torch.autocast("cpu", enabled=False):
        exact = by_torch(monkeypatch, network, *batch())
    errors = [
        [((one - best).norm() / best.norm()).item() for one, best in zip(found, exact, strict=True)]
        for found in (ours, theirs)
    ]
    assert max(errors[0]) < 0.06  # of the words' gradients: where rounding differs, another word holds a maximum
    assert sum(errors[0]) < 1.5 * sum(errors[1])


@pytest.mark.usefixtures("in_bfloat16")
def test_a_language_goes_on_after_its_states_in_bfloat16() -> None:
    lstm, words = nn.LSTM(24, 64), torch.randn(30, 20, 24)
    whole, (hidden, cell) = streamed(lstm, words, None)
    first, between = streamed(lstm, words[:11], None)
    second, after = streamed(lstm, words[11:], between)
    assert torch.equal(torch.cat([first, second]), whole)
    assert torch.equal(after[0], hidden)
    assert torch.equal(after[1], cell)


def test_processors_with_amx_leave_bfloat16_to_torch(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(compiled_lstm, "has_amx", lambda: True)
    library.cache_clear()
    assert library(torch.bfloat16) is None
    library.cache_clear()


@pytest.mark.usefixtures("compiled")
def test_gradients_are_taken_once() -> None:
    packed = Packed(np.array([3, 2]), threads=1)
    mean, highest = pooled(nn.LSTM(4, 32), torch.ones(5, 4), packed)
    loss = (mean + highest).sum()
    loss.backward(retain_graph=True)  # type: ignore[no-untyped-call]
    with pytest.raises(RuntimeError, match="taken once"):
        loss.backward()  # type: ignore[no-untyped-call]


@pytest.mark.usefixtures("compiled")
def test_what_it_does_not_read_is_torchs(monkeypatch: pytest.MonkeyPatch) -> None:
    assert reads(nn.LSTM(4, 32))
    assert not reads(nn.LSTM(4, 32, num_layers=2))
    assert not reads(nn.LSTM(4, 33))
    with torch.autocast("cpu", dtype=torch.bfloat16):
        assert not reads(nn.LSTM(4, 32))
    assert Network(replace(RECIPE, pooling="last"), WORDS, np.array([0.3])).pads
    monkeypatch.setattr(compiled_lstm, "library", lambda _: None)
    assert not reads(nn.LSTM(4, 32))


@pytest.mark.usefixtures("compiled")
def test_a_training_learns_what_it_does_with_torch(prepared: Prepared, monkeypatch: pytest.MonkeyPatch) -> None:
    def losses() -> list[float]:
        made: Bundle = Training(prepared, TRAINED).run()
        return [entry["validation_loss"] for entry in made.card.training["history"]]

    ours = losses()
    assert ours == losses()
    monkeypatch.setattr(compiled_lstm, "library", lambda _: None)
    assert ours == pytest.approx(losses(), abs=0.02)


@pytest.mark.usefixtures("compiled")
def test_the_gradients_of_several_processes_add_up_to_those_of_one() -> None:
    torch.manual_seed(0)
    network, (ids, lengths) = Network(RECIPE, WORDS, np.array([0.3])), batch()

    def gradients(shares: list[slice]) -> list[Tensor]:
        network.zero_grad()
        for share in shares:
            torch.manual_seed(5)
            logits = network.logits(ids[share], lengths[share], share, len(ids))
            logits.square().sum().backward()  # type: ignore[no-untyped-call]
        return [parameter.grad for parameter in network.parameters() if parameter.grad is not None]

    whole, parts = gradients([slice(None)]), gradients([slice(rank, None, 3) for rank in range(3)])
    for one, other in zip(whole, parts, strict=True):
        assert torch.allclose(one, other, atol=3e-6 * one.abs().max().item(), rtol=1e-4)


@pytest.mark.usefixtures("compiled")
def test_words_that_move_beside_those_that_stay_get_torchs_gradients(monkeypatch: pytest.MonkeyPatch) -> None:
    torch.manual_seed(0)
    network = Network(RECIPE, WORDS, np.array([0.3]))
    network.narrow(np.arange(WORDS), held=WORDS - 40)
    ours, theirs = learnt(network, *batch()), by_torch(monkeypatch, network, *batch())
    assert len(ours) == 1 + 1 + 4 + 1
    for own, other in zip(ours, theirs, strict=True):
        assert torch.allclose(own, other, atol=3e-6 * other.abs().max().item(), rtol=1e-4)


@pytest.mark.usefixtures("compiled")
def test_what_is_no_number_stays_so() -> None:
    lstm = nn.LSTM(4, 32)
    with torch.no_grad():
        lstm.get_parameter("weight_ih_l0")[70, 1] = float("nan")
        mean, highest = pooled(lstm, torch.ones(5, 4), Packed(np.array([3, 2]), threads=1))
    assert mean.isnan().any()
    assert highest.isnan().any()


@pytest.mark.parametrize("after", [1, 6])
@pytest.mark.usefixtures("compiled")
def test_a_stopped_training_goes_on_bit_for_bit(after: int, prepared: Prepared, tmp_path: Path) -> None:
    asked = iter([False] * (after - 1) + [True])
    whole = Training(prepared, TRAINED).run()
    with pytest.raises(Interrupted):
        Training(prepared, TRAINED, 0, tmp_path, Watch(stop=lambda: next(asked, False))).run()
    assert Training(prepared, TRAINED, 0, tmp_path).run().weights == whole.weights


def test_a_training_that_pads_does_not_go_on_with_one_that_does_not(
    prepared: Prepared, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    if library() is None:
        pytest.skip("nothing is compiled here")
    asked = iter([False] * 3 + [True])
    with pytest.raises(Interrupted):
        Training(prepared, TRAINED, 0, tmp_path, Watch(stop=lambda: next(asked, False))).run()
    monkeypatch.setattr(compiled_lstm, "library", lambda _: None)
    lines: list[str] = []
    Training(prepared, TRAINED, 0, tmp_path, Watch(say=lines.append)).run()
    assert not [line for line in lines if "going on" in line]


@pytest.mark.usefixtures("compiled")
def test_what_compiled_functions_read_is_a_batch_as_a_whole(
    prepared: Prepared, monkeypatch: pytest.MonkeyPatch
) -> None:
    def unasked(*_: object) -> list[NDArray[np.int64]]:
        raise AssertionError

    monkeypatch.setattr(training, "blocks", unasked)
    Training(prepared, replace(TRAINED, epochs=1)).run()
    with pytest.raises(AssertionError):
        Training(prepared, replace(TRAINED, epochs=1, adversarial=0.2)).run()


def test_what_torch_reads_in_bfloat16_is_padded_by_lengths(prepared: Prepared, monkeypatch: pytest.MonkeyPatch) -> None:
    """As on a processor with AMX, which has compiled functions for float32 alone."""
    asked = []

    def padded_apart(lengths: NDArray[np.int64], batch: NDArray[np.int64]) -> list[NDArray[np.int64]]:
        asked.append(len(batch))
        return blocks(lengths, batch)

    of_float32 = library(torch.float32)
    monkeypatch.setattr(compiled_lstm, "library", lambda dtype: of_float32 if dtype == torch.float32 else None)
    monkeypatch.setattr(training, "blocks", padded_apart)
    Training(prepared, replace(TRAINED, precision="bfloat16", epochs=1)).run()
    assert asked


KINDS = VECTORS | {"AVX512_BF16": (*AVX_512, "-mavx512bf16")}


@pytest.mark.parametrize("vectors", KINDS.values(), ids=KINDS)
def test_it_reads_and_writes_no_memory_but_its_own(vectors: tuple[str, ...], tmp_path: Path) -> None:
    made = compiled_with_checks(SOURCE, vectors, tmp_path)
    run_with_checks(f"""
import pathlib
import numpy as np
import torch
from plaudit.learning import compiled_lstm, training
lstm = torch.nn.LSTM(3, 32)
if found := compiled_lstm.functions(pathlib.Path({str(made)!r})):
    compiled_lstm.library = lambda _: found
    with torch.autocast("cpu", dtype=torch.bfloat16, enabled={"-mavx512bf16" in vectors}):
        for lengths in ({LENGTHS}, (1,), (7,) * 13, (1000, 1)):
            packed = compiled_lstm.Packed(np.array(lengths), 2)
            mean, highest = compiled_lstm.pooled(lstm, torch.rand(sum(lengths), 3), packed)
            (mean + highest).sum().backward()
        state = None
        for steps, streams in ((9, 17), (1, 17)):
            states, state = compiled_lstm.streamed(lstm, torch.rand(steps, streams, 3), state)
            states.float().sum().backward()
""")
