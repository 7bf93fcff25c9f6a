"""The bridge to autograd: forward and adjoint of a simulation as one operator."""

from __future__ import annotations

import dataclasses
from typing import Any

import torch

from rheobase.exact.inputs import Problem
from rheobase.exact.kernel import KernelEngine
from rheobase.exact.reference_engine import ReferenceEngine
from rheobase.fuse import build
from rheobase.fuse import operator as backends


@dataclasses.dataclass(frozen=True)
class Happened:
    """Events [B, E], the public state at T [B, rows, N], the smallest slope at a spike [B]."""

    times: torch.Tensor
    ids: torch.Tensor
    is_input: torch.Tensor
    rank: torch.Tensor
    state: torch.Tensor
    slope: torch.Tensor

    def single(self) -> Happened:
        """Without the batch."""
        fields = (self.times, self.ids, self.is_input, self.rank, self.state, self.slope)
        return Happened(*(field[0] for field in fields))


class _Simulation(torch.autograd.Function):
    @staticmethod
    def forward(ctx, problem, engine, store, w_in, w_net, times, x0, delays):
        kept, (times, ids, is_input, rank, state, slope) = engine.forward(problem, store)
        ctx.problem, ctx.engine, ctx.kept = problem, engine, kept
        ctx.mark_non_differentiable(ids, is_input, rank, slope)
        return times.to(w_in.dtype), ids, is_input, rank, state.to(w_in.dtype), slope

    @staticmethod
    @torch.autograd.function.once_differentiable
    def backward(ctx, g_times, _ids, _is_input, _rank, g_state, _slope):
        gradients = ctx.engine.backward(ctx.problem, ctx.kept, g_times.contiguous(), g_state.contiguous())
        wanted = zip(gradients, ctx.needs_input_grad[3:], strict=True)
        return None, None, None, *(gradient.to(g_state.dtype) if want else None for gradient, want in wanted)


def engine() -> Any:
    """The engine that `rb.backend` asks for: the C kernel, or the reference where there is no compiler (said once)."""
    asked = backends._requested.get()
    if asked == "triton":
        raise RuntimeError("simulate: backend 'triton' has no event-driven kernel. Use rb.backend('auto').")
    if asked == "eager" or (asked == "auto" and build.compiler() is None):
        if asked == "auto":
            backends._warn_once("rheobase: no C compiler found, so exact simulation runs its slow reference.")
        backends.note_backend("eager")
        return ReferenceEngine()
    backends.note_backend("cpu")
    return KernelEngine()


def run(problem: Problem) -> Happened:
    """Simulate a checked problem."""
    tensors = (problem.w_in, problem.w_net, problem.times, problem.x0, problem.delays_net)
    store = torch.is_grad_enabled() and any(tensor is not None and tensor.requires_grad for tensor in tensors)
    return Happened(*_Simulation.apply(problem, engine(), store, *tensors))
