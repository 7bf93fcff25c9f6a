"""Delays of whole steps, one per presynaptic neuron."""

from collections.abc import Sequence

import torch
from torch import Tensor

from rheobase.fuse.delays import known


def whole_steps(what: str, delays: Sequence[int] | Tensor, size: int) -> Tensor:
    """`delays` as a tensor of int64. Errors: ValueError unless they are `size` whole numbers >= 0."""
    found = torch.as_tensor(delays)
    if found.is_floating_point() or found.dtype == torch.bool or found.shape != (size,) or bool((found < 0).any()):
        raise ValueError(f"{what} must be {size} whole numbers >= 0; got {delays}.")
    return found.long()


def delayed(x: Tensor, delays: Tensor, past: Tensor | None = None) -> tuple[Tensor, Tensor]:
    """`(y, past)`: y[t, ..., j] = x[t − delays[j], ..., j], what lies before x taken from `past`, zeros without one.

    Shapes: x [T, ..., n]; delays [n], integers >= 0; past [max(delays), ..., n], the last inputs, to carry on with.
    """
    facts = known(delays)
    longest = facts.longest
    if past is None:
        past = x.new_zeros((longest, *x.shape[1:]))
    whole, steps = torch.cat([past, x]), x.shape[0]
    parts, columns = [], []
    for delay, mine in facts.groups:
        parts.append(whole[longest - delay : longest - delay + steps].index_select(-1, mine))
        columns.append(mine)
    return torch.cat(parts, -1).index_select(-1, torch.cat(columns).argsort()), whole[steps:]
