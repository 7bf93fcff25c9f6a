"""The bridge to autograd: forward and adjoint of a simulation as one operator."""

from __future__ import annotations

import dataclasses
from typing import Any

import torch

from rheobase.exact import gpu
from rheobase.exact.inputs import Problem
from rheobase.exact.kernel import KernelEngine
from rheobase.exact.reference_engine import ReferenceEngine
from rheobase.fuse import build
from rheobase.fuse import operator as backends
from rheobase.fuse.once import first_order


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


def _backward(ctx, g_times, _ids, _is_input, _rank, g_state, _slope):
    ctx.saved_tensors  # noqa: B018 (torch checks that none was changed in place: engines read them again)
    gradients = ctx.engine.backward(ctx.problem, ctx.kept, g_times.contiguous(), g_state.contiguous())
    wanted = zip(gradients, ctx.needs_input_grad[4:], strict=True)
    return None, None, None, None, *(gradient.to(g_state) if want else None for gradient, want in wanted)


class _Simulation(torch.autograd.Function):
    @staticmethod
    def forward(ctx, problem, engine, store, ids, w_in, w_net, times, x0, delays):
        ctx.save_for_backward(ids, w_in, w_net, times, x0, delays)
        kept, (times, ids, is_input, rank, state, slope) = engine.forward(problem, store)
        ctx.problem, ctx.engine, ctx.kept = problem, engine, kept
        ctx.mark_non_differentiable(ids, is_input, rank, slope)
        ids, is_input, rank, slope = (value.to(w_in.device) for value in (ids, is_input, rank, slope))
        state = state.to(w_in, copy=True)
        state[..., 0, :].clamp_(max=problem.neuron.top)  # rounding puts a spike at T on either side of its threshold
        return times.to(w_in), ids, is_input, rank, state, slope

    backward = staticmethod(
        first_order(
            _backward,
            "event-driven simulations",
            "differentiate one output at a time",
            "take differences of first derivatives",
        )
    )


def engine(device: torch.device) -> Any:
    """The engine for tensors of a device: what `rb.backend` names, else C on the CPU and Triton on a GPU.

    Without a C compiler the CPU runs the reference (said once); a GPU never falls back. Errors: RuntimeError.
    """
    asked = backends.requested()
    if asked == "auto":
        asked = "triton" if device.type == "cuda" else "cpu" if build.compiler() else "eager"
        if asked == "eager":
            backends.warn_once(f"rheobase: {build.missing()}. Exact simulation runs its slow reference.")
    why = gpu.obstacle(device) if asked == "triton" else None
    if asked == "cpu" and device.type != "cpu":
        why = f"the tensors are on {device}"
    if why is not None:
        raise RuntimeError(f"simulate: backend {asked!r} cannot run this call: {why}. Use 'cpu' on CPU tensors.")
    backends.note_backend(asked)
    return {"triton": gpu.TritonEngine, "cpu": KernelEngine, "eager": ReferenceEngine}[asked]()


def run(problem: Problem) -> Happened:
    """Simulate a checked problem."""
    tensors = (problem.w_in, problem.w_net, problem.times, problem.x0, problem.delays_net)
    store = torch.is_grad_enabled() and any(tensor is not None and tensor.requires_grad for tensor in tensors)
    return Happened(*_Simulation.apply(problem, engine(problem.w_in.device), store, problem.ids, *tensors))
