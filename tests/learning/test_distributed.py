"""Training on several processes: torchrun itself, two processes on the CPU, against one process."""

from __future__ import annotations

import os
import re
import signal
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from safetensors.torch import load as from_safetensors

from plaudit.bundle.bundle import Bundle
from plaudit.errors import PlauditError, UsageError
from plaudit.learning.batches import WIDTH_STEP, block
from plaudit.learning.distributed import World
from plaudit.learning.network import Network
from plaudit.learning.recipes import POOLINGS, Recipe
from plaudit.learning.training import Training
from plaudit.text.encoding import Encoded
from plaudit.text.prepared import prepare
from plaudit.text.reviews import Reviews

# 1,116 reviews in batches of 223 leave one of a single review, in which the second process has no share.
SETTINGS: dict[str, Any] = {
    "epochs": 6,
    "batch_size": 223,
    "hidden_dim": 16,
    "precision": "float32",
    "word_dropout": 0.1,
    "pooling": "mean and max",
    "direction": "both",
    "adversarial": 0.2,
    "average": 0.9,
}
SCRIPT = """
import os, sys
sys.path.insert(0, os.path.dirname(os.path.abspath(__file__)))
{before}
from plaudit.cli.main import main
main(["train", *sys.argv[1:]])
"""


def command(folder: Path, out: str, before: str = "") -> list[str]:
    script = folder / "train.py"
    script.write_text(SCRIPT.format(before=before))
    flags = [text for name, value in SETTINGS.items() for text in (f"--{name}", str(value))]
    launcher = [sys.executable, "-m", "torch.distributed.run", "--standalone", "--nproc-per-node", "2"]
    return [*launcher, str(script), "--reviews", "sample", "--recipe", "original", "--out", str(folder / out), *flags]


@pytest.fixture(scope="module", autouse=True)
def one_thread() -> Iterator[None]:
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("OMP_NUM_THREADS", "1")
        yield


@pytest.fixture(scope="module")
def two(tmp_path_factory: pytest.TempPathFactory) -> tuple[Bundle, str]:
    """The bundle of two processes, and what they said."""
    folder = tmp_path_factory.mktemp("two")
    done = subprocess.run(command(folder, "out"), capture_output=True, text=True, check=True, timeout=100)
    assert not (folder / "out.checkpoint").exists()
    return Bundle.load(folder / "out"), done.stderr


def weights(bundle: Bundle) -> dict[str, torch.Tensor]:
    return from_safetensors(bundle.weights)


def test_two_processes_train_what_one_does_dropout_and_all(two: tuple[Bundle, str], sample: Reviews) -> None:
    recipe = Recipe.of("original", **SETTINGS)
    assert recipe.dropout
    assert recipe.word_dropout
    data = prepare(sample, recipe.reading)
    assert data.about.train % recipe.batch_size == 1
    one, together = Training(data, recipe).run(), two[0]
    for left, right in zip(one.card.training["history"], together.card.training["history"], strict=True):
        for measure in ("loss", "validation_loss", "calibrated_loss", "validation_accuracy"):
            assert left[measure] == pytest.approx(right[measure], abs=1e-5)
    for name, value in weights(one).items():
        assert torch.allclose(value, weights(together)[name], atol=1e-4), name
    assert one.card.temperature == pytest.approx(together.card.temperature, abs=1e-3)


def test_only_the_first_process_speaks(two: tuple[Bundle, str]) -> None:
    assert len(re.findall(r"epoch +1/6", two[1])) == 1
    assert two[1].count("recipe original") == 1
    assert two[1].count("bundle in") == 1


def test_sigterm_leaves_a_checkpoint_that_all_processes_go_on_from(two: tuple[Bundle, str], tmp_path: Path) -> None:
    running = subprocess.Popen(command(tmp_path, "out"), stderr=subprocess.PIPE, text=True)
    assert running.stderr is not None
    for line in running.stderr:
        if re.search(r"epoch +2/6", line):
            running.send_signal(signal.SIGTERM)
            break
    said = running.stderr.read()
    running.stderr.close()
    assert running.wait(60) != 0
    assert said.count("with a checkpoint: run the same command to go on") == 2
    assert not (tmp_path / "out").exists()
    resumed = subprocess.run(command(tmp_path, "out"), capture_output=True, text=True, check=True, timeout=100)
    assert resumed.stderr.count("going on after") == 1
    found = weights(Bundle.load(tmp_path / "out"))
    assert all(torch.equal(value, found[name]) for name, value in weights(two[0]).items())


def test_processes_that_differ_are_told_before_the_first_step(tmp_path: Path) -> None:
    other = "if os.environ['RANK'] == '1': sys.argv += ['--seed', '1']"
    done = subprocess.run(command(tmp_path, "out", other), capture_output=True, text=True, check=False, timeout=100)
    assert done.returncode != 0
    assert "the processes of this training differ in reviews, settings, torch or processors" in done.stderr
    assert "epoch" not in done.stderr


