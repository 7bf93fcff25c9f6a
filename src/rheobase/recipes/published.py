"""What papers report, cell by cell: the changes of a recipe that reproduce a cell, and the number in it."""

from __future__ import annotations

import shlex
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any

from rheobase.training import Config


@dataclass(frozen=True)
class Cell:
    """One number of a table or figure: where, what to change in the recipe, and the accuracy in %, if it is legible."""

    source: str
    accuracy: float | None = None
    changes: Mapping[str, Any] = field(default_factory=dict)

    def config(self, base: Config) -> Config:
        """The config of this cell; `neuron` is changed as `name:option=value`, model and loss options are added."""
        changes = dict(self.changes)
        spec = changes.pop("neuron", None)
        for name in ("model_options", "loss_options", "data_options"):
            if name in changes:
                changes[name] = {**getattr(base, name), **changes[name]}
        config = base.but(**changes)
        return config if spec is None else config.with_neuron(spec)

    def command(self, recipe: str) -> str:
        """The command that trains this cell."""
        words = ["rheobase", "train", recipe]
        for name, value in self.changes.items():
            words.append(f"--{name.replace('_', '-')}")
            words += [str(word) for pair in value.items() for word in pair] if isinstance(value, dict) else [str(value)]
        return shlex.join(words)


@dataclass(frozen=True)
class Recipe:
    """A config by function, the published cells that it stands for, and other figures that need only its runs."""

    make: Callable[[], Config]
    cells: tuple[Cell, ...] = ()
    also: str = ""


def over(source: str, name: str, values: Mapping[Any, float | None], **changes: Any) -> tuple[Cell, ...]:
    """One cell for every value of one setting."""
    return tuple(Cell(source, accuracy, {**changes, name: value}) for value, accuracy in values.items())
