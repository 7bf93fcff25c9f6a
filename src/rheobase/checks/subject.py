"""The neuron under check: how to make it, its options, inputs that make it fire, and one run with every gradient."""

from __future__ import annotations

import contextlib
import functools
import inspect
import math
import types
import typing
from collections.abc import Callable, Iterator
from typing import Any
from unittest import mock

import torch
from torch import Tensor

from rheobase import neurons
from rheobase import surrogate as surrogates
from rheobase.fuse import build, operator
from rheobase.neurons import Neuron
from rheobase.neurons.named import split

CHANNELS, WIDTH = 3, 2
GUESSES = (0.5, 2.0, 1 / math.log(2), 1.0)  # 1/ln 2: exp(−1/τ) = ½
FILLS = (math.atanh(0.5), 1 / math.log(2), 1.0, 2.0, 0.5, 0.0)
DTYPES = (torch.float32, torch.float64, torch.bfloat16, torch.float16)


class CheckFailed(AssertionError):
    """A neuron that breaks the contract; the message says where."""


def require(condition: object, message: str) -> None:
    """Raise `CheckFailed` with the message unless the condition holds."""
    if not condition:
        raise CheckFailed(message)


def equal(one: Tensor, other: Tensor) -> bool:
    """Like `torch.equal`, but NaN is equal to NaN: what diverges on both sides is no disagreement."""
    same = one.shape == other.shape and one.dtype == other.dtype
    return same and bool(((one == other) | ((one != one) & (other != other))).all())


def maker(spec: str) -> Callable[..., Neuron]:
    """A function that makes the neuron written as `name:option=value`, for `Subject`; the options given stay so.

    Errors: ValueError for unknown names and for options without a value.
    """
    name, written = split(spec)
    kind, options = neurons.kind(name), dict[str, Any](written)
    if isinstance(options.get("surrogate"), str):
        options["surrogate"] = surrogates.from_text(options["surrogate"])

    @functools.wraps(kind.__init__)
    def make(**given) -> Neuron:
        return kind(**{**options, **given})

    signature = inspect.signature(kind)
    open_ = [p for p in signature.parameters.values() if p.name not in options or p.name == "steps"]  # theirs to choose
    make.__signature__ = signature.replace(parameters=open_)  # type: ignore[attr-defined]
    return make


