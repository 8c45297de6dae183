"""Data-parallel training: several processes that take one step together. Knows torchrun's environment, and no recipe.

Each process takes its rows of every batch; gradients are summed, so that a step is the step of one process on
the whole batch. Everything between processes is one sum over all of them.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from functools import cached_property
from typing import TYPE_CHECKING

from plaudit.errors import PlauditError, UsageError

if TYPE_CHECKING:
    import torch
    from torch import Tensor, nn


@dataclass(frozen=True)
class World:
    """The processes that train together, seen from one of them. One alone sums nothing and waits for nobody."""

    rank: int = 0
    size: int = 1
    local_rank: int = 0

    @classmethod
    def from_environment(cls, environ: Mapping[str, str]) -> World:
        """What torchrun says in ``RANK``, ``WORLD_SIZE`` and ``LOCAL_RANK``; one process where it does not.

        Raises UsageError where one of them is no number: each of several processes would train and write alone.
        """
        told = {name: environ[name] for name in ("RANK", "WORLD_SIZE", "LOCAL_RANK") if name in environ}
        if len(told) < 3:
            return cls()
        try:
            rank, size, local_rank = map(int, told.values())
        except ValueError:
            found = ", ".join(f"{name}={value!r}" for name, value in told.items())
            raise UsageError(f"{found} are not three numbers, as torchrun sets them: unset them, or use it") from None
        return cls(rank, size, local_rank) if size > 1 else cls()

    @contextmanager
    def joined(self) -> Iterator[World]:
        """A process group for as long as the block runs: NCCL where there is a GPU, else Gloo.

        An error leaves the group to the end of the process: the others hear of it when its reason has been told.
        """
        if self.size == 1:
            yield self
            return
        import torch
        import torch.distributed as dist

        if self.device.type == "cuda":
            torch.cuda.set_device(self.device)
        dist.init_process_group("nccl" if self.device.type == "cuda" else "gloo")
        yield self
        dist.destroy_process_group()

    @cached_property
    def device(self) -> torch.device:
        """The GPU of this process, else the CPU."""
        import torch

        if not torch.cuda.is_available():
            return torch.device("cpu")
        if self.local_rank >= torch.cuda.device_count():
            raise UsageError(
                f"there are {torch.cuda.device_count()} GPUs and more processes: torchrun --nproc-per-node gpu"
            )
        return torch.device("cuda", self.local_rank)

    @property
    def leads(self) -> bool:
        """Whether this process is the one that talks and writes."""
        return self.rank == 0

    @property
    def share(self) -> slice:
        """This process's rows of a batch, or batches of a list."""
        return slice(self.rank, None, self.size)

    def sum(self, values: Tensor) -> Tensor:
        """``values`` summed over all processes, in place. Raises PlauditError where one of them is gone."""
        if self.size > 1:
            import torch.distributed as dist

            try:
                dist.all_reduce(values)
            except RuntimeError as error:
                gone = "another process of this training has ended: its own lines in the log say why"
                raise PlauditError(gone) from error
        return values

    def any(self, flag: bool) -> bool:
        """Whether ``flag`` holds in any process."""
        if self.size == 1:
            return flag
        import torch

        return self.sum(torch.tensor([float(flag)], device=self.device)).item() > 0

    def wait(self) -> None:
        """Until every process is here."""
        self.any(False)

    def from_leader(self, content: bytes) -> bytes:
        """The ``content`` that process 0 has."""
        if self.size == 1:
            return content
        import torch

        own = content if self.leads else b""
        length = int(self.sum(torch.tensor([len(own)], device=self.device)).item())
        values = torch.frombuffer(bytearray(own or bytes(length)), dtype=torch.uint8) if length else torch.empty(0)
        return self.sum(values.to(self.device)).cpu().numpy().tobytes()

    def sum_gradients(self, network: nn.Module, loss: Tensor) -> Tensor:
        """The summed loss; every process's gradients become their sum. One without a row of the batch adds zeros."""
        if self.size == 1:
            return loss
        import torch

        parameters = [parameter for parameter in network.parameters() if parameter.requires_grad]
        own = [torch.zeros_like(p) if p.grad is None else p.grad for p in parameters]
        total = self.sum(torch.cat([*(gradient.flatten() for gradient in own), loss.detach().reshape(1)]))
        *gradients, loss = torch.split(total, [*(parameter.numel() for parameter in parameters), 1])
        for parameter, gradient in zip(parameters, gradients, strict=True):
            parameter.grad = gradient.view_as(parameter)
        return loss
