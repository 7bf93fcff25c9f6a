"""Feed-forward neurons: forward, backward and both, against copies, our own loop, torch.compile and the peers.

python -m benchmarks.neurons [--quick] [--groups copy eager compile peers memory] [--neuron clif | my.py:MyNeuron]
    [--against SpikingJelly Norse] [--directions forward both] [--large] [--seconds 4]
"""

from __future__ import annotations

import argparse
import contextlib
import os
import sys
from collections.abc import Callable, Iterable
from dataclasses import asdict, dataclass, replace

import torch

import rheobase as rb
from benchmarks import measure, ours, peer_jax, record
from benchmarks.measure import Effort
from benchmarks.peers import JAXPIKE, PEERS, Peer
from benchmarks.work import DIRECTIONS, Layer, Work, agreement, compared, passes, saved_bytes, subject

STEPS = (1, 4, 16, 64, 784)
IN_CACHE, OUT_OF_CACHE = 2**16, 2**23  # elements of x: 256 KiB, 32 MiB in float32
MILLION = 2**20
NEURONS = tuple(name for name in rb.neurons.names() if name != "psn")  # PSN is one matrix product, without a target
GROUPS = ("copy", "eager", "compile", "peers", "memory")
EFFORT = Effort(seconds=10.0)


@dataclass(frozen=True)
class Case:
    """One comparison: our fused kernel and what it is compared with."""

    group: str
    work: Work
    against: tuple[str, ...]  # "copy", "eager", "torch.compile" or names of peers
    malloc: str = "fresh"
    effort: Effort = EFFORT