class Subject:
    """A neuron class, or a function that makes neurons, and what its keyword arguments say about it."""

    def __init__(self, make: Callable[..., Neuron]):
        self.make = make
        called = make.__init__ if isinstance(make, type) else make
        parameters = inspect.signature(make).parameters
        self.signature = {name: p for name, p in parameters.items() if p.kind not in (p.VAR_KEYWORD, p.VAR_POSITIONAL)}
        target = getattr(called, "func", called)
        target = target.__init__ if isinstance(target, type) else target
        self.hints = typing.get_type_hints(target)
        example = self.neuron()
        self.name = type(example).__name__
        self.states = example.states
        self.random, self.fused = example.random, example.fused
        self.stepwise = example.fused or bool(example.states)
        inner = example.surrogate
        primitive = inner is None or type(inner).primitive is not surrogates.Surrogate.primitive
        self.injects = _injects(example)
        self.smooth = primitive and not self.injects
        self.can_fuse = example.fused and build.compiler() is not None

    def neuron(self, steps: int = 8, **options) -> Neuron:
        """A neuron with these options; `steps`, where it needs the number of time steps beforehand."""
        given = {"steps": steps, "seed": 11} | options
        made = self.make(**{k: v for k, v in given.items() if k in self.signature or k in options})
        if made.random and getattr(made, "seed", None) is None:
            made.seed = given["seed"]  # what draws must draw the same again
        return made

    def surrogates(self) -> list[surrogates.Surrogate]:
        """Every surrogate of the package, or none where the neuron takes none."""
        found = [getattr(surrogates, name)() for name in surrogates.names() if hasattr(surrogates, name)]
        return found if "surrogate" in self.signature else []

    def resets(self) -> list[dict]:
        return [{"reset": "soft"}, {"reset": "hard"}] if "reset" in self.signature else [{}]

    def options(self) -> list[dict]:
        """The default, and every single option moved off it: words, switches, per channel, per neuron."""
        found: list[dict] = [{}]
        for name, parameter in self.signature.items():
            found += [{name: v} for v in _words(self.hints.get(name)) if v is not None and v != parameter.default]
        if {"reset", "v_reset"} <= self.signature.keys():
            found.append({"reset": "hard", "v_reset": -0.25})
        if "channels" in self.signature:
            found.append({"channels": CHANNELS})
        if "features" in self.signature:
            found += [{"features": CHANNELS}, {"features": (CHANNELS, WIDTH)}]
        return found

    def dyadic(self, steps: int, **options) -> Neuron:
        """A neuron whose coefficients are fractions of 2, as far as its constants and parameters can be so chosen.

        Then arithmetic on inputs in quarters is exact, and potentials meet the threshold exactly.
        """
        with mock.patch.object(Neuron, "fused", False):  # no tracing for guesses
            chosen = dict(options)
            for name, parameter in self.signature.items():
                if isinstance(parameter.default, float) and name not in options:
                    trials = [chosen, *({**chosen, name: guess} for guess in GUESSES)]
                    chosen = min(trials, key=lambda trial: self._uneven(steps, trial))
        neuron = self.neuron(steps, **chosen)
        for value in neuron.parameters():
            best = min([value.detach().clone(), *FILLS], key=lambda fill: _count_uneven(_filled(neuron, value, fill)))
            _filled(neuron, value, best)
        return neuron

    def _uneven(self, steps: int, options: dict) -> float:
        try:
            return _count_uneven(self.neuron(steps, **options))
        except (ValueError, TypeError):
            return math.inf


def _injects(neuron: Neuron) -> bool:
    """Whether spikes are injected inside `smooth()` too, where nothing then says what they are the slope of."""
    apply = surrogates._Inject.apply
    with mock.patch.object(surrogates._Inject, "apply", side_effect=apply) as injected, surrogates.smooth():
        with contextlib.suppress(NotImplementedError, RuntimeError), torch.no_grad():
            neuron(torch.zeros(8, 2, CHANNELS))
        return injected.called


def _words(hint) -> list:
    """The values of a type that lists them: Literal and bool, also inside a union."""
    if hint is bool:
        return [False, True]
    if typing.get_origin(hint) is typing.Literal:
        return list(typing.get_args(hint))
    if typing.get_origin(hint) in (typing.Union, types.UnionType):
        return [word for part in typing.get_args(hint) for word in _words(part)]
    return []


def _filled(neuron: Neuron, value: Tensor, fill: float | Tensor) -> Neuron:
    with torch.no_grad():
        value.copy_(torch.as_tensor(fill, dtype=value.dtype))
    return neuron


def _count_uneven(neuron: Neuron) -> int:
    """How many coefficients are not multiples of 1/256 in float32."""
    values = [torch.as_tensor(v).detach().float() * 256 for v in neuron.coefficients().values()]
    return sum(not bool((v == v.round()).all()) for v in values)


def quarters(shape: tuple[int, ...], dtype: torch.dtype = torch.float32, seed: int = 0) -> Tensor:
    """Inputs on quarters between −2 and 5, a third of them 0, 1 or 2, a third on eighths between −1 and 1."""
    generator = torch.Generator().manual_seed(seed)

    def draw(low: int, high: int) -> Tensor:
        return torch.randint(low, high, shape, generator=generator)

    kind = draw(0, 3)
    return torch.where(kind == 0, draw(-8, 21) / 4, torch.where(kind == 1, draw(0, 3), draw(-8, 9) / 8)).to(dtype)


