"""Recurrent: a fully recurrent layer of spiking neurons."""

import torch
from torch import Tensor, nn

from rheobase.neurons.base import Neuron, State


class Recurrent(nn.Module):
    """A layer whose neurons see the input and each other's last spikes, self-connections included.

    Math: `I[t] = W_ih x[t] + b + W_hh s[t−1]`, s[−1] = 0, then one step of the neuron.
    Shapes: x [T, B, in_features] -> spikes [T, B, features]; `weight_ih` [features, in_features], `weight_hh`
    [features, features] (to, from), Xavier-uniform; `bias` [features] or None.
    Errors: ValueError for inputs of another size; TypeError for a neuron without a single step (PSN).
    """

    def __init__(self, neuron: Neuron, in_features: int, features: int, bias: bool = False):
        super().__init__()
        if not isinstance(neuron, Neuron):
            raise TypeError(f"Recurrent: neuron must be an rb neuron, such as rb.LIF(); got {neuron!r}.")
        if not neuron.fused and not neuron.states:
            raise TypeError(f"Recurrent: {type(neuron).__name__} has no single step, so nothing can feed back into it.")
        self.neuron, self.in_features, self.features = neuron, in_features, features
        self.weight_ih = nn.Parameter(torch.empty(features, in_features))
        self.weight_hh = nn.Parameter(torch.empty(features, features))
        self.bias = nn.Parameter(torch.zeros(features)) if bias else None
        for weight in (self.weight_ih, self.weight_hh):
            nn.init.xavier_uniform_(weight)

    def current(self, x: Tensor) -> Tensor:
        """The feedforward part of the input current, all steps at once."""
        if x.dim() < 2 or x.shape[-1] != self.in_features:
            wanted = f"[T, B, {self.in_features}]"
            raise ValueError(f"Recurrent: x must be {wanted}; got shape {tuple(x.shape)}.")
        return nn.functional.linear(x, self.weight_ih, self.bias)

    def forward(self, x: Tensor, *, uniform: Tensor | None = None) -> Tensor:
        return self.neuron.recur(self.current(x), self.weight_hh, uniform=uniform)[0]

    def scan(self, x: Tensor, state: State | None = None, *, uniform: Tensor | None = None) -> tuple[Tensor, State]:
        """`(spikes, state)`; the state is the neuron's, and the last `spikes`."""
        return self.neuron.recur(self.current(x), self.weight_hh, state, uniform=uniform)

    def step(self, x: Tensor, state: State | None = None) -> tuple[Tensor, State]:
        """One step for x [B, in_features]: `(spike, state)`."""
        spikes, state = self.scan(x.unsqueeze(0), state)
        return spikes.squeeze(0), state

    def trace(self, x: Tensor, state: State | None = None, *, uniform: Tensor | None = None) -> State:
        """Every state, `s`, `u` (and `p`) over time, as the neuron's own `trace`."""
        return self.neuron.trace(self.current(x), state, uniform=uniform, weight=self.weight_hh)

    def extra_repr(self) -> str:
        return f"in_features={self.in_features}, features={self.features}, bias={self.bias is not None}"
