"""LeakyReadout: a leaky integrator per class, the output of recurrent networks."""

from typing import TYPE_CHECKING

import torch
from torch import Tensor, nn

from rheobase.neurons.arguments import above, flag
from rheobase.neurons.base import Neuron, State


class _Integrator(Neuron):
    """`y ← α y + (1 − α) x`, given out instead of spikes; so it runs on the same kernels as a neuron."""

    states = ("y",)

    def __init__(self, tau: Tensor, learn: bool):
        super().__init__(None)
        if learn:
            self.tau = nn.Parameter(tau)
        else:
            self.register_buffer("tau", tau)

    def coefficients(self):
        alpha = torch.exp(-1 / self.tau.abs())  # type: ignore[operator]
        return {"alpha": alpha, "gain": 1 - alpha}

    def dynamics(self, x, y, *, alpha, gain):
        y = alpha * y + gain * x
        return y, y


class LeakyReadout(nn.Module):
    """A linear map without bias into one leaky integrator per class.

    Math: `y[t] = α y[t−1] + (1 − α) W x[t]`, α = exp(−1/|τ|), its own τ per class, started from N(tau, tau_std);
    `learn_tau` makes them parameters.
    Shapes: x [T, B, in_features] -> y [T, B, classes]; `weight` [classes, in_features].
    Units: tau in time steps. Errors: ValueError for x of another shape.
    Source: Higuchi et al., AIROV 2026, and the lab's public settings.
    """

    if TYPE_CHECKING:

        def __call__(self, x: Tensor) -> Tensor: ...

    def __init__(
        self, in_features: int, classes: int, learn_tau: bool = False, *, tau: float = 20.0, tau_std: float = 5.0
    ):
        super().__init__()
        self.weight = nn.Parameter(torch.empty(classes, in_features))
        nn.init.xavier_uniform_(self.weight)
        start = torch.full((classes,), above(self, "tau", tau, 0.0))
        spread = 0.0 if tau_std == 0 else above(self, "tau_std", tau_std, 0.0)
        self.integrator = _Integrator(start + torch.randn(classes) * spread, flag(self, "learn_tau", learn_tau))

    @property
    def tau(self) -> Tensor:
        """The time constants, one per class."""
        return self.integrator.tau  # type: ignore[return-value]

    def forward(self, x: Tensor) -> Tensor:
        return self.integrator(self._drive(x))

    def scan(self, x: Tensor, state: State | None = None) -> tuple[Tensor, State]:
        """`(y, state)`, from a state handed in or fresh."""
        return self.integrator.scan(self._drive(x), state)

    def step(self, x: Tensor, state: State | None = None) -> tuple[Tensor, State]:
        """One step for x [B, in_features]: `(y, state)`."""
        y, state = self.scan(x.unsqueeze(0), state)
        return y.squeeze(0), state

    def _drive(self, x: Tensor) -> Tensor:
        if x.dim() != 3 or x.shape[-1] != self.weight.shape[1]:
            raise ValueError(f"LeakyReadout: x must be [T, B, {self.weight.shape[1]}]; got shape {tuple(x.shape)}.")
        return x @ self.weight.T
