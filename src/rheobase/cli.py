"""The command line: `rheobase COMMAND`. One function per command and one line in COMMANDS."""

import contextlib
import shlex
import sys
from collections.abc import Callable, Sequence
from dataclasses import dataclass, make_dataclass
from pathlib import Path
from typing import Any

import tyro
from rich.console import Console
from rich.progress import DownloadColumn, Progress, TransferSpeedColumn
from rich.table import Table

from rheobase.names import unknown

console = Console()


def say(text: str) -> None:
    """Print a line as it is: no markup, no colours, no wrapping of paths."""
    console.print(text, highlight=False, markup=False, soft_wrap=True)


def main(arguments: Sequence[str] | None = None) -> int:
    """Run one command and return its exit status. Mistakes and interruptions are one message, not a traceback."""
    from rheobase.training import Diverged, Interrupted

    name, *rest = (list(sys.argv[1:] if arguments is None else arguments)) or ["--help"]
    if name in ("-h", "--help"):
        return overview()
    try:
        if name not in COMMANDS:
            raise unknown("command", name, COMMANDS)
        return COMMANDS[name](rest)
    except (Interrupted, KeyboardInterrupt) as stop:
        say(f"\n{stop or 'Stopped.'}")
        return 130
    except (ValueError, TypeError, OSError, ModuleNotFoundError, Diverged) as error:
        shown = Console(stderr=True)
        shown.print("[bold red]error:[/] ", end="")
        shown.print(str(error), highlight=False, markup=False, soft_wrap=True)
        return 1


def overview() -> int:
    """Print every command with its first line."""
    say("rheobase COMMAND [...]; each one explains itself with --help\n")
    for name, command in COMMANDS.items():
        say(f"  {name:10s}{(command.__doc__ or '').splitlines()[0]}")
    return 0


@dataclass(frozen=True)
class TrainOptions:
    """What `rheobase train` needs besides the config."""

    resume: Path | None = None
    """Go on with the run in this folder; its config is in its checkpoint."""
    previous: bool = False
    """With --resume: from the checkpoint before the last one."""
    out: Path | None = None
    """Folder of the run; default: a new one under runs/."""
    result: Path | None = None
    """Also write the record to this .json file and the weights beside it."""
    checkpoint_seconds: float = 300.0
    """Longest time between two checkpoints within an epoch."""


def train(arguments: list[str]) -> int:
    """Train a network: `rheobase train [RECIPE] [--field value ...]`; without arguments ProbPLIF on digits."""
    from rheobase import training

    config, options = _config_and(TrainOptions, arguments, "train")
    command = _command("train", arguments)
    if options.resume:
        _only_resume(arguments)
        folder = options.resume
    else:
        folder = options.out or _free(
            Path("runs") / f"{config.recipe}-{config.neuron}-seed{config.seed}".replace("/", "-")
        )
        say(f"{config.neuron} on {config.data}, seed {config.seed}, in {folder}")
    found = training.train(
        None if options.resume else config,
        folder,
        resume=options.resume is not None,
        previous=options.previous,
        command=command,
        console=console,
        checkpoint_seconds=options.checkpoint_seconds,
    )
    _print_result(found, folder)
    if options.result:
        training.publish(folder, options.result)
        say(f"result         {options.result}")
    return 0


def evaluate(arguments: list[str]) -> int:
    """Evaluate the test set again: `rheobase eval RUN_OR_RESULT` (a run's folder, a record, or a file of weights)."""
    from rheobase import training

    @dataclass(frozen=True)
    class Options:
        source: tyro.conf.Positional[Path]
        """Folder of a run, record (.json), or weights (.safetensors)."""

    task = training.restore_task(_parse(Options, arguments, "eval").source)
    score = training.evaluate(task, task.test)
    _print_score(vars(score), len(task.test))
    return 0


@dataclass(frozen=True)
class CompareOptions:
    """What `rheobase compare` needs besides the config."""

    neurons: str = "lif,plif,problif,probplif,clif"
    """Neurons, separated by commas; options as in problif:sigma=1.2:tau=10."""
    seeds: str = "0,1,2"
    """Seeds, separated by commas."""
    out: Path | None = None
    """Folder of the runs; complete ones in it are not repeated."""
    result: Path | None = None
    """Also write all records, without their epochs, to this .json file."""


def compare(arguments: list[str]) -> int:
    """Train several neurons on equal terms: `rheobase compare [RECIPE] --neurons lif,clif --seeds 0,1,2`."""
    from rheobase import training
    from rheobase.training import record

    config, options = _config_and(CompareOptions, arguments, "compare")
    try:
        seeds = [int(seed) for seed in options.seeds.split(",")]
    except ValueError:
        raise ValueError(f"compare: seeds are whole numbers separated by commas; got {options.seeds!r}.") from None
    folder = options.out or _free(Path("runs") / f"compare-{config.recipe}".replace("/", "-"))
    command = _command("compare", arguments)
    rows = training.compare(config, options.neurons.split(","), seeds, folder, command=command, console=console)
    table = Table(title=f"{config.data}, {len(seeds)} seeds: mean ± standard deviation", title_justify="left", box=None)
    for heading in ("neuron", "accuracy %", "test loss", "firing rate", "parameters", "seconds"):
        table.add_column(heading, justify="left" if heading == "neuron" else "right", overflow="fold")
    for row in sorted(rows, key=lambda row: -row.summary("accuracy")[0]):
        table.add_row(*_cells(row))
    console.print(table)
    say(f"runs           {folder}")
    if options.result:
        short = [[{k: v for k, v in found.items() if k != "epochs"} for found in row.records] for row in rows]
        named = [{"neuron": row.neuron, "records": records} for row, records in zip(rows, short, strict=True)]
        record.write(options.result, {"command": command, "rows": named})
    return 0


