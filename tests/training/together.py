"""A program for torchrun: `together.py FOLDER [BATCH]` trains, then takes the gradients of a network with BatchNorm.

Where a BATCH is given the second process kills itself after that many batches.
"""

import os
import signal
import sys
from pathlib import Path

import torch
from torch import nn

from rheobase import LIF
from rheobase.layers import BatchNorm2d, Conv2d, Flatten, Linear
from rheobase.training import Config, WorkerLost, join, train
from rheobase.training.run import Run


def config() -> Config:
    """Without noise of its own: what one process draws another does not. The last batch has 17 samples."""
    network = {"hidden": (8,), "neuron": "lif", "neuron_options": {"tau": 4.0}, "weight_gain": 3.0}
    return Config(recipe="together", epochs=3, batch=423, accumulate=2, learning_rate=0.01, device="cpu", **network)


def network() -> nn.Module:
    """A convolution, a norm, neurons and a linear layer, in float64."""
    torch.manual_seed(1)
    return nn.Sequential(Conv2d(1, 4, 3), BatchNorm2d(4), LIF(), Flatten(), Linear(4 * 36, 10)).double()


def batch() -> tuple[torch.Tensor, torch.Tensor]:
    """Five samples of two steps, x [T, B, C, H, W], and labels."""
    generator = torch.Generator().manual_seed(2)
    x = 3 * torch.rand(2, 5, 1, 8, 8, dtype=torch.float64, generator=generator)
    return x, torch.arange(5)


def gradients(model: nn.Module, x: torch.Tensor, labels: torch.Tensor, weight: float) -> dict[str, torch.Tensor]:
    """Gradients and running statistics after one batch."""
    value = nn.functional.cross_entropy(model(x).mean(0), labels)
    (value * weight).backward()
    inner = getattr(model, "module", model)
    found = {name: parameter.grad for name, parameter in inner.named_parameters()}
    return {**found, **{name: buffer for name, buffer in inner.named_buffers() if "running" in name}}


def kill_after(count: int) -> None:
    """Let this process die like one that ran out of memory, after so many batches."""
    seen, train_batch = 0, Run.train_batch

    def counted(run, data):
        nonlocal seen
        train_batch(run, data)
        seen += 1
        if seen == count:
            os.kill(os.getpid(), signal.SIGKILL)

    Run.train_batch = counted


if __name__ == "__main__":
    folder, group = Path(sys.argv[1]), join()
    if len(sys.argv) > 2 and group.rank == 1:
        kill_after(int(sys.argv[2]))
    try:
        resume = group.share(folder.exists())
        train(None if resume else config(), folder, resume=resume, checkpoint_seconds=0)
    except WorkerLost as error:
        sys.exit(f"error: {error}")
    x, labels = batch()
    mine = slice(0, 3) if group.first else slice(3, 5)
    model = group.wrap(network(), torch.device("cpu"))
    found = gradients(model, x[:, mine], labels[mine], group.weight(len(labels[mine]), len(labels)))
    if group.first:
        torch.save(found, folder / "gradients.pt")
