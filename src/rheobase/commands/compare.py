"""`rheobase compare`: several neurons on equal terms."""

from dataclasses import dataclass
from pathlib import Path
from typing import Any

from rich.table import Table

from rheobase.commands import flags, terminal


@dataclass(frozen=True)
class Options:
    """What `rheobase compare` needs besides the config."""

    neurons: str = "lif,plif,problif,probplif,clif"
    """Neurons, separated by commas; options as in problif:sigma=1.2:tau=10."""
    seeds: str = "0,1,2"
    """Seeds, separated by commas."""
    out: Path | None = None
    """Folder of the runs; complete ones in it are not repeated."""
    result: Path | None = None
    """Also write all records, without their epochs, to this .json file."""


def run(arguments: list[str]) -> int:
    """Train several neurons on equal terms: `rheobase compare [RECIPE] --neurons lif,clif --seeds 0,1,2`."""
    from rheobase import training
    from rheobase.training import record

    flags.refuse_one_neuron(arguments, "compare")
    config, options = flags.with_config(Options, arguments, "compare")
    seeds = flags.numbers(options.seeds, "compare")
    neurons, command = flags.neurons(options.neurons, "compare"), flags.line("compare", arguments)
    flags.check_result(options.result, "compare")
    with flags.folder(options.out, Path("runs") / f"compare-{config.recipe}".replace("/", "-")) as folder:
        how = {"command": command, "again": flags.again("compare", arguments, folder), "console": terminal.console}
        rows = training.compare(config, neurons, seeds, folder, **how)
    number = "1 seed" if len(seeds) == 1 else f"{len(seeds)} seeds"
    title = f"{config.data}, {number}: mean ± standard deviation"
    table = Table(title=title, title_justify="left", box=None)
    for heading in ("neuron", "accuracy %", "test loss", "firing rate", "parameters", "seconds"):
        table.add_column(heading, justify="left" if heading == "neuron" else "right", overflow="fold")
    for row in sorted(rows, key=lambda row: -row.summary("accuracy")[0]):
        table.add_row(*_cells(row))
    terminal.console.print(table)
    terminal.say(f"runs           {folder}")
    if options.result:
        short = [[{k: v for k, v in found.items() if k != "epochs"} for found in row.records] for row in rows]
        named = [{"neuron": row.neuron, "records": records} for row, records in zip(rows, short, strict=True)]
        record.write(options.result, {"command": command, "rows": named})
    return 0


def _cells(row: Any) -> list[str]:
    (accuracy, spread), (loss, loss_spread) = row.summary("accuracy"), row.summary("loss")
    rate, rate_spread = row.summary("firing_rate")
    seconds = sum(found["seconds"] for found in row.records) / len(row.records)
    return [
        row.neuron,
        f"{100 * accuracy:.2f} ± {100 * spread:.2f}",
        f"{loss:.3f} ± {loss_spread:.3f}",
        f"{rate:.3f} ± {rate_spread:.3f}",
        f"{row.records[0]['parameters']:,}",
        f"{seconds:.0f}",
    ]
