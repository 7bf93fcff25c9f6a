"""The recurrent spiking network of the probabilistic-LIF paper: (inputs, recurrent layers, classes)."""

from collections.abc import Callable, Mapping, Sequence
from itertools import pairwise
from typing import TYPE_CHECKING, Any

import torch
from torch import Tensor, nn
from torch.nn.utils.parametrize import register_parametrization

from rheobase.layers import Dropout, LeakyReadout, Recurrent
from rheobase.models.choice import neuron_for
from rheobase.neurons import Neuron


class FeedForward(nn.Sequential):
    """A linear layer without bias and its neurons, which do not see each other's spikes.

    Shapes: x [T, B, in_features] -> spikes [T, B, features].
    """

    linear: nn.Linear
    neuron: Neuron

    def __init__(self, neuron: Neuron, in_features: int, features: int, dropout: float = 0.0):
        super().__init__()
        if dropout:
            self.dropout = Dropout(dropout)
        self.linear, self.neuron = nn.Linear(in_features, features, bias=False), neuron
        self.in_features, self.features = in_features, features


class RecurrentNetwork(nn.Module):
    """Spiking layers, recurrent or not, and a leaky-integrator readout, no biases.

    Shapes: x [T, B, ...] (flattened to the inputs) -> readout [T, B, classes].
    Errors: ValueError for another number of inputs; TypeError for x that is not floating-point.
    Source: Higuchi et al., AIROV 2026: (1, 256, 10) for S-MNIST, (700, 128, 20) for SHD; weights Xavier-uniform.
    """

    if TYPE_CHECKING:

        def __call__(self, x: Tensor) -> Tensor: ...

    def __init__(self, layers: Sequence[Recurrent | FeedForward], readout: LeakyReadout):
        super().__init__()
        self.layers = nn.ModuleList(layers)
        self.readout = readout

    def forward(self, x: Tensor) -> Tensor:
        return self.classify(self.sequence(x))

    def sequence(self, x: Tensor) -> Tensor:
        """x as it is, if the network can read it."""
        inputs: int = self.layers[0].in_features if len(self.layers) else self.readout.weight.shape[1]  # type: ignore
        if not x.is_floating_point():
            raise TypeError(f"recurrent: x must be a floating-point tensor; got {x.dtype}.")
        if x.dim() < 3 or x.shape[2:].numel() != inputs:
            raise ValueError(f"recurrent: x must be [T, B, ...] of {inputs} inputs; got shape {tuple(x.shape)}.")
        return x

    def classify(self, x: Tensor) -> Tensor:
        """The readout for a sequence."""
        x = x.flatten(2)
        for layer in self.layers:
            x = layer(x)
        return self.readout(x)


