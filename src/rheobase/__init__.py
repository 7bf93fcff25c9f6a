"""Rheobase: leaky-integrate-and-fire neurons that learn. Public names only."""

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

__version__ = "0.1.0"

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
