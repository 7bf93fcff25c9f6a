"""Surrogate gradients beside exact ones: the same network of LIF neurons, in steps and from event to event."""

from __future__ import annotations

import math
from dataclasses import dataclass

import torch
from torch import Tensor

from rheobase import exact
from rheobase.neurons import Neuron
from rheobase.surrogate import Surrogate


class SteppedLIF(Neuron):
    """The twin of `exact.LIF` in steps of dt; spikes that arrive at the end of a step act from the next one on.

    Math: between steps the exact solution, `V ← a V + (a − a²) I ; I ← a² I`, a = exp(−dt/τ); then `s = Θ(V − θ) ;
        V ← V (1 − s) ; I ← I + x`. With `detach_reset`, s carries no gradient in the reset.
    Units: dt in units of τ; θ = 1.
    """

    states = ("V", "I")

    def __init__(self, dt: float, surrogate: Surrogate, *, detach_reset: bool = False):
        super().__init__(surrogate)
        self.dt, self.detach_reset = dt, detach_reset

    def coefficients(self):
        keep = math.exp(-self.dt)
        return {"keep": keep, "gain": keep - keep**2, "fade": keep**2, "threshold": 1.0}

    def dynamics(self, x, V, I, *, keep, gain, fade, threshold):  # noqa: E741
        u = keep * V + gain * I
        s = self.fire(u, threshold)
        return s, u * (1 - (s.detach() if self.detach_reset else s)), fade * I + x


@dataclass(frozen=True)
class Network:
    """A network of `exact.LIF` (τ = 1, θ = 1) and the spikes that it is given.

    Shapes: w_in [N, inputs], w_net [N, N] (to, from, diagonal 0), times and ids [K]; outputs are neuron numbers.
    Units: times and T in τ.
    """

    w_in: Tensor
    w_net: Tensor
    times: Tensor
    ids: Tensor
    T: float
    outputs: tuple[int, ...]

    def events(self) -> Tensor:
        """The first spike times of the outputs from event to event; inf where none came."""
        found = exact.simulate(exact.LIF(), self.w_in, self.w_net, self.times, self.ids, self.T)
        return found.first(self.outputs, 1)[:, 0]

    def steps(self, neuron: SteppedLIF) -> Tensor:
        """The same in steps, as the time until which an output has not spiked: `dt Σ_t Π_{i<=t} (1 − s[i])`.

        Input times are rounded to steps.
        """
        dt = neuron.dt
        count = round(self.T / dt)
        given = torch.zeros(count, self.w_in.shape[1], dtype=self.w_in.dtype)
        given.index_put_(((self.times / dt).round().long(), self.ids), torch.ones_like(self.times), accumulate=True)
        current = (given @ self.w_in.T).unsqueeze(1)
        spikes, _ = neuron.recur(current, self.w_net)
        return dt * (1 - spikes[:, 0, list(self.outputs)]).cumprod(0).sum(0)


@dataclass(frozen=True)
class Comparison:
    """What steps do to the mean first spike time of the outputs and to its gradient for all weights.

    `time_error` in units of τ; `cosine` between surrogate and exact gradient; `ratio` of their norms.
    """

    time_error: float
    cosine: float
    ratio: float


def random_network(seed: int, inputs: int = 10, hidden: int = 10, outputs: int = 2, T: float = 4.0) -> Network:
    """A feedforward network, inputs to hidden to output neurons, in which all outputs spike; float64.

    Inputs spike once each, at multiples of 1/8. Weights are uniform, half of them positive at least.
    """
    generator = torch.Generator().manual_seed(seed)
    size = hidden + outputs
    while True:
        w_in, w_net = torch.zeros(size, inputs).double(), torch.zeros(size, size).double()
        w_in[:hidden] = torch.empty(hidden, inputs).double().uniform_(-0.5, 2.5, generator=generator)
        w_net[hidden:, :hidden] = torch.empty(outputs, hidden).double().uniform_(-0.5, 2.5, generator=generator)
        times = torch.randint(0, 12, (inputs,), generator=generator).double() / 8
        found = Network(w_in, w_net, times, torch.arange(inputs), T, tuple(range(hidden, size)))
        if bool(found.events().isfinite().all()):
            return found


def compare(network: Network, neuron: SteppedLIF) -> Comparison:
    """Surrogate gradient in steps, with this neuron, against the exact one."""
    there = network.w_in != 0, network.w_net != 0

    def gradient(times: Tensor) -> Tensor:
        found = torch.autograd.grad(times.mean(), [network.w_in, network.w_net])
        return torch.cat([one[mask] for one, mask in zip(found, there, strict=True)])

    for weight in (network.w_in, network.w_net):
        weight.requires_grad_()
    true, stepped = network.events(), network.steps(neuron)
    one, other = gradient(true), gradient(stepped)
    error = float((stepped - true).detach().abs().mean())
    return Comparison(
        error, float(torch.nn.functional.cosine_similarity(one, other, dim=0)), float(other.norm() / one.norm())
    )