def data(arguments: list[str]) -> int:
    """Show or fetch data sets: `rheobase data list [NAME]`, `rheobase data get NAME`."""
    actions = {"list": _data_list, "get": _data_get}
    action, *rest = arguments or ["list"]
    if action in ("-h", "--help"):
        say((data.__doc__ or "").strip())
        return 0
    if action not in actions:
        raise unknown("data action", action, actions)
    return actions[action](rest)


@dataclass(frozen=True)
class ShowOptions:
    """What `rheobase show` prints."""

    neuron: tyro.conf.Positional[str] = "lif"
    """A neuron's name, or FILE.py:CLASS."""
    code: bool = False
    """Also the generated kernels."""


def show(arguments: list[str]) -> int:
    """Print a neuron: equations, operations, bytes, kernels: `rheobase show clif [--code]`, `show my.py:MyNeuron`."""
    from rheobase import show

    options = _parse(ShowOptions, arguments, "show")
    say(show.card(show.load(options.neuron), options.code))
    return 0


def check(arguments: list[str]) -> int:
    """Run the check suite that every neuron here passes: `rheobase check clif`, `rheobase check my.py:MyNeuron`."""
    from rheobase import checks, show

    if len(arguments) != 1 or arguments[0].startswith("-"):
        say((check.__doc__ or "").strip())
        return 0 if arguments[:1] in (["-h"], ["--help"]) else 1
    results = checks.run(show.maker(arguments[0]))
    for result in results:
        say(f"{'ok  ' if result.passed else 'FAIL'} {result.name:28s} {result.seconds:6.2f} s")
        if not result.passed:
            say(f"     {result.message}")
    failed = sum(not result.passed for result in results)
    say(f"\n{len(results) - failed} of {len(results)} checks passed")
    return min(failed, 1)


@dataclass(frozen=True)
class BenchOptions:
    """What `rheobase bench` measures."""

    neuron: str = "lif"
    """A neuron's name, or FILE.py:CLASS."""
    steps: tuple[int, ...] = (4, 16, 784)
    """Time steps of each case."""
    elements: int = 2**22
    """Elements of x, steps times neurons."""
    rounds: int = 9
    """Turns that every side takes; the median counts."""


def bench(arguments: list[str]) -> int:
    """Time a neuron's kernels beside a copy and the eager loop: `rheobase bench [--neuron clif | my.py:MyNeuron]`."""
    from rheobase import bench

    options = _parse(BenchOptions, arguments, "bench")
    table = Table(
        "T", "neurons", "passes", "kernel ms", "eager ms", "faster", "copy ms", "ran on", title=options.neuron
    )
    for row in bench.bench(options.neuron, options.steps, options.elements, options.rounds):
        cells = [row.steps, row.size, row.direction, f"{row.kernel:.2f}", f"{row.eager:.2f}", f"{row.speedup:.1f}x"]
        table.add_row(*map(str, cells), f"{row.copy:.2f}", row.backend)
    console.print(table)
    say("medians; float32. Against torch.compile and other libraries: benchmarks/README.md in the repository.")
    return 0


def doctor(arguments: list[str]) -> int:
    """Examine compiler, kernel cache, threads and GPU, and try a kernel of each kind."""
    from rheobase import doctor as examination

    if arguments:
        say((doctor.__doc__ or "").strip())
        return 0 if arguments[0] in ("-h", "--help") else 1
    return 0 if examination.text(examination.examine(), say) else 1


COMMANDS: dict[str, Callable[[list[str]], int]] = {
    "train": train,
    "eval": evaluate,
    "compare": compare,
    "data": data,
    "show": show,
    "check": check,
    "bench": bench,
    "doctor": doctor,
}


def _data_list(arguments: list[str]) -> int:
    from rheobase.data import catalog

    if arguments:
        return _data_details(catalog.entry(arguments[0]))
    say(f"data sets in {catalog.default_root()} (RHEOBASE_DATA sets this folder)\n")
    for entry in catalog.ENTRIES.values():
        folder = catalog.default_root() / entry.folder
        absent = catalog.missing(entry, folder)
        here = "here" if not absent else f"missing: {len(absent)} of {len(entry.files)} files"
        say(f"{entry.name:14s} {entry.title} ({entry.licence}): {here}")
        if entry.files and entry.files[0].url:
            checksum = (entry.files[0].sha256 or "none")[:12]
            say(f"{'':14s} {catalog.megabytes(entry.files)} from {entry.files[0].url}, sha-256 {checksum}...")
        else:
            say(f"{'':14s} {catalog.megabytes(entry.files) + ', ' if entry.files else ''}{entry.origin}")
    say("\n`rheobase data list NAME` shows every file with address and checksum, `rheobase data get NAME` downloads.")
    return 0


