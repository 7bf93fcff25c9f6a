"""Neurons without coupling on a GPU: room for the spikes, their order in time, the adjoint's ends."""

from __future__ import annotations

import torch
from torch import Tensor

from rheobase.exact import gpu, gpu_walk

FIRST_ROOM = 8  # spikes per neuron for which there is room at first


def forward(run: gpu.Run, store: bool) -> list[Tensor]:
    """[times, ids, is_input, rank, state, slope] of `run`, which keeps the spikes."""
    limit = run.problem.max_events
    inputs = (run.times < run.problem.T).sum(1)
    run.room = min(FIRST_ROOM, limit)
    while True:
        _attempt(run, store, inputs)
        if not bool(run.arrays["full"].any()) or run.room >= limit:
            break
        run.room = min(2 * run.room, limit)
    state = run.gather(run.arrays["state"])
    finite = (state * 0).sum((1, 2)) == 0
    total = inputs + run.arrays["counts"].sum(1)
    gpu.judge((total > limit) | run.arrays["full"].bool().any(1), ~finite, limit)
    return _report(run, inputs, int(total.max()) if len(total) else 0, state)


def _attempt(run: gpu.Run, store: bool, inputs: Tensor) -> None:
    (B, K), N = run.times.shape, run.problem.w_in.shape[0]
    marks = K // gpu.INTERVAL + 1 if store else 0
    run.arrays = {
        "state": run.first_state(),
        "spikes": run.zeros(B, N, run.room) + torch.inf,
        "counts": run.zeros(B, N, dtype=torch.int32),
        "marks": run.w_in.new_empty(B, run.programs, marks, 3, run.lanes),
        "counted": run.zeros(B, run.programs, marks, run.lanes, dtype=torch.int32),
        "slopes": run.zeros(B, run.programs),
        "full": run.zeros(B, run.programs, dtype=torch.int32),
    }
    given = {"times": run.times, "ids": run.ids, "NP": run.w_in.shape[1], "STORE": store, **run.arrays}
    run.launch(gpu_walk.forward, given, False)
    run.arrays["lengths"] = inputs.int()


def _report(run: gpu.Run, inputs: Tensor, E: int, state: Tensor) -> list[Tensor]:
    """All events in order of time; at equal times inputs first, then neurons by index."""
    K = run.times.shape[1]
    before = torch.where(run.times < run.problem.T, run.times, torch.inf)
    everything = torch.cat([before, run.arrays["spikes"].flatten(1)], 1)
    times, order = torch.sort(everything, dim=1, stable=True)
    times, order = times[:, :E], order[:, :E]
    run.arrays["order"] = order
    there, is_input = times < torch.inf, order < K
    spike = (order - K).clamp(min=0)
    sender = run.ids.gather(1, order.clamp(max=max(K - 1, 0))) if K else torch.zeros_like(order)
    ids = torch.where(is_input, sender, spike // run.room)
    ids = torch.where(there, ids, -1)
    rank = torch.where(there & ~is_input, spike % run.room, 0)
    lower = run.part.lower(run.numbers, state)
    return [times, ids, there & is_input, rank, lower, run.arrays["slopes"].amin(1)]


def backward(run: gpu.Run, g_times: Tensor, g_state: Tensor) -> list[Tensor]:
    """Gradients of [w_in, w_net, times, x0, delays]; that of w_net is empty."""
    (B, K), N = run.times.shape, run.problem.w_in.shape[0]
    pulls = run.zeros(B, K + N * run.room)
    pulls.scatter_(1, run.arrays["order"], g_times.double())
    names = ("spikes", "counts", "marks", "counted", "lengths")
    out = {
        "adjoint": run.spread(run.part.lower_adjoint(run.numbers, run.gather(run.arrays["state"]), g_state)),
        "gw_in": torch.zeros_like(run.w_in),
        "g_times": pulls[:, :K].contiguous(),
        "pulls": pulls[:, K:].contiguous(),
        "scratch": run.w_in.new_empty(B, run.programs, gpu.INTERVAL, 3, run.lanes),
        "begun": run.zeros(B, run.programs, gpu.INTERVAL, run.lanes, dtype=torch.int32),
    }
    given = {"times": run.times, "ids": run.ids, "NP": run.w_in.shape[1], **out}
    run.launch(gpu_walk.backward, given | {name: run.arrays[name] for name in names}, True)
    x0 = run.part.lift_adjoint(run.numbers, run.gather(run.first_state()), run.gather(out["adjoint"]))
    g_inputs = torch.where(run.times < run.problem.T, out["g_times"], 0.0)
    return [out["gw_in"][:, :N].T, run.zeros(0), g_inputs, x0, run.zeros(N)]
