"""LIF, the baseline."""

from typing import Literal

from rheobase.neurons.arguments import above, flag
from rheobase.neurons.reset import ResetNeuron
from rheobase.surrogate import Rectangle, Surrogate


class LIF(ResetNeuron):
    """Leaky integrate-and-fire.

    Math: `u = γ v + x ; s = Θ(u − θ) ; v = u − θ s` (soft) or `v = u (1 − s) + v_reset s` (hard), γ = 1 − 1/τ.
    With `decay_input`, x is scaled by 1/τ.
    Units: tau in time steps, above 1; threshold in units of x.
    Source: CLIF's paper uses τ = 2 (γ = .5), ILIF's public code τ = 1.1.
    """

    states = ("v",)

    def __init__(
        self,
        tau: float = 2.0,
        threshold: float = 1.0,
        *,
        reset: Literal["soft", "hard"] = "soft",
        v_reset: float = 0.0,
        decay_input: bool = False,
        detach_reset: bool = False,
        surrogate: Surrogate = Rectangle(1.0),  # noqa: B008 (frozen)
    ):
        super().__init__(threshold, reset, v_reset, detach_reset, surrogate)
        self.tau = above(self, "tau", tau, 1.0, " step")
        self.decay_input = flag(self, "decay_input", decay_input)

    def coefficients(self):
        gain = {"gain": 1 / self.tau} if self.decay_input else {}
        return {"decay": 1 - 1 / self.tau, **gain, **self.reset_coefficients()}

    def dynamics(self, x, v, *, decay, threshold, gain=None, v_reset=None):
        u = decay * v + (x if gain is None else gain * x)
        s = self.fire(u, threshold)
        return s, self.after_spike(u, s, threshold, v_reset)
