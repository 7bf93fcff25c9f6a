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
    """Sums of products of a signal with itself `lag` steps later, and how many pairs went into each: [lags + 1]."""

    sums: Tensor
    pairs: Tensor

    def correlation(self) -> Tensor:
        """The autocorrelation by lag, 1 at lag 0; not a number for a constant signal."""
        covariance = self.sums / self.pairs
        return covariance / covariance[0]


def products(x: Tensor, lags: int, valid: Tensor | None = None) -> Products:
    """What the autocorrelation of signals is made of; the products of several batches add up.

    Math: `Σ_t (x[t] − μ)(x[t+k] − μ)` over all trains, μ the mean of each train; pairs that reach beyond the end do not
    count, so that a signal of period P has correlation 1 at lag P where T is a multiple of P.
    Shapes: x [T, ...]; valid [T, B], true where a step counts, for x [T, B, ...]; a train's valid steps come first.
    """
    T = x.shape[0]
    kept = torch.ones_like(x) if valid is None else valid.reshape(*valid.shape, *[1] * (x.dim() - 2)).expand_as(x)
    kept = kept.to(x.dtype)
    d = (x - (x * kept).sum(0) / kept.sum(0)) * kept
    near = [(d[: T - k] * d[k:], kept[: T - k] * kept[k:]) for k in range(min(lags, T - 1) + 1)]
    sums, pairs = ([part.sum(dtype=torch.float64) for part in parts] for parts in zip(*near, strict=True))
    return Products(torch.stack(sums), torch.stack(pairs))


def autocorrelation(x: Tensor, lags: int, valid: Tensor | None = None) -> Tensor:
    """The autocorrelation of signals x [T, ...] by lag, [min(lags, T − 1) + 1]; see `products`."""
    return products(x, lags, valid).correlation()
