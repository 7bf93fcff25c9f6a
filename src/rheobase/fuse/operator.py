"""Chooses the backend of a call and bridges the kernels to autograd."""

from __future__ import annotations

import contextlib
import warnings
from collections.abc import Iterator, Sequence
from contextvars import ContextVar

import torch
from torch import Tensor
from torch.autograd import forward_ad

from rheobase.fuse import build, gpu
from rheobase.fuse.gpu import GpuCall
from rheobase.fuse.launch import DTYPES, Call, tensors_of
from rheobase.fuse.once import first_order
from rheobase.fuse.program import Program
from rheobase.fuse.step import Coefficient
from rheobase.names import unknown
from rheobase.surrogate import is_smooth

BACKENDS = ("auto", "eager", "cpu", "triton")

_requested: ContextVar[str] = ContextVar("rheobase_backend", default="auto")
_last: ContextVar[str | None] = ContextVar("rheobase_last_backend", default=None)


class Ran(str):
    """The name of a backend that ran; `copied` says that a strided input was copied first."""

    copied: bool

    @classmethod
    def known(cls) -> dict[tuple[str, bool], Ran]:
        """All that can have run, by (name, copied)."""
        table = {}
        for name in BACKENDS:
            for copied in (False, True):
                table[name, copied] = ran = cls(name)
                ran.copied = copied
        return table


_RAN = Ran.known()


@contextlib.contextmanager
def backend(name: str) -> Iterator[None]:
    """Run neurons on "eager", "cpu" (fused C), "triton" (fused GPU) or "auto" inside the context.

    "auto", the default: inputs on a GPU run "triton", inputs on the CPU "cpu" where a C compiler is found; eager are
    neurons with `fused = False`, calls inside `rb.surrogate.smooth()`, torch.func transforms and torch.jit.trace, other
    devices, float64 on a GPU, and recurrent layers where torch hands operators to Python (fake tensors, make_fx,
    FlopCounterMode; other neurons are one operator there). Forward-mode derivatives exist inside `smooth()` only.
    A named backend runs or raises. `rb.exact.simulate` obeys it too: its Triton kernels take float64, its "eager" is
    the readable reference. Errors: ValueError for an unknown name.
    """
    if name not in BACKENDS:
        raise unknown("backend", name, BACKENDS)
    token = _requested.set(name)
    try:
        yield
    finally:
        _requested.reset(token)


def requested() -> str:
    """The backend asked for by the context."""
    return _requested.get()


def last_backend() -> str | None:
    """What the last neuron call of this thread ran on: "eager", "cpu" or "triton" (`.copied`: x was copied first)."""
    return _last.get()


def note_backend(name: str, copied: bool = False) -> None:
    """Record what ran, for `last_backend`."""
    _last.set(_RAN[name, copied])


warned: set[str] = set()  # what warn_once has said in this process


def warn_once(text: str) -> None:
    """A RuntimeWarning that is given once per process and text."""
    if text not in warned:
        warned.add(text)
        warnings.warn(text, RuntimeWarning, stacklevel=4)


def choose(program: Program | None, x: Tensor, name: str, obstacle: str | None = None) -> str:
    """The backend for a call of neuron `name`; `obstacle`: what keeps this kind of call from being fused, if anything.

    Errors: RuntimeError where a named backend cannot run it.
    """
    asked = _requested.get()
    if asked == "eager":
        return "eager"
    obstacle = _obstacle(program, x, name) or obstacle
    if asked == "auto":
        if obstacle is not None:
            return "eager"
        if x.is_cpu:
            if build.compiler() is not None:
                return "cpu"
            warn_once(f"rheobase: {build.missing()}. Neurons run eager, many times slower.")
            return "eager"
        return _choose_gpu(program, x, name)
    if obstacle is not None:
        raise RuntimeError(f"{name}: backend {asked!r} cannot run this call: {obstacle}. Use rb.backend('auto').")
    if asked == "cpu" and not x.is_cpu:
        raise RuntimeError(f"{name}: backend 'cpu' needs x on the CPU; it is on {x.device}.")
    if asked == "triton" and (why := gpu.obstacle(program, x)) is not None:  # type: ignore[arg-type]
        raise RuntimeError(f"{name}: backend 'triton' cannot run this call: {why}. Use rb.backend('auto').")
    return asked


