"""What the compiler is told about a neuron: its one-step function and the names of what goes in and out."""

from __future__ import annotations

import dataclasses
import keyword
import unicodedata
from collections.abc import Callable, Sequence

import torch
from torch import Tensor

Coefficient = float | Tensor

RESERVED = frozenset(("x", "spikes", "uniform", "t", "key"))  # arguments, and what a state holds besides the states


class StepError(TypeError):
    """A step that does not return what it must."""


@dataclasses.dataclass(frozen=True)
class Step:
    """One time step of a neuron.

    `function(x, *states, **coefficients)` returns `(spikes, *states)`; a `random` step also takes `uniform`. Names in
    `timed` are coefficients with one entry per time step in front.
    """

    name: str
    function: Callable[..., Sequence[Tensor]]
    states: tuple[str, ...]
    coefficients: tuple[str, ...]
    timed: frozenset[str] = frozenset()
    random: bool = False

    def __post_init__(self) -> None:
        for name in (*self.states, *self.coefficients):
            if not name.isidentifier() or keyword.iskeyword(name) or unicodedata.normalize("NFKC", name) != name:
                plain = unicodedata.normalize("NFKC", name)
                fix = (
                    f"write {plain!r}, which looks the same" if plain.isidentifier() and plain != name else "rename it"
                )
                raise StepError(f"{self.name}: {name!r} is no name for a state or coefficient in Python; {fix}.")
        if taken := RESERVED.intersection(self.states):
            raise StepError(f"{self.name}: no state can be called {min(taken)!r}, which scan uses itself; rename it.")

    def call(self, x: Tensor, states: Sequence[Tensor], coefficients: Sequence[Tensor], uniform: Tensor | None = None):
        """Run the function on positional inputs; returns [spikes, *states], each checked to be a tensor."""
        named = dict(zip(self.coefficients, coefficients, strict=True))
        if self.random:
            named["uniform"] = uniform  # type: ignore[assignment]
        out = self.function(x, *states, **named)
        wanted = ("s", *self.states)
        if not isinstance(out, tuple) or len(out) != len(wanted):
            got = f"a tuple of {len(out)}" if isinstance(out, tuple) else f"a {type(out).__name__}"
            raise StepError(f"{self.name}: dynamics must return the tuple ({', '.join(wanted)}); got {got}.")
        for name, value in zip(wanted, out, strict=True):
            if not isinstance(value, Tensor) or not value.is_floating_point():
                got = value.dtype if isinstance(value, Tensor) else repr(value)
                raise StepError(f"{self.name}: dynamics must return a tensor of x's type for {name}; got {got}.")
        return list(out)


def compute_dtype(dtype: torch.dtype) -> torch.dtype:
    """The type of states and arithmetic: float64 for float64 inputs, float32 for all others."""
    return torch.float64 if dtype == torch.float64 else torch.float32


def coefficient_shape(step: Step, name: str, value: Tensor, x: Tensor) -> torch.Size:
    """Shape of one coefficient at one step of x [T, B, C, ...], to broadcast against x[t].

    Errors: ValueError where it is neither (), nor (C,) with C = x.shape[2], nor x.shape[2:] (timed: T in front), or
    on another device than x.
    """
    shape = value.shape
    if shape and value.device != x.device:
        raise ValueError(f"{step.name}: {name} is on {value.device}, the input on {x.device}; move one with .to().")
    if name in step.timed:
        if shape[0] != x.shape[0]:
            raise ValueError(f"{step.name}: {name} is given for {shape[0]} time steps, the input has {x.shape[0]}.")
        shape = shape[1:]
    if not shape or shape == x.shape[2:]:
        return shape
    if x.dim() > 2 and shape == (x.shape[2],):
        return torch.Size([shape[0]] + [1] * (x.dim() - 3))
    raise ValueError(
        f"{step.name}: {name} has shape {tuple(shape)} and the input {tuple(x.shape)} [T, B, C, ...]; a parameter must "
        "have shape (), (C,) or x.shape[2:]. Check `channels=` or `features=`, and that time comes first."
    )
