"""The numbers to reach (DESIGN.md, "Numbers to reach"), each as a rule over the measured rows."""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass

Row = dict
Rows = list[Row]
UNEQUAL = 1e-2  # share of differing spikes above which two sides did different work


@dataclass(frozen=True)
class Target:
    """One row: what is measured, the limit, and the values found, by what they were measured on."""

    what: str
    limit: float
    at_least: bool
    values: Callable[[Rows], dict[str, float]]
    unit: str = "x"

    def met(self, value: float) -> bool:
        return value >= self.limit if self.at_least else value <= self.limit


def cases(rows: Rows, **wanted) -> list[dict[str, Row]]:
    """Cases that match, each as its rows by subject."""
    found: dict[str, dict[str, Row]] = {}
    asked = ("group", "neuron", "surrogate", "steps", "size", "batch", "direction", "dtype", "malloc", "against")
    for row in rows:
        if "seconds" in row and all(row.get(k) in (v if isinstance(v, tuple) else (v,)) for k, v in wanted.items()):
            key = repr([row.get(name) for name in (*asked, "rate_wanted")])
            found.setdefault(key, {})[row["subject"]] = row
    return list(found.values())


def speedup(case: dict[str, Row]) -> float:
    """How many times faster we are than the other side of a case; nan where the two did different work."""
    other = next(row for name, row in case.items() if name != "rheobase")
    if other.get("flips", 0.0) > UNEQUAL or case["rheobase"].get("backend") == "eager":
        return math.nan
    return other["seconds"] / case["rheobase"]["seconds"]


def label(row: Row) -> str:
    parts = [row["neuron"], *([row["surrogate"]] if row["group"] == "layer" else []), f"T={row['steps']}"]
    parts += [f"N={row['size']}"] if row.get("size") else []
    parts += [f"B={row['batch']} H={row['features']}"] if row.get("features") else []
    parts += [f"rate {row['rate_wanted']}"] if row.get("rate_wanted") else []
    parts += [row["against"]] if row["group"] in ("peers", "layer") else []
    return " ".join([*parts, row.get("malloc", "")]).strip()


def _speedups(**wanted) -> Callable[[Rows], dict[str, float]]:
    def values(rows: Rows) -> dict[str, float]:
        found = [c for c in cases(rows, **wanted) if "rheobase" in c and len(c) > 1]
        return {label(c["rheobase"]): speedup(c) for c in found}

    return values


def _against_copy(way: str, factor: float = 1.0, **wanted) -> Callable[[Rows], dict[str, float]]:
    def values(rows: Rows) -> dict[str, float]:
        found = [c for c in cases(rows, group="copy", neuron="lif", **wanted) if "rheobase" in c and way in c]
        return {label(c[way]): c["rheobase"]["seconds"] / (factor * c[way]["seconds"]) for c in found}

    return values


def _on_gpu(over: tuple[str, ...], under: str, **wanted) -> Callable[[Rows], dict[str, float]]:
    """Time of the fastest of some sides, over that of another one."""

    def values(rows: Rows) -> dict[str, float]:
        found = {}
        for case in cases(rows, **wanted):
            seconds = [case[name]["seconds"] for name in over if name in case]
            if seconds and under in case:
                row = case[under]
                shape = f"B={row['batch']} H={row['features']}" if "features" in row else f"N={row['size']}"
                found[f"{row['neuron']} T={row['steps']} {shape}"] = min(seconds) / row["seconds"]
        return found

    return values


def _field(name: str, scale: float = 1.0, **wanted) -> Callable[[Rows], dict[str, float]]:
    def values(rows: Rows) -> dict[str, float]:
        kept = [r for r in rows if name in r and all(r.get(k) == v for k, v in wanted.items())]
        return {_brief(row): round(row[name] * scale, 3) for row in kept}  # learnable numbers are a few bytes in all

    return values


def _brief(row: Row) -> str:
    return " ".join(str(row[k]) for k in ("neuron", "dtype", "direction") if row.get(k))


SMOOTH = ("clif", "ilif", "iplif", "problif", "probplif")  # exp, σ or tanh within the step
BIG = {1: 2**23, 4: 2**21, 16: 2**19, 64: 2**17, 784: 10704}
LARGE = tuple(BIG.values())

