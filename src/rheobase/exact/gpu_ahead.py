"""Compiles the Triton kernels of exact simulation for GPUs that need not be here."""

from __future__ import annotations

import torch

from rheobase.exact import gpu
from rheobase.exact.neuron import Neuron

POINTERS = {torch.float32: "*fp32", torch.float64: "*fp64"}
WHOLE = ("K", "N", "NP", "room", "limit")
NUMBERS = ("ids", "lengths", "counts", "counted", "begun", "full", "status")
NUMBERS += ("log_kind", "log_id", "log_source", "log_rank")
TIMES = ("par", "times", "delays", "log_time", "log_dt", "due", "slopes", "spikes", "pulls", "g_times", "g_delays")


def compile_ahead(
    neuron: Neuron,
    dtype: torch.dtype,
    capability: int,
    coupled: bool,
    backward: bool,
    neurons: int = 128,
    delayed: bool = False,
) -> str:
    """PTX of a kernel: `capability` 80 for sm_80, 90 for sm_90. Errors: RuntimeError in Triton's interpreter."""
    from triton.backends.compiler import GPUTarget
    from triton.compiler import ASTSource, compile

    from rheobase.exact import gpu_loop, gpu_walk

    if gpu.fused.interpreting():
        raise RuntimeError("compile_ahead: Triton's interpreter is on; unset TRITON_INTERPRET before importing triton.")
    module = gpu_loop if coupled else gpu_walk
    kernel = module.backward if backward else module.forward
    lanes, _ = gpu.width(neurons, coupled)
    constants = {"BLOCK": lanes, "INTERVAL": gpu.INTERVAL, **gpu.functions(gpu.pieces(neuron), backward)}
    constants |= {} if backward else {"STORE": True}
    constants |= {"DELAYED": delayed} if coupled else {}
    constants |= {"delays": None} if coupled and not backward and not delayed else {}
    types = {name: "constexpr" if name in constants else _type(name, dtype) for name in kernel.arg_names}
    aligned = {(place,): [["tt.divisibility", 16]] for place, kind in enumerate(types.values()) if kind[0] == "*"}
    source = ASTSource(kernel, types, constants, aligned)
    options = {"num_warps": gpu.warps(lanes), **gpu.fused.OPTIONS}
    return compile(source, target=GPUTarget("cuda", capability, 32), options=options).asm["ptx"]


def _type(name: str, dtype: torch.dtype) -> str:
    if name in WHOLE:
        return "i32"
    if name in NUMBERS:
        return "*i64" if name == "ids" else "*i32"
    return "*fp64" if name in TIMES else POINTERS[dtype]
