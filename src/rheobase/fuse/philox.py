"""The counter-based generator Philox4x32-10 (Salmon et al. 2011), eager: the same numbers as the kernels draw.

A draw is a pure function of (seed, step, neuron), so nothing is stored for the backward pass and every backend agrees:
`r = (word >> 8) · 2⁻²⁴` in [0, 1), word = output `t mod 4` for counter (t div 4, n lo, n hi, 0) and the 64-bit seed as
key; n is the neuron's logical index within one step.
"""

from __future__ import annotations

import torch
from torch import Tensor

MULTIPLIERS = (0xD2511F53, 0xCD9E8D57)
WEYL = (0x9E3779B9, 0xBB67AE85)
MASK = 0xFFFFFFFF


def _split_product(a: int, b: Tensor) -> tuple[Tensor, Tensor]:
    """High and low 32 bits of a·b, for 32-bit a and b in int64: by halves of a, because int64 has a sign."""
    low, high = (a & 0xFFFF) * b, (a >> 16) * b
    middle = high + (low >> 16)
    return middle >> 16, ((middle << 16) | (low & 0xFFFF)) & MASK


def philox(counter: list[Tensor], key: tuple[int, int]) -> list[Tensor]:
    """Four words of 32 bits (in int64) for four counter words of 32 bits and a key of two."""
    c0, c1, c2, c3 = counter
    k0, k1 = key
    for _ in range(10):
        high0, low0 = _split_product(MULTIPLIERS[0], c0)
        high1, low1 = _split_product(MULTIPLIERS[1], c2)
        c0, c1, c2, c3 = high1 ^ c1 ^ k0, low1, high0 ^ c3 ^ k1, low0
        k0, k1 = (k0 + WEYL[0]) & MASK, (k1 + WEYL[1]) & MASK
    return [c0, c1, c2, c3]


def uniform(seed: int, start: int, steps: int, shape: torch.Size, dtype: torch.dtype, device: torch.device) -> Tensor:
    """Uniform numbers [steps, *shape] in [0, 1) of steps start ... start + steps − 1, a multiple of 2⁻²⁴ each."""
    n = torch.arange(shape.numel(), device=device)
    out = torch.empty((steps, shape.numel()), dtype=dtype, device=device)
    key = (seed & MASK, (seed >> 32) & MASK)
    for group in range(start // 4, -(-(start + steps) // 4)):
        words = philox([torch.full_like(n, group & MASK), n & MASK, n >> 32, torch.zeros_like(n)], key)
        for word in range(4):
            t = group * 4 + word - start
            if 0 <= t < steps:
                out[t] = (words[word] >> 8).to(dtype) * 2.0**-24
    return out.view(steps, *shape)
