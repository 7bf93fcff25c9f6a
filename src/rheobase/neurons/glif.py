"""GLIF: gates mix the ways to leak, integrate and reset."""

import math

import torch
from torch import nn

from rheobase.neurons.arguments import whole
from rheobase.neurons.base import Neuron
from rheobase.surrogate import Rectangle, Surrogate


def _logit(p: float) -> float:
    return math.log(p / (1 - p))


class GLIF(Neuron):
    """Gated LIF, per layer or per channel (`channels=n`; so in image networks); parameters are logits, under σ.

    Math: `u = (1 − α(1 − τ)) v (1 − γ s⁻) − (1 − α) leak + (1 − β(1 − g_t)) x − (1 − γ) v_re s⁻ ; s = 1[u > v_th]`,
    s⁻ the last spike, v the last u; gates `alpha, beta, gamma`; `g` one per step. Start: τ = .25, v_th = v_re = .5,
    leak = .0625, g = .5, gate logits uniform(−.1, .1).
    Shapes: `g` [steps] or [steps, channels]; a call may have at most `steps` steps.
    Source: Yao et al. 2022.
    """

    states = ("v", "s")
    timed = ("gain",)
    channelwise = True

    def __init__(self, *, steps: int, channels: int | None = None, surrogate: Surrogate = Rectangle(1.0)):  # noqa: B008
        super().__init__(surrogate)
        self.steps = whole(self, "steps", steps, 1, ", the number of time steps")
        for name, start in (("tau", 0.25), ("v_th", 0.5), ("v_re", 0.5), ("leak", 0.0625)):
            setattr(self, name, self.parameter(_logit(start), channels))
        for name in ("alpha", "beta", "gamma"):
            setattr(self, name, self.parameter(0.0, channels))
            nn.init.uniform_(getattr(self, name), -0.1, 0.1)
        self.g = self.parameter(_logit(0.5), (self.steps,) if channels is None else (self.steps, channels))

    def coefficients(self):
        names = ("tau", "v_th", "v_re", "leak", "g", "alpha", "beta", "gamma")
        p = {name: torch.sigmoid(getattr(self, name)) for name in names}
        return {
            "decay": 1 - p["alpha"] * (1 - p["tau"]),
            "gamma": p["gamma"],
            "leak": (1 - p["alpha"]) * p["leak"],
            "gain": 1 - p["beta"] * (1 - p["g"]),
            "drop": (1 - p["gamma"]) * p["v_re"],
            "threshold": p["v_th"],
        }

    def dynamics(self, x, v, s, *, decay, gamma, leak, gain, drop, threshold):
        u = decay * v * (1 - gamma * s) - leak + gain * x - drop * s
        s = self.fire(u, threshold, strict=True)
        return s, u, s
