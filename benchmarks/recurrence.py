"""What is computed by a recurrent layer: `I = x[t] + s[t−1] @ W`, then LIF with τ = 2 and soft reset.

Currents and weights lie on a coarse binary grid, so that float32 sums them exactly in any order and all libraries must
emit the same spikes; with ordinary numbers a last bit would make two recurrent networks drift apart within some steps.
The currents are scaled until the wanted spike rate comes out.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass, replace
from functools import cache

import numpy
import torch
from torch import Tensor

from benchmarks.measure import Subject

GRID, OFFSET = 2.0**-8, 2.0**-13
Call = Callable[[Tensor, Tensor], Tensor]  # (currents [T, B, H], weight [H, H]) -> spikes [T, B, H]


@dataclass(frozen=True)
class Recurrence:
    """One recurrent layer and the spike rate it should run at."""

    steps: int
    batch: int
    features: int
    rate_wanted: float
    surrogate: str = "atan"
    direction: str = "both"
    gain: float = 1.0  # 2 for neurons that halve their input; currents and weights are doubled then

    def currents(self) -> Tensor:
        """Noise around a positive mean, the same numbers for every library."""
        plain = replace(self, gain=1.0, surrogate="", direction="")
        return (torch.from_numpy(_noise(self)).mul_(_scale(plain)).add_(OFFSET)).mul_(self.gain)

    def weight(self) -> Tensor:
        """W, so that row i holds what neuron i sends; spread .5 / √H."""
        numbers = numpy.random.default_rng(2).standard_normal((self.features, self.features)) * 0.5
        return _on_grid(torch.from_numpy(numbers / math.sqrt(self.features)).float()) * self.gain

    def gradient(self) -> Tensor:
        shape = (self.steps, self.batch, self.features)
        return torch.from_numpy(numpy.random.default_rng(3).random(shape, dtype=numpy.float32) - 0.5)


def _on_grid(values: Tensor) -> Tensor:
    return (values / GRID).round() * GRID


def _noise(problem: Recurrence) -> numpy.ndarray:
    shape = (problem.steps, problem.batch, problem.features)
    return numpy.random.default_rng(4).integers(-8, 16, shape, dtype=numpy.int8).astype(numpy.float32) / 16


@cache
def _scale(problem: Recurrence) -> float:
    """The factor, a multiple of 1/64, at which the layer fires at the wanted rate (found on an eighth of the steps)."""
    noise = torch.from_numpy(_noise(problem))[: max(16, problem.steps // 8)]
    weight, low, high = problem.weight(), 0, 64 * 16
    while high - low > 1:
        middle = (low + high) // 2
        if rate(noise * (middle / 64) + OFFSET, weight) < problem.rate_wanted:
            low = middle
        else:
            high = middle
    return high / 64


def rate(currents: Tensor, weight: Tensor) -> float:
    """Spike rate of the layer, by the plainest loop."""
    v, s, total = torch.zeros_like(currents[0]), torch.zeros_like(currents[0]), 0.0
    for current in currents:
        u = 0.5 * v + (current + s @ weight)
        s = (u >= 1).float()
        v = u - s
        total += float(s.mean())
    return total / len(currents)


def subject(name: str, call: Call, problem: Recurrence, **settings) -> Subject:
    """The layer forward without a graph, or forward and backward to currents and weight."""
    currents, weight = problem.currents(), problem.weight()
    leaves, gradient = [currents.clone().requires_grad_(), weight.clone().requires_grad_()], problem.gradient()

    def forward() -> Tensor:
        with torch.no_grad():
            return call(currents, weight)

    def both() -> tuple[Tensor, ...]:
        return torch.autograd.grad(call(*leaves), leaves, gradient)

    return Subject(name, forward if problem.direction == "forward" else both, **settings)


def passes(call: Call, problem: Recurrence) -> tuple[Tensor, Tensor]:
    """Spikes, and the gradient of the currents."""
    currents, weight = problem.currents().requires_grad_(), problem.weight().requires_grad_()
    spikes = call(currents, weight)
    return spikes.detach(), torch.autograd.grad(spikes, [currents, weight], problem.gradient())[0]


def agreement(mine: tuple[Tensor, Tensor], other: tuple[Tensor, Tensor]) -> dict:
    """Share of differing spikes, the largest relative difference of gradients in samples without one, and the rate."""
    (spikes, slope), (spikes2, slope2) = mine, other
    different = spikes != spikes2
    whole = ~different.any(2).any(0)
    off = (slope - slope2)[:, whole].abs()
    error = float(off.max() / slope.abs().max()) if off.numel() else float("nan")
    return {"flips": float(different.double().mean()), "gradient_error": error, "rate": float(spikes2.double().mean())}
