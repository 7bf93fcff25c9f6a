"""Runs the generated C kernels on tensors."""

from __future__ import annotations

import ctypes
import dataclasses
from array import array
from collections.abc import Callable, Iterable, Sequence
from typing import Any, TypeVar

import torch
from torch import Tensor

from rheobase.fuse import build, cpu, cpu_backward, pool
from rheobase.fuse.layout import Layout, walk
from rheobase.fuse.program import Program
from rheobase.fuse.step import Coefficient, coefficient_shape, compute_dtype

DTYPES = {torch.float32: "float32", torch.float64: "float64", torch.bfloat16: "bfloat16", torch.float16: "float16"}
PARALLEL_FROM = 3 << 17  # elements; below, waking a second thread (.1 ms when threads sleep) costs more than it saves
STREAM_FROM = 8 << 20  # bytes; larger outputs are written past the caches

NUMBER = cpu.Kind()
THREADS, CLOCK, KEY, X = (cpu.COMMON.index(name) for name in ("threads", "clock", "key", "x"))
UNIFORM, SPIKES = len(cpu.COMMON), len(cpu.COMMON) + 1
NOTHING = torch.empty(0)

T = TypeVar("T")

_constants: dict[tuple[float, ...], tuple[list[int], list[cpu.Kind], list]] = {}
_plans: dict[tuple, Plan] = {}


def kernel(program: Program, variant: cpu.Variant, backward: bool) -> Callable[[int], None]:
    """The compiled forward or backward kernel; compiled at first use, then from memory or disk."""
    found = program.kernels.get((variant, backward))
    if found is None:
        source = (cpu_backward.backward_source if backward else cpu.forward_source)(program, variant)
        library = build.library(source, f"{program.step.name.lower()}-{'backward' if backward else 'forward'}")
        found = library.backward if backward else library.forward
        found.argtypes, found.restype = [ctypes.c_void_p], None
        program.kernels[variant, backward] = found
    return found


@dataclasses.dataclass(eq=False, slots=True)
class Plan:
    """What follows from the shape and strides of x alone; remembered, because small calls are dominated by it."""

    layout: Layout
    width: int
    blocks: int
    dtype: torch.dtype
    sizes: list[int]
    many: bool
    small: bool
    swap: tuple[int, int]


