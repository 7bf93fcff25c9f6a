"""The recurrent spiking network of the probabilistic-LIF paper: (inputs, recurrent layers, classes)."""

from collections.abc import Callable, Mapping
from itertools import pairwise
from typing import Any

import torch
from torch import Tensor, nn

from rheobase.layers import LeakyReadout, Recurrent
from rheobase.models.choice import neuron_for
from rheobase.neurons import Neuron


class RecurrentNetwork(nn.Module):
    """Recurrent spiking layers and a leaky-integrator readout, no biases.

    Shapes: x [T, B, ...] (flattened to the inputs) -> readout [T, B, classes].
    Source: Higuchi et al., AIROV 2026: (1, 256, 10) for S-MNIST, (700, 128, 20) for SHD; weights Xavier-uniform.
    """

    def __init__(self, layers: list[Recurrent], readout: LeakyReadout):
        super().__init__()
        self.layers = nn.ModuleList(layers)
        self.readout = readout

    def forward(self, x: Tensor) -> Tensor:
        x = x.flatten(2)
        for layer in self.layers:
            x = layer(x)
        return self.readout(x)


def recurrent(
    neuron: str | Callable[..., Neuron] = "probplif",
    num_classes: int = 10,
    in_channels: int = 1,
    hidden: tuple[int, ...] = (128,),
    readout_tau: float = 20.0,
    readout_tau_std: float = 5.0,
    learn_readout_tau: bool = False,
    steps: int | None = None,
    neuron_options: Mapping[str, Any] | None = None,
    weight_gain: float = 1.0,
    weight_seed: int | None = None,
    input_gain: float = 1.0,
    recurrent_gain: float = 1.0,
    readout_gain: float = 1.0,
    equal_jumps: bool = False,
    dropout: float = 0.0,
) -> RecurrentNetwork:
    """Build a RecurrentNetwork with `hidden` neurons per layer.

    `weight_gain` multiplies the Xavier-uniform weights: short sequences through slow neurons need more than 1; the
    gains of input, recurrent and readout weights come on top. `equal_jumps` divides the weights into each neuron by the
    share 1 − α that it takes in per step: one spike then moves a slow neuron as far as a fast one.
    `dropout` silences inputs of the first layer in training, the same at every step.
    `weight_seed` fixes the weights whatever the neuron draws for its own parameters; none: torch's generator.
    """
    sizes = [in_channels, *hidden]
    readout = LeakyReadout(sizes[-1], num_classes, learn_readout_tau, tau=readout_tau, tau_std=readout_tau_std)
    layers = [
        Recurrent(neuron_for(neuron, size, steps, neuron_options), inputs, size, dropout=dropout if k == 0 else 0.0)
        for k, (inputs, size) in enumerate(pairwise(sizes))
    ]
    generator = None if weight_seed is None else torch.Generator().manual_seed(weight_seed)
    gains = {"weight_ih": input_gain, "weight_hh": recurrent_gain, "weight": readout_gain}
    for layer in (*layers, readout):
        for name, parameter in layer.named_parameters(recurse=False):
            if name in gains:
                nn.init.xavier_uniform_(parameter, weight_gain * gains[name], generator)
    if equal_jumps:
        for layer in layers:
            _equalise(layer)
    return RecurrentNetwork(layers, readout)


@torch.no_grad()
def _equalise(layer: Recurrent) -> None:
    """Divide the weights into each neuron by its `gain`, the factor on its input current."""
    gain = layer.neuron.coefficients().get("gain")
    if gain is None:
        raise ValueError(f"recurrent: equal_jumps needs a neuron that scales its input; got {layer.neuron}.")
    share = torch.as_tensor(gain).expand(layer.features).unsqueeze(1)
    layer.weight_ih.div_(share)
    layer.weight_hh.div_(share)
