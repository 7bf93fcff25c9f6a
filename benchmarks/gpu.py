"""Fused GPU kernels against the bandwidth of a copy, our eager loop and SpikingJelly, on an NVIDIA GPU.

    OMP_WAIT_POLICY=PASSIVE python -m benchmarks.gpu           # about 3 minutes; results/benchmarks/gpu.json
    OMP_WAIT_POLICY=PASSIVE python -m benchmarks.gpu --quick   # small sizes: does everything run?
    OMP_WAIT_POLICY=PASSIVE python -m benchmarks.gpu --groups cuts   # how the passes are best cut

All sides of a case take turns; CUDA events time calls in a row, so that launching one hides behind another; the median
counts. `limit` is the time of a copy that moves as many bytes as the kernels must: each input read once, each
output written once. Before it is timed, each side's spikes are compared with the eager loop's. SpikingJelly runs its
Triton kernels, LIF also with the states that it keeps for the backward pass rounded to bfloat16; the recurrent
layer also as a CUDA graph of forward and backward pass, and the network on both sides as those that
torch.cuda.make_graphed_callables makes, which spares them the launches.
"""

from __future__ import annotations

import argparse
import functools
import importlib.metadata
import importlib.util
import itertools
import statistics
from collections.abc import Callable, Iterator
from unittest import mock

import torch
from torch import Tensor

import rheobase as rb
from benchmarks import models, ours_recurrent, record, recurrent_peers
from benchmarks.recurrence import Recurrence
from rheobase.fuse import gpu

Way = Callable[[Tensor], Tensor]
GROUPS = ("layer", "recurrent", "network")
PASSES = {"forward": 2, "both": 5}  # tensors of x's size that must be moved: x, s; then x, ds, dx
DTYPE = torch.bfloat16
SHAPES = ((256, 256, 128, 0.1), (250, 256, 256, 0.1), (784, 256, 256, 0.1))  # steps, batch, features, spike rate
CUTS = {  # by neuron and direction: steps per chunk, neurons per thread, warps
    ("lif", "both"): ((4, 4, 2), (8, 1, 2), (8, 2, 2), (8, 2, 4), (8, 4, 2), (8, 4, 4), (8, 8, 2), (16, 2, 4)),
    ("lif", "forward"): tuple(itertools.product((0,), (2, 4, 8), (4, 8))),
    ("clif", "both"): ((4, 2, 2), (4, 2, 4), (4, 4, 2), (4, 4, 4), (4, 8, 2), (8, 1, 2), (8, 2, 2), (8, 2, 4)),
    ("clif", "forward"): tuple(itertools.product((0,), (2, 4, 8), (4,))),
}  # fmt: skip