def recurrent(
    neuron: str | Callable[..., Neuron] = "probplif",
    num_classes: int = 10,
    in_channels: int = 1,
    hidden: int | tuple[int, ...] = (128,),
    readout_tau: float = 20.0,
    readout_tau_std: float = 5.0,
    learn_readout_tau: bool | None = None,
    steps: int | None = None,
    neuron_options: Mapping[str, Any] | None = None,
    weight_gain: float = 1.0,
    weight_seed: int | None = None,
    input_gain: float = 1.0,
    recurrent_gain: float = 1.0,
    readout_gain: float = 1.0,
    equal_jumps: bool = False,
    longest_delay: int = 0,
    delay_step: int = 1,
    dropout: float = 0.0,
    feedback: bool | tuple[bool, ...] = True,
) -> RecurrentNetwork:
    """Build a RecurrentNetwork of `in_channels` inputs with `hidden` neurons per layer.

    `learn_readout_tau`: time constants of the readout are parameters; None: where those of the neurons are (`tau`).
    `weight_gain` multiplies the Xavier-uniform weights: short sequences through slow neurons need more than 1; the
    gains of input, recurrent and readout weights come on top. With `equal_jumps` the weights into the neurons, learnt
    ones too, count in jumps of the potential: one spike through the same weight moves a slow neuron, and one step of
    the optimiser changes it, as much as a fast one.
    `longest_delay` goes beyond the paper: every neuron's spikes reach the others 0, delay_step, 2 delay_step, ... up to
    longest_delay steps late, drawn once, so that a chain of few spikes spans a long sequence; no parameters.
    `dropout` silences inputs of the first layer in training, the same at every step.
    `feedback`: which hidden layers are recurrent, one flag for each or one for all; the others are linear layers. So
    hidden=(64, 256, 256), feedback=(False, True, False) is the network (inputs, 64, 256 recurrent, 256, classes).
    `weight_seed` fixes weights and delays whatever the neuron draws for its own parameters; none: torch's generator.
    """
    hidden = (hidden,) if isinstance(hidden, int) else tuple(hidden)
    sizes = [in_channels, *hidden]
    if learn_readout_tau is None:
        with torch.random.fork_rng(devices=[]):
            first = neuron_for(neuron, hidden[0], steps, neuron_options)
        learn_readout_tau = isinstance(getattr(first, "tau", None), nn.Parameter)
    readout = LeakyReadout(sizes[-1], num_classes, learn_readout_tau, tau=readout_tau, tau_std=readout_tau_std)
    generator = None if weight_seed is None else torch.Generator().manual_seed(weight_seed)
    loops = (feedback,) if isinstance(feedback, bool) else tuple(feedback)
    loops = loops * len(hidden) if len(loops) == 1 else loops
    if len(loops) != len(hidden):
        raise ValueError(f"recurrent: feedback needs a flag per hidden layer, {len(hidden)}; got {feedback}.")
    if longest_delay and not any(loops):
        raise ValueError("recurrent: longest_delay needs a layer that feeds back; got feedback=False.")
    layers: list[Recurrent | FeedForward] = []
    for k, ((inputs, size), loop) in enumerate(zip(pairwise(sizes), loops, strict=True)):
        made, off = neuron_for(neuron, size, steps, neuron_options), dropout if k == 0 else 0.0
        delays = _delays(size, longest_delay, delay_step, weight_seed) if loop else None
        if loop:
            layers.append(Recurrent(made, inputs, size, dropout=off, axon_delays=delays))
        else:
            layers.append(FeedForward(made, inputs, size, off))
    gains = {"weight_ih": input_gain, "weight_hh": recurrent_gain, "weight": input_gain}
    weights = [(*found, gains[found[1]]) for layer in layers for found in _weights(layer)]
    for owner, name, gain in (*weights, (readout, "weight", readout_gain)):
        nn.init.xavier_uniform_(getattr(owner, name), weight_gain * gain, generator)
    if equal_jumps:
        for layer in layers:
            for owner, name in _weights(layer):
                register_parametrization(owner, name, _Jumps(layer))
    return RecurrentNetwork(layers, readout)


def _weights(layer: Recurrent | FeedForward) -> list[tuple[nn.Module, str]]:
    """The layer's weights, by owner and name."""
    if isinstance(layer, FeedForward):
        return [(layer.linear, "weight")]
    return [(layer, "weight_ih"), (layer, "weight_hh")]


class _Jumps(nn.Module):
    """The weights W = J / gain into a layer's neurons, gain the factor on their input current: J are the parameters."""

    def __init__(self, layer: Recurrent | FeedForward):
        super().__init__()
        if "gain" not in layer.neuron.coefficients():
            raise ValueError(f"recurrent: equal_jumps needs a neuron that scales its input; got {layer.neuron}.")
        self.layer = (layer,)  # in a tuple, or the layer would become a part of its own weight

    def forward(self, jumps: Tensor) -> Tensor:
        layer = self.layer[0]
        gain = torch.as_tensor(layer.neuron.coefficients()["gain"], device=jumps.device)
        return jumps / gain.expand(layer.features).unsqueeze(1)


def _delays(size: int, longest: int, step: int, seed: int | None) -> Tensor | None:
    """A delay per neuron among the multiples of `step` up to `longest`; None where that is 0."""
    if longest < 0 or step < 1 or longest % step:
        raise ValueError(f"recurrent: longest_delay must be a multiple of delay_step >= 1; got {longest} and {step}.")
    generator = None if seed is None else torch.Generator().manual_seed(seed)
    return step * torch.randint(longest // step + 1, (size,), generator=generator) if longest else None
