"""What one operation costs, in picojoules at 45 nm."""

from __future__ import annotations

import math
from collections.abc import Iterable
from dataclasses import dataclass


@dataclass(frozen=True)
class Prices:
    """Energy of an addition and of a multiplication, in pJ, on numbers of `bits`.

    Source: Horowitz, "Computing's energy problem", ISSCC 2014, 45 nm: float32 add .9 and multiply 3.7; int32 .1 and
    3.1; int8 .03 and .2.
    """

    name: str
    add: float
    multiply: float
    bits: int = 32

    @property
    def ac(self) -> float:
        """An accumulate, in pJ."""
        return self.add

    @property
    def mac(self) -> float:
        """A multiply-accumulate, in pJ."""
        return self.add + self.multiply


FLOAT32 = Prices("float32", add=0.9, multiply=3.7)
INT32 = Prices("int32", add=0.1, multiply=3.1)
INT8_MULTIPLY = 0.2


def integer(bits: int) -> Prices:
    """`bits`-bit weights and activations that are summed in 32-bit integers: at 8 bits .1 pJ per AC, .3 pJ per MAC.

    Math: multiply = .2 (bits/8)^p pJ with p = log(3.1/.2)/log(4) = 1.98, through the int8 and the int32 multiplier of
    Horowitz 2014; a multiplier's area grows with the square of its width.
    Errors: ValueError unless 1 <= bits <= 32.
    """
    if not 1 <= bits <= 32:
        raise ValueError(f"bits must be a whole number from 1 to 32; got {bits}.")
    power = math.log(INT32.multiply / INT8_MULTIPLY) / math.log(32 / 8)
    return Prices(f"int{bits}", INT32.add, INT8_MULTIPLY * (bits / 8) ** power, bits)


@dataclass(frozen=True)
class Cost:
    """Operations per sample, and the energy of reads and writes where a convention counts them."""

    acs: float = 0.0
    macs: float = 0.0
    memory: float = 0.0
    """Reads and writes of 32-bit numbers, in pJ."""

    def __add__(self, other: Cost) -> Cost:
        return Cost(self.acs + other.acs, self.macs + other.macs, self.memory + other.memory)

    def __mul__(self, times: float) -> Cost:
        return Cost(self.acs * times, self.macs * times, self.memory * times)

    def energy(self, prices: Prices) -> float:
        """In µJ. Numbers of fewer bits move in proportion; that a smaller memory is cheaper too is left out."""
        return (self.acs * prices.ac + self.macs * prices.mac + self.memory * prices.bits / 32) * 1e-6


def total(costs: Iterable[Cost]) -> Cost:
    """The sum."""
    return sum(costs, Cost())