def main(arguments: list[str] | None = None) -> int:
    """Run all cases. Returns 1 where there is no GPU, and says so."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    record.common(parser)
    parser.add_argument("--groups", nargs="+", choices=(*GROUPS, "cuts"), default=GROUPS)
    given = parser.parse_args(arguments)
    if not torch.cuda.is_available():
        print("benchmarks.gpu: torch finds no GPU on this machine; nothing was measured.")
        return 1
    command = [*(["--quick"] if given.quick else []), "--groups", *given.groups]
    recorder = record.Recorder("gpu", given, command)
    cases = list(_cases(given.quick, given.groups))
    for number, (head, case) in enumerate(cases, 1):
        head |= hardware()
        try:
            rows = [head | row for row in case()]
        except Exception as error:  # a case that cannot run is a row of the table
            rows = [head | {"subject": "all", "error": record.told(error)}]
        recorder.add(number, len(cases), rows)
    return 0


def _cases(quick: bool, groups: list[str]) -> Iterator[tuple[dict, Callable[[], list[dict]]]]:
    """Every case as the head of its rows, and what measures them."""
    elements = 1 << (20 if quick else 28)
    rounds = 3 if quick else 21
    layer = {"group": "gpu", "dtype": "bf16"}
    if "layer" in groups:
        for neuron, steps, direction in itertools.product(("lif", "clif"), (4, 32), PASSES):
            head = layer | {"neuron": neuron, "steps": steps, "size": elements // steps, "direction": direction}
            yield head, functools.partial(feedforward, neuron, steps, elements // steps, direction, rounds)
    for shape in SHAPES if "recurrent" in groups else ():
        steps, batch, features, rate = (16, 32, shape[2], shape[3]) if quick else shape
        head = {"group": "gpu recurrent", "neuron": "lif", "steps": steps, "batch": batch, "features": features}
        for direction in PASSES:
            problem = Recurrence(steps, batch, features, rate, direction=direction)
            yield head | {"direction": direction, "rate_wanted": rate}, functools.partial(recurrent, problem, rounds)
    for neuron in ("lif", "clif") if "network" in groups else ():
        case = models.Case(neuron, batch=8 if quick else 128, dtype="bfloat16", device="cuda")
        yield case.row() | {"group": "gpu network"}, functools.partial(network, case, rounds)
    for neuron, direction in CUTS if "cuts" in groups else ():
        head = layer | {"group": "gpu cuts", "neuron": neuron, "steps": 32, "size": elements // 32}
        head |= {"direction": direction}
        yield head, functools.partial(cuts, neuron, direction, 32, elements // 32, 7)


def feedforward(neuron: str, steps: int, neurons: int, direction: str, rounds: int) -> list[dict]:
    """One neuron on x [steps, neurons] in bfloat16: ours fused and eager, SpikingJelly, and the copy as the bound."""
    x = inputs(steps, neurons)
    ways = {"rheobase": backed(neuron, "triton"), "eager": backed(neuron, "eager")}
    ways |= spikingjelly(neuron)
    rows, runs = [], {}
    with torch.no_grad():
        wanted = ways["eager"](x)
    for name, way in ways.items():
        try:
            with torch.no_grad():
                flips = float((way(x) != wanted).float().mean())
            runs[name] = prepared(way, x, direction)
            row = {"flips": flips, "peak_bytes": peak(runs[name])}
            rows.append({"subject": name} | row)
        except Exception as error:  # a peer that cannot run is a row of the table
            runs.pop(name, None)
            rows.append({"subject": name, "error": record.told(error)})
    runs["limit"] = copies(x, PASSES[direction])
    times = timed(runs, rounds)
    return [row | times.get(row["subject"], {}) for row in [*rows, {"subject": "limit"}]]


def inputs(*shape: int) -> Tensor:
    """Uniform in [−.5, 1.25): a spike rate of about .2."""
    generator = torch.Generator("cuda").manual_seed(0)
    return (torch.rand(shape, generator=generator, device="cuda") * 1.75 - 0.5).to(DTYPE)


def module(neuron: str) -> rb.Neuron:
    return rb.neurons.create(neuron, surrogate=rb.surrogate.ATan(2.0)).cuda()


def backed(neuron: str, backend: str) -> Way:
    made = module(neuron)

    def call(x: Tensor) -> Tensor:
        with rb.backend(backend):
            return made(x)

    return call


def spikingjelly(neuron: str) -> dict[str, Way]:
    """SpikingJelly's twins of our neuron. LIF by its function: on bfloat16 inputs LIFNode leaves Triton for torch."""

    def lif(x: Tensor, **precision: str) -> Tensor:
        from spikingjelly.activation_based import functional, surrogate

        v = torch.zeros_like(x[0], dtype=torch.bfloat16 if precision else torch.float32)
        return functional.lif_multi_step(x, v, 2.0, False, 1.0, None, surrogate.ATan(2.0), **precision)[0]

    def clif(x: Tensor) -> Tensor:
        from spikingjelly.activation_based import functional, surrogate
        from spikingjelly.activation_based import neuron as neurons

        if not made:
            made.append(neurons.ComplementaryLIFNode(2.0, surrogate_function=surrogate.ATan(2.0), step_mode="m").cuda())
        functional.reset_net(made[0])
        return made[0](x)

    made: list = []
    if neuron == "clif":
        return {"SpikingJelly": clif}
    return {"SpikingJelly": lif, "SpikingJelly bf16 states": functools.partial(lif, neuron_storage="bf16")}


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


def peak(run: Callable[[], object]) -> int:
    """Bytes that a call needs at its highest, beyond what was there before."""
    run()
    torch.cuda.synchronize()
    torch.cuda.reset_peak_memory_stats()
    before = torch.cuda.memory_allocated()
    run()
    return torch.cuda.max_memory_allocated() - before


def recurrent(problem: Recurrence, rounds: int) -> list[dict]:
    """A recurrent LIF layer in float32: ours, the eager loop, SpikingJelly's container, and that as a CUDA graph."""
    currents, weight, gradient = problem.currents().cuda(), problem.weight().cuda(), problem.gradient().cuda()
    leaves = [currents.clone().requires_grad_(), weight.clone().requires_grad_()]
    calls = {"rheobase": ours_recurrent.fused(problem), "eager": ours_recurrent.plain(problem)}
    calls["SpikingJelly"] = recurrent_peers.spikingjelly(problem)
    wanted = calls["eager"](currents, weight)
    rows, runs = [], {}
    for name, call in calls.items():
        run = functools.partial(_recurrent_run, call, leaves, gradient, problem.direction)
        different = (call(currents, weight) != wanted).float().mean()
        rows.append({"subject": name, "flips": float(different), "peak_bytes": peak(run)})
        runs[name] = run
    fresh = [leaf.detach().clone().requires_grad_() for leaf in leaves]  # untouched by the calls outside of the graph
    run = functools.partial(_recurrent_run, calls["SpikingJelly"], fresh, gradient, problem.direction)
    try:
        runs["SpikingJelly graph"] = graphed(run)
        rows.append({"subject": "SpikingJelly graph"})
    except Exception as error:
        rows.append({"subject": "SpikingJelly graph", "error": record.told(error)})
    times = timed(runs, rounds)
    return [row | times.get(row["subject"], {}) for row in rows]


