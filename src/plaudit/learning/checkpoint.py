"""Where a training stands, on disk, so that a killed one goes on. Knows tensors and one file; no pickle."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

import torch
from safetensors import SafetensorError
from safetensors.torch import load as from_safetensors
from safetensors.torch import save as to_safetensors
from safetensors.torch import save_file
from torch import Tensor, nn

NAME = "checkpoint.safetensors"
MOMENTS = ("exp_avg", "exp_avg_sq")


@dataclass
class State:
    """Everything that the rest of a training depends on, beside weights and moments.

    ``identity`` is of the recipe, the data, the seed and the arithmetic: only the same training goes on.
    ``batch`` batches of epoch ``epoch`` (from 0) are done, with ``loss`` as their sum.
    """

    identity: str
    epoch: int = 0
    batch: int = 0
    step: int = 0
    loss: float = 0.0
    seconds: float = 0.0
    best_epoch: int = 0
    history: list[dict[str, float]] = field(default_factory=list)


def digest(tensors: Mapping[str, Tensor]) -> str:
    """A digest of what a training begins with."""
    return hashlib.sha256(to_safetensors({name: tensors[name].contiguous() for name in sorted(tensors)})).hexdigest()


def save(folder: Path, state: State, network: nn.Module, optimizer: torch.optim.Adam, best: dict[str, Tensor]) -> None:
    """Writes the checkpoint beside the old one and swaps them: a kill leaves one of the two whole."""
    tensors = {f"weights.{name}": value for name, value in network.state_dict().items()}
    tensors |= {f"best.{name}": value for name, value in best.items()}
    for name, parameter in network.named_parameters():
        for moment in MOMENTS:
            if parameter in optimizer.state:
                tensors[f"{moment}.{name}"] = optimizer.state[parameter][moment]
    folder.mkdir(parents=True, exist_ok=True)
    part = folder / (NAME + ".part")
    save_file(
        {name: value.detach().cpu().clone() for name, value in tensors.items()},
        part,
        {"state": json.dumps(asdict(state))},
    )
    part.replace(folder / NAME)


def read(folder: Path) -> bytes:
    """The checkpoint's bytes; none where there is no checkpoint."""
    try:
        return (folder / NAME).read_bytes()
    except OSError:
        return b""


def restore(
    content: bytes, identity: str, network: nn.Module, optimizer: torch.optim.Adam
) -> tuple[State, dict[str, Tensor]] | None:
    """Puts a checkpoint of the same training into ``network`` and ``optimizer``; None where it is not one."""
    try:
        # A safetensors file opens with the length of its header in 8 bytes, and the header as JSON.
        header = json.loads(content[8 : 8 + int.from_bytes(content[:8], "little")])
        found: dict[str, Any] = json.loads(header["__metadata__"]["state"])
        if found["identity"] != identity:
            return None
        tensors = from_safetensors(content)
    except (SafetensorError, KeyError, TypeError, ValueError):
        return None
    state = State(**found)
    network.load_state_dict(_under("weights.", tensors))
    for name, parameter in network.named_parameters():
        kept = {moment: tensors.get(f"{moment}.{name}") for moment in MOMENTS}
        moments = {moment: value.to(parameter.device) for moment, value in kept.items() if value is not None}
        if moments:
            optimizer.state[parameter] = {"step": torch.tensor(float(state.step)), **moments}
    return state, _under("best.", tensors)


def remove(folder: Path) -> None:
    """Removes the checkpoint; its folder stays."""
    for name in (NAME, NAME + ".part"):
        (folder / name).unlink(missing_ok=True)


def _under(prefix: str, tensors: dict[str, Tensor]) -> dict[str, Tensor]:
    return {name.removeprefix(prefix): value for name, value in tensors.items() if name.startswith(prefix)}
