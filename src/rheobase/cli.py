"""The command line: `rheobase COMMAND`. One file in commands/ and one line in COMMANDS per command."""

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
    from rheobase.training import Diverged, Interrupted, WorkerLost

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
    except (Interrupted, KeyboardInterrupt) as stop:
        say(f"\n{stop or 'Stopped.'}")
        return 130
    except (ValueError, TypeError, OSError, ModuleNotFoundError, Diverged, WorkerLost) as error:
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


if __name__ == "__main__":
    sys.exit(main())
