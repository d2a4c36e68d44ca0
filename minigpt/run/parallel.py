"""Several processes that train one model: PyTorch's own, under torchrun.

`torchrun --standalone --nproc-per-node 2 -m minigpt train …` starts the
processes; without torchrun there is one, and nothing here costs anything.
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


@dataclass(frozen=True)
class Team:
    """The processes of a run, seen from one of them."""

    device: torch.device
    rank: int = 0
    size: int = 1

    @property
    def leads(self) -> bool:
        """Only rank 0 writes files and talks."""
        return self.rank == 0

    def wrap(self, model: nn.Module) -> nn.Module:
        """The model, with gradients averaged over the team."""
        if self.size == 1:
            return model
        ids = [self.device] if self.device.type == "cuda" else None
        return DistributedDataParallel(model, device_ids=ids)

    def sum(self, *values: float) -> list[float]:
        """Each value, added up over the team."""
        if self.size == 1:
            return list(values)
        total = torch.tensor(values, dtype=torch.float64, device=self.device)
        dist.all_reduce(total)
        return total.tolist()

    def wait(self) -> None:
        """Returns when all have come here."""
        if self.size > 1:
            dist.barrier()

    def share(self, batches: list) -> list:
        """This process's part of a step's micro-batches."""
        return batches[self.rank :: self.size]


@contextmanager
def team(device: str) -> Iterator[Team]:
    """Joins the team that torchrun has started, or stands alone."""
    place = pick_device(device)
    if "TORCHELASTIC_RUN_ID" not in os.environ:
        yield Team(place)
        return
    backend = "nccl" if place.type == "cuda" else "gloo"
    dist.init_process_group(backend, timeout=timedelta(minutes=30))
    try:
        yield Team(place, dist.get_rank(), dist.get_world_size())
    except RuntimeError as error:
        if isinstance(error, dist.DistError) or "gloo" in str(error):
            raise ValueError(
                "another process of the team failed (its error stands above "
                "or below); nothing that was saved is lost, go on with "
                "--resume"
            ) from error
        raise
    finally:
        dist.destroy_process_group()


def pick_device(name: str) -> torch.device:
    """`auto` is a GPU where there is one, else the CPU."""
    if name == "auto":
        name = "cuda" if torch.cuda.is_available() else "cpu"
    if name == "cuda":
        local = int(os.environ.get("LOCAL_RANK", "0"))
        torch.cuda.set_device(local)
        return torch.device("cuda", local)
    return torch.device(name)


class SyncedLast(list):
    """Micro-batches of which only the last one makes the team talk.

    Gradients add up locally before; DistributedDataParallel reads the flag.
    """

    def __init__(self, model: nn.Module, batches: list):
        super().__init__(batches)
        self.model = model

    def __iter__(self) -> Iterator:
        for i, batch in enumerate(super().__iter__()):
            self.model.require_backward_grad_sync = i == len(self) - 1
            yield batch
