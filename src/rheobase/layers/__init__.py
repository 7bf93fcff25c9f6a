"""Layers around neurons; time comes first in every input and output."""

from rheobase.layers.norms import TDBatchNorm2d
from rheobase.layers.readout import LeakyReadout
from rheobase.layers.recurrent import Recurrent
from rheobase.layers.timeflatten import TimeFlatten

__all__ = ["LeakyReadout", "Recurrent", "TDBatchNorm2d", "TimeFlatten"]
