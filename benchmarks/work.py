"""What is computed: inputs, the three directions, and the check that two ways compute the same."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import numpy
import torch
from torch import Tensor

from benchmarks.measure import Subject

DIRECTIONS = ("forward", "backward", "both")
AGREED_COLUMNS = 4096  # neurons on which two ways are compared before they are timed


@dataclass(frozen=True)
class Work:
    """One neuron layer on x [steps, size]."""

    neuron: str
    steps: int
    size: int
    direction: str = "both"
    surrogate: str | None = None  # a key of ours.SURROGATES; None: the neuron's own default
    dtype: str = "float32"
    gain: float = 1.0  # 2 where the neuron halves its input, so that the spike rate stays

    def input(self) -> Tensor:
        """Currents for which no potential of a τ=2 neuron passes two thresholds (see README, snnTorch)."""
        numbers = currents(self.steps, self.size) * numpy.float32(self.gain)
        return torch.from_numpy(numbers).to(getattr(torch, self.dtype))

    def gradient(self) -> Tensor:
        """What arrives at the spikes in the backward pass."""
        numbers = numpy.random.default_rng(1).random((self.steps, self.size), dtype=numpy.float32) - 0.5
        return torch.from_numpy(numbers).to(getattr(torch, self.dtype))


def currents(steps: int, size: int) -> numpy.ndarray:
    """Uniform in [-.5, 1.25), the same numbers for every library."""
    return numpy.random.default_rng(0).random((steps, size), dtype=numpy.float32) * 1.75 - 0.5


@dataclass(frozen=True)
class Layer:
    """A way to do the work: spikes for x, and the parameters that want gradients."""

    name: str
    call: Callable[[Tensor], Tensor]
    parameters: tuple[Tensor, ...] = ()


def subject(layer: Layer, x: Tensor, gradient: Tensor, direction: str, **settings) -> Subject:
    """The layer in one direction: forward without a graph, backward alone, or both."""
    leaf = x.detach().requires_grad_()
    inputs = [leaf, *layer.parameters]

    def forward() -> Tensor:
        with torch.no_grad():
            return layer.call(x)

    def backward(spikes: Tensor) -> tuple[Tensor, ...]:
        return torch.autograd.grad(spikes, inputs, gradient)

    def both() -> tuple[Tensor, ...]:
        return backward(layer.call(leaf))

    if direction == "forward":
        return Subject(layer.name, forward, **settings)
    if direction == "both":
        return Subject(layer.name, both, **settings)
    return Subject(layer.name, backward, lambda: layer.call(leaf), **settings)


def passes(layer: Layer, x: Tensor, gradient: Tensor) -> tuple[Tensor, Tensor]:
    """Spikes and the gradient of x."""
    leaf = x.detach().clone().requires_grad_()
    spikes = layer.call(leaf)
    return spikes.detach(), torch.autograd.grad(spikes, leaf, gradient)[0]


def agreement(mine: tuple[Tensor, Tensor], other: tuple[Tensor, Tensor]) -> dict:
    """Share of differing spikes, and the largest difference of gradients on neurons without one.

    The gradients' difference is relative to the largest gradient.
    """
    (spikes, slope), (spikes2, slope2) = mine, other
    same = spikes == spikes2
    whole = same.flatten(1).all(0)
    off = (slope - slope2).flatten(1)[:, whole].abs()
    error = float(off.max() / slope.abs().max()) if off.numel() else float("nan")
    return {"flips": float((~same).double().mean()), "gradient_error": error, "rate": float(spikes2.double().mean())}


def compared(work: Work) -> tuple[Tensor, Tensor]:
    """The first columns of the work's own input and gradient, on which ways are compared."""
    return work.input()[:, :AGREED_COLUMNS].contiguous(), work.gradient()[:, :AGREED_COLUMNS].contiguous()


def saved_bytes(call: Callable[[Tensor], Tensor], leaf: Tensor) -> int:
    """Bytes that are kept for the backward pass of `call(leaf)`, each storage counted once.

    Counted are the tensors that autograd saves and those that a custom function keeps on its own.
    """
    kept: dict[int, Tensor] = {}

    def pack(tensor: Tensor) -> Tensor:
        kept[tensor.untyped_storage().data_ptr()] = tensor  # held, so that its address is not given to another
        return tensor

    with torch.autograd.graph.saved_tensors_hooks(pack, lambda tensor: tensor):
        spikes = call(leaf)
    for held in vars(spikes.grad_fn).values() if hasattr(spikes.grad_fn, "__dict__") else ():
        for value in (held, *getattr(held, "__dict__", {}).values()):
            if isinstance(value, Tensor):
                pack(value)
    return sum(tensor.untyped_storage().nbytes() for tensor in kept.values())
