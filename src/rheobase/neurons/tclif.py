"""TCLIF: two compartments, dendrite and soma."""

import torch

from rheobase.neurons.arguments import above
from rheobase.neurons.base import Neuron
from rheobase.surrogate import ATan, Surrogate


class TCLIF(Neuron):
    """Two-compartment LIF: dendrite v1 and soma v2; `c1`, `c2` learnable, per layer or per channel, start at 0.

    Math: `v1 ← v1 − σ(c1) v2 + x ; v2 ← v2 + σ(c2) v1 ; s = Θ(v2 − θ) ; v1 ← v1 − γ s ; v2 ← v2 − θ s`.
    Source: Zhang et al. 2024.
    """

    states = ("v1", "v2")

    def __init__(
        self,
        threshold: float = 1.0,
        *,
        gamma: float = 0.5,
        surrogate: Surrogate = ATan(2.0),  # noqa: B008 (frozen)
        channels: int | None = None,
    ):
        super().__init__(surrogate)
        self.threshold = above(self, "threshold", threshold, 0.0)
        self.gamma = above(self, "gamma", gamma, float("-inf"))
        self.c1, self.c2 = self.parameter(0.0, channels), self.parameter(0.0, channels)

    def coefficients(self):
        coupling = {"to_dendrite": torch.sigmoid(self.c1), "to_soma": torch.sigmoid(self.c2)}
        return {**coupling, "gamma": self.gamma, "threshold": self.threshold}

    def dynamics(self, x, v1, v2, *, to_dendrite, to_soma, gamma, threshold):
        v1 = v1 - to_dendrite * v2 + x
        v2 = v2 + to_soma * v1
        s = self.fire(v2, threshold)
        return s, v1 - gamma * s, v2 - threshold * s
