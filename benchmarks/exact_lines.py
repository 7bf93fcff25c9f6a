"""LIF against QIF on one line: the loss of small recurrent networks on spike times, from event to event.

    python -m benchmarks.exact_lines [--points 401 --networks 10 --out results/exact]

Ten random networks of ten neurons; both kinds get the same input spikes and draws of weights, scaled so that they spike
a few times. Writes line.json and line.png.
"""

from __future__ import annotations

import argparse
import json
import statistics
import sys
from pathlib import Path

import torch

from rheobase import exact, plots
from rheobase.analysis import landscapes
from rheobase.plots.figure import save
from rheobase.training import record

N, INPUTS, SPIKES, T, WANTED = 10, 8, 30, 4.0, 2
KINDS = {"LIF": (exact.LIF(), 1.6), "QIF": (exact.QIF(), 2.2)}  # neuron, and the scale of its weights


def network(kind: str, seed: int):
    """Weights, and the loss with the ids of all events in order; inputs have negative ids."""
    neuron, scale = KINDS[kind]
    make = torch.Generator().manual_seed(seed)
    w_in = (scale * torch.rand(N, INPUTS, generator=make, dtype=torch.float64)).requires_grad_()
    w_net = (scale * 0.7 * torch.randn(N, N, generator=make, dtype=torch.float64)).requires_grad_()
    times, _ = torch.sort(0.75 * T * torch.rand(SPIKES, generator=make, dtype=torch.float64))
    ids = torch.randint(0, INPUTS, (SPIKES,), generator=make)

    def evaluate():
        events = exact.simulate(neuron, w_in, w_net, times, ids, T, pseudospikes=kind == "QIF")
        first = events.first(range(N), WANTED)
        loss = torch.where(first.isinf(), T, first).square().mean()
        return loss, torch.where(events.is_input, -1 - events.ids, events.ids)[events.ids >= 0]

    return [w_in, w_net], evaluate


def measure(kind: str, seed: int, points: int):
    """The line through one network, its jumps, and its measures."""
    weights, evaluate = network(kind, seed)
    direction = landscapes.direction(weights, torch.Generator().manual_seed(seed + 1))
    steps = torch.linspace(-0.5, 0.5, points, dtype=torch.float64)
    line = landscapes.scan(evaluate, weights, [direction], steps)
    jumps = landscapes.jumps(evaluate, weights, direction, line, least=0.01)
    sizes = {"jumps": len(jumps), "largest_jump": max((jump.size for jump in jumps), default=0.0)}
    return line, jumps, landscapes.fragmentation(line) | sizes


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--points", type=int, default=401)
    parser.add_argument("--networks", type=int, default=10)
    parser.add_argument("--out", type=Path, default=Path("results/exact"))
    args = parser.parse_args()
    rows = {kind: [measure(kind, seed, args.points) for seed in range(args.networks)] for kind in KINDS}
    content = record.circumstances(f"python -m benchmarks.exact_lines {' '.join(sys.argv[1:])}".strip())
    for kind, found in rows.items():
        content[kind] = [measures for _, _, measures in found]
        content[f"{kind} median"] = {
            name: statistics.median(one[name] for one in content[kind]) for name in content[kind][0]
        }
    record.write(args.out / "line.json", content)
    print(json.dumps({kind: content[f"{kind} median"] for kind in KINDS}, indent=1))
    seeds = range(min(3, args.networks))
    shown = {kind: {f"network {seed}": found[seed][:2] for seed in seeds} for kind, found in rows.items()}
    title = f"loss on spike times along one line of {args.points} points through small random networks"
    save(plots.landscape_lines(shown, title), args.out / "line.png")


if __name__ == "__main__":
    main()
