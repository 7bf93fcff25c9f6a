"""The configuration of one training run: typed, frozen, complete."""

from __future__ import annotations

import dataclasses
import functools
import math
import types
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any, Literal, Union, get_args, get_origin, get_type_hints

from rheobase.names import unknown
from rheobase.neurons.named import split
from rheobase.surrogate import Surrogate
from rheobase.surrogate import names as surrogate_names
from rheobase.training.settings import DataSettings, MachineSettings, NetworkSettings, OptimisationSettings

GROUPS = (DataSettings, NetworkSettings, OptimisationSettings, MachineSettings)
POSITIVE = ("epochs", "batch", "length_pool", "accumulate", "evaluation_batch", "log_every")
POSITIVE += ("learning_rate", "weight_gain")
POSITIVE_OR_NONE = ("steps", "exchange_after", "clip", "patience", "tau_learning_rate")
NOT_NEGATIVE = ("workers", "weight_decay", "warmup", "momentum")
SEEDS = 1 << 32  # above these bits lies the rank of a process
WORDS = {int: "a whole number", float: "a number", bool: "True or False", str: "text", type(None): "None"}
TOLD = ("data", "model", "neuron", "hidden", "epochs", "seed")  # by every config that was ever written


@dataclass(frozen=True)
class Config(MachineSettings, OptimisationSettings, NetworkSettings, DataSettings):
    """Everything that determines a run. Recipes are functions returning one; variants are `config.but(epochs=3)`."""

    def __post_init__(self) -> None:
        for name, kind in _hints().items():
            object.__setattr__(self, name, _typed(name, kind, getattr(self, name)))
        for name in POSITIVE:
            self._require(name, getattr(self, name) > 0, "above 0")
        for name in POSITIVE_OR_NONE:
            self._require(name, getattr(self, name) is None or getattr(self, name) > 0, "above 0, or none")
        for name in NOT_NEGATIVE:
            self._require(name, getattr(self, name) >= 0, "0 or above")
        for name, value in _numbers(self.as_dict()):
            if not math.isfinite(value):
                fix = "Write none for no limit, or choose a large number."
                raise ValueError(f"config: {name} must be finite, because a record is JSON; got {value}. {fix}")
        self._require("seed", 0 <= self.seed < SEEDS, f"0 or above, and below {SEEDS}")
        self._require("hidden", bool(self.hidden) and min(self.hidden) > 0, "one or more positive numbers")
        fits = len(self.feedback) in (1, len(self.hidden))
        self._require("feedback", fits, f"True or False, one for all or one for each of hidden={self.hidden}")
        self._require("average", self.average is None or 0 < self.average < 1, "between 0 and 1, or none")
        self._require("batch", self.batch >= self.accumulate, f"at least accumulate={self.accumulate}")
        both = (self.exchange is None) == (self.exchange_after is None)
        self._require("exchange", both, "given together with exchange_after, or neither")
        before_end = self.exchange_after is None or self.exchange_after < self.epochs
        self._require("exchange_after", before_end, f"below epochs={self.epochs}, so that the exchange takes place")
        alone = not self.validation_by_group and self.validation_fraction == DataSettings.validation_fraction
        what = "alone, without validation_by_group and validation_fraction"
        self._require("validation_speaker", self.validation_speaker is None or alone, what)
        for name, choices in _choices().items():
            self._require(name, getattr(self, name) in choices, f"one of {', '.join(choices)}")

    def but(self, **changes: Any) -> Config:
        """A copy with some fields changed. Errors: ValueError naming the nearest field for an unknown one."""
        known = [field.name for field in dataclasses.fields(self)]
        for name in changes:
            if name not in known:
                raise unknown("config field", name, known)
        return dataclasses.replace(self, **changes)

    def with_neuron(self, spec: str) -> Config:
        """A copy with the neuron of `name` or `name:option=value:option=value`; the name of your own is FILE.py:CLASS.

        Options are added to the config's own where the name is the same; another neuron starts from its defaults.
        """
        name, written = split(spec)
        options = {**(self.neuron_options if name == self.neuron else {}), **written}
        return self.but(neuron=name, neuron_options=options)

    def as_dict(self) -> dict[str, Any]:
        """Plain values, for JSON and checkpoints."""
        return dataclasses.asdict(self)

    @staticmethod
    def from_dict(values: dict[str, Any]) -> Config:
        """The config that `as_dict` came from, also after JSON has made lists of tuples.

        Fields that younger versions have added get their defaults. Errors: ValueError for one without those that say
        what was trained.
        """
        if missing := [name for name in TOLD if name not in values]:
            raise ValueError(f"config: {', '.join(missing)} missing: this is not the config of a run.")
        return Config().but(**values)

    def group(self, kind: type) -> Any:
        """The fields of one group of settings, as that group."""
        return kind(**{field.name: getattr(self, field.name) for field in dataclasses.fields(kind)})

    def _require(self, name: str, holds: bool, what: str) -> None:
        if not holds:
            raise ValueError(f"config: {name} must be {what}; got {getattr(self, name)!r}.")


