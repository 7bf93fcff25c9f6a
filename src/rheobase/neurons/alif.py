"""ALIF: a threshold that rises with the neuron's own spikes."""

import math

from rheobase.neurons.arguments import above
from rheobase.neurons.base import Neuron
from rheobase.surrogate import Surrogate, Triangle


class ALIF(Neuron):
    """Adaptive LIF, the neuron of LSNNs.

    Math: `b ← ρ b + (1 − ρ) s⁻ ; θ_t = θ + β b ; u ← α u + (1 − α) x − θ_t s⁻ ; s = Θ(u − θ_t)`, s⁻ the last spike,
    α = exp(−dt/τ), ρ = exp(−dt/τ_a).
    Units: tau, tau_a and dt in the same unit of time (default steps), above 0.
    Source: Bellec et al. 2018; Yin et al. 2021.
    """

    states = ("u", "b", "s")

    def __init__(
        self,
        tau: float = 20.0,
        threshold: float = 1.0,
        *,
        tau_a: float = 200.0,
        beta: float = 1.6,
        dt: float = 1.0,
        surrogate: Surrogate = Triangle(0.3, 1.0),  # noqa: B008 (frozen)
    ):
        super().__init__(surrogate)
        self.tau, self.tau_a = above(self, "tau", tau, 0.0), above(self, "tau_a", tau_a, 0.0)
        self.threshold = above(self, "threshold", threshold, 0.0)
        self.beta, self.dt = above(self, "beta", beta, float("-inf")), above(self, "dt", dt, 0.0)

    def coefficients(self):
        alpha, rho = math.exp(-self.dt / self.tau), math.exp(-self.dt / self.tau_a)
        decays = {"alpha": alpha, "gain": 1 - alpha, "rho": rho, "rise": 1 - rho}
        return {**decays, "beta": self.beta, "threshold": self.threshold}

    def dynamics(self, x, u, b, s, *, alpha, gain, rho, rise, beta, threshold):
        b = rho * b + rise * s
        threshold = threshold + beta * b
        u = alpha * u + gain * x - threshold * s
        s = self.fire(u, threshold)
        return s, u, b, s
