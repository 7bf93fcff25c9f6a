"""Quadratic integrate-and-fire neuron with exponential synapses."""

from __future__ import annotations

import dataclasses
import math
from typing import ClassVar

import numpy as np
import torch

from rheobase.exact.neuron import Array, Neuron
from rheobase.exact.qif_source import SOURCE

ALPHA = 10.0  # softness of the rectified current behind pseudospikes
TERMS = 10  # of the power series; |z| < .5 leaves a rest below 1e-20


def trigonometric(current: Array, s: float) -> tuple[Array, Array, Array]:
    """C = cos(√I s), S = sin(√I s)/√I and ∂S/∂I, analytic through I = 0 and I < 0."""
    z = current * s * s
    near = np.abs(z) < 0.5
    small, large = np.where(near, z, 0.0), np.where(near, 1.0, current)
    root = np.sqrt(np.abs(large))
    up = large > 0
    with np.errstate(over="ignore"):
        cosine = np.where(up, np.cos(root * s), np.cosh(np.where(up, 0.0, root * s)))
        sine = np.where(up, np.sin(root * s), np.sinh(np.where(up, 0.0, root * s))) / root
    terms = [(-1.0) ** n / math.factorial(2 * n) for n in range(TERMS)]
    odd = [(-1.0) ** n / math.factorial(2 * n + 1) for n in range(TERMS + 1)]
    C = np.where(near, np.polynomial.polynomial.polyval(small, terms), cosine)
    S = np.where(near, s * np.polynomial.polynomial.polyval(small, odd), sine)
    slope = s**3 * np.polynomial.polynomial.polyval(small, [n * odd[n] for n in range(1, TERMS + 1)])
    return C, S, np.where(near, slope, (s * C - S) / (2 * large))


@dataclasses.dataclass(frozen=True)
class QIF(Neuron):
    """Quadratic integrate-and-fire neuron; spike at V = +∞, reset to V = -∞.

    Math: τ V' = V (V - 1) + I, (τ/2) I' = -I; an arriving spike adds its weight to I. V is kept as a ratio a/b, in
        which infinity is an ordinary point: with s = 1 - exp(-Δt/τ), a' = (1 - s)(a C + b I S), b' = b C - a S, and the
        reset is a change of sign. Rest at V = 0, separatrix at V = 1. Pseudospikes grow with exp(-I/20): their current
        counts down to -500 in float32 (times of 10¹⁰ τ) and -4600 in float64, and has no gradient below.
    Units: tau in the unit of all times; V and I without unit.
    Source: EQUATIONS "Exact spike-based gradients"; Klos & Memmesheimer, spike-based gradient descent without jumps.
    """

    tau: float = 1.0
    rows: ClassVar[tuple[str, ...]] = ("V", "I")
    source: ClassVar[str] = SOURCE
    gpu: ClassVar[str] = "qif_gpu"

    def parameters(self) -> tuple[float, ...]:
        return (self.tau,)

    def lift(self, x: Array) -> Array:
        return np.stack([x[0], np.ones_like(x[0]), x[1]])

    def lift_adjoint(self, x: Array, g: Array) -> Array:
        return np.stack([g[0], g[2]])

    def lower(self, state: Array) -> Array:
        a, b, current = state
        return np.stack([a / np.maximum(b, 1e-150), current])

    def lower_adjoint(self, state: Array, g: Array) -> Array:
        a, b, _ = state
        b = np.maximum(b, 1e-150)
        return np.stack([g[0] / b, -g[0] * (a / b) / b, g[1]])

    def flow(self, state: Array, dt: float) -> Array:
        out, scale = self._unscaled(state, dt)
        return np.stack([out[0] / scale, out[1] / scale, out[2]])

    def flow_adjoint(self, state: Array, dt: float, g: Array) -> Array:
        a, b, current = state
        x, s = math.exp(-dt / self.tau), -math.expm1(-dt / self.tau)
        C, S, S_I = trigonometric(current, s)
        C_I = -s * S / 2
        g_a, g_b = g[:2] / self._unscaled(state, dt)[1]
        a_I = x * (a * C_I + b * (S + current * S_I))
        b_I = b * C_I - a * S_I
        return np.stack(
            [
                x * C * g_a - S * g_b,
                x * current * S * g_a + C * g_b,
                x * x * g[2] + a_I * g_a + b_I * g_b,
            ]
        )

    def _unscaled(self, state: Array, dt: float) -> tuple[Array, Array]:
        """The linear map of (a, b) and its size: the pair is kept at size 1, only its direction matters.

        b is never negative before a spike; rounding at two simultaneous spikes could make it so.
        """
        a, b, current = state
        x, s = math.exp(-dt / self.tau), -math.expm1(-dt / self.tau)
        C, S, _ = trigonometric(current, s)
        out = np.stack([x * (a * C + b * current * S), np.maximum(b * C - a * S, 0.0), x * x * current])
        return out, np.maximum(np.abs(out[0]), out[1])

    def time_to_spike(self, state: Array) -> Array:
        a, b, current = state
        root = np.sqrt(np.abs(current))
        with np.errstate(divide="ignore", invalid="ignore"):
            above = np.arctan2(root * b, a) / root
            below = np.where(a > root * b, np.arctanh(np.minimum(root * b / a, 1.0)) / root, np.inf)
            free = np.where(a > 0, b / a, np.inf)
            s = np.where(current > 0, above, np.where(current < 0, below, free))
            return np.where(s < 1, -self.tau * np.log1p(-np.minimum(s, 1.0)), np.inf)

    def kick(self, state: Array, w: Array) -> Array:
        return np.stack([state[0], state[1], state[2] + w])

    def derivative(self, state: Array) -> Array:
        a, b, current = state
        return np.stack([b * current - a, -a, -2 * current]) / self.tau

    def reset(self, state: Array) -> Array:
        return np.stack([-np.abs(state[0]), np.zeros_like(state[1]), state[2]])

    def reset_adjoint(self, g: Array) -> Array:
        return np.stack([-g[0], -g[1], g[2]])

    def crossing(self, state: Array) -> Array:
        return np.array([0.0, 1.0, 0.0])

    def pseudo_time(self, state: torch.Tensor, drive: torch.Tensor, k: torch.Tensor) -> torch.Tensor:
        rho = _soft(state[..., 1, :] + drive).sqrt()
        return ((k - 1) * math.pi + torch.atan2(rho, state[..., 0, :] - 0.5)) * self.tau / rho

    def pseudo_rate(self, state: torch.Tensor, drive: torch.Tensor | None) -> torch.Tensor:
        if drive is None:
            drive = -state[..., 1, :]
        rho = _soft(state[..., 1, :] + drive).sqrt()
        return 1 - torch.atan2(rho, state[..., 0, :] - 0.5) / math.pi


def _soft(current: torch.Tensor) -> torch.Tensor:
    """α ln(1 + exp(I/α)): a smooth positive current, constant below where its power -3/2 would overflow."""
    least = ALPHA * (math.log(torch.finfo(current.dtype).tiny) / 1.5 + 8)
    return torch.nn.functional.softplus(current.clamp(min=least), beta=1 / ALPHA, threshold=50.0)
