"""`rheobase curves`: how several runs learnt, and how active they were while they did."""

import re
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
    """Draw learning curves and firing rates of runs: `rheobase curves results/smnist/*.json --epochs 2`.

    Records whose names differ in `-seedN` alone share a colour.
    """
    from rheobase import plots
    from rheobase.plots.figure import save
    from rheobase.report.source import read

    options = flags.parse(Options, arguments, "curves")
    if not options.sources or options.average < 1:
        raise ValueError("curves: needs at least one record or run, and --average of 1 or more.")
    runs: dict[str, list[list[dict[str, Any]]]] = {}
    for one in read(options.sources):
        rows = _rows(one.steps(options.average), one.epochs)
        shown = [row for row in rows if options.epochs is None or row["epoch"] <= options.epochs]
        runs.setdefault(re.sub(r"-seed\d+$", "", one.label), []).append(shown)
    terminal.say(f"picture        {save(plots.learning_with_activity(runs), options.out)}")
    return 0


def _rows(steps: list[dict[str, Any]], epochs: list[dict[str, Any]]) -> list[dict[str, Any]]:
    """Logged steps and what epochs add to them: the validation set. With a thinner log, epochs alone."""
    if len(steps) < len(epochs):
        return [{**row, "accuracy": row["train_accuracy"]} for row in epochs]
    return steps + [{name: row[name] for name in ("epoch", "validation_accuracy")} for row in epochs]
