"""PLIF-Net: the convolutional networks of the PLIF paper, for images and for events."""

from torch import Tensor, nn

from rheobase.layers import Dropout, Flatten, Linear, MaxPool2d
from rheobase.models.conv_neuron import conv_neuron
from rheobase.models.initial import initialise
from rheobase.models.network import Network, Size
from rheobase.models.parts import Parts

VOTERS = 10  # neurons per class in the last layer


class PLIFNet(Network):
    """Stages of convolutions, each ended by a max pool; two spiking linear layers with dropout before; a vote.

    Nothing has a bias. A class's score at one step is the mean spike of its 10 neurons.
    Source: Fang et al. 2021.
    """

    def __init__(
        self,
        name: str,
        parts: Parts,
        channels: int,
        stages: tuple[int, ...],
        hidden: int,
        num_classes: int,
        in_channels: int,
        image_size: Size,
        dropout: float,
    ):
        """`stages`: how many convolutions with `channels` each one has."""
        super().__init__(name, parts, in_channels, image_size, lambda side: side >> len(stages))
        channels, hidden, inputs = parts.size(channels), parts.size(hidden), in_channels
        self.features = nn.Sequential()
        for k, convolutions in enumerate(stages, 1):
            for i in range(1, convolutions + 1):
                self.features.add_module(f"conv{k}_{i}", conv_neuron(parts, inputs, channels, bias=False))
                inputs = channels
            self.features.add_module(f"pool{k}", MaxPool2d(2))
        self.flatten, self.dropout1 = Flatten(), Dropout(dropout)
        self.linear1 = Linear(channels * self.fix_size(), hidden, bias=False)
        self.neuron1, self.dropout2 = parts.spiking(hidden), Dropout(dropout)
        self.linear2 = Linear(hidden, VOTERS * num_classes, bias=False)
        self.neuron2 = parts.spiking(VOTERS * num_classes)
        initialise(self, parts)

    def classify(self, x: Tensor) -> Tensor:
        h = self.neuron1(self.linear1(self.dropout1(self.flatten(x))))
        votes = self.neuron2(self.linear2(self.dropout2(h)))
        return votes.unflatten(-1, (-1, VOTERS)).mean(-1)


def plifnet(
    parts: Parts, num_classes: int = 10, in_channels: int = 3, image_size: Size = 32, dropout: float = 0.5
) -> PLIFNet:
    """The network for CIFAR-10: twice three convolutions with 256 channels, then 2048 and 100 neurons."""
    return PLIFNet("plifnet", parts, 256, (3, 3), 2048, num_classes, in_channels, image_size, dropout)


def plifnet_dvs(
    parts: Parts,
    num_classes: int = 10,
    in_channels: int = 3,
    image_size: Size = 32,
    dropout: float = 0.5,
    stages: int = 5,
) -> PLIFNet:
    """The networks for 128 x 128 events, 2 channels: `stages` 5 for DVS-Gesture (11 classes), 4 for CIFAR10-DVS."""
    return PLIFNet("plifnet_dvs", parts, 128, (1,) * stages, 512, num_classes, in_channels, image_size, dropout)
