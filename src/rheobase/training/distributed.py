"""Several processes under torchrun train as one: the same batches, the same step, one record.

`torchrun --nproc-per-node 2 -m rheobase train RECIPE` needs no other change. A batch is split over the ranks,
DistributedDataParallel averages the gradients, and BatchNorm takes its statistics over the batch of all ranks. What a
rank draws by itself (dropout, Poisson spikes, probabilistic neurons) is its own.
"""

from __future__ import annotations

import atexit
import functools
import os
import time
from collections.abc import Sequence
from contextlib import AbstractContextManager, nullcontext
from dataclasses import dataclass
from typing import Any

import torch
import torch.distributed as dist
from torch import nn
from torch.nn.parallel import DistributedDataParallel

from rheobase.training.batchnorm import share_statistics

EXIT_SECONDS = 0.2


class WorkerLost(RuntimeError):
    """Another process of the run is gone; the checkpoint stays."""


@dataclass(frozen=True)
class Group:
    """The processes of one run. A process by itself is rank 0 of 1, and nothing here communicates."""

    rank: int = 0
    size: int = 1
    local_rank: int = 0

    @property
    def first(self) -> bool:
        """Whether this process writes files and prints."""
        return self.rank == 0

    def sum(self, values: Sequence[float]) -> list[float]:
        """The sums of numbers over all processes, in float64."""
        if self.size == 1:
            return list(values)
        total = torch.tensor(values, dtype=torch.float64)
        dist.all_reduce(total)
        return total.tolist()

    def gather(self, value: Any) -> list[Any]:
        """The values of all processes, by rank, in every process."""
        if self.size == 1:
            return [value]
        found: list[Any] = [None] * self.size
        dist.all_gather_object(found, value)
        return found

    def share(self, value: Any) -> Any:
        """The first process's value, in every process."""
        return self.gather(value if self.first else None)[0]

    def wrap(self, model: nn.Module, device: torch.device) -> nn.Module:
        """The model as it is trained: with averaged gradients, BatchNorm with statistics over all processes."""
        if self.size == 1:
            return model
        share_statistics(model)
        return DistributedDataParallel(model, device_ids=[device] if device.type == "cuda" else None)

    def weight(self, samples: int, total: int) -> float:
        """Factor on the mean loss of `samples` of a batch of `total`: so the ranks' average is the batch's mean."""
        return samples * self.size / total

    def alone(self, network: nn.Module, wanted: bool) -> AbstractContextManager:
        """The context in which a backward pass adds to this process's gradients without averaging them yet."""
        return network.no_sync() if wanted and isinstance(network, DistributedDataParallel) else nullcontext()


@functools.cache
def join() -> Group:
    """The group that torchrun started this process in, or a process by itself. Joins once."""
    size = int(os.environ.get("WORLD_SIZE", "1"))
    if size == 1:
        return Group()
    group = Group(int(os.environ["RANK"]), size, int(os.environ.get("LOCAL_RANK", "0")))
    dist.init_process_group("cpu:gloo,cuda:nccl" if torch.cuda.is_available() else "gloo")
    atexit.register(_leave)
    return group


def own_device(asked: str, group: Group) -> torch.device | None:
    """The GPU of this process, one each, where the config asks for "auto" or "cuda"; None: as for a process by itself.

    Errors: ValueError where a machine has fewer GPUs than processes.
    """
    if group.size == 1 or asked == "cpu" or not torch.cuda.is_available():
        return None
    count = torch.cuda.device_count()
    if group.local_rank >= count:
        raise ValueError(
            f"process {group.local_rank + 1} of this machine has no GPU: there are {count}. Start torchrun with "
            f"--nproc-per-node {count}, or train with --device cpu."
        )
    return torch.device("cuda", group.local_rank)


def _leave() -> None:
    """Leave the group, and let its threads put down the tensors of the last exchange before the interpreter ends.

    gloo's threads do so a moment after they report an exchange as done. On a busy machine the process may end first;
    taking Python's lock then aborts it with "terminate called without an active exception" (2 of 50 exits).
    """
    dist.destroy_process_group()
    time.sleep(EXIT_SECONDS)


def lost(error: RuntimeError) -> bool:
    """Whether an error says that the connection to another process broke."""
    if isinstance(error, dist.DistError):
        return True
    text = str(error).lower()
    return any(word in text for word in ("gloo", "nccl")) and any(word in text for word in ("connection", "timed out"))
