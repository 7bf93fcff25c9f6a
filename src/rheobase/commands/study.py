"""`rheobase study`: the variants of one protocol with several seeds, and whether the papers' orderings hold."""

from dataclasses import dataclass
from pathlib import Path
from statistics import mean, stdev
from typing import Any

import tyro
from rich.table import Table

from rheobase.commands import flags, terminal


@dataclass(frozen=True)
class Options:
    """What `rheobase study` does."""

    name: tyro.conf.Positional[str] = ""
    """Name of the study; without one all are listed."""
    seeds: str = "0,1,2"
    """Seeds, separated by commas."""
    train: bool = False
    """Train what is missing; without it the table shows what is there."""
    results: Path = Path("results/deep")
    """Records lie in a folder of the study's name in here."""
    runs: Path = Path("runs/study")
    """Checkpoints of runs in progress lie in a folder of the study's name in here."""


def run(arguments: list[str]) -> int:
    """Variants of one protocol, with seeds and verdicts: `rheobase study cifar10-part [--train --seeds 0,1,2]`."""
    from rheobase.recipes import studies
    from rheobase.training import study as engine

    options = flags.parse(Options, arguments, "study")
    if not options.name:
        for name, make in studies.STUDIES.items():
            terminal.say(f"{name:24s} {make().title}")
        return 0
    chosen = studies.study(options.name)
    seeds = flags.seeds(options.seeds, "study")
    folder, runs = options.results / options.name, options.runs / options.name
    if options.train:
        command = flags.line("study", arguments)
        work = engine.work_off(chosen, folder, seeds, runs, command=command, console=terminal.console)
        for label, seed in work:
            terminal.say(f"done: {label}, seed {seed}")
    found = engine.finished(chosen, folder, seeds)
    _print(chosen.title, found, engine.verdicts(chosen, found))
    return 0


def _print(title: str, found: dict[str, dict[int, dict[str, Any]]], verdicts: list) -> None:
    table = Table(title=f"{title}: mean ± standard deviation over seeds", title_justify="left", box=None)
    for heading in ("variant", "seeds", "test accuracy %", "test loss", "firing rate", "samples/s"):
        table.add_column(heading, justify="left" if heading == "variant" else "right")
    for label, records in found.items():
        table.add_row(label, str(len(records)), *_cells(list(records.values())))
    terminal.console.print(table)
    for verdict in verdicts:
        claim = verdict.claim
        terminal.say(f"{claim.better} > {claim.worse} ({claim.source}): {verdict}")


def _cells(records: list[dict[str, Any]]) -> list[str]:
    if not records:
        return ["", "", "", ""]
    tests = [found["test"] for found in records]
    speeds = [row["samples_per_second"] for found in records for row in found["epochs"]]
    columns = [
        [100 * test["accuracy"] for test in tests],
        *([test[k] for test in tests] for k in ("loss", "firing_rate")),
    ]
    shown = [
        f"{mean(values):.{digits}f}" + (f" ± {stdev(values):.{digits}f}" if len(values) > 1 else "")
        for values, digits in zip(columns, (2, 3, 4), strict=True)
    ]
    return [*shown, f"{mean(speeds):.0f}"]
