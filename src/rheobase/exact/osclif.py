"""Oscillating leaky integrate-and-fire neuron."""

from __future__ import annotations

import dataclasses
import math
from typing import ClassVar

import numpy as np

from rheobase.exact.neuron import Array, Neuron
from rheobase.exact.osclif_source import SOURCE


@dataclasses.dataclass(frozen=True)
class OscLIF(Neuron):
    """Leaky integrate-and-fire neuron with a constant input above threshold; an arriving spike adds its weight to V.

    Math: τ V' = -V + i0; phase φ = τ ln(1/(1 - V/i0)), φ' = 1; spike at Θ = τ ln(1/(1 - θ/i0)), reset to 0. A kick
        clips V at θ: the neuron then spikes at once, at the time of the kick, and no gradient goes back through its V.
    Units: tau in the unit of all times; i0 and threshold without unit; the public state is one row, the phase. A
        negative phase is a V below 0.
    Errors: an initial phase above Θ is refused. At Θ the neuron fires at once.
    Source: EQUATIONS "Exact spike-based gradients".
    """

    tau: float
    i0: float
    threshold: float
    rows: ClassVar[tuple[str, ...]] = ("phase",)
    source: ClassVar[str] = SOURCE
    gpu: ClassVar[str] = "osclif_gpu"

    def __post_init__(self) -> None:
        super().__post_init__()
        if self.i0 <= self.threshold:
            raise ValueError(f"OscLIF: i0 must be above the threshold {self.threshold}; got {self.i0}.")

    @property
    def floor(self) -> float:
        """1 - θ/i0, the value of exp(-φ/τ) at a spike."""
        return 1 - self.threshold / self.i0

    @property
    def period(self) -> float:
        """Θ, the time between spikes without input."""
        return -self.tau * math.log(self.floor)

    def parameters(self) -> tuple[float, ...]:
        return (self.tau, self.i0, self.floor)

    @property
    def top(self) -> float:
        return self.period

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

    def kick(self, state: Array, w: Array) -> Array:
        y = np.exp(-state / self.tau) - w / self.i0
        return np.where(y <= self.floor, self.period, -self.tau * np.log(np.maximum(y, self.floor)))

    def kick_adjoint(self, state: Array, w: Array, g: Array) -> tuple[Array, Array]:
        before = np.exp(-state / self.tau)
        y = before - w / self.i0
        g = np.where(y <= self.floor, 0.0, g / np.maximum(y, self.floor))
        return g * before, g[0] * self.tau / self.i0

    def derivative(self, state: Array) -> Array:
        return np.ones_like(state)

    def reset(self, state: Array) -> Array:
        return np.zeros_like(state)

    def reset_adjoint(self, g: Array) -> Array:
        return g

    def crossing(self, state: Array) -> Array:
        return np.array([1.0])
