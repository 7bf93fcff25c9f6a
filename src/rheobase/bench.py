"""What `rheobase bench` measures: a neuron's kernels beside a copy of the same bytes and the eager loop.

Comparisons with torch.compile and other libraries are in the repository's benchmarks/, which need an environment of
their own.
"""

from __future__ import annotations

import gc
import statistics
import time
from collections.abc import Callable, Sequence
from typing import NamedTuple

import torch

import rheobase as rb
from rheobase import show
from rheobase.neurons import Neuron


class Row(NamedTuple):
    """Medians of one case in milliseconds, and how much faster the kernel is than the eager loop."""

    steps: int
    size: int
    direction: str
    kernel: float
    eager: float
    copy: float
    backend: str

    @property
    def speedup(self) -> float:
        return self.eager / self.kernel


def bench(name: str = "lif", steps: Sequence[int] = (4, 16, 784), elements: int = 2**22, rounds: int = 9) -> list[Row]:
    """Forward, and forward + backward, of x [T, elements / T] in float32, all sides in turn, medians of `rounds`.

    Errors: ValueError for an unknown neuron, and for sizes that leave nothing to measure.
    """
    if min(steps, default=0) < 1 or elements < max(steps) or rounds < 1:
        raise ValueError(
            f"bench: needs steps >= 1, elements >= steps and rounds >= 1; got {steps}, {elements}, {rounds}."
        )
    rows = []
    for count in steps:
        neuron = show.load(name, steps=count)
        for direction in ("forward", "both"):
            rows.append(_case(neuron, count, elements // count, direction, rounds))
    return rows


def _case(neuron: Neuron, steps: int, size: int, direction: str, rounds: int) -> Row:
    torch.manual_seed(0)
    x = torch.rand(steps, size) * 1.75 - 0.5
    gradient, leaf, kept = torch.rand(steps, size), x.clone().requires_grad_(), torch.empty_like(x)
    parameters = [leaf, *(p for p in neuron.parameters() if p.requires_grad)]

    def forward() -> None:
        with torch.no_grad():
            neuron(x)

    def both() -> None:
        torch.autograd.grad(neuron(leaf), parameters, gradient, allow_unused=True)

    run = forward if direction == "forward" else both

    def eager() -> None:
        with rb.backend("eager"):
            run()

    run()
    backend = str(rb.last_backend())
    kernel, plain, copy = interleaved([run, eager, lambda: kept.copy_(x)], rounds)
    return Row(steps, size, direction, kernel * 1e3, plain * 1e3, copy * 1e3, backend)


def interleaved(calls: Sequence[Callable[[], object]], rounds: int) -> list[float]:
    """Median seconds of each call; they take turns, after one call each to warm up."""
    times: list[list[float]] = [[] for _ in calls]
    for call in calls:
        call()
    gc.disable()
    try:
        for _ in range(rounds):
            for call, row in zip(calls, times, strict=True):
                started = time.perf_counter()
                call()
                row.append(time.perf_counter() - started)
    finally:
        gc.enable()
    return [statistics.median(row) for row in times]
