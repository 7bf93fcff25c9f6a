"""Spike trains: the intervals between spikes, how regular they are, and how far a signal resembles itself later."""

from __future__ import annotations

from typing import NamedTuple

import torch
from torch import Tensor


class Intervals(NamedTuple):
    """Intervals between successive spikes of a neuron, in steps [K], and the trains [K] that they belong to."""

    steps: Tensor
    train: Tensor


def intervals(spikes: Tensor) -> Intervals:
    """The intervals of all trains. Shapes: spikes [T, ...], 0 or 1; trains are numbered as `spikes[0].flatten()`.

    The time before the first and after the last spike of a train is no interval.
    """
    train, at = (spikes.flatten(1) if spikes.dim() > 1 else spikes.unsqueeze(1)).T.nonzero(as_tuple=True)
    follows = train[1:] == train[:-1]
    return Intervals((at[1:] - at[:-1])[follows], train[1:][follows])


def variation(found: Intervals) -> Tensor:
    """The coefficient of variation of every train with two intervals or more: 0 is a clock, 1 a Poisson process.

    Math: standard deviation (of the population) over mean of a train's intervals. Shapes: [trains that have one].
    """
    _, train, count = found.train.unique(return_inverse=True, return_counts=True)
    steps, zero = found.steps.double(), torch.zeros(len(count), dtype=torch.float64, device=count.device)
    mean = zero.scatter_add(0, train, steps) / count
    variance = zero.scatter_add(0, train, (steps - mean[train]) ** 2) / count
    return (variance.sqrt() / mean)[count > 1]


class Products(NamedTuple):
    """Sums over pairs (t, t + lag) of the product of a signal's values, and of their squares: [lags + 1] each.

    Those of several batches add up.
    """

    both: Tensor
    earlier: Tensor
    later: Tensor

    def correlation(self) -> Tensor:
        """The autocorrelation by lag, in −1 to 1 and 1 at lag 0; not a number for a constant signal."""
        return self.both / (self.earlier * self.later).sqrt()


def products(x: Tensor, lags: int, valid: Tensor | None = None) -> Products:
    """What the autocorrelation of signals is made of.

    Math: `Σ d[t] d[t+k]`, `Σ d[t]²`, `Σ d[t+k]²` over the pairs of all trains, d = x − the mean of each train. A signal
    of period P has correlation 1 at lag P.
    Shapes: x [T, ...]; valid [T, B], true where a step counts, for x [T, B, ...]; a train's valid steps come first.
    """
    T = x.shape[0]
    kept = torch.ones_like(x) if valid is None else valid.reshape(*valid.shape, *[1] * (x.dim() - 2)).expand_as(x)
    kept = kept.to(x.dtype)
    d = (x - (x * kept).sum(0) / kept.sum(0)) * kept
    rows = []
    for k in range(min(lags, T - 1) + 1):
        early, late = d[: T - k] * kept[k:], d[k:]
        rows.append(torch.stack([part.sum(dtype=torch.float64) for part in (early * late, early**2, late**2)]))
    return Products(*torch.stack(rows, 1))


def autocorrelation(x: Tensor, lags: int, valid: Tensor | None = None) -> Tensor:
    """The autocorrelation of signals x [T, ...] by lag, [min(lags, T − 1) + 1]; see `products`."""
    return products(x, lags, valid).correlation()
