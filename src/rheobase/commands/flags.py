"""Flags of commands: from typed, frozen dataclasses, whose fields are the flags and whose docstrings are the help."""

import shlex
from dataclasses import make_dataclass
from pathlib import Path
from typing import Any

import tyro


def with_config(kind: type, arguments: list[str], command: str) -> tuple[Any, Any]:
    """A config and further options from a recipe's name, if one comes first, and flags for any field."""
    from rheobase import recipes
    from rheobase.training import Config
    from rheobase.training.config import GROUPS

    named = bool(arguments) and not arguments[0].startswith("-")
    start = recipes.recipe(arguments[0] if named else "digits")
    groups = {group.__name__.removesuffix("Settings").lower(): group for group in GROUPS}
    both = make_dataclass("Both", [("options", kind), *groups.items()])
    default = both(kind(), *(start.group(group) for group in GROUPS))
    found = vars(parse(both, arguments[named:], command, default=default))
    fields = {name: value for group in groups for name, value in vars(found[group]).items()}
    neuron = fields.pop("neuron")
    return Config(**fields, neuron=start.neuron).with_neuron(neuron), found["options"]


def parse(kind: type, arguments: list[str], command: str, **options: Any) -> Any:
    """A `kind` from the flags of `rheobase command`; a wrong flag ends the process with what is possible."""
    return tyro.cli(kind, config=(tyro.conf.OmitArgPrefixes,), args=arguments, prog=f"rheobase {command}", **options)


def seeds(text: str, command: str) -> list[int]:
    """Seeds written as `0,1,2`. Errors: ValueError for anything else."""
    try:
        return [int(seed) for seed in text.split(",")]
    except ValueError:
        raise ValueError(f"{command}: seeds are whole numbers separated by commas; got {text!r}.") from None


def free_folder(folder: Path) -> Path:
    """The first of folder, folder-2, folder-3, ... that does not exist."""
    number, found = 1, folder
    while found.exists():
        number += 1
        found = folder.with_name(f"{folder.name}-{number}")
    return found


def line(name: str, arguments: list[str]) -> str:
    """The command as it would be typed, for records."""
    return shlex.join(["rheobase", name, *arguments])
