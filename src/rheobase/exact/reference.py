"""The event loop and its adjoint, one sample at a time, written to be read. The C kernel is tested against it.

Forward: jump from event to event; an event is an input spike, a spike of the network or, with delays, its arrival.
Backward: one sweep over the stored events. With f the vector field, g the gradient of the state after an event at t:

- a kick K moves with its time, so that dL/dt = K'ᵀg · f(before) - g · f(after), summed over the neurons it reaches;
- a spike at c(state) = 0 happens later by -c'/ċ per unit of state, so that g before = R'ᵀg - (c'/ċ) G, where R is the
  reset and G all that the spike's time moves: the loss, the kicks it sends, and R'ᵀg · f(before) - g · f(after).
"""

from __future__ import annotations

import dataclasses
import heapq

import numpy as np

from rheobase.exact.neuron import Array, Neuron

INPUT, SPIKE, ARRIVAL = 0, 1, 2


@dataclasses.dataclass
class Event:
    """What happened, when, how long after the event before, and the state just before it."""

    time: float
    dt: float
    kind: int
    id: int
    source: int  # position of the input spike in `times`, or of the spike that arrives in the log
    state: Array


@dataclasses.dataclass
class Network:
    """One sample: weights [post, pre] without self-connections, sorted input, initial state, delays or None."""

    neuron: Neuron
    w_in: Array
    w_net: Array | None
    times: Array
    ids: Array
    T: float
    x0: Array
    delays: Array | None


class TooManyEvents(RuntimeError):
    """The guard max_events was reached."""


def forward(net: Network, max_events: int) -> tuple[list[Event], Array]:
    """All events in [0, T), at most `max_events` and what arrives of them, and the inner state at T."""
    log: list[Event] = []
    state, now, following = net.neuron.lift(net.x0), 0.0, 0
    pending: list[tuple[float, int]] = []
    happened = 0
    while True:
        coming, kind = _next_arrival(net, following, pending)
        waits = net.neuron.time_to_spike(state)
        first = int(np.argmin(waits))
        dt = float(waits[first])
        if now + dt < min(coming, net.T):
            coming, kind = now + dt, SPIKE
        else:
            dt = min(coming, net.T) - now
        before = net.neuron.flow(state, dt)
        if coming >= net.T:
            return log, before
        if kind != ARRIVAL and happened >= max_events:
            raise TooManyEvents
        happened += kind != ARRIVAL
        if kind == INPUT:
            event = Event(coming, dt, kind, int(net.ids[following]), following, before)
            following += 1
        elif kind == ARRIVAL:
            source = heapq.heappop(pending)[1]
            event = Event(coming, dt, kind, log[source].id, source, before)
        else:
            event = Event(coming, dt, kind, first, -1, before)
            if net.delays is not None:
                heapq.heappush(pending, (coming + float(net.delays[first]), len(log)))
        state, now = _after(net, event), coming
        log.append(event)


def _next_arrival(net: Network, following: int, pending: list[tuple[float, int]]) -> tuple[float, int]:
    """(time, kind) of what arrives next from outside or through a delay; input first at equal times."""
    outside = float(net.times[following]) if following < len(net.times) else np.inf
    inside = pending[0][0] if pending else np.inf
    return (outside, INPUT) if outside <= inside else (inside, ARRIVAL)


def _weights(net: Network, event: Event) -> Array | None:
    """The column of weights that the event delivers, None if it delivers nothing."""
    if event.kind == INPUT:
        return net.w_in[:, event.id]
    if net.w_net is None or (event.kind == SPIKE and net.delays is not None):
        return None
    return net.w_net[:, event.id]


def _after(net: Network, event: Event) -> Array:
    state, w = event.state, _weights(net, event)
    if w is not None:
        state = net.neuron.kick(state, w)
    if event.kind == SPIKE:
        state = state.copy()
        state[:, event.id] = net.neuron.reset(event.state[:, event.id])
    return state


@dataclasses.dataclass
class Gradients:
    w_in: Array
    w_net: Array
    x0: Array
    times: Array
    delays: Array


def backward(net: Network, log: list[Event], g_times: Array, g_last: Array) -> Gradients:
    """One sweep back: gradients of the loss, given those of the reported event times and of the inner state at T."""
    N = net.w_in.shape[0]
    out = Gradients(
        np.zeros_like(net.w_in), np.zeros((N, N)), np.zeros_like(net.x0), np.zeros_like(net.times), np.zeros(N)
    )
    at_spike = np.zeros(len(log))
    at_spike[[k for k, event in enumerate(log) if event.kind != ARRIVAL]] = g_times
    end = log[-1].time if log else 0.0
    after = _after(net, log[-1]) if log else net.neuron.lift(net.x0)
    g = net.neuron.flow_adjoint(after, net.T - end, g_last)
    for k in reversed(range(len(log))):
        event = log[k]
        g, pull = _event_adjoint(net, event, g, at_spike[k], out)
        if event.kind == INPUT:
            out.times[event.source] += pull
        elif event.kind == ARRIVAL:
            at_spike[event.source] += pull
            out.delays[event.id] += pull
        before = _after(net, log[k - 1]) if k else net.neuron.lift(net.x0)
        g = net.neuron.flow_adjoint(before, event.dt, g)
    out.x0 = net.neuron.lift_adjoint(net.x0, g)
    return out


def _event_adjoint(net: Network, event: Event, g: Array, pull: float, out: Gradients) -> tuple[Array, float]:
    """(gradient before the event, derivative of the loss by its time)."""
    neuron, w, before = net.neuron, _weights(net, event), g
    if w is not None:
        before, g_w = neuron.kick_adjoint(event.state, w, g)
        kicked = neuron.kick(event.state, w)
        moved = before * neuron.derivative(event.state) - g * neuron.derivative(kicked)
        target = out.w_in if event.kind == INPUT else out.w_net
        if event.kind != INPUT:
            moved[:, event.id] = g_w[event.id] = 0.0
        target[:, event.id] += g_w
        pull += float(moved.sum())
    if event.kind == SPIKE:
        n, before = event.id, before.copy()
        state, g_n = event.state[:, n], neuron.reset_adjoint(g[:, n])
        pull += float(g_n @ neuron.derivative(state) - g[:, n] @ neuron.derivative(neuron.reset(state)))
        slope = neuron.crossing(state)
        before[:, n] = g_n - slope * pull / (slope @ neuron.derivative(state))
    return before, pull
