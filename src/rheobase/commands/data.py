"""`rheobase data`: which data sets there are, and fetching them."""

from typing import Any

from rich.progress import DownloadColumn, Progress, TransferSpeedColumn

from rheobase.commands import terminal
from rheobase.names import unknown


def run(arguments: list[str]) -> int:
    """Show or fetch data sets: `rheobase data list`, `rheobase data show NAME`, `rheobase data get NAME`."""
    actions = {"list": _list, "show": _show, "get": _get}
    action, *rest = arguments or ["list"]
    if action in ("-h", "--help"):
        terminal.say((run.__doc__ or "").strip())
        return 0
    if action not in actions:
        raise unknown("data action", action, actions)
    return actions[action](rest)


def _list(arguments: list[str]) -> int:
    from rheobase.data import catalog

    if arguments:
        return _show(arguments)
    terminal.say(f"data sets in {catalog.default_root()} (RHEOBASE_DATA sets this folder)\n")
    for entry in catalog.ENTRIES.values():
        here = "here" if entry.is_in(catalog.default_root() / entry.folder) else "missing"
        terminal.say(f"{entry.name:16s} {here:8s} {entry.title} ({entry.licence})")
    terminal.say("\n`rheobase data show NAME` says where a set comes from, `rheobase data get NAME` downloads it.")
    return 0


def _show(arguments: list[str]) -> int:
    """Everything known about one set: files, addresses, sizes, checksums, the forms in which it is found."""
    from rheobase.data import catalog

    entry = catalog.entry(_only(arguments, "show"))
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


def _get(arguments: list[str]) -> int:
    from rheobase.data import download

    name = _only(arguments, "get")
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


def _only(arguments: list[str], action: str) -> str:
    if len(arguments) != 1:
        found = f"got {len(arguments)}. See `rheobase data list`."
        raise ValueError(f"data {action}: needs the name of one data set; {found}")
    return arguments[0]
