"""The options of neurons with a soft or a hard reset."""

from __future__ import annotations

from torch import Tensor

from rheobase import surrogate as surrogates
from rheobase.fuse.step import Coefficient
from rheobase.neurons.arguments import above, flag, one_of
from rheobase.neurons.base import Neuron


class ResetNeuron(Neuron):
    """A neuron with the options `reset`, `v_reset` and `detach_reset`.

    Math: soft `v = u − θ s`; hard `v = u (1 − s) + v_reset s`; with detach_reset, s carries no gradient here.
    """

    def __init__(
        self, threshold: float, reset: str, v_reset: float, detach_reset: bool, surrogate: surrogates.Surrogate
    ):
        super().__init__(surrogate)
        self.threshold = above(self, "threshold", threshold, 0.0)
        self.reset = one_of(self, "reset", reset, ["soft", "hard"])
        self.v_reset = above(self, "v_reset", v_reset, float("-inf"))
        self.detach_reset = flag(self, "detach_reset", detach_reset)
        if self.reset == "soft" and v_reset != 0.0:
            raise ValueError(f"{type(self).__name__}: v_reset={v_reset} needs reset='hard'.")
        if self.v_reset >= self.threshold:
            raise ValueError(f"{type(self).__name__}: v_reset must be below threshold {threshold}; got {v_reset}.")

    def reset_coefficients(self) -> dict[str, Coefficient]:
        """The coefficients that `after_spike` takes by name."""
        hard = {"v_reset": self.v_reset} if self.reset == "hard" and self.v_reset != 0.0 else {}
        return {"threshold": self.threshold, **hard}

    def after_spike(self, u: Tensor, s: Tensor, threshold: Tensor, v_reset: Tensor | None = None) -> Tensor:
        """The potential after the reset."""
        s = s.detach() if self.detach_reset else s
        if self.reset == "soft":
            return u - threshold * s
        return u * (1 - s) if v_reset is None else u * (1 - s) + v_reset * s
