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
from torch import Tensor

import rheobase as rb
from rheobase import show
from rheobase.names import unknown
from rheobase.neurons import Neuron

DTYPES = {"float32": torch.float32, "bfloat16": torch.bfloat16, "float16": torch.float16}
IN_A_ROW = 10


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


def bench(
    name: str = "lif",
    steps: Sequence[int] = (4, 16, 784),
    elements: int = 2**22,
    rounds: int = 9,
    device: str = "auto",
    dtype: str = "float32",
) -> list[Row]:
    """Forward, and forward + backward, of x [T, elements / T], all sides in turn, medians of `rounds`.

    `name`: as on a command line, `lif:tau=4`. `device`: "auto" is a GPU where there is one. Errors: ValueError for an
    unknown neuron or dtype, for sizes that leave nothing to measure, and for "cuda" without a GPU.
    """
    if dtype not in DTYPES:
        raise unknown("dtype", dtype, DTYPES)
    if device == "cuda" and not torch.cuda.is_available():
        raise ValueError("bench: device 'cuda' needs a GPU, and torch finds none here.")
    device = ("cuda" if torch.cuda.is_available() else "cpu") if device == "auto" else device
    if min(steps, default=0) < 1 or elements < max(steps) or rounds < 1:
        raise ValueError(
            f"bench: needs steps >= 1, elements >= steps and rounds >= 1; got {steps}, {elements}, {rounds}."
        )
    torch.manual_seed(0)
    rows = []
    for count in steps:
        neuron = show.from_spec(name, count).to(device)
        for direction in ("forward", "both"):
            x = (torch.rand(count, elements // count) * 1.75 - 0.5).to(device, DTYPES[dtype])
            rows.append(_case(neuron, x, direction, rounds))
    return rows


def _case(neuron: Neuron, x: Tensor, direction: str, rounds: int) -> Row:
    gradient, leaf, kept = torch.rand_like(x), x.clone().requires_grad_(), torch.empty_like(x)
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
    kernel, plain, copy = interleaved([run, eager, lambda: kept.copy_(x)], rounds, x.is_cuda)
    steps, size = x.shape
    return Row(steps, size, direction, kernel * 1e3, plain * 1e3, copy * 1e3, backend)


def interleaved(calls: Sequence[Callable[[], object]], rounds: int, on_gpu: bool = False) -> list[float]:
    """Median seconds of each call; they take turns, after one call each to warm up.

    On a GPU a turn is some calls in a row, of which one's launch hides behind the work of another.
    """
    times: list[list[float]] = [[] for _ in calls]
    repeat, wait = (IN_A_ROW, torch.cuda.synchronize) if on_gpu else (1, lambda: None)
    for call in calls:
        call()
    gc.disable()
    try:
        for _ in range(rounds):
            for call, row in zip(calls, times, strict=True):
                wait()
                started = time.perf_counter()
                for _ in range(repeat):
                    call()
                wait()
                row.append((time.perf_counter() - started) / repeat)
    finally:
        gc.enable()
    return [statistics.median(row) for row in times]
