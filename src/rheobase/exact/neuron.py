"""What the event loop asks of a neuron.

A neuron is its exact flow between events, the time of its next spike, its reset, what an arriving spike does to it,
and the transposed derivative of each. The loop in reference.py and the C loop in kernel.py know nothing else; the jump
rules of the adjoint follow from these pieces alone.
"""

from __future__ import annotations

import abc
import math
import numbers
from typing import ClassVar

import numpy as np
import torch

Array = np.ndarray


def positive(name: str, field: str, value: float) -> float:
    """The parameter; one that is not a finite number above zero is refused."""
    number = isinstance(value, numbers.Real) and not isinstance(value, bool)
    if not (number and math.isfinite(value) and value > 0):
        raise ValueError(f"{name}: {field} must be a finite number above 0; got {value!r}.")
    return float(value)


def whole(value: object) -> bool:
    """Whether the value is a whole number of at least 1."""
    return isinstance(value, numbers.Integral) and not isinstance(value, bool) and int(value) >= 1


class Neuron(abc.ABC):
    """One kind of neuron, without state; arrays are [rows, neurons], `state` is the inner state of the simulation.

    The public state (x0, state_at_T) has the rows named in `rows`; `lift` and `lower` translate.
    """

    rows: ClassVar[tuple[str, ...]]
    source: ClassVar[str]  # C: the same pieces for the kernel
    gpu: ClassVar[str]  # the module beside this one with the same pieces for Triton

    def __post_init__(self) -> None:
        for field, value in list(vars(self).items()):
            object.__setattr__(self, field, positive(type(self).__name__, field, value))

    @property
    def top(self) -> float:
        """The largest value of the first public row, at which the neuron spikes; a trial may begin and end there."""
        return math.inf

    @abc.abstractmethod
    def parameters(self) -> tuple[float, ...]:
        """The numbers handed to the C kernel as `par`."""

    def refuse(self, x0: torch.Tensor) -> str | None:
        """Why x0 [..., rows, N] cannot be an initial state, or None."""
        row = x0[..., 0, :]
        if bool((row > row.new_tensor(self.top)).any()):
            return f"x0 row {self.rows[0]} must be at most {self.top}; got up to {row.max().item()}."
        return None

    @abc.abstractmethod
    def lift(self, x: Array) -> Array:
        """Public state to inner state."""

    @abc.abstractmethod
    def lower(self, state: Array) -> Array:
        """Inner state to public state."""

    @abc.abstractmethod
    def lift_adjoint(self, x: Array, g: Array) -> Array: ...

    @abc.abstractmethod
    def lower_adjoint(self, state: Array, g: Array) -> Array: ...

    @abc.abstractmethod
    def flow(self, state: Array, dt: float) -> Array:
        """The state a time dt later, without events in between."""

    @abc.abstractmethod
    def flow_adjoint(self, state: Array, dt: float, g: Array) -> Array:
        """Gradient before the flow from the gradient g after it; `state` is the one before."""

    @abc.abstractmethod
    def time_to_spike(self, state: Array) -> Array:
        """[N]: time until the next spike if nothing arrives; inf without one."""

    @abc.abstractmethod
    def kick(self, state: Array, w: Array) -> Array:
        """The state after the arrival of a spike with weights w [N]."""

    def kick_adjoint(self, state: Array, w: Array, g: Array) -> tuple[Array, Array]:
        """(gradient before the kick, gradient of w); by default a kick adds w to the last row."""
        return g, g[-1].copy()

    @abc.abstractmethod
    def derivative(self, state: Array) -> Array:
        """d(state)/dt between events."""

    @abc.abstractmethod
    def reset(self, state: Array) -> Array:
        """The state after a spike, from the state at the spike."""

    @abc.abstractmethod
    def reset_adjoint(self, g: Array) -> Array: ...

    @abc.abstractmethod
    def crossing(self, state: Array) -> Array:
        """Gradient of the function whose zero is the spike, per state row, at the spike."""

    def slope(self, state: Array) -> float:
        """How steeply one neuron crosses its threshold, τ V'/θ; inf where no spike is ever flat."""
        return float("inf")

    def pseudo_time(self, state: torch.Tensor, drive: torch.Tensor, k: torch.Tensor) -> torch.Tensor:
        """Time after the trial's end of the k-th spike that did not come, given the constant input `drive`."""
        raise ValueError(f"{type(self).__name__} has no pseudospikes; use QIF or Theta, or pseudospikes=False.")

    def pseudo_rate(self, state: torch.Tensor, drive: torch.Tensor | None) -> torch.Tensor:
        """Fraction of a period gone at the trial's end; with drive None the neuron's own current is cancelled."""
        raise ValueError(f"{type(self).__name__} has no pseudospikes; use QIF or Theta, or pseudospikes=False.")
