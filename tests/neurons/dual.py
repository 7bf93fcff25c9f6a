"""Numbers that carry derivatives: forward-mode differentiation in plain Python, the independent witness of autograd."""

from __future__ import annotations

import math
from collections.abc import Callable

import numpy as np


class Dual:
    """A value and its derivatives towards every input that was seeded with `variables`."""

    def __init__(self, value: float, slope: np.ndarray | float = 0.0):
        self.value, self.slope = float(value), slope

    def __add__(self, other):
        other = lift(other)
        return Dual(self.value + other.value, self.slope + other.slope)

    def __mul__(self, other):
        other = lift(other)
        return Dual(self.value * other.value, self.slope * other.value + self.value * other.slope)

    def __neg__(self):
        return Dual(-self.value, -self.slope)

    def __sub__(self, other):
        return self + -lift(other)

    def __rsub__(self, other):
        return lift(other) + -self

    def __truediv__(self, other):
        other = lift(other)
        return self * other.apply(1 / other.value, -1 / other.value**2)

    def __rtruediv__(self, other):
        return lift(other) / self

    __radd__, __rmul__ = __add__, __mul__

    def apply(self, value: float, derivative: float) -> Dual:
        """f(self) for f with this value and derivative here."""
        return Dual(value, derivative * self.slope)


def lift(value: Dual | float) -> Dual:
    return value if isinstance(value, Dual) else Dual(value)


def variables(values: list[float]) -> list[Dual]:
    """One Dual per value, each its own direction."""
    return [Dual(value, row) for value, row in zip(values, np.eye(len(values)), strict=True)]


def sigma(z: Dual) -> Dual:
    y = 1 / (1 + math.exp(-z.value))
    return z.apply(y, y * (1 - y))


def tanh(z: Dual) -> Dual:
    y = math.tanh(z.value)
    return z.apply(y, 1 - y * y)


def exp(z: Dual) -> Dual:
    return z.apply(math.exp(z.value), math.exp(z.value))


def absolute(z: Dual) -> Dual:
    return z if z.value >= 0 else -z


def clamp_below(z: Dual) -> Dual:
    """max(z, 0) with derivative 1 at 0."""
    return z if z.value >= 0 else Dual(0.0, 0.0 * z.slope)


def relu(z: Dual) -> Dual:
    """max(z, 0) with derivative 0 at 0."""
    return z if z.value > 0 else Dual(0.0, 0.0 * z.slope)


def step(d: Dual, surrogate: Callable[[float], float], strict: bool = False) -> Dual:
    """The spike of d = u − θ, with the surrogate for its derivative."""
    return d.apply(float(d.value > 0 if strict else d.value >= 0), surrogate(d.value))


def constant(z: Dual) -> Dual:
    """z without derivatives."""
    return Dual(z.value)
