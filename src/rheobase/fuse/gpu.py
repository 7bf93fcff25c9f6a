"""Runs the generated Triton kernels on tensors, and compiles them ahead of time for GPUs that are not here."""

from __future__ import annotations

import contextlib
import functools
import hashlib
import importlib.util
import os
import tempfile
import threading
from collections.abc import Sequence
from types import ModuleType
from typing import Any, NamedTuple

import torch
from torch import Tensor

from rheobase.fuse import build, gpu_source
from rheobase.fuse.gpu_source import Kind, Variant
from rheobase.fuse.launch import DTYPES, Call, remember, signed, tensors_of
from rheobase.fuse.program import Program
from rheobase.fuse.step import Coefficient, coefficient_shape
from rheobase.fuse.tprint import NOT_INTERPRETED

CHUNKS = (4, 8)
WARP = 32
OPTIONS = {"enable_fp_fusion": False}
NUMBER = Kind()

_modules: dict[str, ModuleType] = {}
_one_at_a_time = threading.Lock()  # the interpreter's state is one for all threads


@functools.cache
def interpreting() -> bool:
    """Whether Triton runs kernels in its interpreter, on the CPU (TRITON_INTERPRET=1 before triton is imported)."""
    import triton

    return not isinstance(triton.jit(interpreting.__wrapped__), triton.JITFunction)


@functools.cache
def installed() -> bool:
    """Whether Triton is at hand."""
    return importlib.util.find_spec("triton") is not None


def obstacle(program: Program, x: Tensor) -> str | None:
    """Why the GPU kernels cannot run this call, or None."""
    if x.dtype == torch.float64:
        return "GPU kernels compute in float32; there is none for float64"
    if not installed():
        return "triton is not installed (pip install triton)"
    if x.device.type == "cuda":
        return None
    if x.device.type != "cpu" or not interpreting():
        return f"x is on {x.device}, not on a GPU, and Triton's interpreter (TRITON_INTERPRET=1) is off"
    refused = NOT_INTERPRETED & {node.op for graph in (program.forward, program.backward) for node in graph.nodes}
    return f"Triton's interpreter has no {', '.join(sorted(refused))}" if refused else None


def on_device(x: Tensor) -> contextlib.AbstractContextManager:
    """Makes the GPU of x the current one, where it is not: Triton launches there."""
    if not x.is_cuda or x.device.index == torch.cuda.current_device():
        return contextlib.nullcontext()
    return torch.cuda.device(x.device)


def load(source: str, name: str) -> ModuleType:
    """The module of a generated source, from a file in the kernel cache: Triton reads the text of its functions there.

    The file is named by its content, written under a private name and renamed; a damaged one is written again.
    """
    key = hashlib.sha256(source.encode()).hexdigest()[:24]
    if key not in _modules:
        path = build.folder() / f"{name}-{key}.py"
        if not path.exists() or path.read_text(encoding="utf-8") != source:
            with tempfile.NamedTemporaryFile(
                "w", dir=path.parent, suffix=".py", delete=False, encoding="utf-8"
            ) as file:
                file.write(source)
            os.replace(file.name, path)
        spec = importlib.util.spec_from_file_location(f"rheobase_kernel_{key}", path)
        module = importlib.util.module_from_spec(spec)  # type: ignore[arg-type]
        spec.loader.exec_module(module)  # type: ignore[union-attr]
        _modules[key] = module
    return _modules[key]


def kernel(program: Program, variant: Variant, backward: bool) -> Any:
    """The Triton function of the forward or backward kernel; it compiles itself per type and alignment when called."""
    key = ("triton", variant, backward)
    found = program.kernels.get(key)
    if found is None:
        source = (gpu_source.backward_source if backward else gpu_source.forward_source)(program, variant)
        name = "backward" if backward else "forward"
        found = getattr(load(source, f"{program.step.name.lower()}-{name}"), name)
        program.kernels[key] = found
    return found


class Shape(NamedTuple):
    """Neurons per program, warps per program, and steps per chunk of the backward pass."""

    block: int
    warps: int
    chunk: int


def chunk_length(program: Program, steps: int) -> int:
    """Steps per chunk of the backward pass: at most 8, with several states 4.

    Longer ones read less of x twice, but take registers, so that fewer programs run beside each other: on an H100
    CLIF at T=8 is 6 % faster in two chunks than in one (results/benchmarks/gpu-cuts.log).
    """
    return CHUNKS[0] if steps <= CHUNKS[0] or len(program.step.states) > 1 else CHUNKS[1]


