"""Where a command computes: the device, and several processes.

`torchrun --standalone --nproc-per-node 2 -m minigpt train …` starts the
processes. Without torchrun there is one, and nothing here costs anything.
"""

import os
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import timedelta

import torch
import torch.distributed as dist
from torch import nn
from torch.nn.parallel import DistributedDataParallel


def use_machine(options) -> torch.device:
    """Takes --threads into account and returns the device of --device."""
    if options.threads:
        torch.set_num_threads(options.threads)
    return pick_device(options.device)


def pick_device(name: str) -> torch.device:
    """`auto` is CUDA, else MPS, else the CPU.

    Raises ValueError for a device that does not exist, here or at all.
    """
    found = {
        "cuda": torch.cuda.is_available(),
        "mps": torch.backends.mps.is_available(),
        "cpu": True,
    }
    if name not in ("auto", *found):
        raise ValueError(f"--device must be auto, cpu, cuda or mps, got {name}")
    if name == "auto":
        name = next(kind for kind, is_here in found.items() if is_here)
    if not found[name]:
        raise ValueError(f"--device {name}: this machine has no such device")
    if name != "cuda":
        return torch.device(name)
    rank, n = int(os.environ.get("LOCAL_RANK", "0")), torch.cuda.device_count()
    if rank >= n:
        raise ValueError(f"{rank + 1} processes need as many GPUs, found {n}")
    torch.cuda.set_device(rank)
    return torch.device(name, rank)


@dataclass(frozen=True)
class Team:
    """The processes of a run, seen from one of them."""

    device: torch.device
    rank: int = 0
    size: int = 1

    @property
    def leads(self) -> bool:
        """Only rank 0 writes files and prints."""
        return self.rank == 0

    def wrap(self, model: nn.Module) -> nn.Module:
        """The model, with gradients averaged over the team."""
        if self.size == 1:
            return model
        ids = [self.device] if self.device.type == "cuda" else None
        return DistributedDataParallel(model, device_ids=ids)

    def sum(self, value: float) -> float:
        """A number, added up over the team."""
        if self.size == 1:
            return value
        total = torch.tensor(value, dtype=torch.float64, device=self.device)
        dist.all_reduce(total)
        return total.item()

    def wait(self) -> None:
        """Returns when all have arrived here."""
        if self.size > 1:
            dist.barrier()

    def share(self, batches: list, model: nn.Module) -> list:
        """This process's part of a step's micro-batches, on its device."""
        mine = [
            (x.to(self.device), y.to(self.device))
            for x, y in batches[self.rank :: self.size]
        ]
        return mine if self.size == 1 else SyncedLast(model, mine)


class SyncedLast(list):
    """Micro-batches of which only the last one makes the team exchange.

    Gradients add up locally before; DistributedDataParallel reads the flag.
    """

    def __init__(self, model: nn.Module, batches: list):
        super().__init__(batches)
        self.model = model

    def __iter__(self) -> Iterator:
        for i, batch in enumerate(super().__iter__()):
            self.model.require_backward_grad_sync = i == len(self) - 1
            yield batch


@contextmanager
def join_team(device: torch.device) -> Iterator[Team]:
    """The team that torchrun has started, or a team of one."""
    if "TORCHELASTIC_RUN_ID" not in os.environ:
        yield Team(device)
        return
    backend = "nccl" if device.type == "cuda" else "gloo"
    dist.init_process_group(backend, timeout=timedelta(minutes=30))
    try:
        yield Team(device, dist.get_rank(), dist.get_world_size())
    except RuntimeError as error:
        if isinstance(error, dist.DistError) or "gloo" in str(error):
            raise ValueError(
                "another process of the team failed (its error is above or "
                "below); nothing that was saved is lost, continue with "
                "--resume"
            ) from error
        raise
    finally:
        dist.destroy_process_group()
