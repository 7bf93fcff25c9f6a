"""Exact simulation against the published JAX code of Klos & Memmesheimer (github.com/chklos/spikegd), in one process.

    git clone https://github.com/chklos/spikegd FOLDER; pip install jax jaxtyping
    OMP_WAIT_POLICY=PASSIVE python -m benchmarks.exact_jax --spikegd FOLDER [--neurons qif --dtypes float64 --quick]

Both sides get the same weights, input spikes and loss: the sum of the first spike times of 20 outputs, T where one is
missing. Their network stops after K events, which is set to the largest number of a sample, plus one; theirs is run
as published (`jit`, `vmap` over the batch) and split over two devices, and the faster one counts. Before anything is
timed, loss and weight gradients of both sides are compared. They reset to -1/eps, eps = 1e-6, ours to -infinity.
"""

from __future__ import annotations

import argparse
import os
import pathlib
import sys

os.environ.setdefault("XLA_FLAGS", "--xla_force_host_platform_device_count=2")
os.environ.setdefault("JAX_PLATFORMS", "cpu")

from collections.abc import Callable
from dataclasses import dataclass, replace

import jax
import jax.numpy as jnp
import numpy
import torch

from benchmarks import measure, record
from benchmarks.measure import Subject
from rheobase import exact

HIDDEN, OUTPUTS, INPUTS = 128, 20, 700
DRIVE = {"qif": 60.0, "lif": 20.0, "theta": 4.0}  # weights times input spikes
DEVICES = 2


@dataclass(frozen=True)
class Work:
    """One network and its input, in numpy: `recurrent` couples all neurons, else 128 hidden drive 20 outputs."""

    neuron: str
    dtype: str
    recurrent: bool
    batch: int
    spikes: int
    T: float = 5.0

    def arrays(self) -> dict[str, numpy.ndarray]:
        make = numpy.random.default_rng(0)
        N, drive = HIDDEN + OUTPUTS, DRIVE[self.neuron]
        w_in = drive / self.spikes * make.random((N, INPUTS))
        if self.recurrent:
            w_net = drive / self.spikes / 2 * make.standard_normal((N, N))
        else:
            w_in[HIDDEN:], w_net = 0, numpy.zeros((N, N))
            w_net[HIDDEN:, :HIDDEN] = drive / HIDDEN / 3 * make.random((OUTPUTS, HIDDEN))
        numpy.fill_diagonal(w_net, 0)
        times = numpy.sort(4 * make.random((self.batch, self.spikes)), axis=1)
        ids = make.integers(0, INPUTS, (self.batch, self.spikes))
        kind = numpy.dtype(self.dtype)
        kept = {"w_in": w_in, "w_net": w_net, "times": times}
        single = {name: value.astype(numpy.float32) for name, value in kept.items()}  # the same numbers in both dtypes
        return {name: value.astype(kind) for name, value in single.items()} | {"ids": ids}


class Ours:
    """Rheobase: `simulate`, or `feedforward` layer by layer."""

    def __init__(self, work: Work, layered: bool) -> None:
        given = {name: torch.from_numpy(value) for name, value in work.arrays().items()}
        self.times, self.ids, self.T, self.layered = given["times"], given["ids"], work.T, layered
        self.neuron = {"qif": exact.QIF(), "lif": exact.LIF(), "theta": exact.Theta(1.0, 1.25)}[work.neuron]
        w_in, w_net = given["w_in"], given["w_net"]
        self.weights = [w_in[:HIDDEN].clone(), w_net[HIDDEN:, :HIDDEN].clone()] if layered else [w_in, w_net]
        for weight in self.weights:
            weight.requires_grad_()

    def loss(self) -> tuple[torch.Tensor, list[exact.Events]]:
        if self.layered:
            layers = exact.feedforward(self.neuron, self.weights, self.times, self.ids, self.T)
            first = layers[-1].first(range(OUTPUTS), 1)
        else:
            layers = [exact.simulate(self.neuron, *self.weights, self.times, self.ids, self.T)]
            first = layers[-1].first(range(HIDDEN, HIDDEN + OUTPUTS), 1)
        return torch.where(first.isinf(), self.T, first).sum(), layers

    def both(self) -> list[torch.Tensor]:
        return list(torch.autograd.grad(self.loss()[0], self.weights))

    def forward(self) -> torch.Tensor:
        with torch.no_grad():
            return self.loss()[0]

    def events(self) -> tuple[int, int, int]:
        """Per batch: events, spikes of the network among them, and the most events of one sample."""
        layers = self.loss()[1]
        spikes = sum(layer.counts().sum(-1) for layer in layers)
        inputs = (self.times < self.T).sum(-1)
        return int((spikes + inputs).sum()), int(spikes.sum()), int((spikes + inputs).max())