def shape(program: Program, dtype: str, neurons: int, steps: int, backward: bool, summed: bool = False) -> Shape:
    """How the grid is cut, for enough bytes in flight and no spilled registers.

    Forward a thread reads 16 bytes at once. Backward it takes fewer neurons: it holds the states and x of a chunk, and
    what a step holds besides grows with the states, and where gradients of coefficients are `summed`. No neuron of the
    package spills more than one register (`ptxas -v`, sm_90). With few neurons a thread takes one, so that every
    multiprocessor has work. `python -m benchmarks.gpu --groups cuts` times other cuts.
    """
    chunk, each, warps = chunk_length(program, steps), 4 if dtype == "float32" else 8, 4
    if backward:
        states = max(len(program.step.states), 1)
        room = 16 // chunk if states == 1 else 8 // (states * (1 + summed))
        each, warps = max(1, min(each, 1 << max(room.bit_length() - 1, 0))), 2
    if neurons >= 1 << 15:
        each = each if neurons >= each << 15 else 1
        return Shape(warps * WARP * each, warps, chunk)
    return Shape(WARP, 1, chunk)


def _chunked(cut: Shape, steps: int) -> dict[str, Any]:
    """The backward kernel's constants that follow from its chunks."""
    many = steps > cut.chunk
    return {"CHUNK": cut.chunk, "MANY": many, "ONCE": "evict_first" if many else ""}


