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

HERE = pathlib.Path(__file__).resolve().parent
RESULTS = HERE.parent / "results" / "benchmarks"
PACKAGES = ("torch", "numpy", "spikingjelly", "snntorch", "norse", "jaxpike", "jax")


def common(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("--quick", action="store_true", help="small sizes and few rounds: does everything run?")
    parser.add_argument("--patience", type=float, default=0.0, help="seconds to wait per case for others to rest")
    parser.add_argument("--out", type=pathlib.Path, default=RESULTS, help="folder of the results")


def write(name: str, rows: list[dict], given: argparse.Namespace, command: list[str]) -> None:
    """Add the rows to <out>/<name>.json, replacing those of the same case; a quick run never touches RESULTS."""
    if given.quick and given.out == RESULTS:
        return
    given.out.mkdir(parents=True, exist_ok=True)
    path = given.out / f"{name}.json"
    old = json.loads(path.read_text()) if path.exists() else {"runs": [], "rows": []}
    number = len(old["runs"])
    fresh = {_case(row) for row in rows}
    kept = [row for row in old["rows"] if _case(row) not in fresh]
    used = {row["run"] for row in kept}
    old["runs"].append(provenance([f"benchmarks.{name}", *command]))
    runs = [run if n in used or n == number else None for n, run in enumerate(old["runs"])]
    merged = [*kept, *({"run": number, **row} for row in rows)]
    path.write_text(json.dumps({"runs": runs, "rows": merged}, indent=1) + "\n")


def _case(row: dict) -> str:
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
