"""CLIF: a complementary potential keeps temporal gradients alive."""

import torch

from rheobase.neurons.arguments import above
from rheobase.neurons.base import Neuron
from rheobase.surrogate import Rectangle, Surrogate


class CLIF(Neuron):
    """Complementary LIF; no learnable parameter.

    Math: `u = γ v + x ; m ← m σ((1 − γ) u) ; s = Θ(u − θ) ; m ← m + s ; v = u − s (θ + σ(m))`, γ = 1 − 1/τ.
    With T = 1 it equals LIF.
    Units: tau in time steps, above 1.
    Source: Huang et al. 2024, arXiv 2402.04663, settled from its public code; its other multi-step class overwrites m
    by σ(m), which is a bug and not the model.
    """

    states = ("v", "m")

    def __init__(self, tau: float = 2.0, threshold: float = 1.0, *, surrogate: Surrogate = Rectangle(1.0)):  # noqa: B008
        super().__init__(surrogate)
        self.tau = above(self, "tau", tau, 1.0, " step")
        self.threshold = above(self, "threshold", threshold, 0.0)

    def coefficients(self):
        return {"decay": 1 - 1 / self.tau, "rate": 1 / self.tau, "threshold": self.threshold}

    def dynamics(self, x, v, m, *, decay, rate, threshold):
        u = decay * v + x
        s = self.fire(u, threshold)
        m = m * torch.sigmoid(rate * u) + s
        return s, u - s * (threshold + torch.sigmoid(m)), m
