"""VGGSNN: the VGG of temporal efficient training for 48 x 48 event frames."""

from torch import Tensor

from rheobase.layers import Dropout, Flatten, Linear
from rheobase.models.initial import initialise
from rheobase.models.network import Network, Size
from rheobase.models.parts import Parts
from rheobase.models.vgg import convolutions

STAGES = ((64, 128), (256, 256), (512, 512), (512, 512))


class VGGSNN(Network):
    """Four stages of two convolutions, an average pool after each, dropout, a linear layer on the last map.

    Source: Deng et al. 2022; CLIF (arXiv 2402.04663) trains it on CIFAR10-DVS.
    """

    def __init__(self, parts: Parts, num_classes: int, in_channels: int, image_size: Size, dropout: float):
        super().__init__("vggsnn", parts, in_channels, image_size, lambda side: side // 16)
        self.features = convolutions(parts, in_channels, STAGES)
        self.flatten, self.dropout = Flatten(), Dropout(dropout)
        self.classifier = Linear(parts.size(STAGES[-1][-1]) * self.fix_size(), num_classes)
        initialise(self, parts)

    def classify(self, x: Tensor) -> Tensor:
        return self.classifier(self.dropout(self.flatten(x)))


def vggsnn(
    parts: Parts, num_classes: int = 10, in_channels: int = 3, image_size: Size = 32, dropout: float = 0.0
) -> VGGSNN:
    """CIFAR10-DVS: 2 channels, 48 x 48; then 9.27 M parameters."""
    return VGGSNN(parts, num_classes, in_channels, image_size, dropout)
