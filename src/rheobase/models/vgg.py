"""VGG networks: CLIF's and ILIF's VGG-11 and VGG-13, DA-LIF's VGG-16 and VGG-11."""

from torch import Tensor, nn

from rheobase.layers import AdaptiveAvgPool2d, AvgPool2d, Flatten, Linear
from rheobase.models.conv_neuron import conv_neuron
from rheobase.models.initial import initialise
from rheobase.models.network import Network, Size
from rheobase.models.parts import Parts

CONVOLUTIONS = {  # channels of the convolutions of each stage; an average pool by 2 ends a stage
    11: ((64,), (128,), (256, 256), (512, 512), (512, 512)),
    13: ((64, 64), (128, 128), (256, 256), (512, 512), (512, 512)),
    16: ((64, 64), (128, 128), (256, 256, 256), (512, 512, 512), (512, 512, 512)),
}


def convolutions(parts: Parts, in_channels: int, stages: tuple[tuple[int, ...], ...], dropout: float = 0.0):
    """Stages of conv 3x3 (bias), norm, neuron, dropout, each ended by a pool: `conv2_1`, `pool2`, ..."""
    body, inputs = nn.Sequential(), in_channels
    for k, stage in enumerate(stages, 1):
        for i, size in enumerate(stage, 1):
            channels = parts.size(size)
            body.add_module(f"conv{k}_{i}", conv_neuron(parts, inputs, channels, dropout=dropout))
            inputs = channels
        body.add_module(f"pool{k}", AvgPool2d(2))
    return body


class VGG(Network):
    """Stages of convolutions with average pools, an average pool to `pooled` x `pooled`, one linear layer.

    Source: CLIF (arXiv 2402.04663) and ILIF (arXiv 2505.10371): pooled to 7 x 7, dropout after every neuron, linear
    weights N(0, .01); DA-LIF (arXiv 2502.10422): pooled globally. Their code normalises each time step by itself, ours
    over all steps.
    """

    def __init__(
        self,
        name: str,
        parts: Parts,
        depth: int,
        num_classes: int,
        in_channels: int,
        image_size: Size,
        dropout: float,
        pooled: int,
    ):
        super().__init__(name, parts, in_channels, image_size, lambda side: side // 32)
        stages = CONVOLUTIONS[depth]
        self.features = convolutions(parts, in_channels, stages, dropout)
        self.pool, self.flatten = AdaptiveAvgPool2d(pooled), Flatten()
        self.classifier = Linear(parts.size(stages[-1][-1]) * pooled**2, num_classes)
        initialise(self, parts, linear_std=0.01)

    def classify(self, x: Tensor) -> Tensor:
        return self.classifier(self.flatten(self.pool(x)))


def vgg11(
    parts: Parts, num_classes: int = 10, in_channels: int = 3, image_size: Size = 32, dropout: float = 0.0
) -> VGG:
    """CLIF's VGG-11, 9.48 M parameters; event data: 2 channels, dropout .3 (CIFAR10-DVS) or .4 (DVS-Gesture)."""
    return VGG("vgg11", parts, 11, num_classes, in_channels, image_size, dropout, pooled=7)


def vgg13(
    parts: Parts, num_classes: int = 10, in_channels: int = 3, image_size: Size = 32, dropout: float = 0.0
) -> VGG:
    """CLIF's VGG-13, 14.43 M parameters with the 200 classes of Tiny-ImageNet."""
    return VGG("vgg13", parts, 13, num_classes, in_channels, image_size, dropout, pooled=7)


def vgg16(
    parts: Parts, num_classes: int = 10, in_channels: int = 3, image_size: Size = 32, dropout: float = 0.0
) -> VGG:
    """DA-LIF's VGG-16, configuration D with a global pool, 14.73 M parameters."""
    return VGG("vgg16", parts, 16, num_classes, in_channels, image_size, dropout, pooled=1)


def vgg11_a(
    parts: Parts, num_classes: int = 10, in_channels: int = 3, image_size: Size = 32, dropout: float = 0.0
) -> VGG:
    """DA-LIF's VGG-11, configuration A with a global pool, 9.23 M parameters."""
    return VGG("vgg11_a", parts, 11, num_classes, in_channels, image_size, dropout, pooled=1)
