"""The bridge to autograd: forward and adjoint of a simulation as one operator."""

from __future__ import annotations

import dataclasses
from typing import Any

import numpy as np
import torch

from rheobase.exact import reference
from rheobase.exact.inputs import Problem


@dataclasses.dataclass(frozen=True)
class Happened:
    """Events [B, E] and the public state at T [B, rows, N]."""

    times: torch.Tensor
    ids: torch.Tensor
    is_input: torch.Tensor
    rank: torch.Tensor
    state: torch.Tensor

    def single(self) -> Happened:
        return Happened(self.times[0], self.ids[0], self.is_input[0], self.rank[0], self.state[0])


def too_many(sample: int, limit: int) -> RuntimeError:
    return RuntimeError(
        f"simulate: sample {sample} has more than max_events={limit} events. Strong excitation can make spikes without "
        "end; lower the weights, or raise max_events."
    )


class ReferenceEngine:
    """Runs the readable reference, in float64 whatever the dtype."""

    def forward(self, problem: Problem) -> tuple[Any, list[np.ndarray]]:
        """(what `backward` needs, [times, ids, is_input, rank, state])."""
        nets = [self._network(problem, b) for b in range(problem.times.shape[0])]
        runs = []
        for b, net in enumerate(nets):
            try:
                with np.errstate(over="raise", invalid="raise"):
                    runs.append(reference.forward(net, problem.max_events))
            except reference.TooManyEvents:
                raise too_many(b, problem.max_events) from None
        public = [[event for event in log if event.kind != reference.ARRIVAL] for log, _ in runs]
        shape = (len(runs), max(map(len, public), default=0))
        times, ids = np.full(shape, np.inf), np.full(shape, -1)
        is_input, rank = np.zeros(shape, bool), np.zeros(shape, np.int64)
        for b, events in enumerate(public):
            seen = np.zeros(problem.w_in.shape[0], np.int64)
            for k, event in enumerate(events):
                times[b, k], ids[b, k], is_input[b, k] = event.time, event.id, event.kind == reference.INPUT
                if event.kind == reference.SPIKE:
                    rank[b, k] = seen[event.id]
                    seen[event.id] += 1
        state = np.stack([problem.neuron.lower(last) for _, last in runs])
        return (nets, runs, [len(events) for events in public]), [times, ids, is_input, rank, state]

    def backward(self, problem: Problem, kept: Any, g_times: np.ndarray, g_state: np.ndarray) -> list[np.ndarray]:
        """Gradients of [w_in, w_net, times, x0, delays]."""
        nets, runs, counts = kept
        sums = [
            reference.backward(
                net, log, last, g_times[b, : counts[b]].astype(np.float64),
                net.neuron.lower_adjoint(last, g_state[b].astype(np.float64)),
            )
            for b, (net, (log, last)) in enumerate(zip(nets, runs, strict=True))
        ]
        N, K = problem.w_in.shape[0], problem.times.shape[1]
        times = np.zeros((len(sums), K))
        for b, one in enumerate(sums):
            times[b, : len(one.times)] = one.times
        w_net = sum((one.w_net for one in sums), np.zeros((N, N))) if problem.w_net is not None else np.zeros((N, N))
        w_in = sum((one.w_in for one in sums), np.zeros(problem.w_in.shape))
        return [w_in, w_net, times, np.stack([one.x0 for one in sums]), sum(one.delays for one in sums)]

    @staticmethod
    def _network(problem: Problem, b: int) -> reference.Network:
        def array(value):
            return None if value is None else value.detach().double().numpy()

        times = array(problem.times[b])
        kept = int((times < problem.T).sum())
        return reference.Network(
            problem.neuron, array(problem.w_in), array(problem.w_net), times[:kept], problem.ids[b, :kept].numpy(),
            problem.T, array(problem.x0[b]), array(problem.delays_net),
        )


class _Simulation(torch.autograd.Function):
    @staticmethod
    def forward(ctx, problem, engine, w_in, w_net, times, x0, delays):
        kept, arrays = engine.forward(problem)
        ctx.problem, ctx.engine, ctx.kept = problem, engine, kept
        out = [torch.from_numpy(array) for array in arrays]
        out[0], out[4] = out[0].to(w_in.dtype), out[4].to(w_in.dtype)
        ctx.mark_non_differentiable(*out[1:4])
        return tuple(out)

    @staticmethod
    @torch.autograd.function.once_differentiable
    def backward(ctx, g_times, _ids, _is_input, _rank, g_state):
        arrays = ctx.engine.backward(ctx.problem, ctx.kept, g_times.contiguous().numpy(), g_state.contiguous().numpy())
        wanted = zip(arrays, ctx.needs_input_grad[2:], strict=True)
        return None, None, *(torch.from_numpy(array).to(g_state.dtype) if want else None for array, want in wanted)


def run(problem: Problem, engine: Any = None) -> Happened:
    """Simulate a checked problem; the tests name an engine."""
    engine = engine or ReferenceEngine()
    return Happened(
        *_Simulation.apply(
            problem, engine, problem.w_in, problem.w_net, problem.times, problem.x0, problem.delays_net
        )
    )