def _data_details(entry: Any) -> int:
    from rheobase.data import catalog

    folder = catalog.default_root() / entry.folder
    absent = catalog.missing(entry, folder)
    say(f"{entry.name}: {entry.title}. Licence: {entry.licence}. {entry.origin}")
    for file in entry.files:
        state = "missing" if file in absent else "here"
        say(f"\n{folder / file.name}  {state}, {file.size / 1e6:.2f} MB")
        say(f"  from     {file.url or 'no address'}\n  sha-256  {file.sha256 or 'none'}")
    return 0


def _data_get(arguments: list[str]) -> int:
    from rheobase.data import download

    if len(arguments) != 1:
        raise ValueError(f"data get: needs the name of one data set; got {len(arguments)}. See `rheobase data list`.")
    columns = (*Progress.get_default_columns(), DownloadColumn(), TransferSpeedColumn())
    with Progress(*columns, console=console, disable=not console.is_terminal) as progress:
        tasks: dict[str, Any] = {}

        def report(name: str, done: int, size: int) -> None:
            if name not in tasks:
                tasks[name] = progress.add_task(name, total=size)
            progress.update(tasks[name], completed=done)

        folder = download.get(arguments[0], report=report)
    say(f"{arguments[0]} is complete in {folder}")
    return 0


def _config_and(kind: type, arguments: list[str], command: str) -> tuple[Any, Any]:
    """A config and further options from a recipe's name, if one comes first, and flags for any field."""
    from rheobase import recipes
    from rheobase.training import Config

    named = bool(arguments) and not arguments[0].startswith("-")
    start = recipes.recipe(arguments[0] if named else "digits")

    both = make_dataclass("Both", [("config", Config), ("options", kind)])
    found = _parse(both, arguments[named:], command, default=both(start, kind()))
    return start.but(**{**vars(found.config), "neuron": start.neuron}).with_neuron(found.config.neuron), found.options


def _parse(kind: type, arguments: list[str], command: str, **options: Any) -> Any:
    return tyro.cli(kind, config=(tyro.conf.OmitArgPrefixes,), args=arguments, prog=f"rheobase {command}", **options)


def _only_resume(arguments: list[str]) -> None:
    allowed = ("--resume", "--previous", "--result", "--checkpoint-seconds")
    for flag in arguments:
        if flag.startswith("--") and flag.split("=")[0] not in allowed:
            raise ValueError(f"train --resume: the config is in the checkpoint; {flag} cannot change it. Leave it out.")


def _free(folder: Path) -> Path:
    """The first of folder, folder-2, folder-3, ... that does not exist."""
    number, found = 1, folder
    while found.exists():
        number += 1
        found = folder.with_name(f"{folder.name}-{number}")
    return found


def _command(name: str, arguments: list[str]) -> str:
    return shlex.join(["rheobase", name, *arguments])


def _print_score(score: dict[str, float], count: int) -> None:
    say(f"test accuracy  {score['accuracy']:.2%}  ({count} samples)")
    say(f"test loss      {score['loss']:.4f}")
    say(f"firing rate    {score['firing_rate']:.4f} spikes per neuron and step")


def _print_result(found: dict[str, Any], folder: Path) -> None:
    say(f"\nbest epoch     {found['best_epoch']} of {len(found['epochs'])}, {found['seconds']:.0f} s in all")
    _print_score(found["test"], found["samples"]["test"])
    say(f"record         {folder / 'record.json'}")
    try:
        say(f"picture        {_picture(folder, found)}")
    except ModuleNotFoundError as error:
        say(f"no picture: {error}")


def _picture(folder: Path, found: dict[str, Any]) -> Path:
    """Raster of the hidden spikes for one test sample of each class (ten at most), and the learning curve."""
    import torch

    from rheobase import plots, training
    from rheobase.data import batches
    from rheobase.plots.figure import save

    task = training.restore_task(folder)
    labels = task.test.labels
    shown = [int((labels == label).nonzero()[0]) for label in labels.unique()[:10]]
    samples = task.test[torch.tensor(shown)]
    batch = next(batches(samples, task.encode, len(shown)))
    torch.manual_seed(task.config.seed)
    spikes = next(iter(training.record_spikes(task.model, batch.x.to(task.device)).values()))
    title = f"{task.config.neuron} on {task.config.data}: test accuracy {found['test']['accuracy']:.2%}"
    names = [str(int(label)) for label in samples.labels]
    return save(plots.training_overview(found["epochs"], spikes.flatten(2), names, title), folder / "picture.png")


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


if __name__ == "__main__":
    with contextlib.suppress(BrokenPipeError):
        sys.exit(main())
