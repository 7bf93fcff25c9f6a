"""Delays of whole steps, one per presynaptic neuron."""

import torch
from torch import Tensor


def delayed(x: Tensor, delays: Tensor, past: Tensor | None = None) -> tuple[Tensor, Tensor]:
    """`(y, past)`: y[t, ..., j] = x[t − delays[j], ..., j], what lies before x taken from `past`, zeros without one.

    Shapes: x [T, ..., n]; delays [n], integers >= 0; past [max(delays), ..., n], the last inputs, to carry on with.
    """
    longest = int(delays.max())
    if past is None:
        past = x.new_zeros((longest, *x.shape[1:]))
    whole, steps = torch.cat([past, x]), x.shape[0]
    parts, columns = [], []
    for delay in delays.unique().tolist():
        mine = (delays == delay).nonzero().flatten()
        parts.append(whole[longest - delay : longest - delay + steps].index_select(-1, mine))
        columns.append(mine)
    return torch.cat(parts, -1).index_select(-1, torch.cat(columns).argsort()), whole[steps:]
