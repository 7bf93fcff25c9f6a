"""Runs the recurrent Triton kernels on tensors, and compiles them ahead of time for GPUs that are not here."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import torch
from torch import Tensor

from rheobase.fuse import gpu, recurrent_gpu_source
from rheobase.fuse.delays import known
from rheobase.fuse.gpu_source import Kind, Variant
from rheobase.fuse.launch import DTYPES
from rheobase.fuse.program import Program
from rheobase.fuse.recurrent_launch import hollow
from rheobase.fuse.step import Coefficient

BLOCK = 16  # samples per program, the least that a tensor core takes: more programs keep more of the GPU at work
CHUNK = 16  # steps between the states kept for the backward pass
WIDEST = 512  # neurons
HELD = 128  # neurons up to which the weight stays in shared memory
ROWS = 32  # rows of a wider weight that are read together
WARPS = 16  # at most while the weight stays in shared memory: a warp computes products of 8 neurons at least


def obstacle(n: int) -> str | None:
    """Why the GPU kernels cannot run n neurons that feed back into each other, or None. Such a call runs eager."""
    return f"the recurrent GPU kernel takes at most {WIDEST} neurons" if n > WIDEST else None


def width(n: int) -> int:
    """n, or what a tile of the tensor cores takes."""
    return max(16, 1 << (n - 1).bit_length())


def parts(weight: Tensor, n: int) -> Tensor:
    """A weight [n, n] as the sum of bfloat16 numbers, padded with zeros: [3, width, width], or [1, ...] of bfloat16."""
    from rheobase.fuse import parts_gpu

    weight = weight.detach()
    return parts_gpu.split(weight if weight.dtype == torch.bfloat16 else weight.float(), width(n))


def kernel(program: Program, variant: Variant, backward: bool) -> Any:
    """The Triton function of the forward or backward kernel; it compiles itself when called."""
    key = ("recurrent triton", variant, backward)
    if key not in program.kernels:
        name = "backward" if backward else "forward"
        source = getattr(recurrent_gpu_source, f"{name}_source")(program, variant)
        module = gpu.load(source, f"{program.step.name.lower()}-recurrent-{name}")
        program.kernels[key] = getattr(module, name)
    return program.kernels[key]


def cut(n: int, exact: bool, delayed: bool = False) -> dict[str, int]:
    """The constants of a kernel for n neurons; `exact`: three parts of the weight."""
    wide = width(n)
    rows = wide if wide <= HELD else ROWS
    shape = {"BLOCK": BLOCK, "WIDTH": wide, "CHUNK": CHUNK, "PARTS": 3 if exact else 1, "ROWS": rows}
    return shape | {"DELAYED": delayed}


def options(n: int) -> dict[str, Any]:
    held = width(n) <= HELD
    return {"num_warps": min(WARPS, width(n) // 8) if held else 8, "num_stages": 1 if held else 3, **gpu.OPTIONS}


class GpuLoop:
    """One recurrent call: what forward and backward share besides the tensors that autograd keeps.

    Kept for the backward pass, in place of x: the `currents` [T, B, n] in float32, the `spikes`, and the states every
    CHUNK steps as `marks`.
    """

    def __init__(
        self, program: Program, x: Tensor, clock: tuple[int, int], uniform: Tensor | None, delays: Tensor | None
    ):
        x = x.detach().contiguous()
        self.program, self.x, self.clock = program, x, clock
        self.call = gpu.GpuCall(program, x, clock, uniform)
        self.steps, self.batch, self.n = x.shape
        self.late = None
        if delays is not None and known(delays).longest:
            self.late = delays.to(x.device).contiguous()
        self.currents: Tensor | None = None
        self.marks: Tensor | None = None
        self.spikes: Tensor | None = None

    @property
    def programs(self) -> int:
        return -(-self.batch // BLOCK)

    def _launch(self, backward: bool, values: Sequence[Coefficient], weight: Tensor, more: dict[str, Any]) -> None:
        """Run a kernel on the device of x."""
        given, kinds, _ = self.call.coefficients(values)
        if not backward:
            kinds = [kind._replace(wanted=False) for kind in kinds]
        found: dict[str, Any] = {"steps": self.steps, "batch": self.batch, "n": self.n, "weight": weight}
        found |= {"currents": self.currents, "marks": self.marks, "late": self.late}
        found |= {name: value for name, value in given.items() if not name.startswith(("inner_", "size_"))}
        drawn = self.program.step.random and self.call.uniform is None
        if drawn:
            found |= {"clock": self.clock[0], "key": self.clock[1]}
        elif self.program.step.random:
            found["uniform_in"] = self.call.uniform
        variant = Variant(DTYPES[self.x.dtype], tuple(kinds), drawn, gpu.interpreting())
        function = kernel(self.program, variant, backward)
        with gpu.on_device(weight):
            function[(self.programs,)](
                **found, **more, **cut(self.n, len(weight) > 1, self.late is not None), **options(self.n)
            )

    def _float(self, value: Tensor | None) -> Tensor | None:
        return None if value is None else value.detach().float().contiguous()

    def forward(
        self, weight: Tensor, before: Tensor | None, states: Sequence, coefficients: Sequence[Coefficient], keep: bool
    ) -> tuple[Tensor, list[Tensor]]:
        """Spikes and final states; with `keep` also what the backward pass needs. Lets go of x."""
        shape, device = self.x.shape[1:], self.x.device
        spikes, first = torch.empty_like(self.x), [self._float(v) for v in states]
        last = [torch.empty(shape, device=device) for _ in first]
        if not spikes.numel():
            for target, source in zip(last, first, strict=True):
                target.zero_() if source is None else target.copy_(source)
            return spikes, last
        if keep:
            self.currents = torch.empty(self.x.shape, device=device)
            self.marks = torch.empty((-(-self.steps // CHUNK), len(first), *shape), device=device)
            self.spikes = spikes
        sent = None if before is None else (self._early(before) @ weight.detach().float().T).contiguous()
        more: dict[str, Any] = {"x_in": self.x, "spikes_out": spikes, "before": sent}
        more["reach"] = 0 if sent is None else len(sent)
        for name, start, end in zip(self.program.step.states, first, last, strict=True):
            more |= {f"first_{name}": start, f"last_{name}": end}
        self._launch(False, coefficients, parts(weight.T, self.n), more)
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
        """Gradients to x, to weight and initial spikes where `wanted`, to the states, and to the coefficients."""
        device, states = weight.device, self.program.step.states
        cots = [self._float(v) for v in cot_states]
        grads = [torch.zeros((self.batch, self.n), device=device) for _ in cots]
        kinds = self.call.coefficients(coefficients)[1]
        sums = [self._sums(kind, device) if kind.wanted else None for kind in kinds]
        delta = torch.empty(self.x.shape, device=device)
        if delta.numel():
            dtype = self.x.dtype
            nothing = cot_s is None
            cot = torch.zeros(self.x.shape, dtype=dtype, device=device) if nothing else cot_s.to(dtype).contiguous()
            room = self.programs * CHUNK * len(states) * BLOCK * width(self.n)
            more: dict[str, Any] = {"cot_in": cot, "delta_out": delta, "scratch": torch.empty(room, device=device)}
            more["backs"] = None if self.late is None else torch.empty_like(delta)
            more |= {f"sums_{k}": s for k, s in zip(self.program.step.coefficients, sums, strict=True) if s is not None}
            for name, end, start in zip(states, cots, grads, strict=True):
                more |= {f"cot_{name}": end, f"grad_{name}": start}
            self._launch(True, coefficients, parts(weight, self.n), more)
        else:
            grads = [grad if cot is None else cot for grad, cot in zip(grads, cots, strict=True)]
        to_weight, to_before = self._recurrent(delta, weight, before, wanted)
        gradients = [
            None if total is None else total.sum(0, dtype=torch.float64).to(value.dtype).view(value.shape)  # type: ignore[union-attr]
            for total, value in zip(sums, coefficients, strict=True)
        ]
        return delta.to(self.x.dtype), to_weight, to_before, grads, gradients

    def _recurrent(
        self, delta: Tensor, weight: Tensor, before: Tensor | None, wanted: tuple[bool, bool]
    ) -> tuple[Tensor | None, Tensor | None]:
        """Gradients of the weight, a product over all steps for each delay, and of the spikes before the first."""
        to_weight, to_before, early = None, None, None
        if before is not None and self.steps:
            early = self._early(before)
        if wanted[0]:
            to_weight = torch.zeros((self.n, self.n), device=weight.device)
            for delay, own in self._delays():
                if self.steps > 1 + delay and self.spikes is not None:
                    sent = self.spikes[: self.steps - 1 - delay, :, own].flatten(0, 1).float()
                    to_weight[:, own] += delta[1 + delay :].flatten(0, 1).T @ sent
            if early is not None:
                to_weight += delta[: len(early)].flatten(0, 1).T @ early.flatten(0, 1)
            to_weight = to_weight.to(weight.dtype)
        if wanted[1] and before is not None:
            to_before = torch.zeros_like(before)
            if early is not None:
                back = delta[: len(early)] @ weight.detach().float()
                for delay, own in self._delays():
                    last = min(len(early), 1 + delay)
                    to_before[len(before) - 1 - delay :][:last, :, own] = back[:last, :, own].to(before.dtype)
        return to_weight, to_before

    def _delays(self) -> list[tuple[int, Any]]:
        """The different delays, each with the neurons that have it."""
        if self.late is None:
            return [(0, slice(None))]
        return known(self.late).groups

    def _early(self, before: Tensor) -> Tensor:
        """Of the spikes before the first step, those that arrive at the first steps: [steps that they reach, B, n]."""
        before = before.detach().float()
        found = torch.zeros((min(len(before), self.steps), *before.shape[1:]), device=before.device)
        for delay, own in self._delays():
            last = min(len(found), 1 + delay)
            found[:last, :, own] = before[len(before) - 1 - delay :][:last, :, own]
        return found

    def _sums(self, kind: Kind, device: torch.device) -> Tensor:
        """Sums of every program of a coefficient's gradient."""
        lead = (self.steps,) if kind.timed else ()
        return torch.zeros((self.programs, *lead, *((self.n,) if kind.spread else ())), device=device)


def compile_ahead(program: Program, variant: Variant, capability: int, n: int, backward: bool) -> Any:
    """A kernel for n neurons and a float32 weight, compiled for a GPU that need not be here: `asm`, `metadata`.

    Errors: RuntimeError in Triton's interpreter.
    """
    from triton.backends.compiler import GPUTarget
    from triton.compiler import ASTSource, compile

    if gpu.interpreting():
        raise RuntimeError("compile_ahead: Triton's interpreter is on; unset TRITON_INTERPRET before importing triton.")
    name = "backward" if backward else "forward"
    types = getattr(recurrent_gpu_source, f"{name}_arguments")(program, variant)
    aligned = {(k,): [["tt.divisibility", 16]] for k, kind in enumerate(types.values()) if kind.startswith("*")}
    source = ASTSource(kernel(program, variant, backward), types, cut(n, True), aligned)
    return compile(source, target=GPUTarget("cuda", capability, gpu.WARP), options=options(n))
