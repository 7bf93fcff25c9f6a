"""Which neurons are leaky integrators with a threshold, and with which constants: what NIR can express."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TypeGuard, TypeVar

from torch import Tensor

from rheobase.neurons import DALIF, LIF, PLIF, Neuron, ProbLIF, ProbPLIF

Value = float | Tensor
Kind = TypeVar("Kind", bound=Neuron)
STEP = ("dynamics", "coefficients", "fire", "after_spike", "reset_coefficients", "decay")  # what a step is made of


@dataclass(frozen=True)
class Leaky:
    """A neuron as `u[t] = decay · v[t−1] + gain · x[t]`, a spike where u >= threshold, and a reset.

    `v_reset`: after a spike v is that value, otherwise u. None: v = u, and `taken` is subtracted from the u of the step
    after a spike. Soft resets are that: taking θ from v takes decay · θ from the next u.
    """

    decay: Value
    gain: Value
    threshold: float
    v_reset: float | None = None
    taken: Value = 0.0


def leaky(neuron: Neuron) -> Leaky:
    """The constants of a neuron; learned ones as they are now.

    Errors: ValueError for a neuron with other equations, naming those that can be written.
    """
    given = neuron.coefficients()
    if _steps_as(neuron, LIF) or _steps_as(neuron, PLIF):
        rate = given.get("rate")  # PLIF's original variant: u = v + rate (x − v)
        decay = given["decay"] if rate is None else 1 - rate
        gain = given.get("gain", 1.0) if rate is None else rate
        hard = neuron.reset == "hard"
        taken = 0.0 if hard else decay * neuron.threshold
        return Leaky(decay, gain, neuron.threshold, neuron.v_reset if hard else None, taken)
    if _steps_as(neuron, DALIF):
        return Leaky(given["beta"], given["alpha"], neuron.threshold, v_reset=0.0)
    if (_steps_as(neuron, ProbLIF) or _steps_as(neuron, ProbPLIF)) and not neuron.random:
        return Leaky(given["alpha"], given["gain"], neuron.threshold, taken=neuron.threshold)
    why = "draws its spikes" if neuron.random else "has other equations than a leaky integrator"
    raise ValueError(
        f"NIR cannot express {type(neuron).__name__}: it {why}. It can express LIF, PLIF, DALIF, and ProbLIF and "
        "ProbPLIF with sigma=0 (`rheobase export --deterministic`). The format torch writes any neuron."
    )


def _steps_as(neuron: Neuron, kind: type[Kind]) -> TypeGuard[Kind]:
    """Whether a neuron has the step of this kind: a subclass may have another one, or only another gradient."""
    same = all(getattr(type(neuron), name, None) is getattr(kind, name, None) for name in STEP)
    return isinstance(neuron, kind) and same
