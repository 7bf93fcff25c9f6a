"""Bridges the recurrent kernels to autograd."""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import Tensor

from rheobase.fuse import operator, recurrent, recurrent_gpu
from rheobase.fuse.once import first_order
from rheobase.fuse.products import LARGEST
from rheobase.fuse.program import Program
from rheobase.fuse.recurrent_gpu import GpuLoop
from rheobase.fuse.recurrent_launch import Loop
from rheobase.fuse.step import Coefficient


def obstacle(program: Program | None, x: Tensor) -> str | None:
    """Why no recurrent kernel can run this, or None. Only spikes that are 0 or 1 can be kept as bits."""
    if program is not None and not recurrent.binary(program):
        return "its dynamics does not return a comparison as spikes, so they may be other than 0 and 1"
    if operator.intercepted(x):
        return "torch hands the operators on x to Python"
    if x.device.type != "cpu" or operator.requested() == "triton":
        return recurrent_gpu.obstacle(x.shape[-1])
    return f"more than {LARGEST} neurons feed back into each other" if x.shape[-1] > LARGEST else None


class _Recur(torch.autograd.Function):
    """The kernels under autograd. Tensors come flat: the given states, then the coefficients that are tensors."""

    @staticmethod
    def forward(ctx, loop: Loop | GpuLoop, states, coefficients, x: Tensor, weight: Tensor, before, *tensors: Tensor):
        ctx.loop, ctx.given = loop, [v is not None for v in states]
        ctx.plain = [None if isinstance(c, Tensor) else c for c in coefficients]
        ctx.save_for_backward(weight, before, *tensors[sum(ctx.given) :])
        ctx.set_materialize_grads(False)
        spikes, last = loop.forward(weight, before, states, coefficients, keep=True)
        return (spikes, *last)

    @staticmethod
    @first_order
    def backward(ctx, *grads: Tensor | None):
        weight, before, *held = ctx.saved_tensors
        tensors = iter(held)
        coefficients = [next(tensors) if value is None else value for value in ctx.plain]
        wanted = (ctx.needs_input_grad[4], before is not None and ctx.needs_input_grad[5])
        grad_x, to_weight, to_before, to_states, to_coefficients = ctx.loop.backward(
            weight, before, coefficients, grads[0], grads[1:], wanted, not _graph_is_kept()
        )
        flat = [g for g, given in zip(to_states, ctx.given, strict=True) if given]
        flat += [g for g, value in zip(to_coefficients, ctx.plain, strict=True) if value is None]
        return None, None, None, grad_x, to_weight, to_before, *flat


def fused(
    program: Program,
    x: Tensor,
    weight: Tensor,
    before: Tensor | None,
    states: Sequence[Tensor | None],
    coefficients: Sequence[Coefficient],
    uniform: Tensor | None,
    clock: tuple[int, int],
    delays: Tensor | None,
    name: str,
) -> tuple[Tensor, list[Tensor]]:
    """Spikes and final states of neurons that feed back into each other, by the fused kernel of backend `name`.

    `before`: their spikes at the steps before the first, as many as the longest of `delays` and one more.
    """
    loop = (GpuLoop if name == "triton" else Loop)(program, x, clock, uniform, delays)
    operator.note_backend(name, not x.is_contiguous())
    tensors = [v for v in states if v is not None] + [c for c in coefficients if isinstance(c, Tensor)]
    inputs = [x, weight, *tensors] if before is None else [x, weight, before, *tensors]
    if torch.is_grad_enabled() and any(t.requires_grad for t in inputs):
        spikes, *last = _Recur.apply(loop, states, coefficients, x, weight, before, *tensors)  # type: ignore[misc]
        return spikes, last
    return loop.forward(weight, before, states, coefficients, keep=False)


def _graph_is_kept() -> bool:
    """Whether the backward pass that runs now leaves the graph for another one (retain_graph, create_graph)."""
    return torch._C._autograd._get_current_graph_task_keep_graph()  # type: ignore[attr-defined]
