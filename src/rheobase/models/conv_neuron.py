"""The layer of most networks: convolution, norm, neuron."""

from rheobase.layers import Conv2d, Dropout
from rheobase.layers.normed import SpikingSequential
from rheobase.models.parts import Parts


def conv_neuron(
    parts: Parts,
    inputs: int,
    channels: int,
    kernel: int = 3,
    stride: int = 1,
    padding: int = 1,
    *,
    bias: bool = True,
    dropout: float = 0.0,
) -> SpikingSequential:
    """`conv`, `norm`, `neuron` and, where it silences anything, `dropout`. Channels are taken as they are."""
    layer = SpikingSequential()
    layer.add_module("conv", Conv2d(inputs, channels, kernel, stride, padding, bias=bias))
    layer.add_module("norm", parts.normalise(channels))
    layer.add_module("neuron", parts.spiking(channels))
    if dropout:
        layer.add_module("dropout", Dropout(dropout))
    return layer
