"""`rheobase study`: the variants of one protocol with several seeds, and whether the papers' orderings hold."""

from dataclasses import dataclass
from pathlib import Path
from statistics import mean, stdev
from typing import TYPE_CHECKING, Any

import tyro
from rich.table import Table

from rheobase.commands import flags, terminal

if TYPE_CHECKING:
    from rheobase.training.study import Study


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
    figure: Path | None = None
    """Draw the accuracies to a file: a grid or lines over what the study varies in numbers, else a row per variant."""


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
    seeds = flags.numbers(options.seeds, "study")
    folder, runs = options.results / options.name, options.runs / options.name
    if options.train:
        command = flags.line("study", arguments)
        work = engine.work_off(chosen, folder, seeds, runs, command=command, again=command, console=terminal.console)
        for label, seed in work:
            terminal.say(f"done: {label}, seed {seed}")
    found = engine.finished(chosen, folder, seeds)
    _print(chosen.title, found, engine.verdicts(chosen, found))
    if options.figure is not None:
        from rheobase.plots.figure import save

        terminal.say(f"picture        {save(_figure(chosen, found), options.figure)}")
    return 0


def _figure(study: "Study", found: dict[str, dict[int, dict[str, Any]]]) -> Any:
    """The accuracies of all seeds, as the study's axes ask for; what has no place on a grid stands in its title."""
    from rheobase import plots

    accuracies = {label: [one["test"]["accuracy"] for one in runs.values()] for label, runs in found.items() if runs}
    if not accuracies:
        raise ValueError("study: nothing is trained yet, so that there is nothing to draw. Add --train.")
    places = {label: study.place(label) for label in accuracies}
    if len(study.axes) == 2:
        grid = {at: accuracies[label] for label, (_, at) in places.items() if len(at) == 2}
        beside = [
            f"{label}: {_spread([100 * one for one in accuracies[label]], 1)} %"
            for label, (_, at) in places.items()
            if len(at) < 2
        ]
        return plots.accuracy_grid(grid, study.axes, "\n".join([study.title, *beside]))
    if len(study.axes) == 1:
        lines: dict[str, dict[float, list[float]]] = {}
        for label, (name, (at,)) in places.items():
            lines.setdefault(name, {})[at] = accuracies[label]
        return plots.accuracy_lines(lines, study.axes[0], study.title)
    made = plots.scores(*_rows(accuracies))
    made.suptitle(study.title, fontsize=10)
    return made


def _rows(accuracies: dict[str, list[float]]) -> tuple[dict[str, tuple[float, float, float]], str, dict]:
    """Means in % with their 95 % intervals over seeds, what they are, and the single values."""
    from rheobase.analysis.intervals import over_seeds

    rows = {}
    for label, values in accuracies.items():
        middle, reach = 100 * mean(values), 100 * over_seeds(values)[2] if len(values) > 1 else 0.0
        rows[label] = (middle, middle - reach, middle + reach)
    quantity = "test accuracy (%): seeds (crosses), mean and its 95 % interval"
    return rows, quantity, {label: [100 * value for value in values] for label, values in accuracies.items()}


def _print(title: str, found: dict[str, dict[int, dict[str, Any]]], verdicts: list) -> None:
    table = Table(title=f"{title}: test set, mean ± standard deviation over seeds", title_justify="left", box=None)
    for heading in ("variant", "seeds", "accuracy %", "loss", "firing rate", "samples/s"):
        table.add_column(heading, justify="left" if heading == "variant" else "right", no_wrap=True)
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
        "" if None in values else _spread(values, digits)  # a network of ReLU has no firing rate
        for values, digits in zip(columns, (2, 3, 3), strict=True)
    ]
    return [*shown, f"{mean(speeds):.0f}"]


def _spread(values: list[float], digits: int) -> str:
    """Mean and standard deviation, if there are several."""
    return f"{mean(values):.{digits}f}" + (f" ± {stdev(values):.{digits}f}" if len(values) > 1 else "")
