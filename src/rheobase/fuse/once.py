"""Kernels have a first derivative only, one at a time; asking for more is an error, never a silent zero."""

from __future__ import annotations

import functools
from collections.abc import Callable

import torch
from torch import Tensor

EAGER = "run the neuron inside rb.backend('eager')"
SECOND = (
    "inside rb.backend('eager') a neuron has one, in which a spike's derivative is its surrogate's, and inside "
    "rb.surrogate.smooth() a network is one smooth function"
)


class _Guard(torch.autograd.Function):
    """Hands on the first `count` tensors, which then depend on the others; differentiating them raises."""

    @staticmethod
    def forward(ctx, error: str, count: int, *tensors: Tensor):
        ctx.error = error
        return tuple(tensor.view_as(tensor) for tensor in tensors[:count])

    @staticmethod
    def backward(ctx, *grads):
        raise RuntimeError(ctx.error)


def first_order(
    backward: Callable, what: str = "the fused kernels", remedy: str = EAGER, second: str = SECOND
) -> Callable:
    """For the backward of an autograd.Function: what it returns raises when it is differentiated again.

    torch's `once_differentiable` does so only where the incoming gradients themselves require one, which those of a
    plain sum do not; the second derivative would then lack the kernel's part without a word.
    """

    error = f"rheobase: {what} have no second derivative; {second}."

    @functools.wraps(backward)
    def wrapped(ctx, *grads: Tensor | None):
        if any(g is not None and torch._C._functorch.is_legacy_batchedtensor(g) for g in grads):  # type: ignore[attr-defined]
            raise RuntimeError(
                f"rheobase: {what} take one gradient at a time, no batches of them (is_grads_batched, vectorize); "
                f"{remedy}."
            )
        with torch.no_grad():
            found = backward(ctx, *grads)
        if not torch.is_grad_enabled():
            return found
        given = [v for v in (*ctx.saved_tensors, *grads) if v is not None and v.requires_grad]
        values = [v for v in found if v is not None]
        guarded = iter(_Guard.apply(error, len(values), *values, *given))  # type: ignore[arg-type]
        return tuple(None if v is None else next(guarded) for v in found)

    return wrapped
