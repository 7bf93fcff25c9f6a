"""The five-layer CNN on which CLIF's paper truncates gradients in time (its figure 2)."""

from torch import Tensor, nn

from rheobase.layers import Dropout, Flatten, Linear
from rheobase.models.conv_neuron import conv_neuron
from rheobase.models.initial import initialise
from rheobase.models.network import Network, Size
from rheobase.models.parts import Parts

LAYERS = ((16, 3, 1), (64, 5, 2), (128, 5, 2), (256, 5, 4), (256, 3, 2))  # channels, kernel, stride; padding 1


def _grid(side: int) -> int:
    for _, kernel, stride in LAYERS:
        side = (side + 2 - kernel) // stride + 1 if side + 2 >= kernel else 0
    return side


class CNN5(Network):
    """Five convolutions (bias, norm, neuron) without pools, dropout, a linear layer on the last map.

    Source: CLIF (arXiv 2402.04663), figure 2: one place is left of 32 x 32 images.
    """

    def __init__(self, parts: Parts, num_classes: int, in_channels: int, image_size: Size, dropout: float):
        super().__init__("cnn5", parts, in_channels, image_size, _grid)
        self.features, inputs = nn.Sequential(), in_channels
        for k, (size, kernel, stride) in enumerate(LAYERS, 1):
            channels = parts.size(size)
            self.features.add_module(f"conv{k}", conv_neuron(parts, inputs, channels, kernel, stride))
            inputs = channels
        self.flatten, self.dropout = Flatten(), Dropout(dropout)
        self.classifier = Linear(inputs * self.fix_size(), num_classes)
        initialise(self, parts)

    def classify(self, x: Tensor) -> Tensor:
        return self.classifier(self.dropout(self.flatten(x)))


def cnn5(
    parts: Parts, num_classes: int = 10, in_channels: int = 3, image_size: Size = 32, dropout: float = 0.0
) -> CNN5:
    """CIFAR-10 and CLIF's figure 2: 1.64 M parameters."""
    return CNN5(parts, num_classes, in_channels, image_size, dropout)
