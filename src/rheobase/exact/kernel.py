"""The C kernel as an engine: compiles the loop with a neuron's pieces, hands over tensors, frees the log."""

from __future__ import annotations

import ctypes
import functools
import weakref
from typing import Any

import torch

from rheobase.exact.entry_source import ENTRY
from rheobase.exact.errors import overflow, too_many
from rheobase.exact.inputs import Problem
from rheobase.exact.loop_source import LOOP, PRELUDE
from rheobase.exact.neuron import Neuron
from rheobase.exact.walk_source import WALK
from rheobase.fuse import build

LANES = 16  # rows are padded to whole cache lines
FINE, TOO_MANY, NO_MEMORY, OVERFLOW = range(4)


class _Problem(ctypes.Structure):
    """`problem` of the C source."""

    _fields_ = [
        *((name, ctypes.c_int64) for name in ("B", "K", "N", "NP", "inputs", "max_events")),
        ("T", ctypes.c_double),
        *((name, ctypes.c_void_p) for name in ("par", "w_in", "w_net", "times", "delays", "ids", "x0")),
        ("threads", ctypes.c_int),
    ]


@functools.cache
def library(kind: type[Neuron], dtype: torch.dtype) -> ctypes.CDLL:
    """The compiled kernel of a kind of neuron."""
    single = "#define SINGLE\n" if dtype == torch.float32 else ""
    source = single + PRELUDE + kind.source + LOOP + WALK + ENTRY
    lib = build.library(source, f"exact_{kind.__name__.lower()}_{'f32' if single else 'f64'}")
    lib.exact_forward.restype = ctypes.c_void_p
    lib.exact_free.argtypes = [ctypes.c_void_p, ctypes.c_int64]
    return lib


def _columns(w: torch.Tensor) -> torch.Tensor:
    """[pre, post padded to LANES]: what one sender delivers is one row."""
    padded = w.new_zeros(w.shape[1], -(-w.shape[0] // LANES) * LANES)
    padded[:, : w.shape[0]] = w.detach().T
    return padded


class _Handed:
    """A problem in C's form; keeps alive what it points to, and the log.

    The times are its own: the sweep back finds its way in the log by them, and numpy may share the caller's memory,
    where torch notices no change.
    """

    def __init__(self, problem: Problem) -> None:
        N, inputs = problem.w_in.shape
        self.w_in = _columns(problem.w_in)
        self.w_net = None if problem.w_net is None else _columns(problem.w_net)
        self.arrays = [
            torch.tensor(problem.neuron.parameters(), dtype=torch.float64),
            self.w_in,
            self.w_net,
            problem.times.detach().to(torch.float64, copy=True, memory_format=torch.contiguous_format),
            None if problem.delays_net is None else problem.delays_net.detach().double().contiguous(),
            problem.ids.contiguous(),
            problem.x0.detach().contiguous(),
        ]
        self.struct = _Problem(
            *problem.times.shape,
            N,
            self.w_in.shape[1],
            inputs,
            problem.max_events,
            problem.T,
            *(None if array is None else array.data_ptr() for array in self.arrays),
            torch.get_num_threads(),
        )
        self.library = library(type(problem.neuron), problem.w_in.dtype)
        self.samples: int | None = None

    def hold(self, samples: int) -> None:
        """Free the log together with this object."""
        self.samples = samples
        weakref.finalize(self, self.library.exact_free, samples, self.struct.B)


class KernelEngine:
    """Runs the C kernel, in the dtype of w_in (event times in float64)."""

    def forward(self, problem: Problem, store: bool) -> tuple[Any, list[torch.Tensor]]:
        """(what `backward` needs, [times, ids, is_input, rank, state, slope])."""
        handed = _Handed(problem)
        B = problem.times.shape[0]
        reported, status = torch.zeros(B, dtype=torch.int64), torch.zeros(B, dtype=torch.int32)
        samples = handed.library.exact_forward(ctypes.byref(handed.struct), int(store), _at(reported), _at(status))
        if not samples:
            raise MemoryError("simulate: no memory for the log of events.")
        handed.hold(samples)
        _judge(status, problem.max_events)
        E = int(reported.max()) if B else 0
        out = [
            torch.full((B, E), torch.inf, dtype=torch.float64),
            torch.full((B, E), -1),
            torch.zeros(B, E, dtype=torch.bool),
            torch.zeros(B, E, dtype=torch.int64),
            torch.empty(problem.x0.shape, dtype=problem.x0.dtype),
            torch.empty(B, dtype=torch.float64),
        ]
        handed.library.exact_copy(
            ctypes.byref(handed.struct), ctypes.c_void_p(samples), ctypes.c_int64(E), *map(_at, out)
        )
        return (handed, E), out

    def backward(self, problem: Problem, kept: Any, g_times: torch.Tensor, g_state: torch.Tensor) -> list[torch.Tensor]:
        """Gradients of [w_in, w_net, times, x0, delays]."""
        handed, E = kept
        N = problem.w_in.shape[0]
        g_w_in = torch.zeros_like(handed.w_in)
        g_w_net = None if handed.w_net is None else torch.zeros_like(handed.w_net)
        g_inputs = torch.zeros(problem.times.shape, dtype=torch.float64)
        g_x0 = torch.zeros(problem.x0.shape, dtype=problem.x0.dtype)
        g_delays = torch.zeros(N, dtype=torch.float64)
        fine = handed.library.exact_backward(
            ctypes.byref(handed.struct),
            ctypes.c_void_p(handed.samples),
            ctypes.c_int64(E),
            *map(_at, (g_times, g_state)),
            _at(g_w_in),
            _at(g_w_net),
            *map(_at, (g_inputs, g_x0, g_delays)),
        )
        if not fine:
            raise MemoryError("simulate: no memory for the backward sweep.")
        w_net = torch.zeros(0) if g_w_net is None else g_w_net[:, :N].T
        return [g_w_in[:, :N].T, w_net, g_inputs, g_x0, g_delays]


def _at(tensor: torch.Tensor | None) -> ctypes.c_void_p:
    return ctypes.c_void_p(None if tensor is None else tensor.data_ptr())


def _judge(status: torch.Tensor, max_events: int) -> None:
    """Turn the first failure into an error."""
    if not bool(status.any()):
        return
    sample = int(torch.nonzero(status)[0, 0])
    if int(status[sample]) == TOO_MANY:
        raise too_many(sample, max_events)
    if int(status[sample]) == OVERFLOW:
        raise overflow(sample)
    raise MemoryError("simulate: no memory for the log of events.")