class Theirs:
    """spikegd on the same network; `devices` 1 is their own way of running it."""

    def __init__(self, work: Work, K: int, devices: int) -> None:
        from spikegd.lif import LIFNeuron
        from spikegd.qif import QIFNeuron
        from spikegd.theta import ThetaNeuron

        kind = {"qif": QIFNeuron, "lif": LIFNeuron, "theta": ThetaNeuron}[work.neuron]
        self.neuron = kind(tau=1.0)
        self.config = {"K": K, "T": work.T}
        given = work.arrays()
        self.weights = [jnp.asarray(given["w_in"]), jnp.asarray(given["w_net"])]
        self.spikes = (jnp.asarray(given["times"]), jnp.asarray(given["ids"]))
        self.rows = 1 if work.neuron == "theta" else 2
        self._forward, self._both = (self._spread(f, devices) for f in (self._loss, jax.grad(self._loss)))

    def _loss(self, weights: list, times: jax.Array, ids: jax.Array) -> jax.Array:
        x0 = jnp.zeros((self.rows, HIDDEN + OUTPUTS), times.dtype)

        def first(times, ids):
            at, is_input, neurons, _ = self.neuron.event(x0, weights[1], weights[0], (times, ids), self.config)
            mask = (neurons[None] == jnp.arange(HIDDEN, HIDDEN + OUTPUTS)[:, None]) & ~is_input[None]
            return jnp.where(mask.any(1), at[jnp.argmax(mask, axis=1)], self.config["T"]).sum()

        return jax.vmap(first)(times, ids).sum()

    def _spread(self, f: Callable, devices: int) -> Callable:
        if devices == 1:
            return jax.jit(f)
        split = jax.pmap(f, in_axes=(None, 0, 0), devices=jax.devices()[:devices])
        total = jax.jit(lambda parts: jax.tree.map(lambda part: part.sum(0), parts))
        self.spikes = tuple(value.reshape(devices, -1, value.shape[-1]) for value in self.spikes)
        return lambda *given: total(split(*given))

    def both(self) -> list[jax.Array]:
        return jax.block_until_ready(self._both(self.weights, *self.spikes))

    def forward(self) -> jax.Array:
        return jax.block_until_ready(self._forward(self.weights, *self.spikes))


def compared(work: Work, ours: Ours, theirs: Theirs) -> dict[str, float]:
    """Difference of the losses, and of each side's weight gradients from ours in float64, by the largest of each."""
    loss, other = float(ours.forward()), float(theirs.forward())
    truth = [gradient.numpy() for gradient in Ours(replace(work, dtype="float64"), False).both()]
    found = [numpy.array(gradient) for gradient in theirs.both()]
    numpy.fill_diagonal(found[1], 0)
    sides = {"our_error": [gradient.numpy() for gradient in ours.both()], "their_error": found}
    return {"loss_difference": abs(loss - other) / abs(other)} | {
        name: max(float(abs(a - b).max() / abs(b).max()) for a, b in zip(side, truth, strict=True))
        for name, side in sides.items()
    }


def rows(work: Work, effort: measure.Effort) -> list[dict]:
    """All sides on one network, each with its ratio to our time."""
    ours = {"rheobase": Ours(work, False)} | ({} if work.recurrent else {"rheobase, layers": Ours(work, True)})
    total, spikes, most = ours["rheobase"].events()
    theirs = {"spikegd": Theirs(work, most + 1, 1), "spikegd, 2 devices": Theirs(work, most + 1, DEVICES)}
    notes = compared(work, ours["rheobase"], theirs["spikegd"])
    found = []
    for direction in ("forward", "both"):
        subjects = [Subject(name, getattr(side, direction)) for name, side in ours.items()]
        subjects += [Subject(name, getattr(side, direction), threads=(0,)) for name, side in theirs.items()]
        head = {
            "group": "recurrent" if work.recurrent else "128-20",
            "neuron": work.neuron,
            "dtype": work.dtype,
            "size": work.batch,
            "steps": work.spikes,
            "direction": direction,
        }
        timed = measure.interleave(subjects, effort)
        best = min(timing.median for timing in timed if timing.name in theirs)
        for timing in timed:
            row = head | timing.row() | notes | {"events": total, "network_spikes": spikes}
            row |= {"microseconds": 1e6 * timing.median / total, "ratio": best / timing.median}
            found.append(row)
    return found


def show(found: list[dict]) -> None:
    """A line per side: µs per event and sample, and how many times faster than the faster JAX side."""
    head = found[0]
    print(
        f"\n{head['neuron']} {head['group']} {head['dtype']}, batch {head['size']}: {head['events']} events, "
        f"{head['network_spikes']} of them the network's; loss differs by {head['loss_difference']:.1e}, "
        f"gradients from ours in float64 by {head['our_error']:.1e} (ours) and {head['their_error']:.1e} (theirs)"
    )
    for row in found:
        print(
            f"  {row['direction']:8} {row['subject']:20} {row['threads'] or 'own'!s:>4} threads "
            f"{row['microseconds']:9.3f} µs per event and sample {row['ratio']:8.1f} x"
        )


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    record.common(parser)
    parser.add_argument("--spikegd", required=True, help="folder of a clone of github.com/chklos/spikegd")
    parser.add_argument("--neurons", nargs="+", choices=sorted(DRIVE), default=["qif", "lif", "theta"])
    parser.add_argument("--dtypes", nargs="+", choices=["float32", "float64"], default=["float32", "float64"])
    parser.add_argument("--batch", type=int, default=32)
    parser.add_argument("--spikes", type=int, default=500, help="input spikes per sample")
    args = parser.parse_args()
    sys.path.insert(0, str(pathlib.Path(args.spikegd).expanduser()))
    jax.config.update("jax_enable_x64", True)
    effort = measure.QUICK if args.quick else measure.Effort(seconds=8.0, least=5, most=21)
    recorder = record.Recorder("exact", args, sys.argv[1:])
    cases = [
        Work(neuron, dtype, recurrent, args.batch, args.spikes)
        for neuron in args.neurons
        for dtype in args.dtypes
        for recurrent in (True, False)
    ]
    for number, work in enumerate(cases, 1):
        found = rows(work, effort)
        recorder.add(number, len(cases), found)
        show(found)


if __name__ == "__main__":
    main()