TARGETS = (
    Target(
        "LIF forward, new output, against `x.clone()`",
        0.8,
        False,
        _against_copy("x.clone()", direction="forward", malloc="fresh", size=LARGE),
    ),
    Target(
        "LIF forward, memory kept, against `y.copy_(x)`",
        1.3,
        False,
        _against_copy("y.copy_(x)", direction="forward", malloc="kept", size=LARGE),
    ),
    Target(
        "LIF forward + backward, memory kept, against 20 bytes per element copied",
        1.6,
        False,
        _against_copy("y.copy_(x)", 2.5, direction="both", malloc="kept", size=LARGE),
    ),
    Target(
        "LIF forward + backward against our eager loop, 1 M neurons",
        6,
        True,
        _speedups(group="eager", neuron="lif", steps=(4, 16)),
    ),
    Target(
        "neurons with exp, σ or tanh against our eager loop, 1 M neurons",
        10,
        True,
        _speedups(group="eager", neuron=SMOOTH, steps=(4, 16)),
    ),
    Target("forward + backward against SpikingJelly", 15, True, _speedups(group="peers", against="SpikingJelly")),
    Target("forward + backward against snnTorch", 15, True, _speedups(group="peers", against="snnTorch")),
    Target("forward + backward against Norse", 15, True, _speedups(group="peers", against="Norse")),
    Target("LIF against torch.compile of the same loop", 4, True, _speedups(group="compile", neuron="lif")),
    Target("CLIF against torch.compile of the same loop", 1.5, True, _speedups(group="compile", neuron="clif")),
    Target(
        "recurrent LIF, T=784 B=128 H=256, rate .1, both passes, against the eager loop (moonshot 8)",
        4,
        True,
        _speedups(group="layer", against="eager", steps=784, rate_wanted=0.1, direction="both"),
    ),
    Target("one S-MNIST epoch, 60 k samples", 150, False, _field("epoch_seconds", group="epoch"), " s"),
    Target(
        "saved for backward, float32, per element and step",
        4,
        False,
        _field("saved_bytes_per_element", subject="rheobase", dtype="float32"),
        " B",
    ),
    Target(
        "saved for backward, bfloat16, per element and step",
        2,
        False,
        _field("saved_bytes_per_element", subject="rheobase", dtype="bfloat16"),
        " B",
    ),
    Target(
        "compile of one neuron's kernels, cold",
        1,
        False,
        _field("seconds", group="compile", subject="rheobase (cold)"),
        " s",
    ),
    Target(
        "compile of one neuron's kernels, cached",
        10,
        False,
        _field("seconds", 1e3, group="compile", subject="rheobase (cached)"),
        " ms",
    ),
    Target(  # with gradients torch's own engine takes more than that: see the row of x.clone()
        "overhead of a call",
        10,
        False,
        _field("seconds", 1e6, group="call", subject="rheobase", direction="forward"),
        " µs",
    ),
    Target(
        "GPU: LIF, T=32, bfloat16, forward + backward, against SpikingJelly's Triton kernels",
        1.5,
        True,
        _on_gpu(("SpikingJelly",), "rheobase", group="gpu", neuron="lif", steps=32, direction="both"),
    ),
    Target(
        "GPU: the same, against its kernels that keep states for the backward pass rounded to bfloat16",
        1.5,
        True,
        _on_gpu(("SpikingJelly bf16 states",), "rheobase", group="gpu", neuron="lif", steps=32, direction="both"),
    ),
    Target(
        "GPU: the same, cut as by default, against a copy of the bytes that must be moved",
        1.25,
        False,
        _on_gpu(("rheobase",), "limit", group=("gpu", "gpu cuts"), neuron="lif", steps=32, direction="both"),
    ),
    Target(
        "GPU: recurrent LIF, T=256 B=256 H=128, both passes, against SpikingJelly's fastest way",
        1.5,
        True,
        _on_gpu(("SpikingJelly", "SpikingJelly graph"), "rheobase", group="gpu recurrent", steps=256, direction="both"),
    ),
)
