"""`rheobase data`: which data sets there are, and fetching them."""

from dataclasses import dataclass
from typing import Any

import tyro
from rich.progress import DownloadColumn, Progress, TransferSpeedColumn

from rheobase.commands import flags, terminal
from rheobase.names import unknown


@dataclass(frozen=True)
class Options:
    """Which data sets there are, and fetching them into $RHEOBASE_DATA, else ~/.cache/rheobase.

    `rheobase data list`: every set, and whether it is here. `rheobase data show NAME`: its files, addresses, sizes,
    checksums. `rheobase data get NAME`: download it, resumable and verified.
    """

    action: tyro.conf.Positional[str] = "list"
    """list, show or get."""
    name: tyro.conf.Positional[str] = ""
    """The data set of show or get."""


def run(arguments: list[str]) -> int:
    """Show or fetch data sets: `rheobase data list`, `rheobase data show NAME`, `rheobase data get NAME`."""
    actions = {"list": _list, "show": _show, "get": _get}
    options = flags.parse(Options, arguments, "data")
    if options.action not in actions:
        raise unknown("data action", options.action, actions)
    if options.action != "list" and not options.name:
        raise ValueError(f"data {options.action}: needs the name of a data set. See `rheobase data list`.")
    return actions[options.action](options.name)


def _list(name: str) -> int:
    from rheobase.data import catalog

    if name:
        return _show(name)
    terminal.say(f"data sets in {catalog.default_root()} (RHEOBASE_DATA sets this folder)\n")
    for entry in catalog.ENTRIES.values():
        here = "here" if entry.is_in(catalog.default_root() / entry.folder) else "missing"
        terminal.say(f"{entry.name:16s} {here:8s} {entry.title} ({entry.licence})")
    terminal.say("\n`rheobase data show NAME` says where a set comes from, `rheobase data get NAME` downloads it.")
    return 0


def _show(name: str) -> int:
    """Everything known about one set: files, addresses, sizes, checksums, the forms in which it is found."""
    from rheobase.data import catalog

    entry = catalog.entry(name)
    folder = catalog.default_root() / entry.folder
    terminal.say(f"{entry.name}: {entry.title}. Licence: {entry.licence}. {entry.origin}")
    terminal.say(f"folder {folder}: {'here' if entry.is_in(folder) else 'missing'}")
    for first, *others in entry.layouts:
        terminal.say(f"  as {first}{f' and {len(others)} more' if others else ''}")
    for file in entry.files:
        state = "here" if file.is_in(folder) else "to download" if file.url else "missing"
        terminal.say(f"\n{folder / (file.unpacked or file.name)}  {state}, {catalog.megabytes([file])}")
        checksum = (
            f"sha-256  {file.sha256}" if file.sha256 else f"md5      {file.md5}" if file.md5 else "no checksum known"
        )
        terminal.say(f"  from     {file.url or 'no address'}\n  {checksum}")
    return 0


def _get(name: str) -> int:
    from rheobase.data import download

    columns = (*Progress.get_default_columns(), DownloadColumn(), TransferSpeedColumn())
    with Progress(*columns, console=terminal.console, disable=not terminal.console.is_terminal) as progress:
        tasks: dict[str, Any] = {}

        def report(file: str, done: int, size: int) -> None:
            if file not in tasks:
                tasks[file] = progress.add_task(file, total=size or None)
            progress.update(tasks[file], completed=done)

        folder = download.get(name, report=report)
    terminal.say(f"{name} is complete in {folder}")
    return 0
