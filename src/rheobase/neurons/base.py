"""The base of all neurons: parameters, states, and one step; everything else follows from the step."""

from __future__ import annotations

import contextlib
import dataclasses
from collections.abc import Mapping
from contextvars import ContextVar
from typing import TYPE_CHECKING, Any, ClassVar

import torch
from torch import Tensor, nn

from rheobase import surrogate as surrogates
from rheobase.fuse import eager, library, operator, pack, recurrent_operator, trace
from rheobase.fuse.delays import known
from rheobase.fuse.program import Program
from rheobase.fuse.step import Coefficient, Step, compute_dtype
from rheobase.names import nearest
from rheobase.neurons.arguments import check_uniform, whole
from rheobase.neurons.coefficients import checked
from rheobase.neurons.definition import Definition
from rheobase.neurons.recurrence import check_weight, spikes_before
from rheobase.neurons.settings import changed, settings, stand_in

State = dict[str, Tensor]

_notes: ContextVar[dict[str, Coefficient] | None] = ContextVar("rheobase_notes", default=None)


class Neuron(nn.Module, metaclass=Definition):
    """A spiking neuron, defined by one step in ordinary PyTorch.

    A subclass names its `states`, returns what is constant over a call from `coefficients()` (floats or tensors of
    shape (), (C,) or x.shape[2:]), and computes one step in `dynamics(x, *states, **coefficients)`, which returns
    `(spikes, *states)` and uses elementwise operations only. Names listed in `timed` are coefficients with one entry
    per step in front. A `random` neuron is handed `uniform`, numbers in [0, 1), by the same call.

    Shapes: x [T, ...], time first; [T, B, C, ...] where parameters are per channel or per neuron. Spikes have the shape
    and type of x; states have the shape of x[0] and are float32, float64 for float64 inputs.
    """

    states: ClassVar[tuple[str, ...]] = ()
    timed: ClassVar[tuple[str, ...]] = ()
    random: bool = False
    fused: ClassVar[bool] = True
    channelwise: ClassVar[bool] = False  # published with parameters per channel: image networks make it so
    _key: str | None = None
    _inside: tuple[str | None, ...] = ()

    if TYPE_CHECKING:  # what nn.Module hides from type checkers

        def __call__(self, x: Tensor, *, uniform: Tensor | None = None) -> Tensor: ...

    def __init__(self, surrogate: surrogates.Surrogate | str | None = surrogates.Rectangle(1.0)):  # noqa: B008
        super().__init__()
        if isinstance(surrogate, str):
            surrogate = surrogates.from_text(surrogate)
        if surrogate is not None and not isinstance(surrogate, surrogates.Surrogate):
            raise TypeError(f"{type(self).__name__}: surrogate must be an rb.surrogate object; got {surrogate!r}.")
        self.surrogate: surrogates.Surrogate = surrogate  # type: ignore[assignment]
        if surrogate is not None:
            surrogate.settle()

    def coefficients(self) -> dict[str, Coefficient]:
        """What depends on parameters and constants only, computed once per call."""
        return {}

    def dynamics(self, x: Tensor, *states: Tensor, **coefficients: Tensor) -> tuple[Tensor, ...]:
        """One time step: `(spikes, *states)`."""
        raise NotImplementedError(f"{type(self).__name__} does not define dynamics.")

    def fire(self, u: Tensor, threshold: Coefficient, strict: bool = False) -> Tensor:
        """Spikes where u >= threshold (strict: u > threshold), with the surrogate's gradient."""
        self.note(u=u, threshold=threshold)
        return self.surrogate(u - threshold, strict)

    def note(self, **values: Coefficient) -> None:
        """Hand values of this step to `trace`, which records them; elsewhere nothing happens."""
        notes = _notes.get()
        if notes is not None:
            notes.update(values)

    def forward(self, x: Tensor, *, uniform: Tensor | None = None) -> Tensor:
        """Spikes for input currents x [T, ...], from fresh states. `uniform`: random numbers for random neurons."""
        return self._run(x, None, uniform, final=False)[0]

    def scan(
        self, x: Tensor, state: Mapping[str, Tensor] | None = None, *, uniform: Tensor | None = None
    ) -> tuple[Tensor, State]:
        """`(spikes, state)`: like calling the neuron, but from `state` (None: fresh) and with the state at the end."""
        return self._run(x, state, uniform, final=True)

    def step(
        self, x: Tensor, state: Mapping[str, Tensor] | None = None, *, uniform: Tensor | None = None
    ) -> tuple[Tensor, State]:
        """One step for x of shape x_t [...]: `(spike, state)`."""
        spikes, state = self.scan(x.unsqueeze(0), state, uniform=None if uniform is None else uniform.unsqueeze(0))
        return spikes.squeeze(0), state

    def recur(
        self,
        x: Tensor,
        weight: Tensor,
        state: Mapping[str, Tensor] | None = None,
        *,
        uniform: Tensor | None = None,
        delays: Tensor | None = None,
    ) -> tuple[Tensor, State]:
        """`(spikes, state)` of neurons that feed back into each other: `I[t] = x[t] + s[t−1] weightᵀ`.

        With `delays`, whole numbers >= 0, the spikes of neuron j arrive delays[j] steps later: s[t−1−delays[j]][j].
        Shapes: x [T, B, n], weight [n, n] (to, from), delays [n]. The state holds the last `spikes` too, [B, n]; with
        delays those of the last 1 + max(delays) steps, [1 + max(delays), B, n].
        """
        self._check(x, uniform)
        check_weight(type(self).__name__, x, weight, delays)
        given = None if not state else {name: value for name, value in state.items() if name != "spikes"}
        values, clock = self._open(x, given)
        before, coefficients = spikes_before(type(self).__name__, x, state, delays), self._sliced(x, clock)
        program = self.program() if self.fused else None
        obstacle = recurrent_operator.obstacle(program, x)
        chosen = operator.choose(program, x, type(self).__name__, obstacle)
        if chosen == "eager":
            operator.note_backend("eager")
            drawn = eager.draw(x, clock) if self.random and uniform is None else uniform
            spikes, last = eager.scan(self.described(), x, values, coefficients, drawn, (weight, before, delays))
        else:
            call = (program, x, weight, before, values, coefficients, uniform, clock, delays, chosen)
            spikes, last = recurrent_operator.fused(*call)  # type: ignore[arg-type]
            pack.note(spikes, program)  # type: ignore[arg-type]
        closed = self._close(last, clock, x.shape[0])
        history = 1 if delays is None else 1 + known(delays).longest
        recent = spikes[-history:].to(compute_dtype(x.dtype))
        if len(recent) < history:
            first = recent.new_zeros((history, *x.shape[1:])) if before is None else before
            recent = torch.cat([first[len(recent) :].to(recent.dtype), recent])
        closed["spikes"] = recent[0] if delays is None else recent
        return spikes, closed

    def trace(
        self,
        x: Tensor,
        state: Mapping[str, Tensor] | None = None,
        *,
        uniform: Tensor | None = None,
        weight: Tensor | None = None,
        delays: Tensor | None = None,
    ) -> State:
        """Every state, the spikes `s`, `u` and `threshold` at the spike function (and `p` where spikes are drawn).

        What the spike function saw takes the place of a state with the same name, such as a `u` that was reset since.
        Each [T, ...] in the type of the states and part of the graph. Runs eager on every backend. `weight`, `delays`:
        of the recurrent connections, as in `recur`.
        """
        self._check(x, uniform)
        if not x.shape[0]:
            return self._traced_nothing(x, weight, delays)
        operator.note_backend("eager")
        before = spikes_before(type(self).__name__, x, state, delays) if weight is not None else None
        values, clock = self._open(x, {k: v for k, v in (state or {}).items() if k != "spikes" or weight is None})
        names = self.described()
        loop = None if weight is None else (weight, before, delays)
        if self.random and uniform is None:
            uniform = eager.draw(x, clock)
        rows: list[dict[str, Coefficient]] = []
        token = _notes.set({})
        try:
            for out in eager.steps(names, x, values, self._sliced(x, clock), uniform, loop):
                rows.append({**dict(zip(self.states, out[1:], strict=True)), **(_notes.get() or {}), "s": out[0]})
        finally:
            _notes.reset(token)
        s: list[Tensor] = [row["s"] for row in rows]  # type: ignore[misc]
        spread = {name: [torch.as_tensor(row[name]).to(s[0]).expand_as(s[0]) for row in rows] for name in rows[0]}
        return {name: torch.stack(values) for name, values in spread.items()}

    def _traced_nothing(self, x: Tensor, weight: Tensor | None, delays: Tensor | None) -> State:
        """The record of no steps: what one step would hold, cut off."""
        one = x.new_zeros((1, *x.shape[1:]))
        record = self.trace(one, uniform=one if self.random else None, weight=weight, delays=delays)
        return {name: values[:0] for name, values in record.items()}

    def described(self) -> Step:
        """What the compiler is told about this neuron."""
        traced = vars(self).get("_program")
        if traced is not None:
            names = traced.step.coefficients
        else:
            names = tuple(checked(type(self).__name__, self.coefficients(), self.timed))
        return Step(type(self).__name__, self.dynamics, tuple(self.states), names, frozenset(self.timed), self.random)

    def program(self) -> Program:
        """The step and its vector-Jacobian product as scalar programs; traced once per kind and settings."""
        found = self.__dict__.get("_program")
        if found is None or (self._modules and self._inner() != self._inside):
            for value in vars(self).values():
                if isinstance(value, surrogates.Surrogate):
                    value.settle()
            vars(self)["_inside"] = self._inner()
            step = dataclasses.replace(self.described(), function=stand_in(self).dynamics)
            found = trace.cached(step, settings(self))
            vars(self).update(_program=found, _key=library.register(found))
        return found

    def _inner(self) -> tuple[str | None, ...]:
        """The programs of neurons inside this one, whose steps may be a part of its own."""
        return tuple(part._key for part in self.modules() if isinstance(part, Neuron) and part is not self)

    def __getstate__(self) -> dict[str, Any]:
        """For copies and pickles: everything but the traced program, which is traced again where it is needed."""
        return {name: value for name, value in vars(self).items() if name not in ("_program", "_key", "_inside")}

    def __setstate__(self, state: dict[str, Any]) -> None:
        super().__setstate__(state)
        if self.fused:
            self.program()

    def __setattr__(self, name: str, value: Any) -> None:
        if trace.is_tracing():
            raise trace.TraceError(
                f"{type(self).__name__}: dynamics keeps self.{name} from step to step; make it a state and return it."
            )
        finished = "_key" in vars(self) and name != "training"
        if finished and name not in self._parameters:
            changes = changed(self, name, value)
            value = changes.pop(name)
            vars(self).update(changes)
        super().__setattr__(name, value)
        if finished:  # its step may have changed
            del vars(self)["_program"], vars(self)["_key"]
            with contextlib.suppress(AttributeError):  # of a neuron that is being taken apart: traced when it is called
                self.program()

    def _run(self, x: Tensor, state: Mapping[str, Tensor] | None, uniform: Tensor | None, final: bool):
        self._check(x, uniform)
        if torch.compiler.is_compiling() and self._key is not None:
            return self._compiled(x, state, uniform)
        program = self.program() if self.fused else None
        compiled = torch.compiler.is_compiling()
        chosen = "eager" if compiled else operator.choose(program, x, type(self).__name__)
        if chosen != "eager" and operator.intercepted(x):
            return self._compiled(x, state, uniform)
        values, clock = self._open(x, state)
        coefficients = self._sliced(x, clock)
        if chosen == "eager":
            if not compiled:
                operator.note_backend("eager")
            if self.random and uniform is None:
                uniform = eager.draw(x, clock)
            spikes, last = eager.scan(self.described(), x, values, coefficients, uniform)
        else:
            spikes, last = operator.fused(program, x, values, coefficients, uniform, clock, final, chosen)  # type: ignore[arg-type]
            pack.note(spikes, program)  # type: ignore[arg-type]
        return spikes, self._close(last, clock, x.shape[0]) if final else {}

    def _compiled(self, x: Tensor, state: Mapping[str, Tensor] | None, uniform: Tensor | None):
        """The call as torch.compile sees it: one operator that its graphs can hold, the clock a tensor."""
        zero = torch.zeros((), dtype=torch.int64)
        if state is not None and not self._is_fresh(state):
            values = self._given(x, state)
            clock = torch.stack([state.get(name, zero) for name in ("t", "key")])
        else:
            seed = getattr(self, "seed", None)
            drawn = torch.randint(-(2**63), 2**63 - 1, ()) if seed is None and self.random else zero + (seed or 0)
            values, clock = [], torch.stack([zero, drawn])
        dtype = compute_dtype(x.dtype)
        given = self._values()
        for name in self.timed:
            self._check_steps(given[name], x.shape[0])
            given[name] = given[name][clock[0] + torch.arange(x.shape[0])]  # type: ignore[index]
        coefficients = [c if isinstance(c, Tensor) else torch.full((), c, dtype=dtype) for c in given.values()]
        spikes, *last = torch.ops.rheobase.scan(self._key, x, values, coefficients, uniform, clock)
        state = dict(zip(self.states, last, strict=True))
        for place, name in enumerate(self._clocked()):
            state[name] = clock[place] + (x.shape[0] if name == "t" else 0)
        return spikes, state

    def _check(self, x: Tensor, uniform: Tensor | None) -> None:
        kind = type(self).__name__
        if not isinstance(x, Tensor) or not x.is_floating_point():
            raise TypeError(f"{kind}: x must be a floating-point tensor; got {getattr(x, 'dtype', type(x).__name__)}.")
        if x.layout is not torch.strided or x.is_nested:
            raise TypeError(f"{kind}: x must be a dense tensor; got {x.layout}. Write x.to_dense().")
        if x.dim() == 0:
            raise ValueError(f"{kind}: x must have time as its first dimension, [T, ...]; got a single number.")
        if uniform is not None:
            if not (self.random or hasattr(self, "seed")):  # a random neuron's limit without noise takes it, too
                raise ValueError(f"{kind}: draws no random numbers; leave out uniform.")
            if uniform.shape != x.shape:
                raise ValueError(f"{kind}: uniform must have x's shape {tuple(x.shape)}; got {tuple(uniform.shape)}.")
            if uniform.device != x.device:
                raise ValueError(f"{kind}: uniform must be on x's device {x.device}; got {uniform.device}.")
            if not (torch.compiler.is_compiling() or operator.intercepted(uniform) or operator.captured(x)):
                check_uniform(kind, uniform)
        elif self.random and getattr(self, "seed", None) is None and operator.captured(x):
            raise RuntimeError(f"{kind}: a CUDA graph repeats its random numbers; give it seed=, or hand in uniform.")

    def _clocked(self) -> tuple[str, ...]:
        """The extra entries of the state: the step count `t`, and the random `key`."""
        return ("t", "key") if self.random else ("t",) if self.timed else ()

    def _open(self, x: Tensor, state: Mapping[str, Tensor] | None) -> tuple[list[Tensor | None], tuple[int, int]]:
        """The states by position and (first step, seed), from a state handed in or fresh."""
        if state is None or self._is_fresh(state):
            return [None] * len(self.states), (0, self._seed() if self.random else 0)
        values = self._given(x, state)
        if self._clocked() and operator.captured(x):
            raise RuntimeError(
                f"{type(self).__name__}: a CUDA graph repeats the step count of its capture; call it without a state."
            )
        clock = [int(state[name]) for name in self._clocked()]
        return [*values], (*clock, 0, 0)[:2]  # type: ignore[return-value]

    def _is_fresh(self, state: Mapping[str, Tensor]) -> bool:
        """Whether a state holds nothing. Errors: TypeError for one that is no dict of states."""
        if not isinstance(state, Mapping):
            raise TypeError(
                f"{type(self).__name__}: state must be a dict of {', '.join(self.states)}, as scan returns it; "
                f"got {type(state).__name__}."
            )
        return not state

    def _given(self, x: Tensor, state: Mapping[str, Tensor]) -> list[Tensor]:
        """The states handed in, by position. Errors: ValueError for unknown, missing or misshapen ones."""
        known = [*self.states, *self._clocked()]
        for name in state:
            if name not in known:
                raise ValueError(f"{type(self).__name__}: unknown state {name!r}{nearest(name, known)}")
        missing = [name for name in known if name not in state]
        if missing:
            raise ValueError(f"{type(self).__name__}: the state lacks {', '.join(missing)}; hand in a state of scan.")
        values = [state[name] for name in self.states]
        for name, value in zip(self.states, values, strict=True):
            if not isinstance(value, Tensor):
                raise TypeError(f"{type(self).__name__}: state {name} must be a tensor; got {value!r}.")
            if value.shape != x.shape[1:] or value.device != x.device:
                wanted, got = f"shape {tuple(x.shape[1:])}, as x[0], on {x.device}", (tuple(value.shape), value.device)
                raise ValueError(f"{type(self).__name__}: state {name} must have {wanted}; got {got[0]} on {got[1]}.")
        return values

    def _close(self, last: list[Tensor], clock: tuple[int, int], steps: int) -> State:
        state = dict(zip(self.states, last, strict=True))
        values = (clock[0] + steps, clock[1])
        for name, value in zip(self._clocked(), values, strict=False):
            state[name] = torch.tensor(value)
        return state

    def _seed(self) -> int:
        seed = getattr(self, "seed", None)
        if seed is None:
            try:
                return int(torch.randint(-(2**63), 2**63 - 1, ()))
            except RuntimeError as error:  # torch.vmap draws one per sample, and none is a number
                raise ValueError(f"{type(self).__name__}: inside torch.vmap it needs seed=; got None.") from error
        return seed - 2**64 if seed >= 2**63 else seed

    def _sliced(self, x: Tensor, clock: tuple[int, int]) -> list[Coefficient]:
        """The coefficients by position, timed ones cut to the steps of this call."""
        values = self._values()
        if not self.timed:
            return list(values.values())
        for name in self.timed:
            end = clock[0] + x.shape[0]
            self._check_steps(values[name], end)
            values[name] = values[name][clock[0] : end]  # type: ignore[index]
        return list(values.values())

    def _values(self) -> dict[str, Coefficient]:
        """The coefficients in the order in which they were traced. Errors: ValueError where others are returned."""
        values, traced = self.coefficients(), vars(self).get("_program")
        if traced is None or tuple(values) == traced.step.coefficients:
            return values
        if values.keys() != set(traced.step.coefficients):
            now, then = ", ".join(values), ", ".join(traced.step.coefficients)
            raise ValueError(f"{type(self).__name__}: coefficients() returns {now} where it returned {then} before.")
        return {name: values[name] for name in traced.step.coefficients}

    def _check_steps(self, timed: Coefficient, end: int) -> None:
        steps = timed.shape[0]  # type: ignore[union-attr]
        if end > steps:
            raise ValueError(f"{type(self).__name__}: made for steps={steps}; asked for step {end}.")

    def zero_state(self, x: Tensor) -> State:
        """The state a fresh call on x [T, ...] starts from."""
        values, clock = self._open(x, None)
        zeros = [x.new_zeros(x.shape[1:], dtype=compute_dtype(x.dtype)) for _ in values]
        return self._close(zeros, clock, 0)

    def parameter(self, value: float, shape: int | tuple[int, ...] | None = None) -> nn.Parameter:
        """A learnable parameter filled with `value`: a scalar, or of the shape given by channels or features."""
        size = () if shape is None else tuple(shape) if isinstance(shape, (tuple, list)) else (shape,)
        size = tuple(whole(self, "channels or features", n, 1) for n in size)
        return nn.Parameter(torch.full(size, float(value)))

    def extra_repr(self) -> str:
        plain = {k: v for k, v in self.__dict__.items() if not k.startswith("_") and k != "training"}
        return ", ".join(f"{k}={v}" for k, v in plain.items())
