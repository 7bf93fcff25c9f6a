"""Backpropagation truncated to k steps, for any neuron with a step: a copy of it whose gradient reaches no farther."""

from __future__ import annotations

import copy
import functools
from collections.abc import Callable
from typing import Any

import torch
from torch import Tensor

from rheobase.neurons.base import Neuron, State

Run = Callable[[Tensor, State, Tensor | None], tuple[Tensor, State]]


def truncated(neuron: Neuron, gradient_steps: int) -> Neuron:
    """A copy of the neuron, sharing nothing with it, whose gradient reaches back `gradient_steps` steps.

    Math: the spikes, and the state at the end, have the values of the full run; s[t] has the gradient of a run started
        k − 1 steps earlier from the detached state. k = 1: through the same step only; k >= T: the full gradient. For
        LIF with a soft reset `δ[t] = Σ_{j<k} e[t+j] Π_{i<j} ε[t+i]`, `ε[t] = γ (1 − θ g(u[t] − θ))`. This is not
        truncated backpropagation that detaches every k steps (`rb.Recurrent(truncate=k)`): there a spike reaches back
        as far as the last cut, here every spike reaches back k steps. In recurrent layers what comes from the layer's
        own spikes counts as state.
    The state that `scan` and `step` return is detached: where a sequence is cut into calls, a spike reaches back k − 1
    steps or to the beginning of its call. The graph of `trace` is that of the neuron that is not truncated.
    Of a truncated neuron: the shorter of both.
    Errors: ValueError for fewer than one step; TypeError for a neuron without a single step (PSN).
    Source: CLIF (arXiv 2402.04663), figure 2. It takes k (T − k) more steps forward; kernels run them as usual.
    """
    if isinstance(gradient_steps, bool) or not isinstance(gradient_steps, int) or gradient_steps < 1:
        raise ValueError(f"truncated: gradient_steps must be a whole number of steps >= 1; got {gradient_steps!r}.")
    if not (neuron.fused or neuron.states):
        raise TypeError(f"truncated: {type(neuron).__name__} has no single step; hand in another neuron.")
    made = copy.deepcopy(neuron)
    if isinstance(made, _Truncated):
        made._gradient_steps = min(gradient_steps, made._gradient_steps)
    else:
        made.__class__ = _kind(type(neuron))
        made._gradient_steps = gradient_steps
    return made


@functools.cache
def _kind(kind: type[Neuron]) -> type[Neuron]:
    """The truncated twin of a kind of neurons: itself a subclass, so that models, hooks and weights know it."""
    return type(kind)(f"Truncated{kind.__name__}", (_Truncated, kind), {"__doc__": kind.__doc__})  # pyright: ignore


class _Truncated(Neuron):
    """What a truncated kind does otherwise than its own: every spike comes from a detached state, k − 1 steps back."""

    _gradient_steps: int

    def _run(self, x: Tensor, state: Any, uniform: Tensor | None, final: bool):
        def run(part: Tensor, at: State, drawn: Tensor | None) -> tuple[Tensor, State]:
            return super(_Truncated, self)._run(part, at, drawn, True)

        if not self._cuts(x):
            spikes, last = super()._run(x, state, uniform, final)
            return spikes, _detached(last)
        return windows(run, x, dict(state or self.zero_state(x)), uniform, self._gradient_steps)

    def recur(self, x: Tensor, weight: Tensor, state: Any = None, *, uniform: Any = None, delays: Any = None):
        def run(part: Tensor, at: State, drawn: Tensor | None) -> tuple[Tensor, State]:
            return super(_Truncated, self).recur(part, weight, at, uniform=drawn, delays=delays)

        if not self._cuts(x):
            spikes, last = super().recur(x, weight, state, uniform=uniform, delays=delays)
            return spikes, _detached(last)
        history = () if delays is None else (1 + int(delays.max()),)
        fresh = {**self.zero_state(x), "spikes": x.new_zeros((*history, *x.shape[1:]))}
        return windows(run, x, dict(state or fresh), uniform, self._gradient_steps)

    def _cuts(self, x: Tensor) -> bool:
        return torch.is_grad_enabled() and isinstance(x, Tensor) and x.dim() > 0 and len(x) > self._gradient_steps

    def __reduce__(self):
        """For copies and pickles, which look classes up by name: this one is made when it is needed."""
        return _empty, (type(self).__mro__[2],), self.__getstate__()

    def extra_repr(self) -> str:
        return f"{super().extra_repr()}, gradient_steps={self._gradient_steps}"


def _empty(kind: type[Neuron]) -> Neuron:
    return object.__new__(_kind(kind))


def _detached(state: State) -> State:
    return {name: value.detach() for name, value in state.items()}


def windows(run: Run, x: Tensor, state: State, uniform: Tensor | None, k: int) -> tuple[Tensor, State]:
    """(spikes, state) of `run` over x [T, ...], T > k: the first k spikes from `state`, later ones from where the full
    run stood k − 1 steps before them."""
    steps, drawn = x.unbind(0), None if uniform is None else uniform.unbind(0)

    def part(start: int, end: int, at: State) -> tuple[Tensor, State]:
        # Not x[start:end]: the gradient of each slice would be a zero of x's size.
        return run(torch.stack(steps[start:end]), at, None if drawn is None else torch.stack(drawn[start:end]))

    rows, last = [], state
    for start in range(len(steps) - k + 1):
        spikes, last = part(start, start + k, state)
        rows.append(spikes if start == 0 else spikes[-1:])
        if start + k < len(steps):
            with torch.no_grad():
                state = part(start, start + 1, state)[1]
    return torch.cat(rows), _detached(last)
