"""Which data sets there are, and loading them by name."""

import inspect
import os
from pathlib import Path

from rheobase.data.entry import Entry, File
from rheobase.data.samples import DataSet
from rheobase.data.sets import SETS
from rheobase.names import unknown

__all__ = ["ENTRIES", "Entry", "File", "default_root", "entry", "load", "megabytes", "names"]

ENTRIES = {found.name: found for found in SETS}


def names() -> list[str]:
    """The names that `load` knows."""
    return list(ENTRIES)


def entry(name: str) -> Entry:
    """What is known about one data set; an unknown name fails with the nearest known one."""
    if name not in ENTRIES:
        raise unknown("data set", name, ENTRIES)
    return ENTRIES[name]


def default_root() -> Path:
    """$RHEOBASE_DATA, or else ~/.cache/rheobase."""
    given = os.environ.get("RHEOBASE_DATA")
    return Path(given).expanduser() if given else Path.home() / ".cache" / "rheobase"


def load(name: str, root: str | os.PathLike | None = None, **options) -> DataSet:
    """Read a data set.

    `root` is the folder that holds one folder per set; default: $RHEOBASE_DATA, or else ~/.cache/rheobase.
    `options` go to its reader: shd, hd and ssc take steps and step_ms, event sets steps, by and more (docs/data.md).
    Errors: FileNotFoundError where files are missing, ValueError where one is damaged; both say what to do.
    """
    found = entry(name)
    _, *known = inspect.signature(found.load).parameters.values()
    open_ended = any(parameter.kind is parameter.VAR_KEYWORD for parameter in known)  # such a reader checks itself
    for option in options:
        if not open_ended and option not in (allowed := [parameter.name for parameter in known]):
            raise unknown(f"option of {name}", option, allowed)
    whole = {  # the command line gives 10.0 for 10
        option: int(value) if isinstance(value, float) and value.is_integer() else value
        for option, value in options.items()
    }
    for parameter in known:
        value = whole.get(parameter.name, parameter.default)
        if parameter.annotation is int and not isinstance(value, int):
            raise ValueError(f"{name}: {parameter.name} must be a whole number; got {value!r}.")
    folder = (Path(root).expanduser() if root else default_root()) / found.folder
    if not found.is_in(folder):
        raise FileNotFoundError(absence(found, folder))
    return found.load(folder, **whole)


def absence(found: Entry, folder: Path) -> str:
    """What is missing, and how to get it, in words."""
    absent = found.missing(folder)
    first = folder / (absent[0].name if absent else found.layouts[0][0])
    if found.downloadable:
        way = f"`rheobase data get {found.name}` downloads {megabytes(absent)}"
    else:
        way = f"{found.name} cannot be downloaded from here: {found.origin}. Put it into {folder}"
    return f"{found.name}: {first} is missing. {way}; or point RHEOBASE_DATA at a folder that has it."


def megabytes(files) -> str:
    """The total size of files in words."""
    total = sum(file.size for file in files)
    return f"{total / 1e6:.1f} MB" if total else "an unknown amount"