def eighths(shape: tuple[int, ...], seed: int = 1) -> Tensor:
    """Random numbers for random neurons on eighths, 0 and 1 among them: ties of r < p where p = 1."""
    return torch.randint(0, 9, shape, generator=torch.Generator().manual_seed(seed)) / 8


def normal(shape: tuple[int, ...], dtype: torch.dtype = torch.float32, seed: int = 0, scale: float = 1.5) -> Tensor:
    """Gaussian inputs that make most neurons fire now and then."""
    return (torch.randn(shape, generator=torch.Generator().manual_seed(seed)) * scale + 0.4).to(dtype)


def firing(neuron: Neuron, shape: tuple[int, ...], dtype: torch.dtype = torch.float32, seed: int = 0) -> Tensor:
    """Gaussian inputs, scaled up until at least one step in twenty fires."""
    scale = 1.5
    while True:
        x = normal(shape, dtype, seed, scale)
        with torch.no_grad(), operator.backend("eager"):
            if neuron(x).float().mean() > 0.05 or scale > 1000:
                return x
        scale *= 2


def start(neuron: Neuron, x: Tensor, seed: int = 2) -> dict[str, Tensor]:
    """Initial states of −½, 0, ½ and 1: few bits, so that sums of inputs and states still meet the threshold."""
    generator = torch.Generator().manual_seed(seed)
    state = neuron.zero_state(x)
    for name in neuron.states:
        state[name] = (torch.randint(-1, 3, x.shape[1:], generator=generator) / 2).to(state[name])
    return state


@contextlib.contextmanager
def counted(neuron: Neuron) -> Iterator[dict[str, int]]:
    """Inside, count how often the surrogate saw d = 0, a tie at the threshold, d on a grid of 2⁻¹⁰, and d at all."""
    seen = {"ties": 0, "even": 0, "all": 0}
    inner = neuron.surrogate
    if inner is None:
        yield seen
        return

    def look(d: Tensor) -> Tensor:
        seen["ties"] += int((d == 0).sum())
        seen["even"] += int((d * 1024 == (d * 1024).round()).sum())
        seen["all"] += d.numel()
        return d

    class Counting(type(inner)):
        def __call__(self, d, *rest, **named):
            return inner(look(d), *rest, **named)

        def derivative(self, d):
            return inner.derivative(look(d))

    counting = object.__new__(Counting)
    vars(counting).update(vars(inner))
    vars(neuron)["surrogate"] = counting
    try:
        yield seen
    finally:
        vars(neuron)["surrogate"] = inner


def outcome(
    neuron: Neuron, x: Tensor, backend: str, state: dict[str, Tensor] | None = None, uniform: Tensor | None = None
) -> dict[str, Tensor]:
    """Spikes, final states, and the gradients of a fixed weighting of both to x, first states and parameters."""
    x = x.detach().requires_grad_()
    first = {k: v.detach().clone().requires_grad_() if k in neuron.states else v for k, v in (state or {}).items()}
    given = {} if uniform is None else {"uniform": uniform}
    for value in neuron.parameters():
        value.grad = None
    with operator.backend(backend):
        spikes, last = neuron.scan(x, first or None, **given)
        found = {"spikes": spikes} | {f"final {k}": last[k] for k in neuron.states}
        generator = torch.Generator().manual_seed(9)
        loss = torch.zeros((), dtype=torch.float64, device=x.device)
        for value in found.values():
            weights = torch.randint(-4, 5, value.shape, generator=generator) / 4
            loss = loss + (value * weights.to(value)).sum(dtype=torch.float64)
        if loss.requires_grad:
            loss.backward()
    found |= {"gradient to x": _slope(x)}
    found |= {f"gradient to first {k}": _slope(first[k]) for k in neuron.states if k in first}
    found |= {f"gradient to {k}": _slope(v) for k, v in neuron.named_parameters() if v.requires_grad}
    return {k: v.detach() for k, v in found.items()}


def _slope(value: Tensor) -> Tensor:
    return torch.zeros_like(value) if value.grad is None else value.grad
