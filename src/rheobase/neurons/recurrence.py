"""What a recurrent call is handed besides its input, checked: the weight, the delays, and the spikes before it."""

from __future__ import annotations

from collections.abc import Mapping

import torch
from torch import Tensor

from rheobase.fuse.delays import known


def check_weight(kind: str, x: Tensor, weight: Tensor, delays: Tensor | None) -> None:
    """Errors: ValueError for a weight or delays that do not fit x [T, B, n]; `kind` names the neuron in messages."""
    n = x.shape[-1]
    if x.dim() != 3:
        raise ValueError(f"{kind}: a recurrent call needs x [T, B, n]; got shape {tuple(x.shape)}.")
    if weight.shape != (n, n):
        raise ValueError(
            f"{kind}: the recurrent weight must be [{n}, {n}] for x {tuple(x.shape)}; got {tuple(weight.shape)}."
        )
    if weight.device != x.device:
        raise ValueError(f"{kind}: the recurrent weight is on {weight.device}, the input on {x.device}; move one.")
    if delays is not None:
        if not isinstance(delays, Tensor) or delays.dtype != torch.int64 or delays.shape != (n,) or not n:
            raise ValueError(f"{kind}: delays must be an int64 tensor of shape ({n},); got {delays!r}.")
        if known(delays).shortest < 0:
            raise ValueError(f"{kind}: delays must be whole steps >= 0; got {known(delays).shortest}.")


def spikes_before(kind: str, x: Tensor, state: Mapping[str, Tensor] | None, delays: Tensor | None) -> Tensor | None:
    """The spikes before the first step [history, B, n], from a state handed in. Errors: ValueError where they lack."""
    if not state:
        return None
    if "spikes" not in state:
        raise ValueError(f"{kind}: the state lacks spikes; hand in a state of the same layer.")
    spikes = state["spikes"]
    wanted = x.shape[1:] if delays is None else (1 + known(delays).longest, *x.shape[1:])
    if spikes.shape != wanted or spikes.device != x.device:
        got = f"{tuple(spikes.shape)} on {spikes.device}"
        raise ValueError(f"{kind}: state spikes must have shape {tuple(wanted)} on {x.device}; got {got}.")
    return spikes.unsqueeze(0) if delays is None else spikes
