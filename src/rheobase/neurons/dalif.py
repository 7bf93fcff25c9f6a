"""DALIF: separately learnable spatial and temporal decays."""

from typing import Literal

import torch

from rheobase.neurons.arguments import above, flag, one_of
from rheobase.neurons.base import Neuron
from rheobase.surrogate import Rectangle, Surrogate


class DALIF(Neuron):
    """Dual-adaptive LIF: a spatial decay α = tanh(a) on the input and a temporal decay β = tanh(b) on the potential.

    Math: `u = β v + α x ; s = Θ(u − θ) ; v = u (1 − s)`. `a`, `b` are learnable, per layer or per channel, and start
    at 1. `activation="sigmoid"` replaces tanh; `learn_alpha=False` or `learn_beta=False` freezes one at activation(1);
    `alpha=`, `beta=` fix a decay at a value.
    Source: arXiv 2502.10422, equation 9; the parametrisation from its text.
    """

    states = ("v",)

    def __init__(
        self,
        threshold: float = 1.0,
        *,
        activation: Literal["tanh", "sigmoid"] = "tanh",
        learn_alpha: bool | None = None,
        learn_beta: bool | None = None,
        alpha: float | None = None,
        beta: float | None = None,
        surrogate: Surrogate = Rectangle(1.0),  # noqa: B008 (frozen)
        channels: int | None = None,
    ):
        super().__init__(surrogate)
        self.threshold = above(self, "threshold", threshold, 0.0)
        learn_alpha = None if learn_alpha is None else flag(self, "learn_alpha", learn_alpha)
        learn_beta = None if learn_beta is None else flag(self, "learn_beta", learn_beta)
        self.activation = one_of(self, "activation", activation, ["tanh", "sigmoid"])
        self.alpha = self._fixed("alpha", alpha, learn_alpha)
        self.beta = self._fixed("beta", beta, learn_beta)
        self.a = None if self.alpha is not None else self.parameter(1.0, channels)
        self.b = None if self.beta is not None else self.parameter(1.0, channels)
        for weight, learn in ((self.a, learn_alpha), (self.b, learn_beta)):
            if weight is not None:
                weight.requires_grad_(learn is None or learn)

    def _fixed(self, name: str, value: float | None, learn: bool | None) -> float | None:
        if value is None:
            return None
        if learn:
            raise ValueError(f"DALIF: {name}={value} fixes the decay; leave out learn_{name}=True.")
        return above(self, name, value, float("-inf"))

    def coefficients(self):
        activate = torch.tanh if self.activation == "tanh" else torch.sigmoid
        alpha = activate(self.a) if self.alpha is None else self.alpha  # type: ignore[arg-type]
        beta = activate(self.b) if self.beta is None else self.beta  # type: ignore[arg-type]
        return {"alpha": alpha, "beta": beta, "threshold": self.threshold}

    def dynamics(self, x, v, *, alpha, beta, threshold):
        u = beta * v + alpha * x
        s = self.fire(u, threshold)
        return s, u * (1 - s)