def _choose_gpu(program: Program | None, x: Tensor, name: str) -> str:
    """ "triton" for x on a GPU, "eager" for float64 there, and where triton is missing, which it says once."""
    if x.device.type != "cuda":
        return "eager"
    why = gpu.obstacle(program, x)  # type: ignore[arg-type]
    if why is not None and x.dtype != torch.float64:
        warn_once(f"rheobase: {name} runs eager on {x.device}, many times slower: {why}.")
    return "eager" if why is not None else "triton"


def _obstacle(program: Program | None, x: Tensor, name: str) -> str | None:
    if program is None:
        return f"{name} sets fused = False"
    if is_smooth():
        return "it stands inside rb.surrogate.smooth()"
    if x.dtype not in DTYPES:
        return f"there is no kernel for {x.dtype}"
    if torch._C._functorch.peek_interpreter_stack() is not None:  # type: ignore[attr-defined]
        return "it stands inside a torch.func transform"
    if forward_ad._current_level >= 0:
        return "it stands inside forward-mode differentiation"
    if torch._C._get_tracing_state() is not None:  # type: ignore[attr-defined]
        return "it stands inside torch.jit.trace"
    return None


def captured(x: Tensor) -> bool:
    """Whether work on x is being recorded for a CUDA graph, which repeats what the host has drawn or counted."""
    return x.is_cuda and torch.cuda.is_current_stream_capturing()


def intercepted(x: Tensor) -> bool:
    """Whether torch hands operators to Python (fake tensors, make_fx, counters): x may then have no memory."""
    handled = type(x).__torch_dispatch__ is not Tensor.__torch_dispatch__  # type: ignore[attr-defined]
    return handled or torch._C._len_torch_dispatch_stack() > 0  # type: ignore[attr-defined]


class _Scan(torch.autograd.Function):
    """The kernels under autograd. Tensors come flat: x, the given states, the coefficients that are tensors."""

    @staticmethod
    def forward(ctx, call: Call, states: Sequence, coefficients: Sequence, final: bool, x: Tensor, *tensors: Tensor):
        ctx.program, ctx.clock, ctx.given = call.program, call.clock, [v is not None for v in states]
        ctx.launcher = type(call)
        ctx.plain = [None if isinstance(c, Tensor) else c for c in coefficients]
        ctx.save_for_backward(x, call.uniform, *tensors)
        ctx.set_materialize_grads(False)
        spikes, last = call.forward(states, coefficients, final)
        return (spikes, *last)

    @staticmethod
    @first_order
    def backward(ctx, *grads: Tensor | None):
        x, uniform, *rest = ctx.saved_tensors
        saved = iter(rest)
        states = [next(saved) if given else None for given in ctx.given]
        coefficients = [next(saved) if value is None else value for value in ctx.plain]
        cots = grads[1:] or [None] * len(states)
        call = ctx.launcher(ctx.program, x, ctx.clock, uniform)
        grad_x, to_states, to_coefficients = call.backward(states, coefficients, grads[0], cots)
        flat = [g for g, given in zip(to_states, ctx.given, strict=True) if given]
        flat += [g for g, value in zip(to_coefficients, ctx.plain, strict=True) if value is None]
        return None, None, None, None, grad_x, *flat


LAUNCHERS: dict[str, type[Call]] = {"cpu": Call, "triton": GpuCall}  # the class that runs kernels on a backend


def fused(
    program: Program,
    x: Tensor,
    states: Sequence[Tensor | None],
    coefficients: Sequence[Coefficient],
    uniform: Tensor | None,
    clock: tuple[int, int],
    final: bool,
    name: str = "cpu",
) -> tuple[Tensor, list[Tensor]]:
    """Spikes and, if `final`, the states at the end, by the fused kernel of backend `name`."""
    call = LAUNCHERS[name](program, x, clock, uniform)
    note_backend(name, call.layout.copied)
    if torch.is_grad_enabled():
        tensors = tensors_of((*states, *coefficients))
        if x.requires_grad or (tensors and any(t.requires_grad for t in tensors)):
            spikes, *last = _Scan.apply(call, states, coefficients, final, x, *tensors)  # type: ignore[misc]
            return spikes, last
    return call.forward(states, coefficients, final)
