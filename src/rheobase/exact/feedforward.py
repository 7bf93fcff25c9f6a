"""Layers in a row: each is simulated over the spikes of the one before, all neurons of a layer at once."""

from __future__ import annotations

import dataclasses
from collections.abc import Sequence

import torch
from torch import Tensor

from rheobase.exact.neuron import Neuron
from rheobase.exact.simulate import Events, simulate


def feedforward(
    neuron: Neuron,
    weights: Sequence[Tensor],
    times: Tensor,
    ids: Tensor,
    T: float,
    x0: Sequence[Tensor | None] | None = None,
    pseudospikes: bool = False,
    max_events: int | None = None,
) -> list[Events]:
    """Simulate a feedforward network; one result per layer, the output layer last.

    Math: the same as `simulate` with a block w_net, without its search for the next spike of the whole network and
        without gradients for connections that do not exist.
    Shapes: weights[l] [neurons of l, neurons of l - 1]; times, ids as in `simulate`; x0 one initial state per layer.
    Errors: ValueError as in `simulate`; a layer's ids follow from the one before.
    """
    weights = list(weights)
    states = [None] * len(weights) if x0 is None else list(x0)
    if not weights or len(states) != len(weights):
        given = f"{len(weights)} weights and {len(states)} x0"
        raise ValueError(f"feedforward: needs at least one layer and one x0 per layer; got {given}.")
    layers: list[Events] = []
    rates = None
    for w, x in zip(weights, states, strict=True):
        events = simulate(neuron, w, None, times, ids, T, x0=x, max_events=max_events)
        if pseudospikes:
            drive = torch.zeros_like(events.state_at_T[..., 0, :]) if rates is None else rates @ w.T
            rates = neuron.pseudo_rate(events.state_at_T, drive)
            events = dataclasses.replace(events, drive=drive if drive.dim() == 2 else drive[None])
        layers.append(events)
        times, ids = spikes(events)
    return layers


def spikes(events: Events) -> tuple[Tensor, Tensor]:
    """The network's own spikes as (times, ids), in order, ready to be another network's input."""
    fired = ~events.is_input & (events.ids >= 0)
    order = torch.sort((~fired).to(torch.uint8), dim=-1, stable=True).indices
    order = order[..., : int(fired.sum(-1).max()) if fired.numel() else 0]
    keep = fired.gather(-1, order)
    times = torch.where(keep, events.times.gather(-1, order), torch.inf)
    return times, torch.where(keep, events.ids.gather(-1, order), -1)
