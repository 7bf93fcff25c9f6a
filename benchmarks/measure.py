"""Timing several ways of doing the same work so that the comparison is fair.

All ways are timed in turn, round after round, in one process, so that a slow minute of the machine hits all of them;
the median counts. Every way is timed on each of its thread counts and its fastest one counts. Each case runs in a
process of its own, started with OMP_WAIT_POLICY=PASSIVE (threads that spin make a two-core machine up to 35x slower for
the next one to run) and with one of two behaviours of malloc:

- `fresh`: the C library's default. Large tensors are mapped anew for every call, and every page faults. Rheobase's
  outputs are the exception: they use memory of earlier outputs again (rheobase/fuse/pool.py).
- `kept`: freed memory stays with the process, as if every buffer were written into again.
"""

from __future__ import annotations

import contextlib
import ctypes
import gc
import multiprocessing
import os
import pathlib
import statistics
import time
from collections.abc import Callable, Iterator
from concurrent.futures import ProcessPoolExecutor
from dataclasses import dataclass, field

import torch

import rheobase as rb

MALLOC = {"fresh": {}, "kept": {"MALLOC_MMAP_MAX_": "0", "MALLOC_TRIM_THRESHOLD_": str(2**40)}}
POLICY = {"OMP_WAIT_POLICY": "PASSIVE"}
ROUND_SECONDS = 0.01  # short calls are repeated until one round lasts about this long


@dataclass(frozen=True)
class Effort:
    """How long a case is measured: rounds from `least` to `most`, about `seconds` in all."""

    seconds: float = 20.0
    least: int = 7
    most: int = 41


QUICK = Effort(seconds=0.5, least=2, most=5)


@dataclass
class Subject:
    """One way of doing the work: `run(prepare())` is called, and only `run` is timed.

    `threads` lists the thread counts to try; 0 leaves the process as it is.
    """

    name: str
    run: Callable[..., object]
    prepare: Callable[[], object] | None = None
    threads: tuple[int, ...] = (1, 2)
    notes: dict = field(default_factory=dict)

    def seconds(self, threads: int, repeats: int = 1) -> float:
        """Mean seconds of one call."""
        if threads and torch.get_num_threads() != threads:
            torch.set_num_threads(threads)
        run, total = self.run, 0.0
        if self.prepare is None:
            start = time.perf_counter()
            for _ in range(repeats):
                run()
            return (time.perf_counter() - start) / repeats
        for _ in range(repeats):
            given = self.prepare()
            start = time.perf_counter()
            run(given)
            total += time.perf_counter() - start
        return total / repeats

    def peak(self) -> int | None:
        """Bytes of memory that one call needs beyond what is there before it; None where the system does not tell."""
        return peak_of(lambda: self.run() if self.prepare is None else self.run(self.prepare()))


@dataclass(frozen=True)
class Timing:
    """Median and quartiles of one subject, on the thread count that was fastest; seconds."""

    name: str
    threads: int
    median: float
    low: float
    high: float
    rounds: int
    by_threads: dict[int, float]
    notes: dict

    def row(self) -> dict:
        return {
            "subject": self.name,
            "threads": self.threads,
            "seconds": self.median,
            "quartiles": [self.low, self.high],
            "rounds": self.rounds,
            "seconds_by_threads": {str(n): t for n, t in self.by_threads.items()},
            **self.notes,
        }


def interleave(subjects: list[Subject], effort: Effort) -> list[Timing]:
    """Time all subjects in turn, round after round."""
    require_passive()
    lanes = [(subject, threads) for subject in subjects for threads in subject.threads]
    first = [_warm(subject, threads) for subject, threads in lanes]
    repeats = [max(1, round(ROUND_SECONDS / max(seconds, 1e-7))) for seconds in first]
    cost = sum(seconds * times for seconds, times in zip(first, repeats, strict=True))
    rounds = max(effort.least, min(effort.most, int(effort.seconds / cost)))
    measured: list[list[float]] = [[] for _ in lanes]
    with _no_collection():
        for _ in range(rounds):
            for lane, (subject, threads) in enumerate(lanes):
                measured[lane].append(subject.seconds(threads, repeats[lane]))
    by_lane = {(id(s), n): times for (s, n), times in zip(lanes, measured, strict=True)}
    return [_timing(subject, {n: by_lane[id(subject), n] for n in subject.threads}) for subject in subjects]


def _warm(subject: Subject, threads: int) -> float:
    subject.seconds(threads)
    return min(subject.seconds(threads), subject.seconds(threads))


