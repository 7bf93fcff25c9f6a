"""What a call costs besides its work: the overhead of a tiny call, and the compile time of kernels, cold and cached.

python -m benchmarks.overhead [--quick] [--neurons lif clif ...]
"""

from __future__ import annotations

import argparse
import itertools
import os
import statistics
import sys
import tempfile
import time
from collections.abc import Iterable

import torch

from benchmarks import measure, neurons, ours, record
from benchmarks.work import Layer, Work, subject

GROUPS = ("call", "compile")
EFFORT = measure.Effort(seconds=3.0, most=101)


def calls(quick: bool = False) -> list[dict]:
    """A call on x [1, 16], where the work itself is nothing; beside it the cheapest operation torch has.

    Forward calls stand inside one no_grad, since entering it takes a microsecond of its own.
    """
    work = Work("lif", 1, 16)
    x, gradient = work.input(), work.gradient()
    rows = []
    for direction in ("forward", "both"):
        layers = [ours.fused(work), ours.plain(work)]
        layers.append(Layer("x.clone()", torch.clone))
        subjects = [_call(layer, x, gradient, direction) for layer in layers]
        head = {"group": "call", "neuron": "lif", "steps": 1, "size": 16, "direction": direction, "against": "eager"}
        with torch.set_grad_enabled(direction == "both"):
            timings = measure.interleave(subjects, measure.QUICK if quick else EFFORT)
        rows += [{**head, **timing.row()} for timing in timings]
    return rows


def _call(layer: Layer, x: torch.Tensor, gradient: torch.Tensor, direction: str) -> measure.Subject:
    threads = (1,) if layer.call is torch.clone else (os.cpu_count() or 1,)
    if direction == "forward":
        return measure.Subject(layer.name, lambda: layer.call(x), threads=threads)
    return subject(layer, x, gradient, direction, threads=threads)


def first_calls(names: list[str]) -> list[dict]:
    """Each neuron's first forward and backward call less its second (the kernels), and its definition (the tracing).

    A neuron before it takes the imports and the tracer's own first use, which no kernel can be charged with.
    """
    _call_seconds(Work("lif", 4, 64, surrogate="triangle"))
    rows = []
    for name in names:
        work = Work(name, 4, 64)
        made = time.perf_counter()
        module = ours.neuron(work)
        made = time.perf_counter() - made
        first, second = (_module_seconds(module, work) for _ in range(2))
        rows.append({"neuron": name, "kernels": first - second, "definition": made})
    return rows


def _call_seconds(work: Work) -> float:
    return _module_seconds(ours.neuron(work), work)


def _module_seconds(module, work: Work) -> float:
    x, gradient = work.input().requires_grad_(), work.gradient()
    start = time.perf_counter()
    torch.autograd.grad(module(x), [x, *module.parameters()], gradient)
    return time.perf_counter() - start


def compile_times(names: list[str], repeats: int = 3) -> list[dict]:
    """Cold: an empty kernel cache. Cached: a new process, the same cache. Medians over `repeats` processes."""
    taken: dict[tuple[str, str], list[float]] = {}
    for _ in range(repeats):
        with tempfile.TemporaryDirectory() as folder:
            for state in ("cold", "cached"):
                with measure.process(RHEOBASE_CACHE=folder) as call:
                    for row in call(first_calls, names):
                        taken.setdefault((row["neuron"], state), []).append(row["kernels"])
                        taken.setdefault((row["neuron"], "definition"), []).append(row["definition"])
    return [
        {
            "group": "compile",
            "neuron": name,
            "against": state,
            "subject": f"rheobase ({state})",
            "threads": 1,
            "seconds": statistics.median(seconds),
            "rounds": len(seconds),
        }
        for (name, state), seconds in taken.items()
    ]


def run(
    names=neurons.NEURONS,
    quick: bool = False,
    patience: float = 0.0,
    report: record.Report = record.say,
    groups: Iterable[str] = GROUPS,
) -> list[dict]:
    """The groups, each in processes of its own; a group that fails becomes a row with its error."""
    measure.wait_until_quiet(patience)
    chosen, repeats = (list(names)[:2], 1) if quick else (list(names), 3)
    jobs = {"call": lambda: _isolated_calls(quick), "compile": lambda: compile_times(chosen, repeats)}
    rows: list[dict] = []
    for group in groups:
        try:
            new = jobs[group]()
        except Exception as error:
            new = [{"group": group, "subject": "rheobase", "error": record.told(error)}]
        cases = [list(group) for _, group in itertools.groupby(new, record.case)]
        for number, case in enumerate(cases, 1):
            report(number, len(cases), case)
        rows += new
    return rows


def _isolated_calls(quick: bool) -> list[dict]:
    with measure.process() as call:
        return call(calls, quick)


def main(arguments: list[str] | None = None) -> list[dict]:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--neurons", nargs="+", default=neurons.NEURONS)
    parser.add_argument("--groups", nargs="+", choices=GROUPS, default=GROUPS)
    record.common(parser)
    given = parser.parse_args(arguments)
    recorder = record.Recorder("overhead", given, sys.argv[1:] if arguments is None else arguments)
    return run(given.neurons, given.quick, given.patience, recorder.add, given.groups)


if __name__ == "__main__":
    main()
