"""Runs the recurrent C kernels on tensors, and bridges them to autograd."""

from __future__ import annotations

import ctypes
import dataclasses
from collections.abc import Callable, Sequence

import torch
from torch import Tensor

from rheobase.fuse import build, cpu, operator, recurrent, recurrent_backward
from rheobase.fuse.launch import Call
from rheobase.fuse.once import first_order
from rheobase.fuse.products import LARGEST, padded
from rheobase.fuse.step import Coefficient, compute_dtype
from rheobase.fuse.trace import Program

CHUNK = 16  # steps between the states kept for the backward pass
GROUPS = 32  # at most so many sums of the weight's gradient side by side
PARALLEL_FROM = 1 << 12  # elements of x
LIMIT = 512  # /1024: a step that fires more computes its product densely
WEIGHT_LIMIT = 512  # /1024: the same for the gradient of the weight
DENSE = -1  # a limit under which everything is dense

_kernels: dict[tuple, Callable[[int], None]] = {}


def obstacle(program: Program | None, x: Tensor) -> str | None:
    """Why the recurrent kernel cannot run this, or None. Only spikes that are 0 or 1 can be kept as bits."""
    if program is not None and not recurrent.binary(program):
        return "its dynamics does not return a comparison as spikes, so they may be other than 0 and 1"
    if x.device.type != "cpu" or operator.requested() == "triton":
        return "the recurrent kernel runs on the CPU only"
    return f"more than {LARGEST} neurons feed back into each other" if x.shape[-1] > LARGEST else None


def kernel(program: Program, variant: cpu.Variant, backward: bool) -> Callable[[int], None]:
    """The compiled forward or backward kernel; compiled at first use, then from memory or disk."""
    key = (program, variant, backward)
    if key not in _kernels:
        source = (recurrent_backward.backward_source if backward else recurrent.forward_source)(program, variant)
        pass_name = "backward" if backward else "forward"
        function = getattr(build.library(source, f"{program.step.name.lower()}-recurrent-{pass_name}"), pass_name)
        function.argtypes, function.restype = [ctypes.c_void_p], None
        _kernels[key] = function
    return _kernels[key]


