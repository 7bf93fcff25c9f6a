"""`rheobase report`: one page about one or several runs."""

from dataclasses import dataclass
from pathlib import Path

import tyro

from rheobase.atomic import write_atomically
from rheobase.commands import flags, terminal


@dataclass(frozen=True)
class Options:
    """What `rheobase report` reads and writes."""

    sources: tyro.conf.Positional[tuple[Path, ...]]
    """Runs: their folders, finished or not, their records (.json), or their weights (.safetensors)."""
    out: Path = Path("report.html")
    """File of the page."""
    run: bool = True
    """Run the networks of finished runs on their test sets; without it the page tells what records and logs hold."""


def run(arguments: list[str]) -> int:
    """Write one HTML page about runs, finished or not: `rheobase report RUN... [--out report.html] [--no-run]`."""
    from rheobase.report import report

    options = flags.parse(Options, arguments, "report")
    made = report(options.sources, run=options.run, command=flags.line("report", arguments))
    options.out.parent.mkdir(parents=True, exist_ok=True)
    write_atomically(options.out, made.encode())
    terminal.say(f"report         {options.out} ({len(made) / 1e6:.1f} MB)")
    return 0