def _timing(subject: Subject, times: dict[int, list[float]]) -> Timing:
    medians = {threads: statistics.median(values) for threads, values in times.items()}
    best = min(medians, key=medians.__getitem__)
    values = sorted(times[best])
    low, high = values[len(values) // 4], values[(3 * len(values)) // 4]
    return Timing(subject.name, best, medians[best], low, high, len(values), medians, subject.notes)


@contextlib.contextmanager
def _no_collection() -> Iterator[None]:
    gc.collect()
    gc.disable()
    try:
        yield
    finally:
        gc.enable()


def require_passive() -> None:
    """Refuse to time where OpenMP's threads spin."""
    if os.environ.get("OMP_WAIT_POLICY", "").upper() != "PASSIVE":
        raise RuntimeError(
            "benchmarks: OMP_WAIT_POLICY must be PASSIVE before torch is imported, else spinning threads of one side "
            "slow the other. Run the scripts of this folder (they start their own processes) or export it first."
        )


@contextlib.contextmanager
def process(malloc: str = "fresh", cpus: int | None = None, **environment: str) -> Iterator[Callable]:
    """A fresh Python process for one case: yields `call(function, *args)`, which runs there and returns the result.

    `cpus` pins it to that many processors (for libraries that size their thread pool at start).
    """
    with _environment({**POLICY, **MALLOC[malloc], **environment}):
        pool = ProcessPoolExecutor(1, multiprocessing.get_context("spawn"), _start, (cpus,))
        pool.submit(int).result()
    try:
        yield lambda function, *args: pool.submit(function, *args).result()
    finally:
        pool.shutdown()


def _start(cpus: int | None) -> None:
    if cpus is not None:
        os.sched_setaffinity(0, sorted(os.sched_getaffinity(0))[:cpus])


@contextlib.contextmanager
def _environment(values: dict[str, str]) -> Iterator[None]:
    """Children inherit the environment of the moment they start; MALLOC_ variables are read before Python runs."""
    unwanted = {name for settings in MALLOC.values() for name in settings} - values.keys()
    before = {name: os.environ.get(name) for name in values.keys() | unwanted}
    os.environ.update(values)
    for name in unwanted:
        os.environ.pop(name, None)
    try:
        yield
    finally:
        for name, value in before.items():
            if value is None:
                os.environ.pop(name, None)
            else:
                os.environ[name] = value


def peak_of(run: Callable[[], object]) -> int | None:
    """Growth of the process's resident memory at its highest while `run` runs (Linux), in bytes."""
    gc.collect()
    rb.empty_cache()
    with contextlib.suppress(OSError, AttributeError):
        ctypes.CDLL(None).malloc_trim(0)
    before = _memory()["VmRSS"] if _reset_peak() else None
    run()
    return None if before is None else max(0, _memory()["VmHWM"] - before)


def _reset_peak() -> bool:
    try:
        pathlib.Path("/proc/self/clear_refs").write_text("5")
    except OSError:
        return False
    return True


def _memory() -> dict[str, int]:
    lines = pathlib.Path("/proc/self/status").read_text().splitlines()
    pairs = (line.partition(":")[::2] for line in lines if line.startswith("Vm"))
    return {name: int(value.split()[0]) * 1024 for name, value in pairs}


class Contention:
    """How much of the processors others used meanwhile; `others` is a share of all processors, None if unknown."""

    others: float | None = None

    def __enter__(self) -> Contention:
        self._before = _busy()
        return self

    def __exit__(self, *_) -> None:
        after = _busy()
        if self._before and after:
            total, busy, ours = (b - a for a, b in zip(self._before, after, strict=True))
            self.others = round(max(0.0, busy - ours) / total, 3) if total else None


def _busy() -> tuple[float, float, float] | None:
    """Seconds of all processors: passed, not idle, and used by this process."""
    try:
        ticks = [int(n) for n in pathlib.Path("/proc/stat").read_text().split("\n", 1)[0].split()[1:9]]
    except (OSError, ValueError):
        return None
    per_second = os.sysconf("SC_CLK_TCK")
    idle = ticks[3] + ticks[4]
    ours = sum(os.times()[:4]) + sum(_used_by(child.pid) for child in multiprocessing.active_children())
    return sum(ticks) / per_second, (sum(ticks) - idle) / per_second, ours


def _used_by(pid: int | None) -> float:
    """Processor seconds of a child that is still running."""
    try:
        fields = pathlib.Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
    except OSError:
        return 0.0
    return (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")


def wait_until_quiet(patience: float, limit: float = 0.05) -> float | None:
    """Wait until others use less than `limit` of the processors, at most `patience` seconds; the last share seen."""
    end = time.monotonic() + patience
    while True:
        with Contention() as meter:
            time.sleep(0.5)
        if meter.others is None or meter.others < limit or time.monotonic() > end:
            return meter.others
