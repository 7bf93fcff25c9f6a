"""ILIF and IPLIF: two inhibitory units against overactivation."""

import math

import torch

from rheobase.neurons.arguments import above, flag
from rheobase.neurons.base import Neuron
from rheobase.surrogate import Rectangle, Surrogate


class ILIF(Neuron):
    """Inhibitory LIF: a membrane (MPIU, state M) and a current (CIU, state Q) inhibitory unit.

    Math: `Q ← γ_I (Q + p) ; u = γ v + x − max(Q, 0) ; s = Θ(u − θ) ; r = u − θ s ; M ← γ_u (M + s r) ;
    v = r − s σ(M) ; p = x s`, γ = 1 − 1/τ; p is the raw current of a step that fired. max has derivative 1 at 0.
    `mpiu=False` drops M and its inhibition, `ciu=False` drops Q; without both it is LIF.
    Units: tau in time steps, above 1; gamma_u and gamma_i in [0, 1], per step (gamma_i = .05 on DVS-Gesture).
    Source: arXiv 2505.10371, settled from its public code.
    """

    states = ("v", "M", "Q", "p")

    def __init__(
        self,
        tau: float = 2.0,
        threshold: float = 1.0,
        *,
        gamma_u: float = 1.0,
        gamma_i: float = 0.03,
        mpiu: bool = True,
        ciu: bool = True,
        surrogate: Surrogate = Rectangle(1.0),  # noqa: B008 (frozen)
    ):
        super().__init__(surrogate)
        self.tau = above(self, "tau", tau, 1.0, " step")
        self.threshold = above(self, "threshold", threshold, 0.0)
        self.gamma_u = above(self, "gamma_u", gamma_u, float("-inf"))
        self.gamma_i = above(self, "gamma_i", gamma_i, float("-inf"))
        self.mpiu, self.ciu = flag(self, "mpiu", mpiu), flag(self, "ciu", ciu)
        for name in ("gamma_u", "gamma_i"):
            if not 0 <= getattr(self, name) <= 1:
                raise ValueError(f"{type(self).__name__}: {name} must lie in [0, 1]; got {getattr(self, name)}.")

    def decay(self):
        """γ, the share of the potential kept per step."""
        return 1 - 1 / self.tau

    def coefficients(self):
        units = {"gamma_u": self.gamma_u} if self.mpiu else {}
        units |= {"gamma_i": self.gamma_i} if self.ciu else {}
        return {"decay": self.decay(), "threshold": self.threshold, **units}

    def dynamics(self, x, v, M, Q, p, *, decay, threshold, gamma_u=None, gamma_i=None):
        u = decay * v + x
        if gamma_i is not None:
            Q = gamma_i * (Q + p)
            u = u - Q.clamp(min=0.0)
        s = self.fire(u, threshold)
        v = u - threshold * s
        if gamma_u is not None:
            M = gamma_u * (M + s * v)
            v = v - s * torch.sigmoid(M)
        return s, v, M, Q, (p if gamma_i is None else x * s)


class IPLIF(ILIF):
    """ILIF with a learnable time constant: γ = 1 − σ(w), `w` learnable, per layer or per channel, as in PLIF.

    Math: as ILIF. Units: tau (the start of 1/σ(w)) in time steps, above 1. Source: arXiv 2505.10371.
    """

    def __init__(
        self,
        tau: float = 2.0,
        threshold: float = 1.0,
        *,
        gamma_u: float = 1.0,
        gamma_i: float = 0.03,
        mpiu: bool = True,
        ciu: bool = True,
        surrogate: Surrogate = Rectangle(1.0),  # noqa: B008 (frozen)
        channels: int | None = None,
    ):
        super().__init__(tau, threshold, gamma_u=gamma_u, gamma_i=gamma_i, mpiu=mpiu, ciu=ciu, surrogate=surrogate)
        self.w = self.parameter(-math.log(self.tau - 1), channels)

    def decay(self):
        return 1 - torch.sigmoid(self.w)
