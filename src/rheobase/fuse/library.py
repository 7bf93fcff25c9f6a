"""The operator `rheobase::scan`, used while torch.compile traces: a kernel call that its graphs can hold."""

from __future__ import annotations

import hashlib
from collections.abc import Sequence

import torch
from torch import Tensor

from rheobase.fuse.layout import Layout, walk
from rheobase.fuse.operator import LAUNCHERS, choose, note_backend
from rheobase.fuse.program import Program
from rheobase.fuse.step import compute_dtype

_programs: dict[str, Program] = {}


def register(program: Program) -> str:
    """A name by which `rheobase::scan` finds the program; equal programs share one."""
    step = program.step
    described = step.name, step.states, step.coefficients, sorted(step.timed), step.random
    text = repr((*described, program.forward, program.backward))
    key = f"{program.step.name}-{hashlib.sha256(text.encode()).hexdigest()[:16]}"
    _programs[key] = program
    return key


def _call(key: str, x: Tensor, uniform: Tensor | None, clock: Tensor):
    program = _programs[key]
    name = choose(program, x, program.step.name)
    if name == "eager":
        raise RuntimeError(
            f"{program.step.name}: torch.compile runs neurons as kernels, and none can run this call (rb.backend "
            "'eager', smooth(), no compiler, or a type without kernels). Call it inside "
            "torch.compiler.set_stance('force_eager'), which runs the loop over time as it is written."
        )
    call = LAUNCHERS[name](program, x, tuple(clock.tolist()), uniform)
    note_backend(name, call.layout.copied)
    return call


def _layout(key: str, x: Tensor, uniform: Tensor | None) -> Layout:
    """How outputs lie in memory: what the operators promise about theirs must be what the kernels do."""
    return walk(x, _programs[key].step.random and uniform is None)


@torch.library.custom_op("rheobase::scan", mutates_args=())
def scan(
    key: str, x: Tensor, states: Sequence[Tensor], coefficients: Sequence[Tensor], uniform: Tensor | None, clock: Tensor
) -> list[Tensor]:
    """[spikes, *states at the end] of the neuron registered as `key`; no states: fresh; clock: (first step, seed)."""
    call = _call(key, x, uniform, clock)
    first = list(states) or [None] * len(call.program.step.states)
    spikes, last = call.forward(first, coefficients, True)
    return [spikes, *last]


@scan.register_fake
def _(key, x, states, coefficients, uniform, clock):
    layout, dtype = _layout(key, x, uniform), compute_dtype(x.dtype)
    return [layout.empty(x, x.dtype, True), *(layout.empty(x, dtype, False) for _ in _programs[key].step.states)]


@torch.library.custom_op("rheobase::scan_backward", mutates_args=())
def scan_backward(
    key: str,
    x: Tensor,
    states: Sequence[Tensor],
    coefficients: Sequence[Tensor],
    uniform: Tensor | None,
    clock: Tensor,
    cotangents: Sequence[Tensor],
    wanted: Sequence[bool],
) -> list[Tensor]:
    """Gradients to x, the states given, and the coefficients; zeros for coefficients that are not wanted."""
    call = _call(key, x, uniform, clock)
    first = list(states) or [None] * len(call.program.step.states)
    values = [c.detach().requires_grad_(flag) for c, flag in zip(coefficients, wanted, strict=True)]
    grad_x, to_states, to_coefficients = call.backward(first, values, cotangents[0], cotangents[1:])
    dense = [
        c.new_zeros(c.shape) if g is None else g.contiguous()
        for c, g in zip(coefficients, to_coefficients, strict=True)
    ]
    return [grad_x, *(g for g in to_states if g is not None), *dense]


@scan_backward.register_fake
def _(key, x, states, coefficients, uniform, clock, cotangents, wanted):
    layout, dtype = _layout(key, x, uniform), compute_dtype(x.dtype)
    to_states = [layout.empty(x, dtype, False) for _ in states]
    return [layout.empty(x, x.dtype, True), *to_states, *(c.new_empty(c.shape) for c in coefficients)]


def _keep(ctx, inputs, output):
    key, x, states, coefficients, uniform, clock = inputs
    ctx.key, ctx.count, ctx.drawn = key, len(states), uniform is None
    ctx.wanted = [bool(c.requires_grad) for c in coefficients]
    ctx.save_for_backward(x, clock, *([] if uniform is None else [uniform]), *states, *coefficients)


def _backward(ctx, grads):
    x, clock, *rest = ctx.saved_tensors
    uniform = None if ctx.drawn else rest.pop(0)
    states, coefficients = rest[: ctx.count], rest[ctx.count :]
    out = scan_backward(ctx.key, x, states, coefficients, uniform, clock, list(grads), ctx.wanted)
    to_states, to_coefficients = out[1 : 1 + ctx.count], out[1 + ctx.count :]
    kept = [g if flag else None for g, flag in zip(to_coefficients, ctx.wanted, strict=True)]
    return None, out[0], to_states, kept, None, None


scan.register_autograd(_backward, setup_context=_keep)
