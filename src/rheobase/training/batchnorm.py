"""BatchNorm over the batch of all processes: every process normalises with the statistics of the whole batch."""

from __future__ import annotations

import functools
from typing import Any

import torch
import torch.distributed as dist
from torch import Tensor, nn

from rheobase.layers import BatchNorm2d


class _Sum(torch.autograd.Function):
    """The sum over all processes; its gradient is the sum of theirs."""

    @staticmethod
    def forward(ctx: Any, values: Tensor) -> Tensor:
        total = values.clone()
        dist.all_reduce(total)
        return total

    @staticmethod
    def backward(ctx: Any, gradient: Tensor) -> Tensor:  # pyright: ignore[reportIncompatibleMethodOverride]
        total = gradient.contiguous()
        dist.all_reduce(total)
        return total


def share_statistics(model: nn.Module) -> None:
    """Let every BatchNorm2d of the package in `model` take its statistics over all processes while it trains.

    Errors: ValueError for torch's own BatchNorm, which knows nothing of time.
    """
    for name, norm in model.named_modules():
        if isinstance(norm, BatchNorm2d):
            alone = norm._normalise
            norm._normalise = functools.partial(_normalise, norm, alone)  # pyright: ignore[reportAttributeAccessIssue]
        elif isinstance(norm, nn.modules.batchnorm._BatchNorm):
            raise ValueError(f"{name} is torch's {type(norm).__name__}: use rb.layers.BatchNorm2d to share statistics.")


def _normalise(norm: BatchNorm2d, alone: Any, flat: Tensor, mean: Tensor, var: Tensor) -> Tensor:
    """What `alone` does, with mean and variance over the processes."""
    if not norm.training:
        return alone(flat, mean, var)
    over, shape = (0, 2, 3), (1, -1, 1, 1)
    wide = flat.float() if flat.dtype in (torch.bfloat16, torch.float16) else flat
    sums = _Sum.apply(torch.cat([wide.sum(over), wide.new_tensor([wide.numel() / wide.shape[1]])]))
    count = float(sums[-1].detach())
    centred = wide - (sums[:-1] / count).view(shape)
    variance = _Sum.apply(centred.square().sum(over)) / count
    with torch.no_grad():
        momentum = norm.momentum or 0.0
        mean.lerp_((sums[:-1] / count).to(mean.dtype), momentum)
        var.lerp_((variance * (count / (count - 1))).to(var.dtype), momentum)
    scale = (norm.weight * norm.gain) / (variance + norm.eps).sqrt()
    return (centred * scale.view(shape) + norm.bias.view(shape)).to(flat.dtype)
