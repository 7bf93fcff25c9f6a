"""Coupled neurons on a GPU: room for the log, the order of what is reported, the adjoint's ends."""

from __future__ import annotations

import torch
from torch import Tensor

from rheobase.exact import gpu, gpu_loop

FIRST_ROOM = 4  # spikes per neuron for which there is room at first
TOO_MANY, OVERFLOW, ROOM = (int(code) for code in (gpu_loop.TOO_MANY, gpu_loop.OVERFLOW, gpu_loop.ROOM))


def forward(run: gpu.Run, store: bool) -> list[Tensor]:
    """[times, ids, is_input, rank, state, slope] of `run`, which keeps the log."""
    N, limit = run.problem.w_in.shape[0], run.problem.max_events * (1 if run.delays is None else 2)
    run.room = min(run.times.shape[1] + FIRST_ROOM * N, limit)
    while True:
        _attempt(run, store)
        short = run.arrays["status"] == ROOM
        if not bool(short.any()):
            break
        run.room = min(2 * run.room, limit)
    status = run.arrays["status"]
    gpu.judge(status == TOO_MANY, status == OVERFLOW, run.problem.max_events)
    return _report(run)


def _attempt(run: gpu.Run, store: bool) -> None:
    B = run.times.shape[0]
    kinds = {"log_time": torch.float64, "log_dt": torch.float64, "due": torch.float64}
    kinds |= dict.fromkeys(("log_kind", "log_id", "log_source", "log_rank"), torch.int32)
    run.arrays = {name: run.zeros(B, run.room, dtype=kind) for name, kind in kinds.items()}
    marks = run.room // gpu.INTERVAL + 1 if store else 0
    run.arrays["state"] = run.first_state()
    run.arrays["marks"] = run.w_in.new_empty(B, marks, 3, run.lanes)
    run.arrays["slopes"] = run.zeros(B)
    run.arrays["lengths"] = run.zeros(B, dtype=torch.int32)
    run.arrays["status"] = run.zeros(B, dtype=torch.int32)
    given = {"w_net": run.w_net, "times": run.times, "ids": run.ids, "delays": run.delays, **run.arrays}
    given |= {"limit": run.problem.max_events, "STORE": store, "DELAYED": run.delays is not None}
    run.launch(gpu_loop.forward, given, False)


def _report(run: gpu.Run) -> list[Tensor]:
    log = run.arrays
    kind = log["log_kind"]
    happened = torch.arange(run.room, device=kind.device) < log["lengths"][:, None]
    shown = happened & (kind != int(gpu_loop.ARRIVAL))
    E = int(shown.sum(1).max()) if len(shown) else 0
    order = torch.sort((~shown).to(torch.uint8), dim=1, stable=True).indices[:, :E]
    run.arrays["order"], there = order, shown.gather(1, order)

    def pick(name: str, missing: float) -> Tensor:
        return torch.where(there, log[name].gather(1, order), missing)

    is_input = there & (kind.gather(1, order) == int(gpu_loop.INPUT))
    state = run.part.lower(run.numbers, run.gather(log["state"]))
    rank = torch.where(is_input, 0, pick("log_rank", 0))
    return [pick("log_time", torch.inf), pick("log_id", -1).long(), is_input, rank.long(), state, log["slopes"]]


def backward(run: gpu.Run, g_times: Tensor, g_state: Tensor) -> list[Tensor]:
    """Gradients of [w_in, w_net, times, x0, delays]."""
    problem, log, w_net = run.problem, run.arrays, run.w_net
    assert w_net is not None
    (B, K), N = run.times.shape, problem.w_in.shape[0]
    part = run.part
    there = torch.arange(run.room, device=run.par.device) < log["lengths"][:, None]
    pulls = run.zeros(B, run.room)
    pulls.scatter_(1, log["order"], torch.where(there.gather(1, log["order"]), g_times.double(), 0.0))
    last = part.lower_adjoint(run.numbers, run.gather(log["state"]), g_state)
    out = {
        "adjoint": run.spread(last),
        "pulls": pulls,
        "gw_in": torch.zeros_like(run.w_in),
        "gw_net": torch.zeros_like(w_net),
        "g_times": run.zeros(B, K),
        "g_delays": run.zeros(N),
        "scratch": run.w_in.new_empty(B, gpu.INTERVAL, 3, run.lanes),
    }
    names = ("log_time", "log_dt", "log_kind", "log_id", "log_source", "marks", "lengths")
    given = {"w_net": w_net, **{name: log[name] for name in names}, **out, "DELAYED": run.delays is not None}
    run.launch(gpu_loop.backward, given, True)
    first = run.gather(run.first_state())
    x0 = part.lift_adjoint(run.numbers, first, run.gather(out["adjoint"]))
    return [out["gw_in"][:, :N].T, out["gw_net"][:, :N].T, out["g_times"], x0, out["g_delays"]]
