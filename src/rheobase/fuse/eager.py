"""The meaning of a neuron: a plain loop over time with ordinary autograd. Every kernel obeys it."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

import torch
from torch import Tensor

from rheobase.fuse import philox
from rheobase.fuse.delays import known
from rheobase.fuse.step import Coefficient, Step, coefficient_shape, compute_dtype

Loop = tuple[Tensor, Tensor | None, Tensor | None]


def draw(x: Tensor, clock: tuple[int, int]) -> Tensor:
    """The uniform numbers of all steps of x for (first step, seed), in the type of the states."""
    return philox.uniform(clock[1], clock[0], x.shape[0], x.shape[1:], compute_dtype(x.dtype), x.device)


def steps(
    step: Step,
    x: Tensor,
    states: Sequence[Tensor | None],
    coefficients: Sequence[Coefficient],
    uniform: Tensor | None = None,
    loop: Loop | None = None,
) -> Iterator[list[Tensor]]:
    """Yield [spikes, *states] of every time step of x [T, ...]; states None start at 0. All in the states' type.

    `loop` is (weight [n, n] to-from, spikes before the first step [H, ...] or None, delays [n] or None):
    `I[t] = x[t] + r weightᵀ` with `r[j] = s[t − 1 − delays[j]][j]`, H at least the longest delay and one.
    """
    dtype = compute_dtype(x.dtype)
    now = [x.new_zeros(x.shape[1:], dtype=dtype) if v is None else v.to(dtype) for v in states]
    fixed = [_aligned(step, name, value, x, dtype) for name, value in zip(step.coefficients, coefficients, strict=True)]
    timed = [name in step.timed for name in step.coefficients]
    weight = None if loop is None else loop[0].to(dtype).T
    sent = [] if loop is None or loop[1] is None else list(loop[1].to(dtype).unbind(0))
    for t, current in enumerate(x.unbind(0)):  # not x[t]: its gradient is a zero of x's size at every step
        at = [value[t] if clocked else value for value, clocked in zip(fixed, timed, strict=True)]
        r = None if uniform is None else uniform[t].to(dtype)
        current = current.to(dtype)
        if weight is not None and sent:
            with torch.autocast(x.device.type, enabled=False):  # it would multiply in a short type, unlike the kernels
                current = current + _arriving(sent, loop[2]) @ weight  # type: ignore[index]
        out = step.call(current, now, at, r)
        out[0] = out[0].expand(x.shape[1:])  # spikes that depend on coefficients alone
        now = out[1:]
        sent.append(out[0])
        yield out


def _arriving(sent: list[Tensor], delays: Tensor | None) -> Tensor:
    """The spikes that arrive now: of neuron j those of delays[j] steps before the last; none from before all steps."""
    if delays is None:
        return sent[-1]
    found = torch.zeros_like(sent[-1])
    for delay, _ in known(delays).groups:
        if delay < len(sent):
            found = torch.where(delays == delay, sent[-1 - delay], found)
    return found


def scan(
    step: Step,
    x: Tensor,
    states: Sequence[Tensor | None],
    coefficients: Sequence[Coefficient],
    uniform: Tensor | None = None,
    loop: Loop | None = None,
) -> tuple[Tensor, list[Tensor]]:
    """Spikes [T, ...] in x's type and the final states in the states' type."""
    spikes, last = [], None
    for out in steps(step, x, states, coefficients, uniform, loop):
        spikes.append(out[0].to(x.dtype))
        last = out[1:]
    if last is None:
        dtype = compute_dtype(x.dtype)
        last = [x.new_zeros(x.shape[1:], dtype=dtype) if v is None else v.to(dtype).clone() for v in states]
        return x.clone(), last
    return torch.stack(spikes), [_own(value, x, states) for value in last]


def _own(value: Tensor, x: Tensor, states: Sequence[Tensor | None]) -> Tensor:
    """A final state as a kernel returns it: in the states' type, of the shape of a step, in memory of its own."""
    value = value.to(compute_dtype(x.dtype))
    shared = any(given is not None and torch._C._is_alias_of(value, given) for given in (x, *states))  # type: ignore[attr-defined]
    return value.expand(x.shape[1:]).clone() if shared or value.shape != x.shape[1:] else value


def _aligned(step: Step, name: str, value: Coefficient, x: Tensor, dtype: torch.dtype) -> Tensor:
    if not isinstance(value, Tensor):
        return torch.tensor(value, dtype=dtype)
    shape = coefficient_shape(step, name, value, x)
    lead = value.shape[:1] if name in step.timed else torch.Size()
    return value.to(dtype).reshape(lead + shape)
