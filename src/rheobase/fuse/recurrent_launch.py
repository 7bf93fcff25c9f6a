"""Runs the recurrent C kernels on tensors."""

from __future__ import annotations

import ctypes
import dataclasses
from collections.abc import Callable, Sequence

import torch
from torch import Tensor

from rheobase.fuse import build, cpu, pool, recurrent, recurrent_backward
from rheobase.fuse.launch import Call
from rheobase.fuse.products import padded
from rheobase.fuse.program import Program
from rheobase.fuse.step import Coefficient, compute_dtype

CHUNK = 16  # steps between the states kept for the backward pass
GROUPS = 32  # at most so many sums of the weight's gradient side by side
PARALLEL_FROM = 1 << 12  # elements of x
LIMIT = 390  # /1024: a step that fires more computes its product densely
WEIGHT_LIMIT = 360  # /1024: the same for the gradient of the weight
REACH_COST = 275  # neurons: what the sum of one dot product costs beside its n products (see `reach_limit`)
DENSE = -1  # a limit under which everything is dense

_kernels: dict[tuple, Callable[[int], None]] = {}


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


def reach_limit(pad: int) -> int:
    """/1024: the same for what flows back to spikes. At n = 256 a dot product takes 2.1x its share of a dense one."""
    return 1024 * pad // (pad + REACH_COST)


def hollow(x: Tensor) -> Tensor:
    """A tensor of x's shape, type and device without its memory."""
    return x.new_empty(()).expand(x.shape)


