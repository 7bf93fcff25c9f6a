# pyright: reportOperatorIssue=false, reportArgumentType=false, reportCallIssue=false, reportAttributeAccessIssue=false
# pyright: reportGeneralTypeIssues=false
"""A weight as the sum of bfloat16 numbers, which tensor cores multiply: one launch instead of a dozen."""

from __future__ import annotations

import torch
import triton
import triton.language as tl
from torch import Tensor

from rheobase.fuse.gpu import on_device

ELEMENTS = 4096  # of one program


@triton.jit
def _split(weight, parts, n, down, across, WIDTH: tl.constexpr, ROWS: tl.constexpr, PARTS: tl.constexpr):
    row = (tl.program_id(0) * ROWS + tl.arange(0, ROWS))[:, None]
    column = tl.arange(0, WIDTH)[None, :]
    left = tl.load(weight + row * down + column * across, mask=(row < n) & (column < n), other=0.0).to(tl.float32)
    for k in tl.static_range(PARTS):
        part = left.to(tl.bfloat16)
        tl.store(parts + (k * WIDTH + row) * WIDTH + column, part)
        taken = part.to(tl.float32)
        finite = tl.abs(taken) < float("inf")  # what is not, is in the first part alone
        left = tl.where(finite, left, 0.0) - tl.where(finite, taken, 0.0)


def split(weight: Tensor, width: int) -> Tensor:
    """[3, width, width] of a weight [n, n] of any strides, padded with zeros; [1, ...] of one in bfloat16."""
    count, rows = 1 if weight.dtype == torch.bfloat16 else 3, max(ELEMENTS // width, 1)
    rows = min(rows, width)
    parts = torch.empty((count, width, width), dtype=torch.bfloat16, device=weight.device)
    with on_device(weight):
        _split[(width // rows,)](weight, parts, len(weight), *weight.stride(), width, rows, count)
    return parts
