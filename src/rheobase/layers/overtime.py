"""Stateless layers on sequences [T, B, ...]: all steps at once, and what repeats at every step only once.

A tensor made by `image.expand(T, ...)` has stride 0 in time: its steps are one piece of memory, and so is what a
stateless layer makes of them. Neurons read such tensors as they are.
"""

from collections.abc import Callable

import torch
from torch import Tensor, nn


def repeated(x: Tensor) -> bool:
    """Whether x [T, ...] is one step seen T > 1 times (stride 0 in time)."""
    return x.shape[0] > 1 and x.stride(0) == 0


def over_time(apply: Callable[[Tensor], Tensor], x: Tensor) -> Tensor:
    """`apply`, a stateless map of batches [N, ...], on x [T, B, ...] with T·B as the batch.

    A repeated x is computed once and stays repeated; then rounding may differ from T·B samples at once.
    Errors: ValueError for inputs without a time and a batch dimension.
    """
    if x.dim() < 2:
        raise ValueError(f"stateless layer: x must be [T, B, ...]; got shape {tuple(x.shape)}.")
    if repeated(x):
        y = apply(x[0])
        return y.expand(x.shape[0], *y.shape)
    return apply(x.flatten(0, 1)).unflatten(0, x.shape[:2])


class OverTime:
    """Mixin before a stateless torch layer: its forward pass takes [T, B, ...]."""

    def forward(self, input: Tensor) -> Tensor:
        return over_time(super().forward, input)  # type: ignore[misc]


class Conv2d(OverTime, nn.Conv2d):
    """torch's Conv2d on x [T, B, C, H, W]."""


class Linear(OverTime, nn.Linear):
    """torch's Linear on x [T, B, features]."""


class AvgPool2d(OverTime, nn.AvgPool2d):
    """torch's AvgPool2d on x [T, B, C, H, W]."""


class MaxPool2d(OverTime, nn.MaxPool2d):
    """torch's MaxPool2d on x [T, B, C, H, W]."""


class AdaptiveAvgPool2d(OverTime, nn.AdaptiveAvgPool2d):
    """torch's AdaptiveAvgPool2d on x [T, B, C, H, W]."""


class Flatten(OverTime, nn.Flatten):
    """torch's Flatten on x [T, B, ...] -> [T, B, features]."""


class ReLU(OverTime, nn.ReLU):
    """torch's ReLU on x [T, B, ...]: what stands where a neuron stood in the network without time."""


class Dropout(nn.Module):
    """Silences the same elements at every step of a sequence, each with probability p, in training only.

    Shapes: x [T, B, ...]. Source: the mask that stays, as PLIF's and CLIF's public code use it.
    Errors: ValueError unless 0 <= p < 1.
    """

    def __init__(self, p: float):
        super().__init__()
        if not 0 <= p < 1:
            raise ValueError(f"Dropout: p must be in [0, 1); got {p}.")
        self.p = p

    def forward(self, x: Tensor) -> Tensor:
        if not self.training or self.p == 0:
            return x
        return x * nn.functional.dropout(torch.ones_like(x[0]), self.p)

    def extra_repr(self) -> str:
        return f"p={self.p}"
