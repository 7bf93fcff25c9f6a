"""Layers around neurons; time comes first in every input and output."""

from rheobase.layers.normed import normed
from rheobase.layers.norms import BatchNorm2d, TDBatchNorm2d
from rheobase.layers.overtime import (
    AdaptiveAvgPool2d,
    AvgPool2d,
    Conv2d,
    Dropout,
    Flatten,
    Linear,
    MaxPool2d,
    ReLU,
)
from rheobase.layers.readout import LeakyReadout
from rheobase.layers.recurrent import Recurrent
from rheobase.layers.spiking import spiking_layers
from rheobase.layers.timeflatten import TimeFlatten

__all__ = [
    "AdaptiveAvgPool2d",
    "AvgPool2d",
    "BatchNorm2d",
    "Conv2d",
    "Dropout",
    "Flatten",
    "LeakyReadout",
    "Linear",
    "MaxPool2d",
    "ReLU",
    "Recurrent",
    "TDBatchNorm2d",
    "TimeFlatten",
    "normed",
    "spiking_layers",
]