def _numbers(values: dict[str, Any]) -> Iterator[tuple[str, float]]:
    """All numbers of a config, also those in options, with their names."""
    for name, value in values.items():
        if isinstance(value, dict):
            yield from ((f"{name} {key}", one) for key, one in _numbers(value))
        elif isinstance(value, float):
            yield name, value


@functools.cache
def _hints() -> dict[str, Any]:
    """The fields and their types."""
    return {name: kind for group in GROUPS for name, kind in get_type_hints(group).items()}


def _choices() -> dict[str, tuple[str, ...]]:
    """The fields with a fixed set of values, and these."""
    return {name: get_args(kind) for name, kind in _hints().items() if isinstance((*get_args(kind), None)[0], str)}


def _typed(name: str, kind: Any, value: Any) -> Any:
    """The value of a field as plain Python, which a record and a checkpoint can hold; NumPy's numbers become such.

    Errors: ValueError for one of another type.
    """
    kinds, origin = get_args(kind), get_origin(kind)
    if origin is dict:
        if isinstance(value, Mapping):
            return {key: _option(f"{name} {key}", one) for key, one in value.items()}
        raise ValueError(f"config: {name} must be a dict of options; got {value!r}.")
    if origin is tuple:  # of which JSON makes a list; one number for one layer
        values = value.tolist() if hasattr(value, "tolist") else value
        return tuple(_typed(name, kinds[0], one) for one in (values if isinstance(values, (tuple, list)) else [values]))
    wanted = kinds if origin in (Union, types.UnionType) else (str,) if origin is Literal else (kind,)
    if value is None and type(None) in wanted:
        return None
    plain = _plain(value)
    if isinstance(plain, int) and not isinstance(plain, bool) and float in wanted and int not in wanted:
        plain = float(plain)
    if type(plain) in wanted:
        return plain
    words = " or ".join(WORDS[one] for one in wanted)
    raise ValueError(f"config: {name} must be {words}; got {value!r}.")


def _option(name: str, value: Any) -> Any:
    """The value of an option as a record can hold it: a number, text, True or False; a surrogate as its text."""
    if isinstance(value, Surrogate) and type(value).__name__ in surrogate_names():
        return repr(value)
    plain = _plain(value)
    if plain is None or isinstance(plain, (bool, int, float, str)):
        return plain
    raise ValueError(f"config: {name} must be a number, text, True or False; got {value!r}.")


def _plain(value: Any) -> Any:
    """Numbers and truth values of NumPy and torch as Python's."""
    if isinstance(value, (bool, int, float, str)) and type(value) in WORDS:
        return value
    item = getattr(value, "item", None)
    return item() if callable(item) and getattr(value, "ndim", None) == 0 else value
