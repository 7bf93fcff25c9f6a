"""The spike-driven transformer: attention by spikes and sums, without a product of two numbers."""

from __future__ import annotations

from torch import Tensor, nn

from rheobase.layers import Conv2d, Linear, MaxPool2d
from rheobase.models.conv_neuron import conv_neuron
from rheobase.models.initial import initialise
from rheobase.models.network import Network, Size
from rheobase.models.parts import Parts

PATCHES = (32, 64, 128, 256)  # channels of the patch convolutions


class Patches(nn.Module):
    """Four convolutions, max pools after the last three, and a position convolution that is added.

    The last pool stands before its neuron, and what it pools is what the position is added to.
    """

    def __init__(self, parts: Parts, in_channels: int):
        super().__init__()
        first, second, third, last = (parts.size(n) for n in PATCHES)
        self.conv1 = conv_neuron(parts, in_channels, first, bias=False)
        self.conv2 = conv_neuron(parts, first, second, bias=False)
        self.conv3 = conv_neuron(parts, second, third, bias=False)
        self.pool = MaxPool2d(3, 2, 1)
        self.conv4, self.norm4 = Conv2d(third, last, 3, 1, 1, bias=False), parts.normalise(last)
        self.neuron4 = parts.spiking(last)
        self.position = _conv_norm(parts, last, last, 3, bias=False)

    def forward(self, x: Tensor) -> Tensor:
        x = self.pool(self.conv2(self.conv1(x)))
        x = self.norm4(self.conv4(self.pool(self.conv3(x))))
        x = self.pool(x)
        return x + self.position(self.neuron4(x))


class SpikeAttention(nn.Module):
    """`q, k, v = SN(norm(conv(SN(x)))) ; out = norm(conv(q ⊙ SN(Σ_places k ⊙ v)))`.

    The neuron of the sum has half the threshold of the others, where its maker takes `threshold`. The published 8 heads
    split channels that never meet, so that their number changes nothing.
    """

    def __init__(self, parts: Parts, channels: int):
        super().__init__()
        self.neuron = parts.spiking(channels)
        self.query, self.key, self.value = (
            conv_neuron(parts, channels, channels, 1, padding=0, bias=False) for _ in range(3)
        )
        self.sum_neuron = parts.spiking(channels, threshold=0.5 * parts.threshold)
        self.project = _conv_norm(parts, channels, channels, 1)

    def forward(self, x: Tensor) -> Tensor:
        s = self.neuron(x)
        q, k, v = self.query(s), self.key(s), self.value(s)
        return self.project(q * self.sum_neuron((k * v).sum((3, 4), keepdim=True)))


class SpikeMLP(nn.Module):
    """`norm(conv(SN(norm(conv(SN(x))))))`, 1x1 convolutions, `ratio` times the channels between them."""

    def __init__(self, parts: Parts, channels: int, ratio: int):
        super().__init__()
        self.neuron = parts.spiking(channels)
        self.expand = conv_neuron(parts, channels, ratio * channels, 1, padding=0)
        self.contract = _conv_norm(parts, ratio * channels, channels, 1)

    def forward(self, x: Tensor) -> Tensor:
        return self.contract(self.expand(self.neuron(x)))


class TransformerBlock(nn.Module):
    """Attention, then MLP, each added to what went in (a shortcut between potentials)."""

    def __init__(self, parts: Parts, channels: int, ratio: int):
        super().__init__()
        self.attention, self.mlp = SpikeAttention(parts, channels), SpikeMLP(parts, channels, ratio)

    def forward(self, x: Tensor) -> Tensor:
        x = x + self.attention(x)
        return x + self.mlp(x)


class SpikeTransformer(Network):
    """Patches, transformer blocks, mean over places, neuron, linear layer.

    Source: Yao et al. 2023; CLIF (arXiv 2402.04663) trains it on DVS-Gesture with T = 16.
    """

    def __init__(
        self,
        parts: Parts,
        num_classes: int,
        in_channels: int,
        image_size: Size,
        depth: int,
        ratio: int,
    ):
        super().__init__("spike_transformer", parts, in_channels, image_size, lambda side: -(-side // 8))
        channels = parts.size(PATCHES[-1])
        self.features = nn.Sequential()
        self.features.add_module("patches", Patches(parts, in_channels))
        for k in range(1, depth + 1):
            self.features.add_module(f"block{k}", TransformerBlock(parts, channels, ratio))
        self.neuron = parts.spiking(channels)
        self.classifier = Linear(channels, num_classes)
        initialise(self, parts)

    def classify(self, x: Tensor) -> Tensor:
        return self.classifier(self.neuron(x.mean((3, 4))))


def _conv_norm(parts: Parts, inputs: int, channels: int, kernel: int, bias: bool = True) -> nn.Sequential:
    layer = nn.Sequential()
    layer.add_module("conv", Conv2d(inputs, channels, kernel, 1, kernel // 2, bias=bias))
    layer.add_module("norm", parts.normalise(channels))
    return layer


def spike_transformer(
    parts: Parts,
    num_classes: int = 10,
    in_channels: int = 3,
    image_size: Size = 32,
    depth: int = 2,
    mlp_ratio: int = 4,
) -> SpikeTransformer:
    """The network with 256 channels, 2.57 M parameters; DVS-Gesture: 2 channels, 128 x 128, 11 classes."""
    return SpikeTransformer(parts, num_classes, in_channels, image_size, depth, mlp_ratio)
