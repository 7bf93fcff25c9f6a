"""Fused GPU kernels against the bandwidth of a copy, our eager loop and SpikingJelly's own kernels, on an NVIDIA GPU.

    OMP_WAIT_POLICY=PASSIVE python -m benchmarks.gpu           # about 3 minutes; results/benchmarks/gpu.json
    OMP_WAIT_POLICY=PASSIVE python -m benchmarks.gpu --quick   # small sizes: does everything run?
    OMP_WAIT_POLICY=PASSIVE python -m benchmarks.gpu --sweep   # also: how LIF's backward pass is best cut

All sides of a case take turns; CUDA events time each call; the median counts. `limit` is the time of a copy that moves
as many bytes as the kernels must: each input read once, each output written once. Before it is timed, each side's
spikes are compared with the eager loop's. SpikingJelly runs its torch, cupy and triton backends, where it is installed.
"""

from __future__ import annotations

import argparse
import functools
import importlib.metadata
import itertools
import statistics
from collections.abc import Callable
from unittest import mock

import torch
from torch import Tensor

import rheobase as rb
from benchmarks import record
from rheobase.fuse import gpu

Way = Callable[[Tensor], Tensor]
PASSES = {"forward": 2, "both": 5}  # tensors of x's size that must be moved: x, s; then x, ds, dx
DTYPE = torch.bfloat16


def main(arguments: list[str] | None = None) -> int:
    """Run all cases. Returns 1 where there is no GPU, and says so."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    record.common(parser)
    parser.add_argument("--sweep", action="store_true", help="time LIF's backward pass cut in several ways")
    given = parser.parse_args(arguments)
    if not torch.cuda.is_available():
        print("benchmarks.gpu: torch finds no GPU on this machine; nothing was measured.")
        return 1
    command = [word for word in ("--quick", "--sweep") if getattr(given, word[2:])]
    recorder = record.Recorder("gpu", given, command)
    cases = list(_cases(given.quick, given.sweep))
    for number, case in enumerate(cases, 1):
        recorder.add(number, len(cases), case())
    return 0


def _cases(quick: bool, sweep: bool):
    elements = 1 << (20 if quick else 27)
    for neuron, steps, direction in itertools.product(("lif", "clif"), (4, 32), PASSES):
        yield lambda n=neuron, t=steps, d=direction: feedforward(n, t, elements // t, d)
    yield lambda: recurrent(*((16, 8, 32) if quick else (256, 256, 128)))
    if sweep:
        yield lambda: cuts(32, elements // 32)


def feedforward(neuron: str, steps: int, neurons: int, direction: str) -> list[dict]:
    """One neuron on x [steps, neurons] in bfloat16: ours fused and eager, SpikingJelly, and the copy as the bound."""
    x = inputs(steps, neurons)
    ways = {"rheobase": backed(neuron, "triton"), "eager": backed(neuron, "eager")} | spikingjelly(neuron)
    about = {"group": "gpu", "neuron": neuron, "steps": steps, "size": neurons, "direction": direction, "dtype": "bf16"}
    rows, runs = [], {}
    with torch.no_grad():
        wanted = ways["eager"](x)
    for name, way in ways.items():
        try:
            with torch.no_grad():
                flips = float((way(x) != wanted).float().mean())
            runs[name] = prepared(way, x, direction)
            runs[name]()
            rows.append({"subject": name, "flips": flips})
        except Exception as error:  # a peer that cannot run is a row of the table
            rows.append({"subject": name, "error": record.told(error)})
    runs["limit"] = copies(x, PASSES[direction])
    rows.append({"subject": "limit"})
    return [about | hardware() | row | times.get(row["subject"], {}) for times in [timed(runs)] for row in rows]


def inputs(*shape: int) -> Tensor:
    """Uniform in [−.5, 1.25): a spike rate of about .2."""
    generator = torch.Generator("cuda").manual_seed(0)
    return (torch.rand(shape, generator=generator, device="cuda") * 1.75 - 0.5).to(DTYPE)


def backed(neuron: str, backend: str) -> Way:
    module = rb.neurons.create(neuron, surrogate=rb.surrogate.ATan(2.0)).cuda()

    def call(x: Tensor) -> Tensor:
        with rb.backend(backend):
            return module(x)

    return call


def spikingjelly(neuron: str) -> dict[str, Way]:
    """SpikingJelly's ways to run the same neuron; none where it is not installed."""
    try:
        from spikingjelly.activation_based import functional, surrogate
        from spikingjelly.activation_based import neuron as neurons
    except ImportError as error:
        print(f"benchmarks.gpu: SpikingJelly cannot be imported ({error}); its rows are left out.")
        return {}
    common = {"tau": 2.0, "surrogate_function": surrogate.ATan(2.0), "step_mode": "m"}

    def way(backend: str) -> Way:
        def call(x: Tensor) -> Tensor:
            if not made:
                soft = {"decay_input": False, "v_reset": None}
                kind = functools.partial(neurons.LIFNode, **soft) if neuron == "lif" else neurons.ComplementaryLIFNode
                made.append(kind(**common))
                made[0].cuda().backend = backend
            functional.reset_net(made[0])
            return made[0](x)

        made: list = []
        return call

    return {f"spikingjelly {backend}": way(backend) for backend in ("torch", "cupy", "triton")}