def test_a_process_that_fails_ends_the_others_and_its_reason_is_the_jobs(tmp_path: Path) -> None:
    fails = """
if os.environ["RANK"] == "1":
    from plaudit.learning import training
    steps = iter(range(3))
    backward = training.Training._backward
    def failing(self, batch):
        if next(steps) == 2:
            raise MemoryError("no memory left")
        return backward(self, batch)
    training.Training._backward = failing
"""
    (tmp_path / "output").mkdir()
    given = {**os.environ, "SAGEMAKER_BASE_DIR": str(tmp_path)}
    done = subprocess.run(
        command(tmp_path, "out", fails), env=given, capture_output=True, text=True, check=False, timeout=100
    )
    assert done.returncode != 0
    assert (tmp_path / "output" / "failure").read_text().endswith("MemoryError: no memory left")
    assert "another process of this training has ended" in done.stderr
    assert not (tmp_path / "out").exists()


def test_the_world_is_what_torchrun_says() -> None:
    assert World.from_environment({}) == World(0, 1, 0)
    assert World.from_environment({"MASTER_ADDR": "algo-1", "MASTER_PORT": "7777"}) == World()
    third = {"RANK": "2", "WORLD_SIZE": "4", "LOCAL_RANK": "0"}
    assert World.from_environment(third) == World(2, 4, 0)
    assert not World.from_environment(third).leads
    assert World.from_environment({**third, "RANK": "0", "WORLD_SIZE": "1"}) == World()
    assert World.from_environment({"RANK": "x", "LOCAL_RANK": "0"}) == World(), "somebody else's RANK"


@pytest.mark.parametrize("name", ["RANK", "WORLD_SIZE", "LOCAL_RANK"])
def test_a_rank_that_is_no_number_is_not_taken_for_a_process_alone(name: str) -> None:
    with pytest.raises(UsageError, match=f"{name}='one'.* as torchrun sets them"):
        World.from_environment({"RANK": "1", "WORLD_SIZE": "2", "LOCAL_RANK": "1", name: "one"})


def test_shares_are_the_batch() -> None:
    batch = np.arange(11)
    shares = [batch[World(rank, 3).share] for rank in range(3)]
    assert sorted(np.concatenate(shares).tolist()) == batch.tolist()
    assert max(map(len, shares)) - min(map(len, shares)) <= 1


def test_a_share_is_as_wide_as_its_batch() -> None:
    texts = Encoded.of([[2] * 3, [2] * (WIDTH_STEP + 1), [2] * 5])
    whole, lengths = block(texts, np.arange(3), 500)
    ids, own = block(texts, np.arange(3), 500, slice(0, None, 2))
    assert np.array_equal(ids, whole[::2])
    assert np.array_equal(own, lengths[::2])


@pytest.mark.parametrize("pooling", POOLINGS)
def test_masks_of_a_share_are_rows_of_the_batchs_masks(pooling: str) -> None:
    recipe = Recipe.of("original", hidden_dim=8, dropout=0.5, word_dropout=0.3, pooling=pooling)
    network = Network(recipe, 50, np.zeros(1))
    ids, lengths = torch.randint(1, 50, (5, 16)), torch.full((5,), 16)
    torch.manual_seed(0)
    whole = network.logits(ids, lengths)
    share = slice(1, None, 2)
    torch.manual_seed(0)
    assert torch.allclose(network.logits(ids[share], lengths[share], share, 5), whole[share], atol=1e-6)


def test_one_process_alone_asks_nobody() -> None:
    world = World()
    with world.joined():
        assert not torch.distributed.is_initialized()
        assert world.any(True)
        assert not world.any(False)
        assert world.from_leader(b"bytes") == b"bytes"
        assert world.sum(torch.ones(2)).tolist() == [1, 1]


def test_more_processes_than_gpus_are_told_so(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("torch.cuda.is_available", lambda: True)
    monkeypatch.setattr("torch.cuda.device_count", lambda: 1)
    assert World(0, 2, 0).device == torch.device("cuda", 0)
    with pytest.raises(UsageError, match="--nproc-per-node gpu"):
        _ = World(1, 2, 1).device


def test_a_group_that_broke_is_one_sentence(monkeypatch: pytest.MonkeyPatch) -> None:
    def gone(values: torch.Tensor) -> None:
        raise RuntimeError("Connection closed by peer")

    monkeypatch.setattr("torch.distributed.all_reduce", gone)
    with pytest.raises(PlauditError, match="another process of this training has ended"):
        World(0, 2).sum(torch.ones(1))
