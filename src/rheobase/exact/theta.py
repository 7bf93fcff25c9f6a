"""Theta neuron: the oscillating quadratic integrate-and-fire neuron."""

from __future__ import annotations

import dataclasses
import math
from typing import ClassVar

import numpy as np
import torch

from rheobase.exact.neuron import Array, Neuron
from rheobase.exact.theta_source import SOURCE


@dataclasses.dataclass(frozen=True)
class Theta(Neuron):
    """Oscillating quadratic integrate-and-fire neuron; an arriving spike adds its weight to V.

    Math: τ V' = V (V - 1) + i0, i0 > 1/4; phase φ = (τ/r)(atan((V - 1/2)/r) + π/2), r = √(i0 - 1/4), φ' = 1; spike at
        the period Θ = π τ/r, reset to 0. A kick w turns cot(rφ/τ) into cot(rφ/τ) - w/r, which never reaches the period.
    Units: tau in the unit of all times; i0 without unit; the public state is one row, the phase, in units of time.
    Errors: an initial phase outside [0, Θ] is refused. At Θ the neuron fires at once.
    Source: EQUATIONS "Exact spike-based gradients".
    """

    tau: float
    i0: float
    rows: ClassVar[tuple[str, ...]] = ("phase",)
    source: ClassVar[str] = SOURCE
    gpu: ClassVar[str] = "theta_gpu"

    def __post_init__(self) -> None:
        super().__post_init__()
        if self.i0 <= 0.25:
            raise ValueError(f"Theta: i0 must be above 1/4, below it the neuron does not oscillate; got {self.i0}.")

    @property
    def omega(self) -> float:
        """Angular velocity r/τ; the phase times omega runs from 0 to π."""
        return math.sqrt(self.i0 - 0.25) / self.tau

    @property
    def period(self) -> float:
        """Θ, the time between spikes without input."""
        return math.pi / self.omega

    def parameters(self) -> tuple[float, ...]:
        return (self.omega, self.omega * self.tau)

    @property
    def top(self) -> float:
        return self.period

    def refuse(self, x0: torch.Tensor) -> str | None:
        if bool((x0 < 0).any()) or super().refuse(x0):
            return f"x0 holds phases and must lie in [0, {self.period}]; got {x0.min().item()} to {x0.max().item()}."
        return None

    def lift(self, x: Array) -> Array:
        return np.minimum(x, self.period)

    def lower(self, state: Array) -> Array:
        return state.copy()

    def lift_adjoint(self, x: Array, g: Array) -> Array:
        return g

    def lower_adjoint(self, state: Array, g: Array) -> Array:
        return g

    def flow(self, state: Array, dt: float) -> Array:
        return np.minimum(state + dt, self.period)

    def flow_adjoint(self, state: Array, dt: float, g: Array) -> Array:
        return g

    def time_to_spike(self, state: Array) -> Array:
        return self.period - state[0]

    def _direction(self, state: Array) -> tuple[Array, Array]:
        """Sine, not negative even where ω Θ is rounded to above π, and cosine of the angle."""
        return np.maximum(np.sin(self.omega * state), 0.0), np.cos(self.omega * state)

    def kick(self, state: Array, w: Array) -> Array:
        sine, cosine = self._direction(state)
        return np.arctan2(sine, cosine - w / (self.omega * self.tau) * sine) / self.omega

    def kick_adjoint(self, state: Array, w: Array, g: Array) -> tuple[Array, Array]:
        r = self.omega * self.tau
        sine, cosine = self._direction(state)
        square = sine**2 + (cosine - w / r * sine) ** 2
        return g / square, (g * sine**2 / square)[0] / (r * self.omega)

    def derivative(self, state: Array) -> Array:
        return np.ones_like(state)

    def reset(self, state: Array) -> Array:
        return np.zeros_like(state)

    def reset_adjoint(self, g: Array) -> Array:
        return g

    def crossing(self, state: Array) -> Array:
        return np.array([1.0])

    def pseudo_time(self, state: torch.Tensor, drive: torch.Tensor, k: torch.Tensor) -> torch.Tensor:
        return self.period * (k - self.pseudo_rate(state, drive))

    def pseudo_rate(self, state: torch.Tensor, drive: torch.Tensor | None) -> torch.Tensor:
        angle = self.omega * state[..., 0, :]
        if drive is None:
            return angle / math.pi
        sine, cosine = torch.sin(angle), torch.cos(angle)
        return torch.atan2(sine, cosine - drive / (self.omega * self.tau) * sine) / math.pi
