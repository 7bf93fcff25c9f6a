"""Recurrent LIF layers against the eager loop and the peers, and the time of one sequential-MNIST epoch.

    python -m benchmarks.recurrent [--quick] [--groups layer epoch] [--against eager SpikingJelly ...] [--rates 0.1 ...]

The eager loop is met with ATan, which the peers have too, and with Rectangle, LIF's default.
"""

from __future__ import annotations

import argparse
import contextlib
import os
import sys
from collections.abc import Iterable
from dataclasses import asdict, dataclass, replace

import torch

import rheobase as rb
from benchmarks import measure, ours_recurrent, peer_jax, record, recurrent_peers
from benchmarks.measure import Effort
from benchmarks.peers import JAXPIKE, PEERS
from benchmarks.recurrence import Recurrence, agreement, passes, subject

SHAPES = ((784, 128, 256), (250, 256, 128))  # steps, batch, features: S-MNIST and SHD
RATES = (0.02, 0.1, 0.3)
AGAINST = ("eager", *(peer.name for peer in PEERS))
GROUPS = ("layer", "epoch")
EFFORT = Effort(seconds=12.0, least=5, most=15)


@dataclass(frozen=True)
class Case:
    """One comparison of our fused layer with one other."""

    problem: Recurrence
    against: str
    malloc: str = "fresh"
    effort: Effort = EFFORT


def cases(against: Iterable[str] = AGAINST, quick: bool = False, rates: Iterable[float] = RATES) -> list[Case]:
    """All shapes and opponents; `quick` takes a 16th of the batch, an 8th of the steps and one rate."""
    made = []
    for name in against:
        surrogate = recurrent_peers.SURROGATE.get(name, "atan")
        gain = next((2.0 for peer in PEERS if peer.name == name and peer.twin), 1.0)
        ways = [("forward", surrogate), ("both", surrogate), ("both", "rectangle")]
        for steps, batch, features in SHAPES:
            for rate in rates:
                for direction, shape in ways if name == "eager" else [("both", surrogate)]:
                    made.append(Case(Recurrence(steps, batch, features, rate, shape, direction, gain), name))
    if not quick:
        return made
    small = [c for c in made if c.problem.rate_wanted == 0.1 and c.problem.direction == "both"]
    return [replace(c, problem=_shrunk(c.problem), effort=measure.QUICK) for c in small[::2]]


def _shrunk(problem: Recurrence) -> Recurrence:
    return replace(problem, steps=problem.steps // 8, batch=problem.batch // 16)


def run_case(case: Case) -> list[dict]:
    """Rows of one case; runs inside a process that `measure.process` started."""
    threads = (1, os.cpu_count() or 1)
    mine = ours_recurrent.fused(case.problem)
    reference = passes(mine, case.problem)
    with contextlib.ExitStack() as stack:
        subjects: list = [subject("rheobase", mine, case.problem, threads=threads[-1:])]
        subjects[0].notes = {"rate": float(reference[0].double().mean()), "backend": str(rb.last_backend())}
        subjects.append(_other(case, threads, reference, stack))
        with measure.Contention() as meter:
            timings = measure.interleave(subjects, case.effort)
        rows = [{**timing.row(), "others": meter.others} for timing in timings]
        for row, way in zip(rows, subjects, strict=True):
            row["peak_bytes"] = way.peak()
    return [{**_head(case), **row} for row in rows]


def _other(case: Case, threads: tuple[int, ...], reference, stack):
    if case.against == JAXPIKE.name:
        remote = recurrent_peers.jaxpike(stack.enter_context(peer_jax.processes(threads, case.malloc)), case.problem)
        spikes, slopes = (torch.from_numpy(a.copy()) for a in peer_jax.passes(remote.calls))
        remote.notes = agreement(reference, (spikes, slopes))
        return remote
    build = ours_recurrent.plain if case.against == "eager" else recurrent_peers.TORCH_PEERS[case.against]
    call = build(case.problem)
    notes = agreement(reference, passes(call, case.problem))
    return subject(case.against, call, case.problem, threads=threads, notes=notes)


def _head(case: Case) -> dict:
    return {"group": "layer", "neuron": "lif", **asdict(case.problem), "malloc": case.malloc, "against": case.against}


def epoch(quick: bool = False) -> list[dict]:
    """Seconds of one S-MNIST epoch (60,000 samples, batch 256), from the median of some training steps."""
    with measure.process("kept") as call:  # as `rheobase train` does
        rows = call(ours_recurrent.epoch_rows, 8 if quick else 256, measure.QUICK if quick else EFFORT)
    return [{**row, "malloc": "kept"} for row in rows]


def run(
    groups=GROUPS,
    against=AGAINST,
    quick: bool = False,
    patience: float = 0.0,
    report: record.Report = record.say,
    rates: Iterable[float] = RATES,
) -> list[dict]:
    """Measure, one fresh process per case; a case that fails becomes a row with its error. `report` sees each case."""
    todo = [c for c in cases(against, quick, rates) if _possible(c)] if "layer" in groups else []
    jobs = [(lambda c=c: _isolated(c), _head(c)) for c in todo]
    if "epoch" in groups:
        jobs.append((lambda: epoch(quick), {"group": "epoch", "neuron": "problif", "against": ""}))
    rows: list[dict] = []
    for number, (job, head) in enumerate(jobs, 1):
        measure.wait_until_quiet(patience)
        try:
            new = job()
        except Exception as error:
            new = [{**head, "subject": head["against"], "error": record.told(error)}]
        rows += new
        report(number, len(jobs), new)
    return rows


def _isolated(case: Case) -> list[dict]:
    with measure.process(case.malloc) as call:
        return call(run_case, case)


def _possible(case: Case) -> bool:
    return all(peer.installed() for peer in PEERS if peer.name == case.against)


def main(arguments: list[str] | None = None) -> list[dict]:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--groups", nargs="+", choices=GROUPS, default=GROUPS)
    parser.add_argument("--against", nargs="+", choices=AGAINST, default=AGAINST)
    parser.add_argument("--rates", nargs="+", type=float, choices=RATES, default=RATES)
    record.common(parser)
    given = parser.parse_args(arguments)
    recorder = record.Recorder("recurrent", given, sys.argv[1:] if arguments is None else arguments)
    return run(given.groups, given.against, given.quick, given.patience, recorder.add, given.rates)


if __name__ == "__main__":
    main()
