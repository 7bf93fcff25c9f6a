"""How the cost of exact simulation grows: time per event and neuron, and memory, over neurons, batch and events.

    OMP_WAIT_POLICY=PASSIVE python -m benchmarks.exact_scaling [--threads 2 --repeats 3 --out results/exact]

Recurrent QIF and LIF networks, float32, forward and backward; one size changes at a time around 128 neurons, batch 32
and 500 input spikes. Writes scaling.json and scaling.png.
"""

from __future__ import annotations

import argparse
import statistics
import sys
import time
from pathlib import Path

import torch

from benchmarks import measure
from rheobase import exact
from rheobase.plots.figure import figure, save
from rheobase.training import record

NEURONS = {"QIF": exact.QIF(tau=1.0), "LIF": exact.LIF(tau=1.0, threshold=1.0)}
START = {"neurons": 128, "batch": 32, "spikes": 500}
SIZES = {"neurons": (32, 64, 128, 256, 512), "batch": (1, 8, 32, 128), "spikes": (125, 250, 500, 1000, 2000)}
RATE = 100  # input spikes per unit of time: more spikes are a longer trial


def run(name: str, neurons: int, batch: int, spikes: int) -> int:
    """One simulation with gradients; the number of events of all samples."""
    make = torch.Generator().manual_seed(0)
    scale, T = {"QIF": 0.12, "LIF": 0.04}[name], spikes / RATE
    w_in = (scale * torch.rand(neurons, 100, generator=make)).requires_grad_()
    w_net = (scale * torch.randn(neurons, neurons, generator=make) / 2).requires_grad_()
    times, _ = torch.sort(T * torch.rand(batch, spikes, generator=make), dim=1)
    ids = torch.randint(0, 100, (batch, spikes), generator=make)
    events = exact.simulate(NEURONS[name], w_in, w_net, times, ids, T)
    torch.where(events.times.isinf(), 0.0, events.times).sum().backward()
    return int((events.ids >= 0).sum())


def row(name: str, changed: str, size: int, repeats: int) -> dict[str, float | str]:
    sizes = {**START, changed: size}
    events = run(name, **sizes)
    seconds = []
    for _ in range(repeats):
        start = time.perf_counter()
        run(name, **sizes)
        seconds.append(time.perf_counter() - start)
    middle, peak = statistics.median(seconds), measure.peak_of(lambda: run(name, **sizes)) or 0
    return {
        "neuron": name,
        "changed": changed,
        **sizes,
        "events": events,
        "seconds": middle,
        "us_per_event": 1e6 * middle / events,
        "ns_per_event_and_neuron": 1e9 * middle / events / sizes["neurons"],
        "bytes_per_event": peak / events,
    }


def draw(rows: list[dict]):
    """Microseconds per event over each size, one line per neuron."""
    made = figure(12, 3.6)
    for axes, (changed, sizes) in zip(made.subplots(1, len(SIZES)), SIZES.items(), strict=True):
        for name in NEURONS:
            found = [one["us_per_event"] for one in rows if (one["neuron"], one["changed"]) == (name, changed)]
            axes.plot(sizes, found, marker="o", label=name)
        axes.set(xscale="log", yscale="log", xlabel={"spikes": "input spikes (trial length)"}.get(changed, changed))
        axes.grid(alpha=0.3)
    made.axes[0].set_ylabel("µs per event, both passes")
    made.axes[0].legend(frameon=False)
    return made


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--threads", type=int, default=2)
    parser.add_argument("--repeats", type=int, default=3)
    parser.add_argument("--out", type=Path, default=Path("results/exact"))
    args = parser.parse_args()
    torch.set_num_threads(args.threads)
    rows = [
        row(name, changed, size, args.repeats) for name in NEURONS for changed, sizes in SIZES.items() for size in sizes
    ]
    for one in rows:
        print(one)
    command = f"python -m benchmarks.exact_scaling {' '.join(sys.argv[1:])}".strip()
    record.write(args.out / "scaling.json", {**record.circumstances(command), "rows": rows})
    save(draw(rows), args.out / "scaling.png")


if __name__ == "__main__":
    main()
