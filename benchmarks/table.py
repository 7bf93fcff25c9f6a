"""Turns results/benchmarks/*.json into results/benchmarks/README.md: the targets, then every comparison.

python -m benchmarks.table
"""

from __future__ import annotations

import argparse
import json
import math
import pathlib
import statistics

from benchmarks.record import RESULTS
from benchmarks.targets import LARGE, TARGETS, UNEQUAL, Row, Rows, Target, cases, speedup

HEADINGS = {
    "copy": "LIF against moving its memory",
    "eager": "Against our own eager loop",
    "compile": "Against torch.compile of the same loop",
    "peers": "Against other libraries",
    "memory": "Memory",
    "layer": "Recurrent layers",
}
GPU_HEADINGS = {
    "gpu": "On a GPU: neurons",
    "gpu recurrent": "On a GPU: recurrent layers, float32",
    "gpu network": "On a GPU: a training step of Spiking ResNet-18, batch 128, mixed precision",
    "gpu cuts": "On a GPU: the passes cut in several ways",
}


def load(folder: pathlib.Path) -> tuple[list[dict], Rows]:
    """Runs and rows of neurons.json, recurrent.json, overhead.json and gpu.json; a row's `run` indexes the runs."""
    runs: list[dict] = []
    rows: Rows = []
    for name in ("neurons", "recurrent", "overhead", "gpu"):
        path = folder / f"{name}.json"
        if path.exists():
            held = json.loads(path.read_text())
            rows += [{**row, "run": row["run"] + len(runs)} for row in held["rows"]]
            runs += held["runs"]
    return runs, rows


def text(runs: list[dict], rows: Rows) -> str:
    parts = ["# Benchmarks\n", _where([run for run in runs if run]), _targets(rows), _possible(rows)]
    for group, heading in HEADINGS.items():
        wanted = [row for row in rows if row["group"] == group and ("direction" in row or group == "memory")]
        if wanted:
            parts.append(f"## {heading}\n\n" + _cases(wanted))
    parts.append(_plain("Overhead of a call and compile time", [r for r in rows if _overhead(r)]))
    for group, heading in GPU_HEADINGS.items():
        wanted = [row for row in rows if row["group"] == group]
        if wanted:
            parts.append(f"## {heading}\n\n{wanted[0]['gpu']}.\n\n" + _gpu(wanted))
    failed = [row for row in rows if "error" in row]
    if failed:
        lines = [f"- {_what(row)}, {row['subject']}: `{row['error'].splitlines()[0]}`" for row in failed]
        parts.append("## What could not be measured\n\n" + "\n".join(lines) + "\n")
    return "\n".join(parts)


def _overhead(row: Row) -> bool:
    return row["group"] == "call" or row.get("against") in ("cold", "cached", "definition")


def _where(runs: list[dict]) -> str:
    lines = [
        "Written by `python -m benchmarks.table` from the JSON files beside it. Medians; `fresh` and `kept` are two",
        "behaviours of malloc (see benchmarks/README.md). Each side is on the thread count that was fastest.\n",
    ]
    for run in runs:
        machine, versions = run["hardware"], run["versions"]
        state = run["commit"] + (" with uncommitted changes in src" if run["changed"] else "")
        known = ", ".join(f"{k} {v}" for k, v in versions.items())
        caches = ", ".join(f"{k} {v}" for k, v in machine["caches"].items())
        lines.append(f"- `{run['command']}`, {run['date']}, commit {state}; load {run['load'][0]:.1f}.")
        lines.append(f"  {machine['cpu']}, {machine['cores']} cores ({caches}), {machine['system']}; {known}.")
    return "\n".join(lines) + "\n"


def _targets(rows: Rows) -> str:
    lines = ["## Targets\n", "| what | target | worst … best | met |", "|---|---|---|---|"]
    for target in TARGETS:
        values = {k: v for k, v in target.values(rows).items() if not math.isnan(v)}
        sign = "≥" if target.at_least else "≤"
        lines.append(f"| {target.what} | {sign} {target.limit:g}{target.unit} | {_range(target, values)} |")
    return "\n".join(lines) + "\n"


def _possible(rows: Rows) -> str:
    """The largest ratios that the memory's speed admits, for LIF beside other libraries with memory kept."""
    copies = cases(rows, group="copy", malloc="kept", size=LARGE)
    times = [8 * r["steps"] * r["size"] / r["seconds"] for c in copies for k, r in c.items() if k == "y.copy_(x)"]
    beside = cases(rows, group="peers", neuron="lif", malloc="kept")
    if not times or not beside:
        return ""
    speed = statistics.median(times)
    lines = [
        "## What the memory admits\n",
        f"Forward + backward must read x twice and the gradient once, and write spikes and a gradient: 20 bytes per "
        f"element. At the speed of a copy here ({speed / 1e9:.1f} GB/s, memory kept) that takes the time of the second "
        "column; nothing that reads and writes float32 is faster by more than the third, unless the caches hold it.\n",
        "| what | at copy speed | largest ratio | reached |",
        "|---|---|---|---|",
    ]
    for case in beside:
        if len(case) > 1 and "rheobase" in case:
            mine, other = case["rheobase"], next(row for name, row in case.items() if name != "rheobase")
            floor = 20 * mine["steps"] * mine["size"] / speed
            shown = f"{floor * 1e3:.2f} ms | {other['seconds'] / floor:.1f}x | {speedup(case):.1f}x"
            lines.append(f"| T={mine['steps']} N={mine['size']}, {other['subject']} | {shown} |")
    return "\n".join(lines) + "\n"


