"""The command line: `rheobase COMMAND`. One file in commands/ and one line in COMMANDS per command."""

import io
import os
import signal
import sys
from collections.abc import Callable, Sequence

from rich.console import Console

import rheobase
from rheobase.commands import (
    activity,
    bench,
    check,
    compare,
    curves,
    data,
    doctor,
    energy,
    evaluate,
    exchange,
    export,
    gradients,
    landscape,
    recipes,
    report,
    show,
    study,
    sweep,
    train,
)
from rheobase.commands.terminal import say
from rheobase.names import unknown

COMMANDS: dict[str, Callable[[list[str]], int]] = {
    "train": train.run,
    "eval": evaluate.run,
    "compare": compare.run,
    "curves": curves.run,
    "report": report.run,
    "export": export.run,
    "recipes": recipes.run,
    "study": study.run,
    "sweep": sweep.run,
    "landscape": landscape.run,
    "activity": activity.run,
    "gradients": gradients.run,
    "exchange": exchange.run,
    "energy": energy.run,
    "data": data.run,
    "show": show.run,
    "check": check.run,
    "bench": bench.run,
    "doctor": doctor.run,
}


def main(arguments: Sequence[str] | None = None) -> int:
    """Run one command and return its exit status. Mistakes and interruptions are one message, not a traceback."""
    if isinstance(sys.stdout, io.TextIOWrapper):
        sys.stdout.reconfigure(errors="replace")  # a terminal without γ and ± shows ?
    try:
        return _run(arguments)
    except KeyboardInterrupt:
        say("\nStopped.")
        return 130


def _run(arguments: Sequence[str] | None) -> int:
    from rheobase.fuse.build import CompileError
    from rheobase.training import Diverged, Interrupted, WorkerLost
    from rheobase.training.memory import exhausted

    name, *rest = (list(sys.argv[1:] if arguments is None else arguments)) or ["--help"]
    if name == "help" and rest:
        name, rest = rest[0], ["--help"]
    try:
        if name in ("-h", "--help", "help"):
            return overview()
        if name == "--version":
            say(f"rheobase {rheobase.__version__}")
            return 0
        if name not in COMMANDS:
            raise unknown("command", name, COMMANDS)
        return COMMANDS[name](rest)
    except BrokenPipeError:  # whoever read the output, such as `head`, has seen enough
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())  # else Python complains when it ends
        return 128 + signal.SIGPIPE
    except Interrupted as stop:
        say(f"\n{stop}")
        return 130
    except (ValueError, TypeError, OSError, ModuleNotFoundError, Diverged, WorkerLost) as error:
        return _refuse(str(error))
    except CompileError as error:
        return _refuse(str(error).splitlines()[0].rstrip(":"))
    except (RuntimeError, MemoryError) as error:
        if not exhausted(error):
            raise
        what = str(error).partition("\n")[0].rpartition("Allocator: ")[2]
        return _refuse(f"Not enough memory for this network or batch; make it smaller. {what}".strip())


def _refuse(message: str) -> int:
    shown = Console(stderr=True)
    shown.print("[bold red]error:[/] ", end="")
    shown.print(message, highlight=False, markup=False, soft_wrap=True)
    return 1


def overview() -> int:
    """Print every command with its first line."""
    say("rheobase COMMAND [...]; each one explains itself with --help\n")
    for name, command in COMMANDS.items():
        say(f"  {name:10s}{(command.__doc__ or '').splitlines()[0]}")
    return 0


if __name__ == "__main__":
    sys.exit(main())