def marks(program: Program, steps: int, summed: bool = False) -> int:
    """How many times the backward pass over so many steps writes all states to scratch."""
    return max(-(-steps // chunk_length(program, steps)) - 1 - gpu_source.holds(program, summed), 0)


def scratch_bytes(program: Program, steps: int, neurons: int, summed: bool = False) -> int:
    """Bytes that one backward call on x [steps, neurons] borrows: the states before the chunks that read x again.

    A call of a random neuron whose clock is no multiple of 4 counts up to 3 steps more.
    """
    return 4 * marks(program, steps, summed) * len(program.step.states) * neurons


class GpuCall(Call):
    """One call of a neuron's Triton kernels on x: forward or backward."""

    __slots__ = ()

    def coefficients(self, values: Sequence[Coefficient]) -> tuple[dict[str, Any], list, list]:  # type: ignore[override]
        """Arguments by name and kinds of the coefficients."""
        names = self.program.step.coefficients
        if not tensors_of(values):
            key = ("numbers", *signed(values))
            found = self.program.prepared.get(key)
            if found is None:
                numbers = {f"c_{name}": float(v) for name, v in zip(names, values, strict=True)}
                found = remember(self.program.prepared, key, (numbers, [NUMBER] * len(names), []))
            return found
        pairs = [self._coefficient(*pair) for pair in zip(names, values, strict=True)]
        return {k: v for arguments, _ in pairs for k, v in arguments.items()}, [kind for _, kind in pairs], []

    def _coefficient(self, name: str, value: Coefficient) -> tuple[dict[str, Any], Kind]:
        if not isinstance(value, Tensor):
            return {f"c_{name}": float(value)}, NUMBER
        timed = name in self.program.step.timed
        place = coefficient_shape(self.program.step, name, value, self.x)
        data = value.detach().to(self.x.device, self.dtype).resolve_neg().contiguous()
        kind = Kind(bool(place), timed, value.requires_grad, held=True)
        if not place:
            return {f"at_{name}": data}, kind
        if timed and not len(data):
            return {f"at_{name}": data, f"inner_{name}": 1, f"size_{name}": 1}, kind
        rows = [self.layout.spread(row, self.x) for row in (data if timed else (data,))]
        data = torch.stack([row[0].flatten() for row in rows]) if timed else rows[0][0]
        return {f"at_{name}": data, f"inner_{name}": rows[0][1], f"size_{name}": rows[0][2]}, kind

    @property
    def neurons(self) -> int:
        return self.layout.rows * self.layout.length

    @property
    def lead(self) -> int:
        """Steps since the last multiple of four of the clock, before which random numbers are not drawn."""
        return self.clock[0] % 4 if self.program.step.random and self.uniform is None else 0

    def cut(self, backward: bool, summed: bool) -> Shape:
        steps = self.x.shape[0] + self.lead
        return shape(self.program, DTYPES[self.x.dtype], self.neurons, steps, backward, summed)

    def shared(self) -> dict[str, Any]:
        """The arguments that both kernels take and that differ from call to call, coefficients and states aside."""
        found: dict[str, Any] = {"x_in": self.walked.detach()}
        if self.uniform is not None:
            found["uniform_in"] = self.uniform
        elif self.program.step.random:
            found |= {"clock": self.clock[0], "key": self.clock[1]}
        return found

    def prepare(self, backward: bool, kinds: tuple[Kind, ...]) -> tuple[Any, dict[str, Any]]:
        """The kernel on its grid, and the arguments that follow from the plan; remembered for calls of one shape."""
        key = (self.plan, backward, kinds, self.lead, self.uniform is None)
        found = self.program.prepared.get(key)
        if found is None:
            drawn = self.program.step.random and self.uniform is None
            variant = Variant(DTYPES[self.x.dtype], kinds, drawn, interpreting())
            cut, layout = self.cut(backward, any(kind.wanted for kind in kinds)), self.layout
            group = cut.chunk if backward else gpu_source.GROUP
            constants = {"steps": self.x.shape[0], "total": self.neurons, "length": layout.length, "BLOCK": cut.block}
            constants |= {"x_step": layout.x_step, "x_row": layout.x_row, "FLAT": layout.rows == 1}
            constants |= {"WIDE": self.neurons >= 1 << 31, "WHOLE": not self.lead and self.x.shape[0] % group == 0}
            constants |= _chunked(cut, self.x.shape[0] + self.lead) if backward else {}
            constants |= {"swap_p": self.plan.swap[0], "swap_c": self.plan.swap[1]} if drawn else {}
            function = kernel(self.program, variant, backward)[(-(-self.neurons // cut.block),)]
            found = function, constants | {"num_warps": cut.warps, **OPTIONS}
            remember(self.program.prepared, key, found)
        return found  # type: ignore[return-value]

    def launch(self, backward: bool, kinds: list[Kind], arguments: dict[str, Any]) -> None:
        """Run a kernel on the device of x."""
        function, constants = self.prepare(backward, tuple(kinds))
        with on_device(self.x), _one_at_a_time if interpreting() else contextlib.nullcontext():
            function(**self.shared(), **arguments, **constants)

    def launch_forward(
        self, values: Sequence[Coefficient], spikes: Tensor, first: list[Tensor | None], last: list[Tensor]
    ) -> None:
        given, kinds, _ = self.coefficients(values)
        rounded = interpreting() and spikes.dtype != torch.float32  # the interpreter cuts float32 to bfloat16
        arguments = {"spikes_out": spikes.float() if rounded else spikes} | given
        for k, name in enumerate(self.program.step.states):
            arguments |= {f"first_{name}": first[k], f"last_{name}": last[k] if last else None}
        self.launch(False, [kind._replace(wanted=False) if kind.wanted else kind for kind in kinds], arguments)
        if rounded:
            spikes.copy_(arguments["spikes_out"])

    def launch_backward(
        self, arguments: Any, kinds: list, outputs: tuple[Tensor, ...], sums: list[Tensor | None], states: tuple
    ) -> None:
        step, (cot, grad_x, partial) = self.program.step, outputs
        summed = any(kind.wanted for kind in kinds)
        borrowed = scratch_bytes(self.program, self.x.shape[0] + self.lead, self.neurons, summed)
        scratch = torch.empty(borrowed // 4, dtype=self.dtype, device=self.x.device)
        to_x = grad_x.float() if interpreting() else grad_x
        found = arguments | {"cot_in": cot.detach(), "to_x_out": to_x, "marks": scratch, "partial": partial}
        found |= {f"sums_{name}": s for name, s in zip(step.coefficients, sums, strict=True) if s is not None}
        for name, *row in zip(step.states, *states, strict=True):
            found |= {f"{side}_{name}": value for side, value in zip(("first", "cot", "grad"), row, strict=True)}
        self.launch(True, kinds, found)
        if to_x is not grad_x:
            grad_x.copy_(to_x)
        if partial.numel():
            partial[..., 0] = partial.sum(-1)

    def _partial(self, count: int, span: int) -> Tensor:
        programs = -(-self.neurons // self.cut(True, True).block)
        return torch.zeros((count, span, programs), dtype=torch.float64, device=self.x.device)


def compile_ahead(program: Program, variant: Variant, capability: int, backward: bool = False, steps: int = 32) -> str:
    """PTX of a kernel for a GPU that need not be here: `capability` 80 for sm_80, 90 for sm_90.

    For many neurons, T = `steps`, all states given, aligned addresses. Errors: RuntimeError in Triton's interpreter.
    """
    from triton.backends.compiler import GPUTarget
    from triton.compiler import ASTSource, compile

    if interpreting():
        raise RuntimeError("compile_ahead: Triton's interpreter is on; unset TRITON_INTERPRET before importing triton.")
    cut = shape(program, variant.dtype, 1 << 22, steps, backward, any(kind.wanted for kind in variant.kinds))
    types = (gpu_source.backward_arguments if backward else gpu_source.forward_arguments)(program, variant)
    constants = {"BLOCK": cut.block, "FLAT": True, "WIDE": False, "WHOLE": True}
    constants |= _chunked(cut, steps) if backward else {}
    aligned = {(place,): [["tt.divisibility", 16]] for place, name in enumerate(types) if _aligned(name, types[name])}
    source = ASTSource(kernel(program, variant, backward), types, constants, aligned)
    options = {"num_warps": cut.warps, **OPTIONS}
    return compile(source, target=GPUTarget("cuda", capability, WARP), options=options).asm["ptx"]


def _aligned(name: str, kind: str) -> bool:
    return kind.startswith("*") or name in ("total", "length", "x_step", "x_row")
