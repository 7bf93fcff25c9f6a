"""Rheobase's own ways: the fused kernel, the eager loop, torch.compile of that loop; and the copies that bound them."""

from __future__ import annotations

import torch
from torch import Tensor

import rheobase as rb
from benchmarks.measure import Subject
from benchmarks.work import Layer, Work
from rheobase.fuse import eager
from rheobase.surrogate import heaviside, inject

SURROGATES = {
    "rectangle": lambda: rb.surrogate.Rectangle(1.0),
    "atan": lambda: rb.surrogate.ATan(2.0),
    "fast_sigmoid": lambda: rb.surrogate.FastSigmoid(1.0),
    "sigmoid": lambda: rb.surrogate.Sigmoid(4.0),
    "triangle": lambda: rb.surrogate.Triangle(0.3, 1.0),
}


def neuron(work: Work, **options) -> rb.neurons.Neuron:
    """The neuron of a piece of work, by name or as `file.py:Class`."""
    if work.surrogate is not None:
        options["surrogate"] = SURROGATES[work.surrogate]()
    if work.neuron.lower() in ("glif", "psn"):
        options["steps"] = work.steps
    if work.neuron.lower() in ("problif", "probplif"):
        options["seed"] = 1
    torch.manual_seed(0)  # GLIF draws its first parameters
    return rb.neurons.create(work.neuron, **options)


def fused(work: Work, **options) -> Layer:
    """What a user gets without asking; `rb.last_backend()` tells whether it was the kernel."""
    module = neuron(work, **options)
    return Layer("rheobase", module, tuple(module.parameters()))


def plain(work: Work, **options) -> Layer:
    """The plain loop over time."""
    module = neuron(work, **options)

    def call(x: Tensor) -> Tensor:
        with rb.backend("eager"):
            return module(x)

    return Layer("eager", call, tuple(module.parameters()))


def compiled(work: Work, **options) -> Layer:
    """torch.compile of the plain loop, in one graph (no graph break is allowed).

    Dynamo cannot read context variables, so `fire` is replaced by the same operations without their look-ups.
    """
    module = neuron(work, **options)
    surrogate = module.surrogate

    def fire(u: Tensor, threshold: Tensor, strict: bool = False) -> Tensor:
        d = u - threshold
        return inject(heaviside(d, strict), d, surrogate.derivative(d.detach()))

    module.fire, module.note = fire, lambda **_: None
    step = module.described()

    def loop(x: Tensor) -> Tensor:
        return eager.scan(step, x, [None] * len(step.states), list(module.coefficients().values()))[0]

    return Layer("torch.compile", torch.compile(loop, fullgraph=True, dynamic=False), tuple(module.parameters()))


def copies(x: Tensor, threads: tuple[int, ...]) -> list[Subject]:
    """What moving x costs: into a new tensor, and into one that is there."""
    kept = torch.empty_like(x)
    return [
        Subject("x.clone()", x.clone, threads=threads),
        Subject("y.copy_(x)", lambda: kept.copy_(x), threads=threads),
    ]
