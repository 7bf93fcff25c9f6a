"""Cost of exact simulation: events x neurons per second, forward and backward.

    OMP_WAIT_POLICY=PASSIVE python benchmarks/exact_events.py [--neurons 148 --batch 32 --threads 2 --repeats 5]
    python benchmarks/exact_events.py --device cuda --batch 1024

An event is an input spike or a spike of the network; times are per event and sample, of the whole batch: medians and
the best of the repeats on the clock, and the processor time of all threads, which other jobs disturb less.
"""

from __future__ import annotations

import argparse
import statistics
import time

import torch

from rheobase import exact

NEURONS = {
    "QIF": exact.QIF(tau=1.0),
    "LIF": exact.LIF(tau=1.0, threshold=1.0),
    "Theta": exact.Theta(tau=1.9, i0=1.25),
    "OscLIF": exact.OscLIF(tau=1.0, i0=1.4, threshold=1.0),
}


def network(name: str, args: argparse.Namespace, dtype: torch.dtype):
    """Weights, input and T: every neuron spikes a few times."""
    torch.manual_seed(0)
    N, inputs, K, B = args.neurons, args.inputs, args.spikes, args.batch
    scale = {"QIF": 60.0, "LIF": 20.0, "Theta": 2.0, "OscLIF": 2.0}[name] / K
    w_in = (scale * torch.rand(N, inputs)).to(dtype).requires_grad_()
    w_net = (scale * torch.randn(N, N) / 2).to(dtype).requires_grad_()
    times, _ = torch.sort(4 * torch.rand(B, K), dim=1)
    made = (w_in, w_net, times.to(dtype), torch.randint(0, inputs, (B, K)))
    return *(value.detach().to(args.device).requires_grad_(value.requires_grad) for value in made), 5.0


def now(tensor: torch.Tensor) -> tuple[float, float]:
    """Clock and processor time, once the device of a tensor has done its work."""
    if tensor.is_cuda:
        torch.cuda.synchronize(tensor.device)
    return time.perf_counter(), time.process_time()


def measure(neuron, problem, coupled: bool, repeats: int) -> tuple[float, float, dict[str, list[float]]]:
    """(events per sample, spikes of the network among them, seconds of every repeat)."""
    w_in, w_net, times, ids, T = problem
    seconds: dict[str, list[float]] = {"forward": [], "backward": [], "processor": []}
    for _ in range(repeats + 1):
        clocks = [now(times)]
        events = exact.simulate(neuron, w_in, w_net if coupled else None, times, ids, T)
        clocks.append(now(times))
        torch.where(events.times.isinf(), 0.0, events.times).sum().backward()
        clocks.append(now(times))
        seconds["forward"].append(clocks[1][0] - clocks[0][0])
        seconds["backward"].append(clocks[2][0] - clocks[1][0])
        seconds["processor"].append(clocks[2][1] - clocks[0][1])
    spikes = float(events.counts().sum()) / len(times)
    total = float((events.ids >= 0).sum()) / len(times)
    return total, spikes, {name: values[1:] for name, values in seconds.items()}


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    for field, default in (("neurons", 148), ("batch", 32), ("inputs", 700), ("spikes", 500), ("threads", 2)):
        parser.add_argument(f"--{field}", type=int, default=default)
    parser.add_argument("--repeats", type=int, default=5)
    parser.add_argument("--device", default="cpu")
    args = parser.parse_args()
    torch.set_num_threads(args.threads)
    print(f"{args.neurons} neurons, batch {args.batch}, {args.device}, {args.threads} threads; µs per event and sample")
    print(f"{'':24}{'':16}{'median':>18}{'best':>18}{'processor':>11}{'Mevents x':>12}")
    both = f"{'forward':>9}{'backward':>9}" * 2
    print(f"{'':24}{'events':>8}{'spikes':>8}{both}{'sum':>11}{'neurons/s':>12}")
    for name, neuron in NEURONS.items():
        for dtype in (torch.float64, torch.float32):
            for coupled in (True, False):
                problem = network(name, args, dtype)
                total, spikes, seconds = measure(neuron, problem, coupled, args.repeats)
                each = 1e6 / (total * args.batch)
                best, cpu = [min(seconds[name]) for name in ("forward", "backward")], min(seconds["processor"])
                usual = [statistics.median(seconds[name]) for name in ("forward", "backward")]
                rate = total * args.batch * args.neurons / sum(best) / 1e6
                label = f"{name} {str(dtype)[6:]} {'coupled' if coupled else 'apart'}"
                shown = "".join(f"{value * each:9.3f}" for value in (*usual, *best))
                print(f"{label:24}{total:8.0f}{spikes:8.0f}{shown}{cpu * each:11.3f}{rate:12.0f}")


if __name__ == "__main__":
    main()
