"""The compiled LSTM: torch's states and gradients, for texts of any lengths, whatever lies beside a text."""

from __future__ import annotations

import ctypes
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch
from torch import Tensor, nn

from plaudit.bundle.bundle import Bundle
from plaudit.learning import compiled_lstm
from plaudit.learning.compiled_lstm import LIBRARIES, Packed, functions, pooled, reads
from plaudit.learning.network import Network
from plaudit.learning.recipes import DIRECTIONS, Recipe
from plaudit.learning.training import Training
from plaudit.text.prepared import Prepared
from tests.compiling import VECTORS, compiled_plainly, compiled_with_checks, run_with_checks

SOURCE = LIBRARIES["this machine"].with_name("lstm.c")
RECIPE = Recipe.of("lstm", embedding_dim=24, hidden_dim=64, dropout=0.3, word_dropout=0.2)
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
    monkeypatch.setattr(compiled_lstm, "library", lambda: found)
    threads = torch.get_num_threads()
    yield found
    torch.set_num_threads(threads)


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
        patch.setattr(compiled_lstm, "library", lambda: None)
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
    shares = [
        sum(lengths[packed.order[first:end]]) for first, end in zip(packed.firsts, packed.firsts[1:], strict=False)
    ]
    assert len(shares) == 3
    assert max(shares) < 1.15 * min(shares)
    assert sorted(packed.order) == list(range(32))
    assert len(Packed(np.ones(15, dtype=np.int64), threads=8).active) == 1
    for first, end, active in zip(packed.firsts, packed.firsts[1:], packed.active, strict=False):
        own = lengths[packed.order[first:end]]
        assert active.tolist() == [(own > step).sum() for step in range(own.max())]


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
    monkeypatch.setattr(compiled_lstm, "library", lambda: None)
    assert not reads(nn.LSTM(4, 32))


@pytest.mark.usefixtures("compiled")
def test_a_training_learns_what_it_does_with_torch(prepared: Prepared, monkeypatch: pytest.MonkeyPatch) -> None:
    recipe = Recipe.of(
        "lstm", start="nothing", embedding_dim=8, hidden_dim=32, phrases=300, unlabelled=0, turns=0, epochs=2,
        least_batches=5, embedding_rate=1.0, precision="float32",
    )  # fmt: skip

    def losses() -> list[float]:
        made: Bundle = Training(prepared, recipe).run()
        return [entry["validation_loss"] for entry in made.card.training["history"]]

    ours = losses()
    assert ours == losses()
    monkeypatch.setattr(compiled_lstm, "library", lambda: None)
    assert ours == pytest.approx(losses(), abs=0.02)


@pytest.mark.parametrize("vectors", VECTORS.values(), ids=VECTORS)
def test_it_reads_and_writes_no_memory_but_its_own(vectors: tuple[str, ...], tmp_path: Path) -> None:
    made = compiled_with_checks(SOURCE, vectors, tmp_path)
    run_with_checks(f"""
import pathlib
import numpy as np
import torch
from plaudit.learning import compiled_lstm
if found := compiled_lstm.functions(pathlib.Path({str(made)!r})):
    compiled_lstm.library = lambda: found
    for lengths in ({LENGTHS}, (1,), (7,) * 13, (1000, 1)):
        packed = compiled_lstm.Packed(np.array(lengths), 2)
        mean, highest = compiled_lstm.pooled(torch.nn.LSTM(3, 32), torch.rand(sum(lengths), 3), packed)
        (mean + highest).sum().backward()
""")