@dataclasses.dataclass
class Loop:
    """One recurrent call: what forward and backward share besides the tensors that autograd keeps.

    `bits` are the spikes [T, B, words of 64 neurons], `marks` the states [T / CHUNK, states, B, n]: what is saved for
    the backward pass besides x, 1 bit and (states · 4 / CHUNK) bytes per neuron and step.
    """

    program: Program
    x: Tensor
    clock: tuple[int, int]
    uniform: Tensor | None
    bits: Tensor | None = None
    marks: Tensor | None = None

    def __post_init__(self):
        self.x = self.x.detach().contiguous()
        self.call = Call(self.program, self.x, self.clock, self.uniform)
        self.dtype = compute_dtype(self.x.dtype)
        self.steps, self.batch, self.n = self.x.shape
        self.pad = padded(self.n, self.dtype.itemsize)
        # The partition depends on the batch alone, so that sums are the same for any number of threads.
        self.block = 16 if self.batch >= 32 else 8 if self.batch >= 16 else 4
        self.groups = min(-(-self.batch // self.block), GROUPS)

    def scratch(self) -> int:
        """Bytes that one thread of the backward pass works in, besides the weight's gradient per group of blocks."""
        held, states = min(self.steps, CHUNK), len(self.program.step.states)
        rows = self.block * self.pad * (held * (1 + states) + 1 + states)
        return rows * self.dtype.itemsize + held * self.block * self.n * 2

    def _common(self, weight: Tensor, before: Tensor | None) -> tuple[list[int], list[Tensor]]:
        """The arguments named in recurrent.COMMON, and what must stay alive."""
        outgoing = self._rows(weight.detach().T)
        finite = bool(torch.isfinite(weight.detach().sum()))
        limits = (LIMIT, WEIGHT_LIMIT) if finite else (DENSE, DENSE)  # 0 * NaN is NaN, and no spike is 0
        threads = torch.get_num_threads() if self.x.numel() >= PARALLEL_FROM else 1
        shape = [self.steps, self.batch, self.n, self.pad, self.block, self.groups, threads, *self.clock, CHUNK]
        tensors = [self.x, self.call.uniform, outgoing, before, self.bits, self.marks]
        return [*shape, *limits, *map(_pointer, tensors)], [outgoing]

    def _rows(self, matrix: Tensor) -> Tensor:
        """A weight with rows padded for the kernel."""
        rows = torch.zeros((self.n, self.pad), dtype=self.dtype)
        rows[:, : self.n] = matrix
        return rows

    def _dense(self, value: Tensor | None) -> Tensor | None:
        return None if value is None else value.detach().to(self.dtype).contiguous()

    def forward(
        self, weight: Tensor, before: Tensor | None, states: Sequence, coefficients: Sequence[Coefficient], keep: bool
    ) -> tuple[Tensor, list[Tensor]]:
        """Spikes and final states; with `keep` also what the backward pass needs."""
        shape, spikes = self.x.shape[1:], torch.empty_like(self.x)
        first = [self._dense(v) for v in states]
        last = [torch.empty(shape, dtype=self.dtype) for _ in first]
        if not spikes.numel():
            for target, source in zip(last, first, strict=True):
                target.zero_() if source is None else target.copy_(source)
            return spikes, last
        if keep:
            self.bits = torch.empty((self.steps, self.batch, -(-self.n // 64)), dtype=torch.int64)
            self.marks = torch.empty((-(-self.steps // CHUNK), len(first), *shape), dtype=self.dtype)
        before = self._dense(before)
        common, _alive = self._common(weight, before)
        arguments, kinds, _numbers = self.call.coefficients(coefficients)
        plain = [kind._replace(wanted=False) for kind in kinds]
        function = kernel(self.program, self.call.variant(plain), backward=False)
        pairs = [_pointer(v) for pair in zip(first, last, strict=True) for v in pair]
        self.call.run(function, [*common, spikes.data_ptr(), *arguments, *pairs])
        return spikes, last

    def backward(
        self,
        weight: Tensor,
        before: Tensor | None,
        coefficients: Sequence[Coefficient],
        cot_s: Tensor | None,
        cot_states: Sequence[Tensor | None],
        wanted: tuple[bool, bool],
    ) -> tuple[Tensor, Tensor | None, Tensor | None, list[Tensor], list[Tensor | None]]:
        """Gradients to x, to weight and initial spikes where `wanted`, to the states, and to the coefficients."""
        shape, grad_x = self.x.shape[1:], torch.empty_like(self.x)
        cots = [self._dense(v) for v in cot_states]
        arguments, kinds, _numbers = self.call.coefficients(coefficients)
        sums = [self._sums(kind) for kind in kinds]
        grads = [torch.zeros(shape, dtype=self.dtype) for _ in cots]
        to_outgoing = torch.zeros((self.groups, self.n, self.pad), dtype=self.dtype) if wanted[0] else None
        to_before = torch.zeros(shape, dtype=self.dtype) if wanted[1] else None
        if self.x.numel():
            cot = torch.zeros_like(grad_x) if cot_s is None else cot_s.to(self.x.dtype).contiguous()
            before, incoming = self._dense(before), self._rows(weight.detach())
            common, _alive = self._common(weight, before)
            function = kernel(self.program, self.call.variant(kinds), backward=True)
            pairs = [v for pair in zip(cots, grads, strict=True) for v in pair]
            tensors = [incoming, cot, grad_x, to_outgoing, to_before]
            self.call.run(function, [*common, *map(_pointer, tensors), *arguments, *map(_pointer, [*sums, *pairs])])
        else:
            grads = [grad if cot is None else cot for grad, cot in zip(grads, cots, strict=True)]
        to_weight = None
        if to_outgoing is not None:
            to_weight = to_outgoing.sum(0, dtype=torch.float64)[:, : self.n].T.to(weight.dtype)
        gradients = [
            None if total is None else total.sum(0).to(value.dtype).view(value.shape)  # type: ignore[union-attr]
            for total, value in zip(sums, coefficients, strict=True)
        ]
        return grad_x, to_weight, to_before, grads, gradients

    def _sums(self, kind: cpu.Kind) -> Tensor | None:
        """Sums per group of blocks, in float64, of a coefficient's gradient."""
        if not kind.wanted:
            return None
        lead, size = (self.steps if kind.timed else 1), (self.n if kind.spread else 1)
        return torch.zeros((self.groups, lead, size), dtype=torch.float64)


class _Recur(torch.autograd.Function):
    """The kernels under autograd. Tensors come flat: the given states, then the coefficients that are tensors."""

    @staticmethod
    def forward(ctx, loop: Loop, states: Sequence, coefficients: Sequence, x: Tensor, weight: Tensor, before, *tensors):
        ctx.loop, ctx.given = loop, [v is not None for v in states]
        ctx.plain = [None if isinstance(c, Tensor) else c for c in coefficients]
        ctx.save_for_backward(x, weight, before, *tensors[sum(ctx.given) :])
        ctx.set_materialize_grads(False)
        spikes, last = loop.forward(weight, before, states, coefficients, keep=True)
        return (spikes, *last)

    @staticmethod
    @first_order
    def backward(ctx, *grads: Tensor | None):
        _, weight, before, *held = ctx.saved_tensors
        tensors = iter(held)
        coefficients = [next(tensors) if value is None else value for value in ctx.plain]
        wanted = (ctx.needs_input_grad[4], before is not None and ctx.needs_input_grad[5])
        grad_x, to_weight, to_before, to_states, to_coefficients = ctx.loop.backward(
            weight, before, coefficients, grads[0], grads[1:], wanted
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
) -> tuple[Tensor, list[Tensor]]:
    """Spikes and final states of neurons that feed back into each other, by the fused kernel."""
    loop = Loop(program, x, clock, uniform)
    operator.note_backend("cpu", not x.is_contiguous())
    tensors = [v for v in states if v is not None] + [c for c in coefficients if isinstance(c, Tensor)]
    inputs = [x, weight, *tensors] if before is None else [x, weight, before, *tensors]
    if torch.is_grad_enabled() and any(t.requires_grad for t in inputs):
        spikes, *last = _Recur.apply(loop, states, coefficients, x, weight, before, *tensors)  # type: ignore[misc]
        return spikes, last
    return loop.forward(weight, before, states, coefficients, keep=False)


def _pointer(tensor: Tensor | None) -> int:
    return 0 if tensor is None else tensor.data_ptr()
