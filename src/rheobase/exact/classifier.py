"""A feedforward network that answers with its first output spike, and latency-coded images to train it on."""

from __future__ import annotations

import itertools
from collections.abc import Sequence

import torch
from torch import Tensor, nn

from rheobase.exact import losses
from rheobase.exact.feedforward import feedforward
from rheobase.exact.neuron import Neuron
from rheobase.exact.theta import Theta


def latency(images: Tensor, T: float, silent: float = 0.0) -> tuple[Tensor, Tensor]:
    """One spike per pixel, the brighter the earlier.

    Math: t = T (1 - value); a pixel at or below `silent` has no spike.
    Shapes: images [B, ...] with values in [0, 1] -> times and ids [B, K], padded, K the most spikes of a sample.
    Errors: ValueError for values outside [0, 1].
    """
    values = images.flatten(1)
    if bool(((values < 0) | (values > 1) | values.isnan()).any()):
        raise ValueError(f"latency: values must lie in [0, 1]; got {values.min().item()} to {values.max().item()}.")
    times = torch.where(values > silent, T * (1 - values), torch.inf)
    times, ids = times.sort(dim=1, stable=True)
    most = int(times.isfinite().sum(1).max()) if times.numel() else 0
    times, ids = times[:, :most], ids[:, :most]
    return times, ids.masked_fill(times.isinf(), -1)


class FirstSpike(nn.Module):
    """Feedforward layers of event-driven neurons; the output that spikes first is the answer.

    Math: weights start uniform in ±gain/√fan-in; theta neurons start at half their period, others at rest.
    Shapes: times, ids [B, K] of input spikes -> first spike times [B, classes].
    Source: EQUATIONS "Exact spike-based gradients", settings for latency-coded MNIST (784-100-100-10).
    """

    def __init__(
        self, neuron: Neuron, sizes: Sequence[int], T: float, gain: float = 0.5, pseudospikes: bool = True
    ) -> None:
        super().__init__()
        if len(sizes) < 2:
            raise ValueError(f"FirstSpike: needs the number of inputs and of each layer; got sizes {list(sizes)}.")
        self.neuron, self.T, self.pseudospikes = neuron, T, pseudospikes
        self.weights = nn.ParameterList(
            (2 * torch.rand(post, pre) - 1) * gain / pre**0.5 for pre, post in itertools.pairwise(sizes)
        )

    def start(self) -> list[Tensor] | None:
        """The initial state of every layer."""
        if not isinstance(self.neuron, Theta):
            return None
        return [w.new_full((1, w.shape[0]), self.neuron.period / 2) for w in self.weights]

    def forward(self, times: Tensor, ids: Tensor) -> Tensor:
        weights, neuron, pseudo = list(self.weights), self.neuron, self.pseudospikes
        layers = feedforward(neuron, weights, times, ids, self.T, x0=self.start(), pseudospikes=pseudo)
        return layers[-1].first(range(weights[-1].shape[0]), 1)[..., 0]


def train_epoch(
    model: FirstSpike, optimizer: torch.optim.Optimizer, images: Tensor, labels: Tensor, batch: int = 1000,
    gamma: float = 0.01, generator: torch.Generator | None = None,
) -> float:
    """One pass over the images in random order; returns the mean loss."""
    total = 0.0
    for index in torch.randperm(len(images), generator=generator).split(batch):
        optimizer.zero_grad()
        answer = model(*latency(images[index], model.T))
        loss = losses.first_spike(answer, labels[index], model.T, gamma)
        loss.backward()
        optimizer.step()
        total += loss.item() * len(index)
    return total / len(images)


@torch.no_grad()
def accuracy(model: FirstSpike, images: Tensor, labels: Tensor, batch: int = 1000) -> tuple[float, float]:
    """(share right, share right if pseudospikes count as silence): the second needs an ordinary spike to be first."""
    right = ordinary = 0
    for picture, label in zip(images.split(batch), labels.split(batch), strict=True):
        times = model(*latency(picture, model.T))
        hit = times.argmin(1) == label
        right += int(hit.sum())
        ordinary += int((hit & (times.amin(1) < model.T)).sum())
    return right / len(images), ordinary / len(images)