def _recurrent_run(call: Callable, leaves: list[Tensor], gradient: Tensor, direction: str) -> object:
    if direction == "both":
        return torch.autograd.grad(call(*leaves), leaves, gradient)
    with torch.no_grad():
        return call(*leaves)


def graphed(run: Callable[[], object]) -> Callable[[], object]:
    """The call captured as a CUDA graph: all its kernels are launched at once."""
    stream = torch.cuda.Stream()
    stream.wait_stream(torch.cuda.current_stream())
    with torch.cuda.stream(stream):
        for _ in range(3):
            run()
    torch.cuda.current_stream().wait_stream(stream)
    graph = torch.cuda.CUDAGraph()
    with torch.cuda.graph(graph, stream=stream):
        held = run()

    def replay() -> object:
        graph.replay()
        return held

    return replay


def network(case: models.Case, rounds: int) -> list[dict]:
    """A training step of Spiking ResNet-18, mixed precision, channels last."""
    sides = ["rheobase", "rheobase packed", "rheobase graph"]
    sides += ["SpikingJelly", "SpikingJelly graph"] * bool(importlib.util.find_spec("spikingjelly"))
    steps = {side: models.Step(case, side.removesuffix(" graph"), "channels_last") for side in sides}
    for side, step in steps.items():
        if side.startswith("SpikingJelly") and case.neuron == "lif":  # otherwise LIFNode leaves Triton for torch
            from spikingjelly.activation_based import precision

            settings = precision.PrecisionConfig(mode="bf16", neuron_storage="fp32")
            precision.prepare_model_for_precision(step.model, "cuda", settings)
        if side.endswith(" graph"):
            with torch.autocast("cuda", torch.bfloat16, cache_enabled=False):
                step.model = torch.cuda.make_graphed_callables(step.model, (step.images.clone(),))
    ours = steps["rheobase"]()
    rows = []
    for side, step in steps.items():
        row = {"subject": side, "apart": float((step() - ours).abs().max())}
        held = side.endswith(" graph")  # its memory is its own from the capture on
        rows.append(row if held else row | {"peak_bytes": peak(step)})
    times = timed(steps, rounds)
    rows = [row | times[row["subject"]] for row in rows]
    return [row | {"images_per_second": case.batch / row["seconds"]} for row in rows]


def cuts(neuron: str, direction: str, steps: int, neurons: int, rounds: int) -> list[dict]:
    """A neuron's passes with chunks, neurons and warps per program of every sensible size."""
    x = inputs(steps, neurons)
    runs = {"limit": copies(x, PASSES[direction]), "rheobase": prepared(backed(neuron, "triton"), x, direction)}
    for chunk, each, warps in CUTS[neuron, direction]:
        named = f"chunk {chunk}, " if chunk else ""
        runs[f"{named}{each} neurons per thread, {warps} warps"] = _cut(neuron, x, direction, chunk, each, warps)
    return [{"subject": name} | row for name, row in timed(runs, rounds).items()]


def _cut(neuron: str, x: Tensor, direction: str, chunk: int, each: int, warps: int) -> Callable[[], object]:
    way = backed(neuron, "triton")
    run, shape, program = prepared(way, x, direction), gpu.shape, module(neuron).program()

    def cut(*given) -> gpu.Shape:
        return shape(*given) if given[4] != bool(chunk) else gpu.Shape(gpu.WARP * warps * each, warps, chunk)

    def patched() -> object:
        program.prepared.clear()  # what calls of this shape remember of each other
        with mock.patch.object(gpu, "shape", cut), mock.patch.object(gpu, "chunk_length", lambda *_: chunk or 8):
            return run()

    return patched


def timed(runs: dict[str, Callable[[], object]], rounds: int) -> dict[str, dict]:
    """Median and quartiles of each side in turn; seconds. A turn is 20 ms of calls; sides that take seconds get few."""
    found: dict[str, list[float]] = {name: [] for name in runs}
    once = {name: min(_seconds(run, 1) for _ in range(3)) for name, run in runs.items()}
    for turn in range(rounds):
        for name, run in runs.items():
            if turn < max(3, 2.0 / once[name]):
                found[name].append(_seconds(run, max(1, min(20, round(0.02 / once[name])))))
    return {name: _row(sorted(values)) for name, values in found.items()}


def _seconds(run: Callable[[], object], repeat: int) -> float:
    begin, end = torch.cuda.Event(enable_timing=True), torch.cuda.Event(enable_timing=True)
    torch.cuda.synchronize()
    begin.record()
    for _ in range(repeat):
        run()
    end.record()
    torch.cuda.synchronize()
    return begin.elapsed_time(end) / 1e3 / repeat


def _row(values: list[float]) -> dict:
    low, high = values[len(values) // 4], values[3 * len(values) // 4]
    return {"seconds": statistics.median(values), "quartiles": [low, high], "rounds": len(values), "threads": 1}


def hardware() -> dict:
    """What ran the kernels."""
    return {"gpu": torch.cuda.get_device_name(), "triton": importlib.metadata.version("triton")}


if __name__ == "__main__":
    raise SystemExit(main())
