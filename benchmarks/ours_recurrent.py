"""Rheobase's recurrent layer, fused and as the plain loop, and one training step of the S-MNIST network."""

from __future__ import annotations

import os

import torch
from torch import Tensor

import rheobase as rb
from benchmarks import measure, ours
from benchmarks.measure import Effort, Subject
from benchmarks.recurrence import Call, Recurrence

SAMPLES = 60_000
PIXELS = 784


def plain(problem: Recurrence) -> Call:
    """The loop over time with ordinary operations."""
    return _on("eager", problem)


def fused(problem: Recurrence) -> Call:
    """What a user gets; `rb.last_backend()` tells whether it was the kernel with the product inside the time loop."""
    return _on("auto", problem)


def _on(backend: str, problem: Recurrence) -> Call:
    neuron = rb.LIF(tau=2.0, decay_input=problem.gain == 2.0, surrogate=ours.SURROGATES[problem.surrogate]())

    def call(currents: Tensor, weight: Tensor) -> Tensor:
        with rb.backend(backend):
            return neuron.recur(currents, weight.T)[0]

    return call


def epoch_rows(batch: int, effort: Effort) -> list[dict]:
    """One training step of (1, 256 recurrent, 10) on ProbLIF with Adam, scaled to an epoch of 60,000 samples."""
    from rheobase import models

    network = models.create("recurrent", neuron="problif", num_classes=10, in_channels=1, hidden=(256,))
    optimizer = torch.optim.Adam(network.parameters(), lr=1e-3)
    x, labels = torch.rand(PIXELS, batch, 1), torch.randint(10, (batch,))

    def step() -> None:
        optimizer.zero_grad()
        scores = network(x).log_softmax(-1).mean(0)
        torch.nn.functional.nll_loss(scores, labels).backward()
        optimizer.step()

    with measure.Contention() as meter:
        (timing,) = measure.interleave([Subject("rheobase", step, threads=(1, os.cpu_count() or 1))], effort)
    timing.notes["backend"] = rb.last_backend()
    head = {"group": "epoch", "neuron": "problif", "steps": PIXELS, "batch": batch, "features": 256, "against": ""}
    return [{**head, **timing.row(), "epoch_seconds": timing.median * SAMPLES / batch, "others": meter.others}]