def cases(groups: Iterable[str], neuron: str | None = None, quick: bool = False) -> list[Case]:
    """All cases of the groups; `neuron` restricts to one (a name or file.py:Class), `quick` shrinks the work."""
    made = [case for group in groups for case in _MAKERS[group](neuron)]
    if not quick:
        return made
    shrunk = [replace(c, work=replace(c.work, size=max(16, c.work.size // 256)), effort=measure.QUICK) for c in made]
    return list({(c.group, c.work.neuron, c.against, c.work.direction): c for c in reversed(shrunk)}.values())


def _copy_cases(neuron: str | None) -> Iterable[Case]:
    for malloc in measure.MALLOC:
        for elements in (IN_CACHE, OUT_OF_CACHE):
            for steps in STEPS:
                size = -(-elements // (steps * 16)) * 16  # 32 MiB and more: malloc maps such tensors anew, see measure
                for direction in ("forward", "backward", "both"):
                    work = Work(neuron or "lif", steps, size, direction)
                    yield Case("copy", work, ("copy",), malloc, Effort(seconds=3.0))


def _eager_cases(neuron: str | None) -> Iterable[Case]:
    for malloc in measure.MALLOC:
        for name in (neuron,) if neuron else NEURONS:
            for steps in (4, 16):
                yield Case("eager", Work(name, steps, MILLION), ("eager",), malloc)
    yield Case("eager", Work(neuron or "lif", 784, 4096), ("eager",))


def _compile_cases(neuron: str | None) -> Iterable[Case]:
    for malloc in measure.MALLOC:
        for name in (neuron,) if neuron else ("lif", "clif"):
            for steps in (4, 16):
                yield Case("compile", Work(name, steps, MILLION), ("torch.compile",), malloc)


def _peer_cases(neuron: str | None) -> Iterable[Case]:
    preferred = {"lif": ("atan", "fast_sigmoid"), "clif": ("rectangle",), "plif": ("atan",), "klif": ("atan",)}
    for peer in PEERS:
        for name, surrogates in preferred.items():
            known = [s for s in surrogates if peer.offers(name, s)]
            if not known or neuron not in (None, name):
                continue
            for malloc in measure.MALLOC if name in ("lif", "clif") else ("fresh",):
                for steps, size in ((4, MILLION), (16, MILLION), (784, 4096)):
                    work = Work(name, steps, size, surrogate=known[0], gain=2.0 if peer.twin else 1.0)
                    yield Case("peers", work, (peer.name,), malloc)


def _memory_cases(neuron: str | None) -> Iterable[Case]:
    for name in (neuron,) if neuron else NEURONS:
        for dtype in ("float32", "bfloat16"):
            yield Case("memory", Work(name, 16, 2**18, dtype=dtype), ("eager",), effort=measure.QUICK)


_MAKERS = {
    "copy": _copy_cases,
    "eager": _eager_cases,
    "compile": _compile_cases,
    "peers": _peer_cases,
    "memory": _memory_cases,
}


def run_case(case: Case) -> list[dict]:
    """Rows of one case; runs inside a process that `measure.process` started."""
    threads = (1, os.cpu_count() or 1)
    x, gradient = case.work.input(), case.work.gradient()
    twin = next((dict(p.twin) for p in PEERS if p.name in case.against), {})
    mine = ours.fused(case.work, **twin)
    subjects: list = [subject(mine, x, gradient, case.work.direction, threads=threads[-1:])]
    reference = passes(mine, *compared(case.work))
    subjects[0].notes = {"backend": str(rb.last_backend())}
    with contextlib.ExitStack() as stack:
        for name in case.against:
            subjects += _others(name, case, twin, threads, reference, (x, gradient), stack)
        with measure.Contention() as meter:
            timings = measure.interleave(subjects, case.effort)
        rows = [{**timing.row(), "others": meter.others} for timing in timings]
        if case.malloc == "fresh":
            for row, way in zip(rows, subjects, strict=True):
                row["peak_bytes"] = way.peak()
    if case.group == "memory":
        _count_saved(rows, [mine, ours.plain(case.work, **twin)], x)
    return [{**_head(case), **row} for row in rows]


def _head(case: Case) -> dict:
    return {"group": case.group, **asdict(case.work), "malloc": case.malloc, "against": "/".join(case.against)}


def _others(name: str, case: Case, twin: dict, threads: tuple[int, ...], reference, tensors, stack) -> list:
    """The other side: checked against our spikes and gradients, then ready to be timed."""
    x, gradient = tensors
    if name == "copy":
        return ours.copies(x, threads)
    if name == JAXPIKE.name:
        calls = stack.enter_context(peer_jax.processes(threads, case.malloc))
        remote = peer_jax.feedforward(calls, case.work)
        remote.notes = agreement(reference, tuple(map(torch.from_numpy, map(_owned, peer_jax.passes(calls)))))
        return [remote]
    layer = _layer(name, case.work, twin)
    notes = agreement(reference, passes(layer, *compared(case.work)))
    return [subject(layer, x, gradient, case.work.direction, threads=threads, notes=notes)]


def _owned(array):
    return array.copy()  # arrays of JAX are read-only, which torch warns about


def _layer(name: str, work: Work, twin: dict) -> Layer:
    if name == "eager":
        return ours.plain(work, **twin)
    if name == "torch.compile":
        return ours.compiled(work, **twin)
    peer: Peer = next(p for p in PEERS if p.name == name)
    assert peer.build is not None
    return peer.build(peer, work)


def _count_saved(rows: list[dict], layers: list[Layer], x: torch.Tensor) -> None:
    for row, layer in zip(rows, layers, strict=True):
        leaf = x.detach().requires_grad_()
        row["saved_bytes_per_element"] = saved_bytes(layer.call, leaf) / x.numel()


def run(
    groups=GROUPS,
    neuron: str | None = None,
    quick: bool = False,
    patience: float = 0.0,
    report: record.Report = record.say,
    keep: Callable[[Case], bool] = lambda case: True,
    seconds: float | None = None,
) -> list[dict]:
    """Measure, one fresh process per case; a case that fails becomes a row with its error.

    `report` sees each case, `keep` says which are measured, `seconds` is how long instead of the group's own time.
    """
    rows: list[dict] = []
    todo = [c for c in cases(groups, neuron, quick) if _possible(c) and keep(c)]
    if seconds is not None:
        todo = [replace(c, effort=replace(c.effort, seconds=seconds)) for c in todo]
    for number, case in enumerate(todo, 1):
        measure.wait_until_quiet(patience)
        try:
            with measure.process(case.malloc) as call:
                new = call(run_case, case)
        except Exception as error:
            new = [{**_head(case), "subject": "/".join(case.against), "error": record.told(error)}]
        rows += new
        report(number, len(todo), new)
    return rows


def _possible(case: Case) -> bool:
    return all(p.installed() for p in PEERS if p.name in case.against)


def main(arguments: list[str] | None = None) -> list[dict]:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--groups", nargs="+", choices=GROUPS, default=GROUPS)
    parser.add_argument("--neuron", help="a neuron's name, or file.py:Class")
    parser.add_argument("--against", nargs="+", help="only these other sides")
    parser.add_argument("--directions", nargs="+", choices=DIRECTIONS, default=DIRECTIONS)
    parser.add_argument("--large", action="store_true", help="leave out what fits into the caches")
    parser.add_argument("--seconds", type=float, help="how long each case is measured")
    record.common(parser)
    given = parser.parse_args(arguments)
    recorder = record.Recorder("neurons", given, sys.argv[1:] if arguments is None else arguments)

    def keep(case: Case) -> bool:
        large = given.quick or not given.large or case.work.steps * case.work.size > IN_CACHE * 2
        against = given.against is None or bool(set(given.against) & set(case.against))
        return large and against and case.work.direction in given.directions

    return run(given.groups, given.neuron, given.quick, given.patience, recorder.add, keep, given.seconds)


if __name__ == "__main__":
    main()
