"""Membrane potentials and the spike: the potential of a trace, the surrogate's support, how spikes depend on u."""

from __future__ import annotations

from collections.abc import Mapping
from typing import NamedTuple

import torch
from torch import Tensor

from rheobase.neurons import Neuron
from rheobase.surrogate import Surrogate

FAINT = 0.01  # of the surrogate's value at the threshold: below it, gradients count as gone


def potential(record: Mapping[str, Tensor]) -> Tensor:
    """u before the spike and its reset, from a trace.

    Errors: ValueError for a trace without the threshold.
    """
    if "threshold" not in record:
        raise ValueError("analysis: the trace lacks threshold; the neuron must use self.fire, or note it with u.")
    return record["u"]


def distance(record: Mapping[str, Tensor]) -> Tensor:
    """What the surrogate saw: u − θ, or what the neuron notes as `d` where it is something else."""
    return record["d"] if "d" in record else potential(record) - record["threshold"]


def inside(surrogate: Surrogate, d: Tensor) -> Tensor:
    """Where d = u − θ lies in the surrogate's support: its derivative is at least 1 % of that at the threshold.

    For a rectangle this is the rectangle, edges included; surrogates that reach everywhere lose their tails.
    """
    return surrogate.derivative(d).abs() >= FAINT * surrogate.derivative(d.new_zeros(())).abs()


class SpikeFunction(NamedTuple):
    """Spikes (their probability where they are drawn) and the derivative that training uses, for potentials u: [n]."""

    u: Tensor
    spikes: Tensor
    derivative: Tensor


def spike_function(neuron: Neuron, low: float = -3.0, high: float = 3.0, points: int = 601) -> SpikeFunction:
    """How a neuron's first spike depends on its potential u, read off one step of the neuron itself.

    Math: the input is scaled so that u runs from low to high; derivative = (∂s/∂x) / (∂u/∂x).
    Errors: ValueError for a neuron whose potential does not follow its input in the first step.
    """

    def first(x: Tensor) -> dict[str, Tensor]:
        record = neuron.trace(x.unsqueeze(0))
        shown = record["p" if neuron.random else "s"]  # ILIF has a state p
        return {"u": potential(record)[0], "s": record["s"][0], "shown": shown[0]}

    low_end, rest, high_end = first(torch.tensor([-1.0, 0.0, 1.0], dtype=torch.float64))["u"].detach().tolist()
    if not high_end > low_end:
        raise ValueError(f"spike_function: the potential of {type(neuron).__name__} does not follow its input at once.")
    wanted = torch.linspace(low, high, points, dtype=torch.float64)
    x = ((wanted - rest) / (high_end - rest)).requires_grad_()
    step = first(x)
    (to_s,), (to_u,) = (torch.autograd.grad(step[name].sum(), x, retain_graph=True) for name in ("s", "u"))
    derivative = torch.where(to_u == 0, 0.0, to_s / to_u)
    return SpikeFunction(step["u"].detach(), step["shown"].detach(), derivative)
