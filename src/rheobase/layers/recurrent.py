"""Recurrent: a fully recurrent layer of spiking neurons."""

from collections.abc import Sequence
from typing import TYPE_CHECKING

import torch
from torch import Tensor, nn

from rheobase.fuse.delays import known
from rheobase.layers.delays import delayed, whole_steps
from rheobase.neurons.arguments import whole
from rheobase.neurons.base import Neuron, State, compute_dtype


class Recurrent(nn.Module):
    """A layer whose neurons see the input and each other's last spikes, self-connections included.

    Math: `I[t] = W_ih x[t] + b + W_hh s[t−1]`, s[−1] = 0, then one step of the neuron.
    Options: `learn_state` makes the initial states parameters (`start`, from 0). `truncate=k` stops gradients every k
    steps (truncated backpropagation through time). `dropout=p` silences inputs in training, the same ones at every step
    of a sequence. `delays`, whole steps >= 0, one per input: input j arrives `delays[j]` steps late. `axon_delays`,
    likewise one per neuron: its spikes reach the layer that much later, s[t−1−axon_delays[j]] in place of s[t−1].
    Shapes: x [T, B, in_features] -> spikes [T, B, features]; `weight_ih` [features, in_features], `weight_hh`
    [features, features] (to, from), Xavier-uniform; `bias` [features] or None.
    Errors: ValueError for inputs of another size; TypeError for a neuron without a single step (PSN).
    """

    delays: Tensor | None
    axon_delays: Tensor | None

    if TYPE_CHECKING:

        def __call__(self, x: Tensor, *, uniform: Tensor | None = None) -> Tensor: ...

    def __init__(
        self,
        neuron: Neuron,
        in_features: int,
        features: int,
        bias: bool = False,
        *,
        learn_state: bool = False,
        truncate: int | None = None,
        dropout: float = 0.0,
        delays: Sequence[int] | Tensor | None = None,
        axon_delays: Sequence[int] | Tensor | None = None,
    ):
        super().__init__()
        if not isinstance(neuron, Neuron):
            raise TypeError(f"Recurrent: neuron must be an rb neuron, such as rb.LIF(); got {neuron!r}.")
        if not neuron.fused and not neuron.states:
            raise TypeError(f"Recurrent: {type(neuron).__name__} has no single step, so nothing can feed back into it.")
        if truncate is not None and (not isinstance(truncate, int) or truncate < 1):
            raise ValueError(f"Recurrent: truncate must be a number of steps >= 1, or None; got {truncate!r}.")
        if not 0 <= dropout < 1:
            raise ValueError(f"Recurrent: dropout must be in [0, 1); got {dropout}.")
        self.neuron = neuron
        self.in_features = whole(self, "in_features", in_features, 1)
        self.features = whole(self, "features", features, 1)
        self.truncate, self.dropout = truncate, dropout
        for name, given, size in (("delays", delays, in_features), ("axon_delays", axon_delays, features)):
            self.register_buffer(name, None if given is None else whole_steps(f"Recurrent: {name}", given, size))
        self.weight_ih = nn.Parameter(torch.empty(features, in_features))
        self.weight_hh = nn.Parameter(torch.empty(features, features))
        self.bias = nn.Parameter(torch.zeros(features)) if bias else None
        self.start = nn.ParameterDict({name: torch.zeros(features) for name in neuron.states} if learn_state else {})
        for weight in (self.weight_ih, self.weight_hh):
            nn.init.xavier_uniform_(weight)

    def current(self, x: Tensor) -> Tensor:
        """The feedforward part of the input current, all steps at once."""
        return nn.functional.linear(x, self.weight_ih, self.bias)

    def forward(self, x: Tensor, *, uniform: Tensor | None = None) -> Tensor:
        return self.scan(x, uniform=uniform)[0]

    def scan(self, x: Tensor, state: State | None = None, *, uniform: Tensor | None = None) -> tuple[Tensor, State]:
        """`(spikes, state)`; the state is the neuron's, the last `spikes`, and what the options carry on."""
        current, given, kept = self._open(x, state)
        size = self.truncate or max(len(x), 1)
        draws = [None] * len(x) if uniform is None else uniform.split(size)
        parts = []
        # Without a cut no split: its gradient would be a copy.
        for k, part in enumerate(current.split(size) if len(x) > size else (current,)):
            if k and given is not None:
                given = {name: value.detach() for name, value in given.items()}
            drawn = draws[k] if len(x) else uniform
            spikes, given = self.neuron.recur(part, self.weight_hh, given, uniform=drawn, delays=self.axon_delays)
            parts.append(spikes)
        return parts[0] if len(parts) == 1 else torch.cat(parts), {**(given or {}), **kept}

    def _open(self, x: Tensor, state: State | None) -> tuple[Tensor, State | None, State]:
        """The input current, the neuron's initial state, and the layer's own part of the state at the end."""
        if x.dim() != 3 or x.shape[-1] != self.in_features:
            raise ValueError(f"Recurrent: x must be [T, B, {self.in_features}]; got shape {tuple(x.shape)}.")
        own = {name: state[name] for name in ("inputs", "mask") if state and name in state}
        given = {k: v for k, v in state.items() if k not in own} if state else None
        kept: State = {}
        if self.dropout and self.training:
            fresh = nn.functional.dropout(x.new_ones(x.shape[1:]), self.dropout) if "mask" not in own else own["mask"]
            kept["mask"] = fresh
            x = x * kept["mask"]
        if self.delays is not None:
            x, kept["inputs"] = delayed(x, self.delays, own.get("inputs"))
        current = self.current(x)
        return current, given or self._start(current), kept

    def _start(self, current: Tensor) -> State | None:
        """The learnt initial state for a batch; None where there is none."""
        if not len(self.start):
            return None
        dtype, state = compute_dtype(current.dtype), self.neuron.zero_state(current)
        learnt = {name: value.to(dtype).expand(current.shape[1:]) for name, value in self.start.items()}
        history = () if self.axon_delays is None else (1 + known(self.axon_delays).longest,)
        return {**state, **learnt, "spikes": current.new_zeros((*history, *current.shape[1:]), dtype=dtype)}

    def step(self, x: Tensor, state: State | None = None, *, uniform: Tensor | None = None) -> tuple[Tensor, State]:
        """One step for x [B, in_features]: `(spike, state)`."""
        spikes, state = self.scan(x.unsqueeze(0), state, uniform=None if uniform is None else uniform.unsqueeze(0))
        return spikes.squeeze(0), state

    def trace(self, x: Tensor, state: State | None = None, *, uniform: Tensor | None = None) -> State:
        """Every state, `s`, `u` (and `p`) over time, as the neuron's own `trace`."""
        current, given, _ = self._open(x, state)
        return self.neuron.trace(current, given, uniform=uniform, weight=self.weight_hh, delays=self.axon_delays)

    def extra_repr(self) -> str:
        options = {"learn_state": bool(len(self.start)), "truncate": self.truncate, "dropout": self.dropout}
        shown = "".join(f", {name}={value}" for name, value in options.items() if value)
        return f"in_features={self.in_features}, features={self.features}, bias={self.bias is not None}{shown}"