def prepared(way: Way, x: Tensor, direction: str) -> Callable[[], object]:
    """The call that is timed: the spikes without a graph, or the spikes and the gradient of x."""
    if direction == "forward":
        return torch.no_grad()(lambda: way(x))
    leaf, cotangent = x.clone().requires_grad_(), torch.randn_like(x)
    return lambda: torch.autograd.grad(way(leaf), leaf, cotangent)


def copies(x: Tensor, tensors: int) -> Callable[[], object]:
    """A copy that moves as many bytes as `tensors` tensors of x's size: half of them read, half written."""
    source = x.new_ones(x.numel() * tensors // 2)
    target = torch.empty_like(source)
    return lambda: target.copy_(source)


def recurrent(steps: int, batch: int, features: int) -> list[dict]:
    """A recurrent LIF layer, forward and backward: the eager loop, which is all that a GPU has so far."""
    layer = rb.Recurrent(rb.LIF(), features, features).cuda()
    x = inputs(steps, batch, features).float().requires_grad_()
    cotangent = torch.randn_like(x)
    about = {"group": "gpu recurrent", "neuron": "lif", "steps": steps, "size": batch * features, "direction": "both"}
    run = {"eager": lambda: torch.autograd.grad(layer(x), [x, *layer.parameters()], cotangent)}
    return [about | hardware() | {"subject": name} | row for name, row in timed(run, rounds=7).items()]


def cuts(steps: int, neurons: int) -> list[dict]:
    """LIF forward and backward with chunks, neurons and warps per program of every sensible size."""
    x = inputs(steps, neurons)
    runs = {}
    for chunk, each, warps in itertools.product((4, 8, 16, 32), (1, 2, 4, 8), (2, 4, 8)):
        if chunk * each <= 128:
            runs[f"chunk {chunk}, {each} neurons per thread, {warps} warps"] = _cut(x, chunk, each, warps)
    about = {"group": "gpu cuts", "neuron": "lif", "steps": steps, "size": neurons, "direction": "both"}
    return [about | hardware() | {"subject": name} | row for name, row in timed(runs, rounds=15).items()]


def _cut(x: Tensor, chunk: int, each: int, warps: int) -> Callable[[], object]:
    run, shape = prepared(backed("lif", "triton"), x, "both"), gpu.shape

    def cut(*given) -> gpu.Shape:
        return gpu.Shape(gpu.WARP * warps * each, warps, chunk) if given[4] else shape(*given)

    def patched() -> object:
        with mock.patch.object(gpu, "shape", cut), mock.patch.object(gpu, "chunk_length", lambda *_: chunk):
            return run()

    return patched


def timed(runs: dict[str, Callable[[], object]], rounds: int = 41) -> dict[str, dict]:
    """Median and quartiles of each call in turn, after three calls to warm up; seconds."""
    found: dict[str, list[float]] = {name: [] for name in runs}
    for turn in range(rounds + 3):
        for name, run in runs.items():
            begin, end = torch.cuda.Event(enable_timing=True), torch.cuda.Event(enable_timing=True)
            torch.cuda.synchronize()
            begin.record()
            run()
            end.record()
            torch.cuda.synchronize()
            if turn >= 3:
                found[name].append(begin.elapsed_time(end) / 1e3)
    return {name: _row(sorted(values)) for name, values in found.items()}


def _row(values: list[float]) -> dict:
    low, high = values[len(values) // 4], values[3 * len(values) // 4]
    return {"seconds": statistics.median(values), "quartiles": [low, high], "rounds": len(values), "threads": 1}


def hardware() -> dict:
    """What ran the kernels."""
    return {"gpu": torch.cuda.get_device_name(), "triton": importlib.metadata.version("triton")}


if __name__ == "__main__":
    raise SystemExit(main())
