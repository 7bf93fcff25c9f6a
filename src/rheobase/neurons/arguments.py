"""Checks of what constructors and calls are given: numbers, whole numbers, flags, words, uniform numbers."""

from __future__ import annotations

import numbers

import torch
from torch import Tensor

from rheobase.names import nearest


def above(owner: object, name: str, value: float, bound: float, why: str = "") -> float:
    """`value` as a float, refused with a ValueError unless it is a number above `bound`."""
    if isinstance(value, bool) or not isinstance(value, numbers.Real):
        raise TypeError(f"{type(owner).__name__}: {name} must be a number; got {value!r}.")
    if not (value > bound and value < float("inf")):
        raise ValueError(f"{type(owner).__name__}: {name} must be above {bound:g}{why}; got {value}.")
    return float(value)


def whole(owner: object, name: str, value: int, least: int, why: str = "") -> int:
    """`value` as an int, refused with a ValueError unless it is a whole number from `least` on."""
    if isinstance(value, bool) or not isinstance(value, numbers.Integral) or value < least:
        raise ValueError(f"{type(owner).__name__}: {name} must be a whole number >= {least}{why}; got {value!r}.")
    return int(value)


def flag(owner: object, name: str, value: bool) -> bool:
    """`value` as a bool, refused with a TypeError unless it is one (or 0 or 1): text would always be true."""
    if isinstance(value, str) or value not in (True, False):
        raise TypeError(f"{type(owner).__name__}: {name} must be True or False; got {value!r}.")
    return bool(value)


def one_of(owner: object, name: str, value: str, known: list[str]) -> str:
    """`value` if it is one of the known words, else a ValueError naming the nearest."""
    if value not in known:
        raise ValueError(f"{type(owner).__name__}: unknown {name} {value!r}{nearest(str(value), known)}")
    return value


def check_uniform(kind: str, uniform: Tensor) -> None:
    """Errors: ValueError for random numbers outside [0, 1]; 1 can be a number below it, rounded to 16 bits."""
    if not uniform.numel() or torch._C._functorch.is_functorch_wrapped_tensor(uniform):  # type: ignore[attr-defined]
        return
    least, most = (value.item() for value in uniform.detach().aminmax())
    if not (least >= 0 and most <= 1):
        raise ValueError(f"{kind}: uniform must hold numbers in [0, 1); got {least:g} to {most:g}.")
