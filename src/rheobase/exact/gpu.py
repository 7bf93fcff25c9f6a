"""The Triton kernels as an engine: hands over tensors, gives the log more room where it is short."""

from __future__ import annotations

import dataclasses
import importlib
from types import ModuleType
from typing import Any

import torch
from torch import Tensor

from rheobase.exact.errors import overflow, too_many
from rheobase.exact.inputs import Problem
from rheobase.exact.neuron import Neuron
from rheobase.fuse import gpu as fused

INTERVAL = 32  # events between two stored states
LANES = 64  # neurons of one program where they are not coupled
WIDEST = 4096  # neurons of one program where they are coupled
ALIGNED = 16


def obstacle(device: torch.device) -> str | None:
    """Why the Triton kernels cannot run on tensors of this device, or None."""
    if not fused.installed():
        return "triton is not installed (pip install triton)"
    if device.type == "cuda" or (device.type == "cpu" and fused.interpreting()):
        return None
    return f"the tensors are on {device}, not on a GPU, and Triton's interpreter (TRITON_INTERPRET=1) is off"


def pieces(neuron: Neuron) -> ModuleType:
    """The module with a neuron's pieces for Triton."""
    return importlib.import_module(f"rheobase.exact.{neuron.gpu}")


def functions(part: ModuleType, backward: bool) -> dict[str, Any]:
    """The functions that a kernel takes, by name."""
    names = ("flow", "kick", "reset", *(("flow_back", "kick_back", "spike_back") if backward else ("wait", "slope")))
    return {name.upper(): getattr(part, name) for name in names}


def width(N: int, coupled: bool) -> tuple[int, int]:
    """(lanes of one program, programs per sample). Errors: ValueError for more coupled neurons than one can hold."""
    lanes = max(ALIGNED, 1 << (N - 1).bit_length())
    if not coupled:
        lanes = min(lanes, LANES)
        return lanes, -(-N // lanes)
    if lanes > WIDEST:
        raise ValueError(f"simulate: on a GPU at most {WIDEST} coupled neurons; got {N}. Use rb.backend('cpu').")
    return lanes, 1


def warps(lanes: int) -> int:
    """Two neurons a thread at least, at most 16 warps."""
    return min(max(lanes // 64, 1), 16)


@dataclasses.dataclass
class Run:
    """A problem in the kernels' form, and what a forward pass left for the backward pass.

    Shapes: weights [pre, NP]; in `arrays` state and adjoint are [B, programs, rows, lanes], and `order` [B, E] says
        where in the log each reported event stands.
    """

    problem: Problem
    part: ModuleType
    lanes: int
    programs: int
    par: Tensor
    w_in: Tensor
    w_net: Tensor | None
    times: Tensor
    ids: Tensor
    delays: Tensor | None
    room: int = 0
    arrays: dict[str, Tensor] = dataclasses.field(default_factory=dict)

    @classmethod
    def of(cls, problem: Problem) -> Run:
        N, device = problem.w_in.shape[0], problem.w_in.device
        lanes, programs = width(N, problem.w_net is not None)
        numbers = [*problem.neuron.parameters(), 0.0, 0.0, 0.0][:3]
        delays = problem.delays_net
        return cls(
            problem, pieces(problem.neuron), lanes, programs,
            torch.tensor([*numbers, problem.T], dtype=torch.float64, device=device),
            _columns(problem.w_in, lanes * programs),
            None if problem.w_net is None else _columns(problem.w_net, lanes * programs),
            problem.times.detach().double().contiguous(), problem.ids.contiguous(),
            None if delays is None else delays.detach().double().contiguous(),
        )  # fmt: skip

    @property
    def numbers(self) -> list[float]:
        return list(self.problem.neuron.parameters())

    def zeros(self, *shape: int, dtype: torch.dtype = torch.float64) -> Tensor:
        """A new array on the device of the problem."""
        return torch.zeros(shape, dtype=dtype, device=self.par.device)

    def spread(self, values: Tensor) -> Tensor:
        """[B, rows, N] as [B, programs, rows, lanes], zeros where there is no neuron."""
        B, rows, N = values.shape
        wide = values.new_zeros(B, rows, self.lanes * self.programs)
        wide[..., :N] = values
        return wide.view(B, rows, self.programs, self.lanes).transpose(1, 2).contiguous()

    def gather(self, values: Tensor) -> Tensor:
        """The reverse of `spread`."""
        B, _, rows, _ = values.shape
        return values.transpose(1, 2).reshape(B, rows, self.lanes * self.programs)[..., : self.problem.w_in.shape[0]]

    def first_state(self) -> Tensor:
        """The inner state at 0; lanes without a neuron rest."""
        x0 = self.problem.x0.detach()
        wide = x0.new_zeros(*x0.shape[:2], self.lanes * self.programs)
        wide[..., : x0.shape[2]] = x0
        return self.spread(self.part.lift(self.numbers, wide))

    def launch(self, kernel: Any, given: dict[str, Any], backward: bool) -> None:
        """Run a kernel, one program per sample and block of neurons."""
        B = self.times.shape[0]
        if B == 0:
            return
        given = {"par": self.par, "w_in": self.w_in, **given, **functions(self.part, backward)}
        with fused.on_device(self.par):
            kernel[(B, self.programs)](
                **given, K=self.times.shape[1], N=self.problem.w_in.shape[0], room=self.room, BLOCK=self.lanes,
                INTERVAL=INTERVAL, num_warps=warps(self.lanes), **fused.OPTIONS,
            )  # fmt: skip


class TritonEngine:
    """Runs the Triton kernels on the device of w_in, in its dtype (event times in float64)."""

    def forward(self, problem: Problem, store: bool) -> tuple[Any, list[Tensor]]:
        """(what `backward` needs, [times, ids, is_input, rank, state, slope])."""
        from rheobase.exact import gpu_apart, gpu_coupled

        run = Run.of(problem)
        return run, (gpu_apart if problem.w_net is None else gpu_coupled).forward(run, store)

    def backward(self, problem: Problem, kept: Run, g_times: Tensor, g_state: Tensor) -> list[Tensor]:
        """Gradients of [w_in, w_net, times, x0, delays]."""
        from rheobase.exact import gpu_apart, gpu_coupled

        return (gpu_apart if problem.w_net is None else gpu_coupled).backward(kept, g_times, g_state)


def judge(too_long: Tensor, spoilt: Tensor, limit: int) -> None:
    """Turn the first failure into an error; both [B]."""
    if bool(too_long.any()):
        raise too_many(int(too_long.nonzero()[0, 0]), limit)
    if bool(spoilt.any()):
        raise overflow(int(spoilt.nonzero()[0, 0]))


def _columns(w: Tensor, width: int) -> Tensor:
    """[pre, post padded]: what one sender delivers is one row."""
    padded = w.new_zeros(w.shape[1], width)
    padded[:, : w.shape[0]] = w.detach().T
    return padded
