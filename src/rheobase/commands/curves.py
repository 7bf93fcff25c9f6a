"""`rheobase curves`: how several runs learnt, and how active they were while they did."""

import json
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import tyro

from rheobase.commands import flags, terminal


@dataclass(frozen=True)
class Options:
    """What `rheobase curves` draws."""

    sources: tyro.conf.Positional[tuple[Path, ...]]
    """Records (.json) or folders of runs, finished or not."""
    epochs: float | None = None
    """Draw only the first epochs; none: all."""
    average: int = 5
    """Logged batches that make one point of the lines."""
    out: Path = Path("curves.png")
    """File of the figure; its suffix decides the format."""


def run(arguments: list[str]) -> int:
    """Draw learning curves and firing rates of runs: `rheobase curves results/smnist/*.json --epochs 2`."""
    from rheobase import plots
    from rheobase.plots.figure import save

    options = flags.parse(Options, arguments, "curves")
    if not options.sources or options.average < 1:
        raise ValueError("curves: needs at least one record or run, and --average of 1 or more.")
    runs = {}
    for source in options.sources:
        label, rows = _read(source, options.average)
        runs[label if label not in runs else str(source)] = [
            row for row in rows if options.epochs is None or row["epoch"] <= options.epochs
        ]
    terminal.say(f"picture        {save(plots.learning_with_activity(runs), options.out)}")
    return 0


def _read(source: Path, average: int) -> tuple[str, list[dict[str, Any]]]:
    """A label, and the rows of a run's log with fractions of epochs; of a record without a log, its epochs alone."""
    from rheobase.training import record
    from rheobase.training.log import LOG

    found = record.read(source / "record.json" if source.is_dir() else source)
    config, samples = found["config"], found["samples"]["train"]
    label = f"{config['recipe']}, seed {config['seed']}"
    log = source / LOG if source.is_dir() else source.parent / found["log"] if "log" in found else None
    if log is None:
        return label, found["epochs"]
    lines = [json.loads(line) for line in log.read_text().splitlines()]
    per_epoch = -(-samples // config["batch"])
    steps = [{**line, "epoch": line["step"] / per_epoch} for line in lines if line["kind"] == "step"]
    return label, _averaged(steps, average) + [line for line in lines if line["kind"] == "epoch"]


def _averaged(rows: list[dict[str, Any]], count: int) -> list[dict[str, Any]]:
    """Means over `count` rows each; the last, incomplete one included."""
    parts = [rows[start : start + count] for start in range(0, len(rows), count)]
    return [
        {name: sum(row[name] for row in part) / len(part) for name, value in part[0].items() if name != "kind"}
        for part in parts
    ]
