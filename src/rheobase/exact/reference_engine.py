"""The readable reference as an engine."""

from __future__ import annotations

from typing import Any

import numpy as np
import torch

from rheobase.exact import reference
from rheobase.exact.errors import overflow, too_many
from rheobase.exact.inputs import Problem


class ReferenceEngine:
    """Runs the readable reference, in float64 whatever the dtype."""

    def forward(self, problem: Problem, store: bool) -> tuple[Any, list[torch.Tensor]]:
        """(what `backward` needs, [times, ids, is_input, rank, state, slope])."""
        nets = [self._network(problem, b) for b in range(problem.times.shape[0])]
        runs = []
        for b, net in enumerate(nets):
            try:
                with np.errstate(over="raise", invalid="raise"):
                    runs.append(reference.forward(net, problem.max_events))
            except reference.TooManyEvents:
                raise too_many(b, problem.max_events) from None
            except FloatingPointError:
                raise overflow(b) from None
        public = [[event for event in log if event.kind != reference.ARRIVAL] for log, _ in runs]
        shape = (len(runs), max(map(len, public), default=0))
        times, ids = np.full(shape, np.inf), np.full(shape, -1)
        is_input, rank = np.zeros(shape, bool), np.zeros(shape, np.int64)
        state, slope = np.zeros(problem.x0.shape), np.full(len(runs), np.inf)
        for b, events in enumerate(public):
            seen = np.zeros(problem.w_in.shape[0], np.int64)
            for k, event in enumerate(events):
                times[b, k], ids[b, k], is_input[b, k] = event.time, event.id, event.kind == reference.INPUT
                if event.kind == reference.SPIKE:
                    rank[b, k] = seen[event.id]
                    seen[event.id] += 1
                    slope[b] = min(slope[b], problem.neuron.slope(event.state[:, event.id]))
        for b, (_, last) in enumerate(runs):
            state[b] = problem.neuron.lower(last)
        out = list(map(torch.from_numpy, (times, ids, is_input, rank, state, slope)))
        return (nets, runs, [len(events) for events in public]), out

    def backward(self, problem: Problem, kept: Any, g_times: torch.Tensor, g_state: torch.Tensor) -> list[torch.Tensor]:
        """Gradients of [w_in, w_net, times, x0, delays]."""
        nets, runs, counts = kept
        sums = [
            reference.backward(
                net,
                log,
                g_times[b, : counts[b]].double().numpy(),
                net.neuron.lower_adjoint(last, g_state[b].double().numpy()),
            )
            for b, (net, (log, last)) in enumerate(zip(nets, runs, strict=True))
        ]
        N, K = problem.w_in.shape[0], problem.times.shape[1]
        times = np.zeros((len(sums), K))
        for b, one in enumerate(sums):
            times[b, : len(one.times)] = one.times
        w_net = sum((one.w_net for one in sums), np.zeros((N, N)))
        w_in = sum((one.w_in for one in sums), np.zeros(problem.w_in.shape))
        x0 = np.stack([one.x0 for one in sums]) if sums else np.zeros(problem.x0.shape)
        delays = sum((one.delays for one in sums), np.zeros(N))
        return list(map(torch.from_numpy, (w_in, w_net, times, x0, delays)))

    @staticmethod
    def _network(problem: Problem, b: int) -> reference.Network:
        def array(value: torch.Tensor) -> np.ndarray:
            return value.detach().cpu().double().numpy()

        times = array(problem.times[b])
        kept = int((times < problem.T).sum())
        w_net = None if problem.w_net is None else array(problem.w_net)
        delays = None if problem.delays_net is None else array(problem.delays_net)
        return reference.Network(
            problem.neuron,
            array(problem.w_in),
            w_net,
            times[:kept],
            problem.ids[b, :kept].numpy(),
            problem.T,
            array(problem.x0[b]),
            delays,
        )