def plan(x: Tensor, ordered: bool) -> Plan:
    """The plan of a call on x. `ordered`: only plain or channels-last order will do (drawn random numbers)."""
    key = (x.shape, None if x.is_contiguous() else x.stride(), x.dtype, ordered)
    found = _plans.get(key)
    if found is None:
        layout = walk(x, ordered)
        width = 128 if x.shape[0] < 16 else cpu.WIDEST
        blocks = layout.rows * -(-layout.length // width)
        stream = int(x.numel() * x.element_size() >= STREAM_FROM)
        sizes = [x.shape[0], layout.rows, layout.length, width, stream]
        many = x.numel() >= PARALLEL_FROM
        small = x.is_contiguous() and x.numel() * x.element_size() < pool.LEAST
        made = Plan(layout, width, blocks, compute_dtype(x.dtype), sizes, many, small, layout.swap(x))
        found = remember(_plans, key, made)
    return found


class Call:
    """One call of a neuron's kernels on x: forward or backward."""

    __slots__ = ("clock", "dtype", "layout", "plan", "program", "uniform", "walked", "x")

    def __init__(self, program: Program, x: Tensor, clock: tuple[int, int], uniform: Tensor | None):
        if x.is_neg():  # of a conjugate's imaginary part, memory holds the opposite
            x = x.resolve_neg()
        self.program, self.x, self.clock, self.uniform = program, x, clock, uniform
        self.plan = found = plan(x, program.step.random and uniform is None)
        self.layout, self.dtype = found.layout, found.dtype
        self.walked = x.contiguous() if found.layout.copied else x
        if uniform is not None:
            self.uniform = self.layout.place(uniform, x, self.dtype, True)

    def empty(self, dtype: torch.dtype, time: bool) -> Tensor:
        """An uninitialised output of x's shape (time=False: of one step), laid out as the kernels write it."""
        if self.plan.small and time and dtype == self.x.dtype:
            return torch.empty_like(self.x)
        if self.x.device.type != "cpu":
            return self.layout.empty(self.x, dtype, time)
        return pool.empty(self.x.shape if time else self.x.shape[1:], self.layout.strides(self.x, time), dtype)

    def common(self) -> list[int]:
        """The arguments named in cpu.COMMON, and `uniform`."""
        layout, threads = self.layout, self.threads()
        drawn = 0 if self.uniform is None else self.uniform.data_ptr()
        place = [self.walked.data_ptr(), layout.x_step, layout.x_row, drawn]
        return [*self.plan.sizes, threads, *self.clock, *self.plan.swap, *place]

    def threads(self) -> int:
        return torch.get_num_threads() if self.plan.many else 1

    def coefficients(self, values: Sequence[Coefficient]) -> tuple[list[int], list[cpu.Kind], list]:
        """Arguments and kinds of the coefficients, and what must stay alive during the call."""
        for value in values:
            if isinstance(value, Tensor):
                return self._packed(values)
        key = signed(values)
        found = _constants.get(key)  # type: ignore[arg-type]
        if found is None:
            found = remember(_constants, key, self._packed(values))
        return found

    def _packed(self, values: Sequence[Coefficient]) -> tuple[list[int], list[cpu.Kind], list]:
        step, arguments, kinds = self.program.step, [], []
        numbers, alive = array("d", [0.0] * len(values)), []
        for k, (name, value) in enumerate(zip(step.coefficients, values, strict=True)):
            timed = name in step.timed
            if not isinstance(value, Tensor) or (value.dim() == 0 and not timed):
                numbers[k] = float(value)
                arguments += [numbers.buffer_info()[0] + 8 * k, 1, 1]
                kinds.append(NUMBER if not isinstance(value, Tensor) else cpu.Kind(wanted=value.requires_grad))
                continue
            shape = coefficient_shape(step, name, value, self.x)
            data, inner, size = value.detach().to(self.dtype).resolve_neg().contiguous(), 1, 1
            if shape and timed and len(data):
                rows = [self.layout.spread(row, self.x) for row in data]
                data, inner, size = torch.stack([row[0].flatten() for row in rows]), rows[0][1], rows[0][2]
            elif shape and not timed:
                data, inner, size = self.layout.spread(data, self.x)
            alive.append(data)
            arguments += [data.data_ptr(), inner, size]
            kinds.append(cpu.Kind(bool(shape), timed, value.requires_grad))
        return arguments, kinds, [numbers, *alive]

    def run(self, function, arguments: list[int]) -> None:
        packed = array("q", arguments)
        function(packed.buffer_info()[0])

    def states(self, values: Sequence[Tensor | None]) -> list[Tensor | None]:
        """Initial states as the kernel reads them."""
        return [v if v is None else self.layout.place(v.detach(), self.x, self.dtype, False) for v in values]

    def forward(
        self, states: Sequence[Tensor | None], coefficients: Sequence[Coefficient], final: bool
    ) -> tuple[Tensor, list[Tensor]]:
        """Spikes, and the final states if `final`."""
        spikes = torch.empty_like(self.x) if self.plan.small else self.empty(self.x.dtype, True)
        first = self.states(states)
        last = [self.empty(self.dtype, False) for _ in first] if final else []
        if self.plan.blocks and self.plan.sizes[0]:
            self.launch_forward(coefficients, spikes, first, last)
        else:
            for target, source in zip(last, first, strict=False):
                target.zero_() if source is None else target.copy_(source)
        return spikes, last

    def launch_forward(
        self, values: Sequence[Coefficient], spikes: Tensor, first: list[Tensor | None], last: list[Tensor]
    ) -> None:
        """Run the forward kernel; `last` is empty where the final states are not asked for."""
        key: tuple | None = None
        for value in values:
            if isinstance(value, Tensor):
                break
        else:
            key = (self.plan, self.uniform is None, *signed(values))
        found = None if key is None else self.program.prepared.get(key)
        function, packed, _alive = found or self._prepare(values, key)
        packed = packed[:]
        packed[X], packed[SPIKES] = self.walked.data_ptr(), spikes.data_ptr()
        if self.plan.many:
            packed[THREADS] = torch.get_num_threads()
        if self.program.step.random:
            packed[CLOCK], packed[KEY], packed[UNIFORM] = *self.clock, _pointer(self.uniform)
        place = len(packed) - 2 * len(first)
        for k, value in enumerate(first):
            if value is not None:
                packed[place + 2 * k] = value.data_ptr()
            if last:
                packed[place + 2 * k + 1] = last[k].data_ptr()
        function(packed.buffer_info()[0])

    def _prepare(self, values: Sequence[Coefficient], key: tuple | None) -> tuple:
        """The forward kernel, its arguments with nothing where tensors go, and what must stay alive during the call.

        Remembered for coefficients that are constants: packing them costs more than a small call's work.
        """
        arguments, kinds, alive = self.coefficients(values)
        plain = [kind._replace(wanted=False) if kind.wanted else kind for kind in kinds]
        function = kernel(self.program, self.variant(plain), backward=False)
        states = [0] * (2 * len(self.program.step.states))
        found = function, array("q", [*self.common(), 0, *arguments, *states]), alive
        if key is not None:
            remember(self.program.prepared, key, found)
        return found

    def variant(self, kinds: list[cpu.Kind]) -> cpu.Variant:
        drawn = self.program.step.random and self.uniform is None
        return cpu.Variant(DTYPES[self.x.dtype], tuple(kinds), drawn)

    def backward(
        self,
        states: Sequence[Tensor | None],
        coefficients: Sequence[Coefficient],
        cot_s: Tensor | None,
        cot_states: Sequence[Tensor | None],
    ) -> tuple[Tensor, list[Tensor | None], list[Tensor | None]]:
        """Gradients to x, to the states that were given, and to the coefficients that want one."""
        grad_x = self.empty(self.x.dtype, True)
        cot = torch.zeros_like(grad_x) if cot_s is None else self.layout.place(cot_s, self.x, self.x.dtype, True)
        first, cots = self.states(states), self.states(cot_states)
        grads = [None if v is None else self.empty(self.dtype, False) for v in first]
        arguments, kinds, _alive = self.coefficients(coefficients)
        wanted = [k for k, kind in enumerate(kinds) if kind.wanted]
        timed = any(kinds[k].timed for k in wanted)
        partial = self._partial(len(wanted), self.x.shape[0] if timed else 1) if wanted else NOTHING
        sums = [self._buffer(kinds[k]) if k in wanted else None for k in range(len(kinds))]
        if self.x.numel():
            self.launch_backward(arguments, kinds, (cot, grad_x, partial), sums, (first, cots, grads))
        else:
            for target, source in zip(grads, cots, strict=True):
                if target is not None:
                    target.zero_() if source is None else target.copy_(source)
        gradients: list[Tensor | None] = [None] * len(kinds)
        for place, k in enumerate(wanted):
            gradients[k] = self._gradient(coefficients[k], kinds[k], partial[place], sums[k])  # type: ignore[arg-type]
        return grad_x, grads, gradients

    def launch_backward(
        self, arguments: list, kinds: list, outputs: tuple[Tensor, ...], sums: list[Tensor | None], states: tuple
    ) -> None:
        """Run the backward kernel. `outputs`: cotangent of the spikes, gradient of x, partial sums; `states`: first,
        cotangents, gradients."""
        function = kernel(self.program, self.variant(kinds), backward=True)
        triples = [_pointer(v) for row in zip(*states, strict=True) for v in row]
        pointers = [tensor.data_ptr() for tensor in outputs]
        self.run(function, [*self.common(), *pointers, *arguments, *map(_pointer, sums), *triples])

    def _partial(self, count: int, span: int) -> Tensor:
        """Where a kernel adds up the gradients of coefficients that are one number: one sum per block."""
        return torch.zeros((count, span, self.plan.blocks), dtype=torch.float64)

    def _buffer(self, kind: cpu.Kind) -> Tensor | None:
        """Where a kernel adds up the gradient of a coefficient per element."""
        if not kind.spread:
            return None
        buffer = self.empty(self.dtype, kind.timed)
        return buffer if self.x.numel() else buffer.zero_()

    def _gradient(self, value: Tensor, kind: cpu.Kind, partial: Tensor, sums: Tensor | None) -> Tensor:
        """The gradient of one coefficient in its own shape and type, summed in float64."""
        if sums is None:
            row = partial[:, 0] if partial.shape[1] else partial.new_zeros(partial.shape[0])
            return (row if kind.timed else row[:1].sum()).to(value.dtype).view(value.shape)
        lead, shape = int(kind.timed), value.shape[int(kind.timed) :]
        dims = [lead] + ([d + lead for d in range(2, self.x.dim() - 1)] if shape != self.x.shape[2:] else [])
        return sums.sum(dims, dtype=torch.float64).to(value.dtype).view(value.shape)


def signed(numbers: Sequence[Coefficient]) -> tuple:
    """Numbers as a key that tells −0.0 from 0.0, which are equal to Python."""
    return (*numbers, *map(str, numbers)) if 0.0 in numbers else tuple(numbers)


def remember(table: dict, key: Any, value: T) -> T:
    """Put a value into a table that starts anew after a thousand."""
    if len(table) > 1000:
        table.clear()
    table[key] = value
    return value


def tensors_of(values: Iterable) -> list[Tensor]:
    """The tensors among them."""
    return [value for value in values if isinstance(value, Tensor)]


def _pointer(tensor: Tensor | None) -> int:
    return 0 if tensor is None else tensor.data_ptr()
