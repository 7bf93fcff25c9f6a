"""Spiking ResNets with post-activation blocks: ResNet-19, ResNet-20, and ResNet-18 and -34 for ImageNet."""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping

from torch import Tensor, nn

from rheobase.layers import AdaptiveAvgPool2d, AvgPool2d, Conv2d, Flatten, Linear, normed
from rheobase.models.conv_neuron import conv_neuron
from rheobase.models.initial import initialise
from rheobase.models.network import Network, Size
from rheobase.models.parts import Parts

ADDED = 1 / math.sqrt(2)  # scale of threshold-dependent norms on branches that are added
Shortcut = Callable[[Parts, int, int, int], nn.Sequential]


def strided(parts: Parts, inputs: int, channels: int, stride: int) -> nn.Sequential:
    """A shortcut that changes shape: 1x1 convolution with stride, norm."""
    shortcut = nn.Sequential()
    shortcut.add_module("conv", Conv2d(inputs, channels, 1, stride, bias=False))
    shortcut.add_module("norm", parts.normalise(channels, ADDED))
    return shortcut


def pooled(parts: Parts, inputs: int, channels: int, stride: int) -> nn.Sequential:
    """A shortcut that changes shape: average pool, 1x1 convolution, norm."""
    shortcut = nn.Sequential()
    shortcut.add_module("pool", AvgPool2d(stride, stride, ceil_mode=True))
    shortcut.add_module("conv", Conv2d(inputs, channels, 1, bias=False))
    shortcut.add_module("norm", parts.normalise(channels, ADDED))
    return shortcut


class PostActivationBlock(nn.Module):
    """`SN(norm(conv2(SN(norm(conv1(x))))) + shortcut(x))`, 3x3 convolutions without bias."""

    def __init__(self, parts: Parts, inputs: int, channels: int, stride: int, shortcut: Shortcut):
        super().__init__()
        self.conv1 = Conv2d(inputs, channels, 3, stride, 1, bias=False)
        self.norm1, self.neuron1 = parts.normalise(channels), parts.spiking(channels)
        self.conv2 = Conv2d(channels, channels, 3, 1, 1, bias=False)
        self.norm2 = parts.normalise(channels, ADDED)
        same = stride == 1 and inputs == channels
        self.shortcut = nn.Identity() if same else shortcut(parts, inputs, channels, stride)
        self.neuron2 = parts.spiking(channels)

    def forward(self, x: Tensor) -> Tensor:
        y = normed(self.norm1, self.neuron1, self.conv1(x))
        return self.neuron2(self.norm2(self.conv2(y)) + self.shortcut(x))


class ResNet(Network):
    """`stem`, stages of post-activation blocks (stride 2 from the second on), global average pool, linear layer."""

    def __init__(
        self,
        name: str,
        parts: Parts,
        stem: nn.Sequential,
        stem_channels: int,
        stages: Mapping[int, int],
        shortcut: Shortcut,
        num_classes: int,
        in_channels: int,
        image_size: Size,
        smallest: int = 1,
    ):
        """`stages`: blocks of each stage by its channels. `smallest`: side of the smallest image admitted."""
        super().__init__(name, parts, in_channels, image_size, lambda side: int(side >= smallest))
        self.features, inputs = nn.Sequential(), stem_channels
        self.features.add_module("stem", stem)
        for k, (size, blocks) in enumerate(stages.items(), 1):
            for i in range(1, blocks + 1):
                channels, stride = parts.size(size), 2 if k > 1 and i == 1 else 1
                block = PostActivationBlock(parts, inputs, channels, stride, shortcut)
                self.features.add_module(f"block{k}_{i}", block)
                inputs = channels
        self.pool, self.flatten = AdaptiveAvgPool2d(1), Flatten()
        self.classifier = Linear(inputs, num_classes)
        initialise(self, parts)

    def classify(self, x: Tensor) -> Tensor:
        return self.classifier(self.flatten(self.pool(x)))


def resnet19(parts: Parts, num_classes: int = 10, in_channels: int = 3, image_size: Size = 32) -> ResNet:
    """ResNet-19, 12.57 M parameters with 10 classes. Source: Zheng et al. 2021, with one linear layer as in DA-LIF."""
    channels = parts.size(128)
    stem = conv_neuron(parts, in_channels, channels, bias=False)
    stages = {128: 3, 256: 3, 512: 2}
    return ResNet("resnet19", parts, stem, channels, stages, strided, num_classes, in_channels, image_size)


def resnet20(parts: Parts, num_classes: int = 10, in_channels: int = 3, image_size: Size = 32) -> ResNet:
    """ResNet-20, 11.29 M parameters with 100 classes. Source: DA-LIF (arXiv 2502.10422)."""
    channels = parts.size(64)
    stem = nn.Sequential()
    for i, inputs in enumerate((in_channels, channels, channels), 1):
        stem.add_module(f"conv{i}", conv_neuron(parts, inputs, channels, bias=False))
    stem.add_module("pool", AvgPool2d(2))
    stages = {64: 2, 128: 2, 256: 2, 512: 2}
    return ResNet("resnet20", parts, stem, channels, stages, pooled, num_classes, in_channels, image_size, smallest=2)


def _imagenet(name: str, blocks: tuple[int, ...], parts: Parts, num_classes: int, in_channels: int, image_size: Size):
    channels = parts.size(64)
    stem = conv_neuron(parts, in_channels, channels, 7, 2, 3, bias=False)
    stem.add_module("pool", AvgPool2d(3, 2, 1))
    stages: dict[int, int] = dict(zip((64, 128, 256, 512), blocks, strict=True))
    return ResNet(name, parts, stem, channels, stages, strided, num_classes, in_channels, image_size)


def imagenet_resnet18(parts: Parts, num_classes: int = 10, in_channels: int = 3, image_size: Size = 32) -> ResNet:
    """ResNet-18 for 224 x 224 images, 11.69 M parameters with 1000 classes. Source: DA-LIF (arXiv 2502.10422)."""
    return _imagenet("imagenet_resnet18", (2, 2, 2, 2), parts, num_classes, in_channels, image_size)


def imagenet_resnet34(parts: Parts, num_classes: int = 10, in_channels: int = 3, image_size: Size = 32) -> ResNet:
    """ResNet-34 for 224 x 224 images, 21.80 M parameters with 1000 classes. Source: DA-LIF (arXiv 2502.10422)."""
    return _imagenet("imagenet_resnet34", (3, 4, 6, 3), parts, num_classes, in_channels, image_size)
