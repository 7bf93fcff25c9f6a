"""PLIF: a LIF neuron with a learnable time constant."""

import math
from typing import Literal

import torch

from rheobase.neurons.arguments import above, one_of
from rheobase.neurons.reset import ResetNeuron
from rheobase.surrogate import ATan, Rectangle, Surrogate


class PLIF(ResetNeuron):
    """Parametric LIF: 1/τ = σ(w), `w` learnable, per layer or per channel; w starts at −ln(τ − 1).

    Math: variant "original": `u = v + σ(w)(x − v)`, hard reset, ATan(2), reset detached;
    variant "soft", the baseline of CLIF and ILIF: `u = (1 − σ(w)) v + x`, soft reset, Rectangle(1), not detached.
    `reset`, `detach_reset` and `surrogate` take the variant's values unless given.
    Units: tau in time steps, above 1.
    Source: Fang et al. 2021.
    """

    states = ("v",)

    def __init__(
        self,
        tau: float = 2.0,
        threshold: float = 1.0,
        *,
        variant: Literal["original", "soft"] = "original",
        reset: Literal["soft", "hard"] | None = None,
        v_reset: float = 0.0,
        detach_reset: bool | None = None,
        surrogate: Surrogate | None = None,
        channels: int | None = None,
    ):
        original = one_of(self, "variant", variant, ["original", "soft"]) == "original"
        super().__init__(
            threshold,
            reset or ("hard" if original else "soft"),
            v_reset,
            original if detach_reset is None else detach_reset,
            surrogate or (ATan(2.0) if original else Rectangle(1.0)),
        )
        self.variant = variant
        self.w = self.parameter(-math.log(above(self, "tau", tau, 1.0, " step") - 1), channels)

    def coefficients(self):
        rate = torch.sigmoid(self.w)
        own = {"rate": rate} if self.variant == "original" else {"decay": 1 - rate}
        return {**own, **self.reset_coefficients()}

    def dynamics(self, x, v, *, threshold, rate=None, decay=None, v_reset=None):
        u = v + rate * (x - v) if decay is None else decay * v + x
        s = self.fire(u, threshold)
        return s, self.after_spike(u, s, threshold, v_reset)
