"""How a step of x lies in memory, and how the kernels walk it: `rows` rows of `length` elements next to each other."""

from __future__ import annotations

import dataclasses
import math

import torch
from torch import Tensor

SHORTEST_ROW = 64


@dataclasses.dataclass(frozen=True)
class Layout:
    """Where the elements of x [T, ...] are, in elements, and the order in which outputs are laid out.

    `order` lists the dimensions of one step from outermost to innermost in memory; None is the order of the shape.
    Outputs are dense in that order. `copied` says that x could not be walked where it was.
    """

    rows: int
    length: int
    x_step: int
    x_row: int
    order: tuple[int, ...] | None = None
    copied: bool = False

    def empty(self, x: Tensor, dtype: torch.dtype, time: bool) -> Tensor:
        """An uninitialised output of x's shape (time=False: of one step) in this order."""
        shape = x.shape if time else x.shape[1:]
        if self.order is None:
            return torch.empty(shape, dtype=dtype, device=x.device)
        return torch.empty_strided(shape, self.strides(x, time), dtype=dtype, device=x.device)

    def place(self, value: Tensor, x: Tensor, dtype: torch.dtype, time: bool) -> Tensor:
        """`value` in this order and type; a copy only where it is not already so."""
        there = value.is_contiguous() if self.order is None else value.stride() == self.strides(x, time)
        if there and value.dtype == dtype and not value.is_neg():
            return value
        return self.empty(x, dtype, time).copy_(value)

    def strides(self, x: Tensor, time: bool) -> tuple[int, ...]:
        """The strides of such an output."""
        sizes, strides, size = x.shape[1:], [0] * (x.dim() - 1), 1
        for d in reversed(self.order or range(x.dim() - 1)):
            strides[d] = size
            size *= sizes[d]
        return (size, *strides) if time else tuple(strides)

    def swap(self, x: Tensor) -> tuple[int, int]:
        """(P, C) of a channels-last step, (1, 1) for the order of the shape: see the kernels' random numbers."""
        if self.order is None:
            return 1, 1
        return x.shape[3:].numel(), x.shape[2]

    def spread(self, value: Tensor, x: Tensor) -> tuple[Tensor, int, int]:
        """A coefficient (C,) or x.shape[2:] (after any time) as (values, inner, size): entry (m / inner) % size."""
        sizes = x.shape[1:]
        order = self.order or tuple(range(len(sizes)))
        if value.dim() == 1 and len(sizes) > 2:
            behind = order[order.index(1) + 1 :]
            inner = 1
            for d in behind:
                inner *= sizes[d]
            return value, inner, value.shape[0]
        if self.order is not None:
            value = value.permute([d - 1 for d in order if d != 0]).contiguous()
        return value, 1, value.numel()


def walk(x: Tensor, ordered: bool) -> Layout:
    """The layout of x, or of a contiguous copy of it. `ordered`: only plain or channels-last order will do."""
    if x.is_contiguous():
        size = math.prod(x.shape[1:])
        return Layout(1, size, size, size)
    sizes, strides = x.shape[1:], x.stride()[1:]
    order = sorted(range(len(sizes)), key=lambda d: (-strides[d], d))
    if _dense(sizes, strides, order) and x.numel():
        channels_last = order == [0, *range(2, len(sizes)), 1]
        plain = order == list(range(len(sizes)))
        if plain or channels_last or (not ordered and order[:1] == [0]):
            size = math.prod(sizes)
            return Layout(1, size, x.stride(0), size, None if plain else tuple(order))
    rows = _rows(sizes, strides) if x.numel() else None
    if rows is not None and rows[1] >= SHORTEST_ROW:
        return Layout(rows[0], rows[1], x.stride(0), rows[2])
    size = math.prod(sizes)
    return Layout(1, size, size, size, copied=True)


def _dense(sizes: torch.Size, strides: tuple[int, ...], order: list[int]) -> bool:
    size = 1
    for d in reversed(order):
        if sizes[d] != 1 and strides[d] != size:
            return False
        size *= sizes[d]
    return True


def _rows(sizes: torch.Size, strides: tuple[int, ...]) -> tuple[int, int, int] | None:
    """(rows, length, stride between rows) where one step is rows of adjacent elements at one distance."""
    length, d = 1, len(sizes)
    while d > 0 and (sizes[d - 1] == 1 or strides[d - 1] == length):
        d -= 1
        length *= sizes[d]
    rows, stride = 1, 0
    for k in reversed(range(d)):
        if sizes[k] == 1:
            continue
        if rows > 1 and strides[k] != stride * rows:
            return None
        stride = strides[k] if rows == 1 else stride
        rows *= sizes[k]
    return rows, length, stride