@dataclasses.dataclass
class Delays:
    """When spikes arrive: neuron j's `delay[j]` steps later than one step. As the kernels take it.

    `late`: the different delays, ascending; `masks` [different delays, words]: the bits of the neurons that have each.
    """

    delay: Tensor
    late: Tensor
    masks: Tensor
    history: int

    @classmethod
    def of(cls, delays: Tensor | None, n: int) -> Delays:
        delay = torch.zeros(n, dtype=torch.int64) if delays is None else delays.cpu().contiguous()
        late = delay.unique()
        bits = torch.zeros((len(late), -(-n // 64) * 64), dtype=torch.int64)
        bits[:, :n] = delay == late.unsqueeze(1)
        masks = (bits.view(len(late), -1, 64) << torch.arange(64)).sum(-1)
        return cls(delay, late, masks, 1 + int(late.max() if n else 0))


@dataclasses.dataclass
class Loop:
    """One recurrent call: what forward and backward share besides the tensors that autograd keeps.

    Kept for the backward pass, in place of x: the `currents` [T, B, n] (4 bytes; float64: 8), the spikes as `bits`
    [T, B, words of 64 neurons], the states as `marks` [T / CHUNK, states, B, n]. A backward pass that may writes the
    gradient of x over the currents.
    """

    program: Program
    x: Tensor
    clock: tuple[int, int]
    uniform: Tensor | None
    delays: Tensor | None = None
    currents: Tensor | None = None
    bits: Tensor | None = None
    marks: Tensor | None = None

    def __post_init__(self):
        self.x = self.x.detach().contiguous()
        self.call = Call(self.program, self.x, self.clock, self.uniform)
        self.dtype = compute_dtype(self.x.dtype)
        self.steps, self.batch, self.n = self.x.shape
        self.pad = padded(self.n, self.dtype.itemsize)
        self.late = Delays.of(self.delays, self.n)
        # The partition depends on the batch alone, so that sums are the same for any number of threads.
        self.block = 16 if self.batch >= 32 else 8 if self.batch >= 16 else 4
        self.groups = min(-(-self.batch // self.block), GROUPS)

    def scratch(self) -> int:
        """Bytes that one thread of the backward pass works in, besides the weight's gradient per group of blocks."""
        held, states = min(self.steps, CHUNK), len(self.program.step.states)
        rows = self.block * self.pad * (held * (1 + states) + 1 + states + self.late.history)
        return rows * self.dtype.itemsize + held * self.pad * 4 + held * self.block * (self.n // 8 + 10)

    def _common(self, weight: Tensor, before: Tensor | None) -> tuple[list[int], list[Tensor]]:
        """The arguments named in recurrent.COMMON, and what must stay alive."""
        outgoing = self._rows(weight.detach().T)
        finite = bool(torch.isfinite(weight.detach().sum()))
        limits = (
            (LIMIT, WEIGHT_LIMIT, reach_limit(self.pad)) if finite else (DENSE,) * 3
        )  # 0 * NaN is NaN, and no spike is 0
        threads = torch.get_num_threads() if self.x.numel() >= PARALLEL_FROM else 1
        shape = [self.steps, self.batch, self.n, self.pad, self.block, self.groups, threads, *self.clock, CHUNK]
        late = self.late
        tensors = [self.call.uniform, outgoing, before, self.bits, self.marks, self.currents]
        pointers = map(_pointer, [*tensors, late.late, late.masks, late.delay])
        return [*shape, *limits, late.history, len(late.late), *pointers], [outgoing]

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
        """Spikes and final states; with `keep` also what the backward pass needs. Lets go of x."""
        shape, spikes = self.x.shape[1:], pool.dense(self.x.shape, self.x.dtype)
        first = [self._dense(v) for v in states]
        last = [torch.empty(shape, dtype=self.dtype) for _ in first]
        if not spikes.numel():
            for target, source in zip(last, first, strict=True):
                target.zero_() if source is None else target.copy_(source)
            return spikes, last
        self.bits = torch.empty((self.steps, self.batch, -(-self.n // 64)), dtype=torch.int64)
        if keep:
            self.currents = pool.dense(self.x.shape, self.dtype)
            self.marks = pool.dense((-(-self.steps // CHUNK), len(first), *shape), self.dtype)
        before = self._dense(before)
        common, _alive = self._common(weight, before)
        arguments, kinds, _numbers = self.call.coefficients(coefficients)
        plain = [kind._replace(wanted=False) for kind in kinds]
        function = kernel(self.program, self.call.variant(plain), backward=False)
        pairs = [_pointer(v) for pair in zip(first, last, strict=True) for v in pair]
        self.call.run(function, [*common, self.x.data_ptr(), spikes.data_ptr(), *arguments, *pairs])
        self.x = self.call.x = self.call.walked = hollow(self.x)
        return spikes, last

    def backward(
        self,
        weight: Tensor,
        before: Tensor | None,
        coefficients: Sequence[Coefficient],
        cot_s: Tensor | None,
        cot_states: Sequence[Tensor | None],
        wanted: tuple[bool, bool],
        once: bool,
    ) -> tuple[Tensor, Tensor | None, Tensor | None, list[Tensor], list[Tensor | None]]:
        """Gradients to x, to weight and initial spikes where `wanted`, to the states, and to the coefficients.

        `once`: no other backward pass follows, so that the gradient of x may take the place of the currents.
        """
        shape, grad_x = self.x.shape[1:], self._gradient_of_x(once)
        cots = [self._dense(v) for v in cot_states]
        arguments, kinds, _numbers = self.call.coefficients(coefficients)
        sums = [self._sums(kind) for kind in kinds]
        grads = [torch.zeros(shape, dtype=self.dtype) for _ in cots]
        to_outgoing = torch.zeros((self.groups, self.n, self.pad), dtype=self.dtype) if wanted[0] else None
        to_before = torch.zeros_like(before, dtype=self.dtype) if before is not None and wanted[1] else None
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
        if once:
            self.currents = self.bits = self.marks = None
        return grad_x, to_weight, to_before, grads, gradients

    def _gradient_of_x(self, once: bool) -> Tensor:
        """Where the kernel writes the gradient of x."""
        if once and self.currents is not None and self.dtype == self.x.dtype:
            return self.currents
        return pool.dense(self.x.shape, self.x.dtype)

    def _sums(self, kind: cpu.Kind) -> Tensor | None:
        """Sums per group of blocks, in float64, of a coefficient's gradient."""
        if not kind.wanted:
            return None
        lead, size = (self.steps if kind.timed else 1), (self.n if kind.spread else 1)
        return torch.zeros((self.groups, lead, size), dtype=torch.float64)


def _pointer(tensor: Tensor | None) -> int:
    return 0 if tensor is None else tensor.data_ptr()
