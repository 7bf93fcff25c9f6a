"""Search spaces: which fields of a config a sweep may change, and between which values; typed data."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass, fields
from typing import Any

from rheobase.names import unknown
from rheobase.training.config import Config

OPTION_FIELDS = ("neuron_options", "model_options", "loss_options", "data_options")


@dataclass(frozen=True)
class Range:
    """Numbers from low to high; `log` draws their logarithm evenly, `whole` draws whole numbers."""

    low: float
    high: float
    log: bool = False
    whole: bool = False

    def __post_init__(self) -> None:
        if not (math.isfinite(self.low) and math.isfinite(self.high) and self.low < self.high):
            raise ValueError(f"Range: needs finite low < high; got {self.low} and {self.high}.")
        if self.log and self.low <= 0:
            raise ValueError(f"Range: log needs low above 0; got {self.low}.")


@dataclass(frozen=True)
class Choice:
    """One of several values."""

    values: tuple[float | bool | str | None, ...]

    def __post_init__(self) -> None:
        if len(self.values) < 2:
            raise ValueError(f"Choice: needs two values or more; got {self.values}.")


Space = Mapping[str, Range | Choice]  # by field of Config, or by option: "learning_rate", "neuron_options.tau"


def check(space: Space) -> None:
    """Refuse what `changed` could not set. Errors: ValueError naming the nearest field."""
    known = [field.name for field in fields(Config)]
    for name in space:
        field, dot, _ = name.partition(".")
        if field not in known:
            raise unknown("field of a search space", field, known)
        if dot and field not in OPTION_FIELDS:
            raise unknown("options in a search space", field, OPTION_FIELDS)


def changed(config: Config, values: Mapping[str, Any]) -> Config:
    """The config with these values in their fields and options."""
    changes: dict[str, Any] = {}
    for name, value in values.items():
        field, dot, option = name.partition(".")
        if dot:
            changes[field] = {**changes.get(field, getattr(config, field)), option: value}
        else:
            changes[field] = value
    return config.but(**changes)


def ends(space: Space) -> list[dict[str, Any]]:
    """The lowest values of a space and the highest ones; of a choice the first and the last."""
    pairs = {name: _ends(one) for name, one in space.items()}
    return [{name: pair[end] for name, pair in pairs.items()} for end in (0, 1)]


def _ends(one: Range | Choice) -> tuple[Any, Any]:
    if isinstance(one, Choice):
        return one.values[0], one.values[-1]
    return (int(one.low), int(one.high)) if one.whole else (one.low, one.high)


def general(config: Config) -> Space:
    """The space of a recipe that defines none: learning rate and weight gain around the recipe's own values."""
    return {
        "learning_rate": Range(config.learning_rate / 10, config.learning_rate * 10, log=True),
        "weight_gain": Range(config.weight_gain / 4, config.weight_gain * 4, log=True),
        "batch": Choice(tuple(sorted({max(1, config.batch // 2), config.batch, config.batch * 2}))),
    }


def as_dict(space: Space) -> dict[str, dict[str, Any]]:
    """Plain values, for JSON."""
    return {
        name: {"kind": type(one).__name__, **{key: _plain(value) for key, value in vars(one).items()}}
        for name, one in space.items()
    }


def _plain(value: Any) -> Any:
    return list(value) if isinstance(value, tuple) else value
