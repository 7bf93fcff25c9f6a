"""Pseudospikes: times after the trial's end for spikes that did not come, continuous in the state at the end.

A rate network with the same weights runs once over the states at T and gives each neuron the constant input `drive`.
"""

from __future__ import annotations

import itertools
from collections.abc import Sequence

import torch

from rheobase.exact.neuron import Neuron, whole


def layers_of(w_net: torch.Tensor) -> list[torch.Tensor]:
    """The layers of a feedforward w_net [post, pre], as indices; one layer of all neurons where it has a cycle.

    A neuron's layer is the longest path that leads to it.
    """
    edges, N = w_net.detach() != 0, w_net.shape[0]
    depth = torch.zeros(N, dtype=torch.long, device=edges.device)
    for _ in range(N + 1):
        deeper = torch.where(edges, depth + 1, 0).amax(dim=1)
        if torch.equal(deeper, depth):
            return [torch.nonzero(depth == level)[:, 0] for level in range(int(depth.max()) + 1)]
        depth = deeper
    return [torch.arange(N, device=edges.device)]


def sized(layers: Sequence[int], N: int, device: torch.device | None = None) -> list[torch.Tensor]:
    """Consecutive neurons in layers of the given sizes."""
    if not all(map(whole, layers)) or sum(layers) != N:
        raise ValueError(f"simulate: layers must be sizes that add up to the {N} neurons; got {list(layers)}.")
    ends = list(itertools.accumulate(layers, initial=0))
    return [torch.arange(start, end, device=device) for start, end in itertools.pairwise(ends)]


def drive(
    neuron: Neuron, w_net: torch.Tensor | None, state: torch.Tensor, layers: Sequence[int] | None = None
) -> torch.Tensor:
    """The input [B, N] of the rate pass; state [B, rows, N].

    Math: one layer (a recurrent network): w_net @ rate, each rate with the neuron's own current cancelled. Several:
        layer by layer from input 0, the rate with the drive just found. Between layers that are not neighbours only
        weights that are not 0 count (and have a gradient).
    """
    groups = None if layers is None else sized(layers, state.shape[-1], state.device)
    if w_net is None:
        return torch.zeros_like(state[:, 0])
    groups = groups or layers_of(w_net)
    if len(groups) == 1:
        return neuron.pseudo_rate(state, None) @ w_net.T
    level = torch.zeros(w_net.shape[0], dtype=torch.long, device=w_net.device)
    for depth, group in enumerate(groups):
        level[group] = depth
    step = level[:, None] - level[None, :]
    if bool((w_net[step <= 0] != 0).any()):
        raise ValueError(
            f"simulate: layers {list(layers or [])} leave connections within a layer or backwards in w_net. "
            f"Pass layers=[{w_net.shape[0]}] for the recurrent rule."
        )
    weights = torch.where((step == 1) | (w_net != 0), w_net, 0.0)
    rates = torch.zeros_like(state[:, 0])
    total = torch.zeros_like(rates)
    for depth in range(len(groups)):
        here = level == depth
        total = torch.where(here, rates @ weights.T, total)
        rates = torch.where(here, neuron.pseudo_rate(state, total), rates)
    return total
