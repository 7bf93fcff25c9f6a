"""Rheobase: leaky-integrate-and-fire neurons that learn. Public names only."""

from rheobase import surrogate
from rheobase.fuse.operator import backend, last_backend
from rheobase import neurons
from rheobase.neurons import (
    ALIF, CLIF, DALIF, GLIF, ILIF, IPLIF, KLIF, LIF, PLIF, PSN, TCLIF, DietLIF, Neuron, ProbLIF, ProbPLIF,
)

__version__ = "0.1.0"
