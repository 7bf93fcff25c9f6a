"""Spiking ResNet-18 of CLIF and ILIF: pre-activation blocks, shortcuts from the spikes."""

from torch import Tensor, nn

from rheobase.layers import AvgPool2d, Conv2d, Dropout, Flatten, Linear, normed
from rheobase.layers.normed import SpikingSequential
from rheobase.models.initial import initialise
from rheobase.models.network import Network, Size
from rheobase.models.parts import Parts

CHANNELS = (64, 128, 256, 512)  # two blocks each; the first of every stage but the first has stride 2


class PreActivationBlock(nn.Module):
    """`h = SN(norm(x)) ; out = conv2(Drop(SN(norm(conv1(h))))) + shortcut(h)`, 3x3 convolutions with bias.

    The shortcut is a 1x1 convolution with bias and no norm where the shape changes, else h itself.
    """

    def __init__(self, parts: Parts, inputs: int, channels: int, stride: int, dropout: float):
        super().__init__()
        self.norm1, self.neuron1 = parts.normalise(inputs), parts.spiking(inputs)
        self.conv1 = Conv2d(inputs, channels, 3, stride, 1)
        self.norm2, self.neuron2 = parts.normalise(channels), parts.spiking(channels)
        self.dropout = Dropout(dropout)
        self.conv2 = Conv2d(channels, channels, 3, 1, 1)
        same = stride == 1 and inputs == channels
        self.shortcut = nn.Identity() if same else Conv2d(inputs, channels, 1, stride)

    def forward(self, x: Tensor) -> Tensor:
        h = normed(self.norm1, self.neuron1, x)
        y = normed(self.norm2, self.neuron2, self.conv1(h))
        return self.conv2(self.dropout(y)) + self.shortcut(h)


class SpikingResNet18(Network):
    """Convolution 3x3 without norm or neuron, eight pre-activation blocks, norm, neuron, average pool 4, linear layer.

    17 layers of neurons; 557,056 of them on 32 x 32 images. Dropout inside the blocks and before the linear layer.
    Source: CLIF (arXiv 2402.04663), ILIF (arXiv 2505.10371). Their code normalises each time step by itself, ours over
    all steps.
    """

    def __init__(self, parts: Parts, num_classes: int, in_channels: int, image_size: Size, dropout: float):
        super().__init__("spiking_resnet18", parts, in_channels, image_size, lambda side: -(-side // 8) // 4)
        inputs = parts.size(CHANNELS[0])
        self.features = SpikingSequential()
        self.features.add_module("conv", Conv2d(in_channels, inputs, 3, 1, 1, bias=False))
        for k, size in enumerate(CHANNELS):
            for i in range(2):
                channels, stride = parts.size(size), 2 if k and not i else 1
                block = PreActivationBlock(parts, inputs, channels, stride, dropout)
                self.features.add_module(f"block{2 * k + i + 1}", block)
                inputs = channels
        self.features.add_module("norm", parts.normalise(inputs))
        self.features.add_module("neuron", parts.spiking(inputs))
        self.pool, self.flatten, self.dropout = AvgPool2d(4), Flatten(), Dropout(dropout)
        self.classifier = Linear(inputs * self.fix_size(), num_classes)
        initialise(self, parts)

    def classify(self, x: Tensor) -> Tensor:
        return self.classifier(self.dropout(self.flatten(self.pool(x))))


def spiking_resnet18(
    parts: Parts, num_classes: int = 10, in_channels: int = 3, image_size: Size = 32, dropout: float = 0.0
) -> SpikingResNet18:
    """CIFAR-10: 11.18 M parameters."""
    return SpikingResNet18(parts, num_classes, in_channels, image_size, dropout)
