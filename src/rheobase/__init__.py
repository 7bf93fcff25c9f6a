"""Rheobase: leaky-integrate-and-fire neurons that learn. Public names only."""

import importlib as _importlib
from typing import TYPE_CHECKING as _TYPE_CHECKING

from rheobase import data, exact, layers, models, neurons, surrogate
from rheobase.fuse.operator import backend, last_backend
from rheobase.fuse.pack import pack_spikes
from rheobase.fuse.pool import empty_cache
from rheobase.layers import LeakyReadout, Recurrent, TDBatchNorm2d, TimeFlatten
from rheobase.neurons import (
    ALIF,
    CLIF,
    DALIF,
    GLIF,
    ILIF,
    IPLIF,
    KLIF,
    LIF,
    PLIF,
    PSN,
    TCLIF,
    DietLIF,
    Neuron,
    ProbLIF,
    ProbPLIF,
)

if _TYPE_CHECKING:
    from rheobase import analysis, export, plots, recipes, training  # noqa: F401

__version__ = "0.1.0"
_LATER = ("analysis", "export", "plots", "recipes", "training")  # imported when they are first used


def __getattr__(name: str):
    if name in _LATER:
        return _importlib.import_module(f"rheobase.{name}")
    raise AttributeError(f"module 'rheobase' has no attribute {name!r}")


__all__ = [
    "ALIF",
    "CLIF",
    "DALIF",
    "GLIF",
    "ILIF",
    "IPLIF",
    "KLIF",
    "LIF",
    "PLIF",
    "PSN",
    "TCLIF",
    "DietLIF",
    "LeakyReadout",
    "Neuron",
    "ProbLIF",
    "ProbPLIF",
    "Recurrent",
    "TDBatchNorm2d",
    "TimeFlatten",
    "backend",
    "data",
    "empty_cache",
    "exact",
    "last_backend",
    "layers",
    "models",
    "neurons",
    "pack_spikes",
    "surrogate",
]


def __dir__() -> list[str]:
    return sorted([*__all__, *_LATER, *(name for name in globals() if name.startswith("__"))])
