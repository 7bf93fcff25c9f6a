"""What options of models can be: one table of rules for all of them, so that mistakes are named before torch meets
them."""

from __future__ import annotations

import math
import numbers
from collections.abc import Callable, Mapping
from typing import Any, NamedTuple


class Rule(NamedTuple):
    """Whether a value will do, and in words what would."""

    holds: Callable[[Any], bool]
    words: str


def is_whole(value: Any, least: int) -> bool:
    """Whether a value is a whole number of at least so much, and no truth value."""
    return isinstance(value, numbers.Integral) and not isinstance(value, bool) and int(value) >= least


def is_number(value: Any) -> bool:
    """Whether a value is a finite number, and no truth value."""
    return isinstance(value, numbers.Real) and not isinstance(value, bool) and math.isfinite(value)


COUNT = Rule(lambda value: is_whole(value, 1), "a whole number >= 1")
COUNT_OR_NONE = Rule(lambda value: value is None or is_whole(value, 1), "a whole number >= 1, or None")
SEED = Rule(lambda value: value is None or is_whole(value, 0), "a whole number >= 0, or None")
NUMBER = Rule(is_number, "a number")
POSITIVE = Rule(lambda value: is_number(value) and value > 0, "above 0, a number")
NOT_NEGATIVE = Rule(lambda value: is_number(value) and value >= 0, "a number >= 0")
NOT_NEGATIVE_OR_NONE = Rule(lambda value: value is None or NOT_NEGATIVE.holds(value), "a number >= 0, or None")
SIZES = Rule(
    lambda value: (
        is_whole(value, 1)
        or (isinstance(value, (tuple, list)) and bool(value) and all(is_whole(size, 1) for size in value))
    ),
    "one whole number >= 1 for every hidden layer, such as (128,)",
)
FLAGS = Rule(
    lambda value: (
        isinstance(value, bool)
        or (isinstance(value, (tuple, list)) and bool(value) and all(isinstance(flag, bool) for flag in value))
    ),
    "True or False, or one of them for every hidden layer",
)

RULES: dict[str, Rule] = {
    **dict.fromkeys(("num_classes", "in_channels", "depth", "mlp_ratio", "stages"), COUNT),
    **dict.fromkeys(("knots", "merge_steps", "merge_channels", "most_spikes"), COUNT),
    **dict.fromkeys(("width", "readout_tau", "weight_gain", "duration", "leaky_tau"), POSITIVE),
    **dict.fromkeys(("readout_tau_std", "input_gain", "readout_gain"), NOT_NEGATIVE),
    "recurrent_gain": NOT_NEGATIVE_OR_NONE,
    "shift": NUMBER,
    "steps": COUNT_OR_NONE,
    "weight_seed": SEED,
    "hidden": SIZES,
    "feedback": FLAGS,
}


def check(model: str, options: Mapping[str, Any]) -> None:
    """Hold the options of a model against their rules. Errors: ValueError for the first that breaks its rule."""
    for name, value in options.items():
        rule = RULES.get(name)
        if rule is not None and not rule.holds(value):
            raise ValueError(f"{model}: {name} must be {rule.words}; got {value!r}.")
