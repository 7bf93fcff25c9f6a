"""What every script shares: its common options, a line of progress per case, and the JSON file with its provenance."""

from __future__ import annotations

import argparse
import datetime
import importlib.metadata
import json
import os
import pathlib
import platform
import shlex
import subprocess
from collections.abc import Callable

HERE = pathlib.Path(__file__).resolve().parent
RESULTS = HERE.parent / "results" / "benchmarks"
Report = Callable[[int, int, list[dict]], None]  # number of the case, how many there are, its rows
PACKAGES = ("torch", "numpy", "spikingjelly", "snntorch", "norse", "jaxpike", "jax")


def common(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("--quick", action="store_true", help="small sizes and few rounds: does everything run?")
    parser.add_argument("--patience", type=float, default=0.0, help="seconds to wait per case for others to rest")
    parser.add_argument("--out", type=pathlib.Path, default=RESULTS, help="folder of the results")


class Recorder:
    """Collects the rows of a run in <out>/<name>.json, replacing older rows of the same case, after every case.

    A quick run prints only, unless it is given a folder of its own.
    """

    def __init__(self, name: str, given: argparse.Namespace, command: list[str]):
        self.path: pathlib.Path = given.out / f"{name}.json"
        self.silent = given.quick and given.out == RESULTS
        old = json.loads(self.path.read_text()) if self.path.exists() else {"runs": [], "rows": []}
        self.runs, self.rows = [*old["runs"], provenance([f"benchmarks.{name}", *command])], old["rows"]

    def add(self, number: int, total: int, rows: list[dict]) -> None:
        """Take in the rows of case `number` of `total`, and say them."""
        say(number, total, rows)
        fresh = {case(row) for row in rows}
        this = len(self.runs) - 1
        self.rows = [row for row in self.rows if case(row) not in fresh] + [{"run": this, **row} for row in rows]
        if self.silent:
            return
        used = {row["run"] for row in self.rows}
        runs = [run if n in used else None for n, run in enumerate(self.runs)]
        self.path.parent.mkdir(parents=True, exist_ok=True)
        self.path.write_text(json.dumps({"runs": runs, "rows": self.rows}, indent=1) + "\n")


def case(row: dict) -> str:
    """What makes two rows measurements of the same comparison: what was asked for, not what was found."""
    asked = ("group", "neuron", "surrogate", "steps", "size", "direction", "dtype", "malloc", "rate_wanted", "against")
    return json.dumps([row.get(name) for name in asked])


def say(number: int, total: int, rows: list[dict]) -> None:
    """One line per case: its sides and their medians."""
    head = rows[0]
    what = " ".join(
        str(head[k]) for k in ("group", "neuron", "steps", "size", "direction", "dtype", "malloc") if k in head
    )
    sides = ", ".join(f"{r['subject']} {_shown(r)}" for r in rows)
    others = next((f" [others {r['others']:.0%}]" for r in rows if r.get("others")), "")
    print(f"[{number}/{total}] {what}: {sides}{others}", flush=True)


def _shown(row: dict) -> str:
    if "error" in row:
        return row["error"].splitlines()[0]
    if "seconds" not in row:
        return ""
    flips = f" flips {row['flips']:.1e}" if row.get("flips") else ""
    return f"{row['seconds'] * 1e3:.3f} ms ({row['threads']} thr){flips}"


def told(error: BaseException) -> str:
    """An error for a row: its kind, and the first lines of its message."""
    return f"{type(error).__name__}: {error}"[:400]


def provenance(command: list[str]) -> dict:
    """Where, when and of what the numbers are."""
    return {
        "command": shlex.join(["python", "-m", *command]),
        "date": datetime.datetime.now(datetime.UTC).isoformat(timespec="seconds"),
        "commit": _git("rev-parse", "--short=12", "HEAD"),
        "changed": _git("status", "--porcelain", "--", "src").splitlines(),
        "hardware": hardware(),
        "versions": versions(),
        "load": list(os.getloadavg()),
    }


def _git(*arguments: str) -> str:
    done = subprocess.run(["git", "-C", str(HERE), *arguments], capture_output=True, text=True)
    return done.stdout.strip() if done.returncode == 0 else ""


def hardware() -> dict:
    """Processor, memory, kernel and huge pages."""
    cpu = _line("/proc/cpuinfo", "model name") or platform.processor()
    pages = pathlib.Path("/sys/kernel/mm/transparent_hugepage/enabled")
    cache = pathlib.Path("/sys/devices/system/cpu/cpu0/cache")
    levels = [[(p / name).read_text().strip() for name in ("level", "size")] for p in sorted(cache.glob("index*"))]
    return {
        "cpu": cpu,
        "cores": os.cpu_count(),
        "caches": {f"L{level}": size for level, size in levels},
        "memory": _line("/proc/meminfo", "MemTotal"),
        "system": f"{platform.system()} {platform.release()} {platform.machine()}",
        "huge_pages": pages.read_text().strip() if pages.exists() else "",
    }


def _line(path: str, name: str) -> str:
    try:
        lines = pathlib.Path(path).read_text().splitlines()
    except OSError:
        return ""
    return next((line.partition(":")[2].strip() for line in lines if line.startswith(name)), "")


def versions() -> dict[str, str]:
    found = {"python": platform.python_version()}
    for package in PACKAGES:
        try:
            found[package] = importlib.metadata.version(package)
        except importlib.metadata.PackageNotFoundError:
            found[package] = "not installed"
    compiler = subprocess.run(["cc", "--version"], capture_output=True, text=True)
    found["cc"] = compiler.stdout.splitlines()[0] if compiler.stdout else ""
    return found
