"""KLIF: a learnable slope between the potential and the spike function."""

from typing import Literal

import torch

from rheobase.neurons.arguments import above
from rheobase.neurons.reset import ResetNeuron
from rheobase.surrogate import ATan, Surrogate


class KLIF(ResetNeuron):
    """KLIF: the spike function sees F = relu(k h); `k` learnable, per layer or per channel, starts at 1.

    Math: `h = v + (x − v)/τ ; F = relu(k h) ; s = Θ(F − θ) ; v = F − θ s` (soft) or `F (1 − s) + v_reset s` (hard).
    Units: tau in time steps, above 1.
    Source: Jiang and Zhang 2023.
    """

    states = ("v",)

    def __init__(
        self,
        tau: float = 2.0,
        threshold: float = 1.0,
        *,
        reset: Literal["soft", "hard"] = "soft",
        v_reset: float = 0.0,
        detach_reset: bool = False,
        surrogate: Surrogate = ATan(2.0),  # noqa: B008 (frozen)
        channels: int | None = None,
    ):
        super().__init__(threshold, reset, v_reset, detach_reset, surrogate)
        self.tau = above(self, "tau", tau, 1.0, " step")
        self.k = self.parameter(1.0, channels)

    def coefficients(self):
        return {"rate": 1 / self.tau, "k": self.k, **self.reset_coefficients()}

    def dynamics(self, x, v, *, rate, k, threshold, v_reset=None):
        h = v + (x - v) * rate
        f = torch.relu(k * h)
        s = self.fire(f, threshold)
        return s, self.after_spike(f, s, threshold, v_reset)