def _range(target: Target, values: dict[str, float]) -> str:
    if not values:
        return "not measured | –"
    order = sorted(values.items(), key=lambda item: item[1], reverse=not target.at_least)
    (worst, low), (best, high) = order[0], order[-1]
    met = sum(target.met(value) for value in values.values())
    shown = f"{low:.3g}{target.unit} ({worst})"
    if len(values) > 1:
        shown += f" … {high:.3g}{target.unit} ({best})"
    return f"{shown} | {'yes' if met == len(values) else f'{met} of {len(values)}'} "


def _cases(rows: Rows) -> str:
    lines = ["| what | rheobase | other | ratio | flips | gradients differ | memory, ours / other | others' load |"]
    lines.append("|---|---|---|---|---|---|---|---|")
    for case in cases(rows):
        mine = case.get("rheobase")
        for name, other in case.items():
            if mine is not None and name != "rheobase":
                lines.append("| " + " | ".join(_line(mine, other)) + " |")
    return "\n".join(lines) + "\n"


def _gpu(rows: Rows) -> str:
    """Every side of every case, with its time over ours, or over the copy's where all sides are ours."""
    lines = [
        "| what | side | median | over ours, or over the copy | memory | images per second |",
        "|---|---|---|---|---|---|",
    ]
    for case in cases(rows):
        base = case.get("rheobase") or case["limit"]
        for name, row in case.items():
            ratio = f"{row['seconds'] / base['seconds']:.2f}x"
            memory = f"{row['peak_bytes'] / 2**20:.0f} MiB" if row.get("peak_bytes") else ""
            images = f"{row['images_per_second']:.0f}" if "images_per_second" in row else ""
            cells = [_what(row), name, _time(row).partition(" (")[0], ratio, memory, images]
            lines.append("| " + " | ".join(cells) + " |")
    return "\n".join(lines) + "\n"


def _line(mine: Row, other: Row) -> list[str]:
    ratio = speedup({"rheobase": mine, other["subject"]: other})
    equal = other.get("flips", 0.0) <= UNEQUAL
    return [
        _what(mine),
        _time(mine),
        f"{other['subject']} {_time(other)}",
        ("unequal work" if not equal else "ours ran eager") if math.isnan(ratio) else f"{ratio:.2f}x",
        f"{other['flips']:.1e}" if "flips" in other else "",
        f"{other['gradient_error']:.1e}" if "gradient_error" in other else "",
        _memory(mine, other),
        f"{other['others']:.0%}" if other.get("others") is not None else "",
    ]


def _memory(mine: Row, other: Row) -> str:
    if not (mine.get("peak_bytes") and other.get("peak_bytes")):
        return ""
    shown = f"{mine['peak_bytes'] / 2**20:.0f} / {other['peak_bytes'] / 2**20:.0f} MiB"
    if "saved_bytes_per_element" in mine:
        shown += f"; saved {mine['saved_bytes_per_element']:.2f} / {other['saved_bytes_per_element']:.2f} B per element"
    return shown


def _what(row: Row) -> str:
    sizes = (("T", "steps"), ("N", "size"), ("B", "batch"))
    parts = [str(row[name]) for name in ("neuron", "surrogate", "direction", "malloc") if row.get(name)]
    parts += [f"{short}={row[name]}" for short, name in sizes if row.get(name)]
    parts += [f"H={row['features']} rate {row.get('rate', row['rate_wanted']):.3g}"] if row.get("features") else []
    return " ".join([*parts, row["dtype"] if row.get("dtype", "float32") != "float32" else ""]).strip()


def _time(row: Row) -> str:
    scale, unit = next(((s, u) for s, u in ((1, "s"), (1e3, "ms")) if row["seconds"] * s >= 1), (1e6, "µs"))
    return f"{row['seconds'] * scale:.3g} {unit} ({row['threads']} thr)"


def _plain(heading: str, rows: Rows) -> str:
    if not rows:
        return ""
    lines = [f"## {heading}\n", "| what | side | median |", "|---|---|---|"]
    lines += [f"| {_what(row)} | {row['subject']} | {_time(row)} |" for row in rows if "seconds" in row]
    return "\n".join(lines) + "\n"


def main(arguments: list[str] | None = None) -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--out", type=pathlib.Path, default=RESULTS)
    given = parser.parse_args(arguments)
    (given.out / "README.md").write_text(text(*load(given.out)))
    print(given.out / "README.md")


if __name__ == "__main__":
    main()
