"""What spiked, in order: one number per spike, so that two runs of a network can be compared."""

from __future__ import annotations

import torch
from torch import Tensor, nn

from rheobase.exact.classifier import EventClassifier
from rheobase.exact.simulate import Events
from rheobase.layers import spiking_layers


def traced(model: nn.Module, x: Tensor) -> tuple[Tensor, Tensor]:
    """(readout, trace): the model's output for one batch and the ids of all its spikes in order of time.

    Shapes: trace [B, K], padded with -1. Neurons are numbered layer after layer. In networks with time steps the
        spikes of a step follow in the order of their numbers.
    """
    if isinstance(model, EventClassifier):
        layers = model.events(*model.coded(x))
        return model.answer(layers), of_events(layers)
    seen: list[Tensor] = []
    hooks = [
        layer.register_forward_hook(lambda module, inputs, spikes: seen.append(spikes.detach().flatten(2)))
        for layer in spiking_layers(model).values()
    ]
    try:
        return model(x), of_steps(seen)
    finally:
        for hook in hooks:
            hook.remove()


@torch.no_grad()
def of_events(layers: list[Events]) -> Tensor:
    """The spikes of all layers of an event-driven network, inputs left out."""
    times, ids, first = [], [], 0
    for events in layers:
        own = ~events.is_input & (events.ids >= 0)
        times.append(torch.where(own, events.times, torch.inf))
        ids.append(torch.where(own, events.ids + first, -1))
        first += events.state_at_T.shape[-1]
    order = torch.sort(torch.cat(times, 1), dim=1, stable=True).indices
    return _cut(torch.cat(ids, 1).gather(1, order))


@torch.no_grad()
def of_steps(layers: list[Tensor]) -> Tensor:
    """The spikes of all layers [T, B, neurons] of a network with time steps."""
    if not layers:
        return torch.empty(0, 0, dtype=torch.long)
    spikes = torch.cat(layers, 2).movedim(1, 0)
    B, T, N = spikes.shape
    place = torch.arange(T * N, device=spikes.device).expand(B, -1)
    order = torch.sort(torch.where(spikes.reshape(B, -1) > 0, place, T * N), dim=1).values
    return _cut(torch.where(order < T * N, order % N, -1))


def _cut(ids: Tensor) -> Tensor:
    most = int((ids >= 0).sum(1).max()) if ids.numel() else 0
    return ids[:, :most]
