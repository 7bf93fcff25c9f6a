"""Leaky integrate-and-fire neuron with exponential synapses."""

from __future__ import annotations

import dataclasses
import math
from typing import ClassVar

import numpy as np

from rheobase.exact.lif_source import SOURCE
from rheobase.exact.neuron import Array, Neuron


@dataclasses.dataclass(frozen=True)
class LIF(Neuron):
    """Leaky integrate-and-fire neuron; spike at the threshold, reset to 0.

    Math: τ V' = -V + I, (τ/2) I' = -I; an arriving spike adds its weight to I. With x = exp(-Δt/τ): V x + I (x - x²).
        A spike is the larger root of I x² - (V + I) x + θ = 0. Its gradient grows as 1/(I - θ), I at the spike, without
        bound. It takes a V that rises: a neuron which stands at the threshold when another's spike inhibits it, at the
        same time but with a lower index, fires only if still I > θ, as if that spike had come just before.
    Units: tau in the unit of all times; V, I and threshold without unit.
    Errors: an initial V above the threshold is refused. At the threshold the neuron fires at once if I > θ.
    Source: EQUATIONS "Exact spike-based gradients"; EventProp, Wunderlich & Pehle 2021.
    """

    tau: float = 1.0
    threshold: float = 1.0
    rows: ClassVar[tuple[str, ...]] = ("V", "I")
    source: ClassVar[str] = SOURCE
    gpu: ClassVar[str] = "lif_gpu"

    @property
    def top(self) -> float:
        return self.threshold

    def parameters(self) -> tuple[float, ...]:
        return (self.tau, self.threshold)

    def lift(self, x: Array) -> Array:
        return x.copy()

    def lower(self, state: Array) -> Array:
        return state.copy()

    def lift_adjoint(self, x: Array, g: Array) -> Array:
        return g

    def lower_adjoint(self, state: Array, g: Array) -> Array:
        return g

    def flow(self, state: Array, dt: float) -> Array:
        x, s = math.exp(-dt / self.tau), -math.expm1(-dt / self.tau)
        return np.stack([x * (state[0] + s * state[1]), x * x * state[1]])

    def flow_adjoint(self, state: Array, dt: float, g: Array) -> Array:
        x, s = math.exp(-dt / self.tau), -math.expm1(-dt / self.tau)
        return np.stack([x * g[0], x * x * g[1] + x * s * g[0]])

    def time_to_spike(self, state: Array) -> Array:
        v, current = state
        square = (v + current) ** 2 - 4 * current * self.threshold
        rising = (current > v) & (current > 0) & (square > 0)
        x = (v + current + np.sqrt(np.maximum(square, 0))) / np.where(rising, 2 * current, 1.0)
        return np.where(rising & (x > 0), -self.tau * np.log(np.clip(x, 1e-300, 1.0)), np.inf)

    def kick(self, state: Array, w: Array) -> Array:
        return np.stack([state[0], state[1] + w])

    def derivative(self, state: Array) -> Array:
        return np.stack([state[1] - state[0], -2 * state[1]]) / self.tau

    def slope(self, state: Array) -> float:
        return float(state[1]) / self.threshold - 1

    def reset(self, state: Array) -> Array:
        return np.stack([np.zeros_like(state[0]), state[1]])

    def reset_adjoint(self, g: Array) -> Array:
        return np.stack([np.zeros_like(g[0]), g[1]])

    def crossing(self, state: Array) -> Array:
        return np.array([1.0, 0.0])
