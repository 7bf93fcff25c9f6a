# pyright: reportOperatorIssue=false, reportArgumentType=false, reportCallIssue=false, reportAttributeAccessIssue=false
"""Spikes to bits and back on a GPU. Eight elements make a byte, the first its lowest bit."""

from __future__ import annotations

import torch
import triton
import triton.language as tl
from torch import Tensor

from rheobase.fuse.gpu import on_device

BLOCK = 1024  # elements of one program


@triton.jit
def _pack(source, bits, count, BYTES: tl.constexpr):
    byte = tl.program_id(0).to(tl.int64) * BYTES + tl.arange(0, BYTES)
    bit = tl.arange(0, 8)[None, :]
    place = byte[:, None] * 8 + bit
    fired = tl.load(source + place, mask=place < count, other=0.0) != 0
    tl.store(bits + byte, tl.sum(tl.where(fired, 1 << bit, 0), 1).to(tl.uint8), mask=byte * 8 < count)


@triton.jit
def _unpack(bits, target, count, BLOCK: tl.constexpr):
    place = tl.program_id(0).to(tl.int64) * BLOCK + tl.arange(0, BLOCK)
    inside = place < count
    byte = tl.load(bits + place // 8, mask=inside, other=0).to(tl.int32)
    fired = (byte >> (place % 8).to(tl.int32)) & 1
    tl.store(target + place, fired.to(tl.float32).to(target.dtype.element_ty), mask=inside)


def pack(flat: Tensor) -> Tensor:
    """The bits of a tensor of 0 and 1 that is dense in memory: uint8 [elements / 8]."""
    count = flat.numel()
    bits = torch.empty(-(-count // 8), dtype=torch.uint8, device=flat.device)
    with on_device(flat):
        _pack[(-(-count // BLOCK),)](flat, bits, count, BLOCK // 8)
    return bits


def unpack(bits: Tensor, target: Tensor) -> None:
    """Write to a tensor that is dense in memory what `pack` was given."""
    count = target.numel()
    with on_device(target):
        _unpack[(-(-count // BLOCK),)](bits, target, count, BLOCK)
