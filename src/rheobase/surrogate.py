"""Surrogates: what stands in for the derivative of the step function, d = u − threshold.

A surrogate is called on d and returns the spike, 1 where d >= 0 (or d > 0), with its `derivative` as gradient. Every
one here also has a `primitive`, the function whose derivative it is; inside `smooth()` the primitive is emitted instead
of the step, so that finite differences see what the gradient claims.
"""

from __future__ import annotations

import contextlib
import dataclasses
import math
from collections.abc import Callable, Iterator
from contextvars import ContextVar

import torch
from torch import Tensor

from rheobase.names import unknown

_smooth: ContextVar[bool] = ContextVar("rheobase_smooth", default=False)
_smoothing = 0  # threads inside `smooth()`: what torch.compile can read and guard, unlike a context variable
_at_once: ContextVar[bool] = ContextVar("rheobase_slopes_at_once", default=False)


@contextlib.contextmanager
def smooth() -> Iterator[None]:
    """Inside, neurons emit the surrogate's primitive instead of the step. For gradient checks; runs eager."""
    global _smoothing
    token = _smooth.set(True)
    _smoothing += 1
    try:
        yield
    finally:
        _smoothing -= 1
        _smooth.reset(token)


def is_smooth() -> bool:
    """Whether the caller stands inside `smooth()`; for torch.compile, whether any thread does."""
    return _smoothing > 0 if torch.compiler.is_compiling() else _smooth.get()


@contextlib.contextmanager
def slopes_at_once() -> Iterator[None]:
    """Inside, surrogates compute their slope when they are called, so that a tracer of the step sees all of it."""
    token = _at_once.set(True)
    try:
        yield
    finally:
        _at_once.reset(token)


class _Inject(torch.autograd.Function):
    """Forward gradient injection (Otte 2024): the value of `value`, the gradient `slope` towards `u`."""

    generate_vmap_rule = True

    @staticmethod
    def forward(value: Tensor, u: Tensor, slope: Tensor) -> Tensor:
        return value.clone()

    @staticmethod
    def setup_context(ctx, inputs, output):
        ctx.save_for_backward(inputs[2])

    @staticmethod
    def backward(ctx, *grads: Tensor):
        (slope,) = ctx.saved_tensors  # with its own graph: that of second derivatives
        return None, grads[0] * slope, None


class _Fire(torch.autograd.Function):
    """The same with the slope `derivative(d)`, which is computed when it is asked for."""

    generate_vmap_rule = True

    @staticmethod
    def forward(value: Tensor, d: Tensor, derivative: Callable[[Tensor], Tensor]) -> Tensor:
        return value.clone()

    @staticmethod
    def setup_context(ctx, inputs, output):
        ctx.save_for_backward(inputs[1])
        ctx.derivative = inputs[2]

    @staticmethod
    def backward(ctx, *grads: Tensor):
        return None, grads[0] * ctx.derivative(*ctx.saved_tensors), None


def inject(value: Tensor, u: Tensor, slope: Tensor) -> Tensor:
    """`value`, with gradient `slope` towards `u`; no first derivative passes through value and slope themselves.

    A slope computed from u gives second derivatives, too; one computed from u.detach() counts as constant in them.
    """
    return _Inject.apply(value.detach(), u, slope)  # type: ignore[no-any-return]


def heaviside(d: Tensor, strict: bool = False) -> Tensor:
    """1 where d >= 0 (strict: d > 0), else 0; NaN gives 0."""
    return ((d > 0) if strict else (d >= 0)).to(d.dtype)


class _Settled:
    """An object that keeps its attributes once a neuron uses it: a kernel made with them would not follow a change."""

    def settle(self) -> None:
        """From now on, setting an attribute raises."""
        vars(self)["_settled"] = True

    def __setattr__(self, name: str, value: object) -> None:
        if "_settled" in vars(self):
            kind = type(self).__name__
            raise AttributeError(f"{kind}: a neuron uses it; give it a new one, neuron.surrogate = {kind}(...).")
        super().__setattr__(name, value)


@dataclasses.dataclass(frozen=True)
class Surrogate(_Settled):
    """A pseudo-derivative of the step. Subclasses give `derivative(d)` and, where one exists, `primitive(d)`."""

    def derivative(self, d: Tensor) -> Tensor:
        raise NotImplementedError

    def primitive(self, d: Tensor) -> Tensor:
        raise NotImplementedError(f"{type(self).__name__} has no primitive, so it has no smooth form.")

    def __call__(self, d: Tensor, strict: bool = False) -> Tensor:
        """Spikes for d = u − threshold, any shape: 1 where d >= 0 (strict: d > 0), gradient `derivative(d)`."""
        if is_smooth():
            return self.primitive(d)
        if not torch.compiler.is_compiling() and _at_once.get():
            self.derivative(d.detach())
        return _Fire.apply(heaviside(d.detach(), strict), d, self.derivative)  # type: ignore[no-any-return]

    def _positive(self, *names: str) -> None:
        for name in names:
            if not getattr(self, name) > 0:
                raise ValueError(f"{type(self).__name__}: {name} must be positive; got {getattr(self, name)}.")


@dataclasses.dataclass(frozen=True)
class Rectangle(Surrogate):
    """`1/a` where |d| <= a/2, edges included, else 0, with a the width. Source: CLIF, ILIF, DA-LIF."""

    width: float = 1.0

    def __post_init__(self):
        self._positive("width")

    def derivative(self, d):
        return (d.abs() <= self.width / 2).to(d.dtype) * (1 / self.width)

    def primitive(self, d):
        return (d * (1 / self.width) + 0.5).clamp(0.0, 1.0)


