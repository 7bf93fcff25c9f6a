"""One neuron alone: what it answers to a constant, a rising and a random current."""

from __future__ import annotations

import torch
from torch import Tensor

from rheobase.names import unknown
from rheobase.neurons import Neuron

DRIVES = ("constant", "ramp", "poisson")
EVENTS = 0.5  # per step, of the Poisson input


def drive(name: str, steps: int, current: float, seed: int = 0, trains: int = 1) -> Tensor:
    """An input [steps, trains] of mean `current`: constant; ramp, from 0 to twice of it; poisson, an event in 2 steps.

    Errors: ValueError for an unknown name.
    """
    if name == "constant":
        return torch.full((steps, trains), current)
    if name == "ramp":
        return torch.linspace(0, 2 * current, steps).unsqueeze(1).expand(steps, trains).clone()
    if name == "poisson":
        generator = torch.Generator().manual_seed(seed)
        return torch.poisson(torch.full((steps, trains), EVENTS), generator=generator) * (current / EVENTS)
    raise unknown("input", name, DRIVES)


@torch.no_grad()
def respond(neuron: Neuron, x: Tensor, seed: int = 0) -> dict[str, Tensor]:
    """The trace of a neuron for x [T, trains]; `seed` fixes the noise of a probabilistic one."""
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(seed)
        return neuron.trace(x)