@dataclasses.dataclass(frozen=True)
class Sigmoid(Surrogate):
    """`α σ(αd) (1 − σ(αd))`. Source: ILIF's public training script."""

    alpha: float = 4.0

    def __post_init__(self):
        self._positive("alpha")

    def derivative(self, d):
        s = torch.sigmoid(self.alpha * d)
        return self.alpha * s * (1 - s)

    def primitive(self, d):
        return torch.sigmoid(self.alpha * d)


@dataclasses.dataclass(frozen=True)
class ATan(Surrogate):
    """`(α/2) / (1 + (π α d / 2)²)`. Source: PLIF (Fang et al. 2021)."""

    alpha: float = 2.0

    def __post_init__(self):
        self._positive("alpha")

    def derivative(self, d):
        z = (math.pi * self.alpha / 2) * d
        return (self.alpha / 2) / (1 + z * z)

    def primitive(self, d):
        return torch.atan((math.pi * self.alpha / 2) * d) * (1 / math.pi) + 0.5


@dataclasses.dataclass(frozen=True)
class Triangle(Surrogate):
    """`h max(0, 1 − |d|/w)` with height h and width w. Source: LSNN (Bellec et al. 2018), Diet-SNN."""

    height: float = 0.3
    width: float = 1.0

    def __post_init__(self):
        self._positive("height", "width")

    def derivative(self, d):
        return self.height * (1 - d.abs() * (1 / self.width)).clamp(min=0.0)

    def primitive(self, d):
        z = (d * (1 / self.width)).clamp(-1.0, 1.0)
        return (self.height * self.width) * (0.5 + z - 0.5 * z * z.abs())


def _normal(d: Tensor, mean: float, std: float) -> Tensor:
    z = (d - mean) * (1 / std)
    return torch.exp(-0.5 * z * z) * (1 / (std * math.sqrt(2 * math.pi)))


def _normal_cdf(d: Tensor, mean: float, std: float) -> Tensor:
    return 0.5 + 0.5 * torch.erf((d - mean) * (1 / (std * math.sqrt(2))))


@dataclasses.dataclass(frozen=True)
class Gaussian(Surrogate):
    """The normal density N(d; 0, sigma)."""

    sigma: float = 0.5

    def __post_init__(self):
        self._positive("sigma")

    def derivative(self, d):
        return _normal(d, 0.0, self.sigma)

    def primitive(self, d):
        return _normal_cdf(d, 0.0, self.sigma)


@dataclasses.dataclass(frozen=True)
class DoubleGaussian(Surrogate):
    """`γ [(1 + p) N(d; 0, .5) − 2p N(d; 0, 3)]`, p = .15, γ = .5. Negative for |d| > 1.27. Source: Otte's lab."""

    p: float = 0.15
    gamma: float = 0.5

    def derivative(self, d):
        return self.gamma * ((1 + self.p) * _normal(d, 0.0, 0.5) - (2 * self.p) * _normal(d, 0.0, 3.0))

    def primitive(self, d):
        return self.gamma * ((1 + self.p) * _normal_cdf(d, 0.0, 0.5) - (2 * self.p) * _normal_cdf(d, 0.0, 3.0))


@dataclasses.dataclass(frozen=True)
class MultiGaussian(Surrogate):
    """`γ [(1 + h) N(d; 0, ℓ) − h N(d; ℓ, 6ℓ) − h N(d; −ℓ, 6ℓ)]`; peak .4391. Source: Yin et al. 2021."""

    h: float = 0.15
    length: float = 0.5
    gamma: float = 0.5

    def __post_init__(self):
        self._positive("length")

    def _sum(self, density, d: Tensor) -> Tensor:
        side = density(d, self.length, 6 * self.length) + density(d, -self.length, 6 * self.length)
        return self.gamma * ((1 + self.h) * density(d, 0.0, self.length) - self.h * side)

    def derivative(self, d):
        return self._sum(_normal, d)

    def primitive(self, d):
        return self._sum(_normal_cdf, d)


@dataclasses.dataclass(frozen=True)
class FastSigmoid(Surrogate):
    """`1 / (1 + k|d|)²` with slope k. Source: Zenke and Ganguli 2018."""

    slope: float = 25.0

    def __post_init__(self):
        self._positive("slope")

    def derivative(self, d):
        z = 1 + self.slope * d.abs()
        return 1 / (z * z)

    def primitive(self, d):
        return d / (1 + self.slope * d.abs()) + 1 / self.slope


def names() -> list[str]:
    """The names of all surrogates here, for tables and command lines; not those of your own."""
    return sorted(kind.__name__ for kind in Surrogate.__subclasses__() if kind.__module__ == __name__)


def from_text(text: str) -> Surrogate:
    """The surrogate written as it prints itself, for configs: `DoubleGaussian(gamma=0.25)`, or the name alone.

    Errors: ValueError naming the nearest surrogate or option, or saying what cannot be read.
    """
    name, _, inside = text.strip().removesuffix(")").partition("(")
    kinds = {kind.__name__: kind for kind in Surrogate.__subclasses__()}
    name = next((known for known in kinds if known.lower() == name.lower()), name)
    if name not in kinds:
        raise unknown("surrogate", name, kinds)
    known = [field.name for field in dataclasses.fields(kinds[name])]
    options = {}
    for pair in filter(None, (part.strip() for part in inside.split(","))):
        option, _, value = pair.partition("=")
        if option.strip() not in known:
            raise unknown(f"option of surrogate {name}", option.strip(), known)
        try:
            options[option.strip()] = float(value)
        except ValueError as error:
            raise ValueError(f"surrogate {text!r}: {option.strip()} must be a number; got {value!r}.") from error
    return kinds[name](**options)
