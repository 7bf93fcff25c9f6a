"""Losses on spike times: first spikes, counts and rates, target trains, and a leaky-integrator readout.

Every function is differentiable to the spike times. A missing spike (inf) enters as a constant and has no gradient;
simulate with pseudospikes=True to give it one.
"""

from __future__ import annotations

import math

import torch
from torch import Tensor

from rheobase.exact.neuron import positive
from rheobase.exact.simulate import Events


def first_spike(times: Tensor, labels: Tensor, T: float, gamma: float = 0.01, missing: float | None = None) -> Tensor:
    """Cross-entropy of first spike times: the earliest output is the answer.

    Math: -log softmax(-t)[label] + gamma (exp(t[label] / T) - 1), the mean over the batch; the exponent counts up to
        half of what overflows.
    Shapes: times [B, outputs] or [outputs], as `events.first(outputs, 1)[..., 0]`; labels [B] or a scalar.
    Units: times in the unit in which the softmax is taken; `missing` is the time of a spike that did not come, by
        default T.
    Source: EQUATIONS "Exact spike-based gradients", Loss.
    """
    labels = torch.as_tensor(labels, device=times.device)
    if times.shape[:-1] != labels.shape or times.dim() not in (1, 2) or labels.numel() == 0:
        given = f"{list(times.shape)}, {list(labels.shape)}"
        raise ValueError(f"first_spike: times [B, outputs] need labels [B], B of at least 1; got {given}.")
    if labels.is_floating_point() or bool(((labels < 0) | (labels >= times.shape[-1])).any()):
        given = f"{labels.dtype}, {labels.min().item()} to {labels.max().item()}"
        raise ValueError(f"first_spike: labels must be whole numbers in 0..{times.shape[-1] - 1}; got {given}.")
    positive("first_spike", "T", T)
    if not 0 <= gamma < math.inf:
        raise ValueError(f"first_spike: gamma must be a number >= 0; got {gamma}.")
    times = _finite(times, T if missing is None else missing)
    label = times.gather(-1, labels.long()[..., None])[..., 0]
    exponent = (label / T).clamp(max=math.log(torch.finfo(times.dtype).max) / 2)
    return (label + torch.logsumexp(-times, -1) + gamma * torch.expm1(exponent)).mean()


def soft_counts(times: Tensor, T: float, width: float) -> Tensor:
    """Spikes before T, with an edge of the given width so that a spike at T counts one half.

    Math: Σ_k σ((T - t_k) / width). The number of spikes itself is a step; this is its limit for width -> 0.
    Shapes: times [..., count], as `events.first(outputs, count)` with count above the number wanted -> [...].
    """
    positive("soft_counts", "width", width)
    return torch.sigmoid((T - _finite(times, torch.inf)) / width).nan_to_num(0.0).sum(-1)


def count(times: Tensor, wanted: Tensor, T: float, width: float = 0.1) -> Tensor:
    """Mean squared difference between soft spike counts and the wanted ones.

    Shapes: times [..., count], wanted broadcast to [...]. For rates pass wanted = rate · T.
    """
    return (soft_counts(times, T, width) - torch.as_tensor(wanted, device=times.device)).square().mean()


def target_times(times: Tensor, targets: Tensor, missing: float) -> Tensor:
    """Mean squared difference to target spike times, spike by spike.

    Shapes: both [..., count]; a target of inf is no wish. `missing` stands for a spike that did not come.
    Source: the loss `sq` of shared/golden.
    """
    if times.shape != targets.shape:
        given = f"{list(times.shape)}, {list(targets.shape)}"
        raise ValueError(f"target_times: times and targets need one shape; got {given}.")
    wished = ~targets.isinf()
    gap = torch.where(wished, _finite(times, missing) - torch.where(wished, targets, 0.0), 0.0)
    return gap.square().sum() / wished.sum().clamp(min=1)


def target_trains(times: Tensor, targets: Tensor, tau: float) -> Tensor:
    """van Rossum distance between spike trains of any lengths.

    Math: ∫ (f - g)² dt / τ = ½ Σ ± exp(-|t_i - t_j| / τ) over all pairs of spikes, f and g the trains seen through
        exp(-t/τ); mean over the trains.
    Shapes: times [..., K], targets [..., L], both padded with inf.
    Source: van Rossum 2001, in closed form.
    """
    positive("target_trains", "tau", tau)
    both = torch.cat([times, targets], -1)
    sign = torch.cat([torch.ones_like(times), -torch.ones_like(targets)], -1).masked_fill(both.isinf(), 0.0)
    both = _finite(both, 0.0)
    near = torch.exp(-(both[..., :, None] - both[..., None, :]).abs() / tau)
    return 0.5 * (sign[..., :, None] * near * sign[..., None, :]).sum((-1, -2)).mean()


def leaky_readout(
    events: Events, weights: Tensor, tau: float, at: float | None = None, discount: float | None = None
) -> Tensor:
    """Leaky integrators driven by the network's spikes: their mean over the trial, or their value at a time.

    Math: τ y' = -y, y += weights[:, i] at a spike of neuron i. Mean: Σ w τ (1 - exp(-(T - t)/τ)) / T; at a time s:
        Σ w exp(-(s - t)/τ) over the spikes up to s, one at s included. With a discount κ the mean of y(s) exp(-s/κ):
        Σ w μ exp(-t/κ) (1 - exp(-(T - t)/μ)) / T, 1/μ = 1/τ + 1/κ; early spikes count more, so that the time of every
        spike matters, which in the plain mean only that of late ones does.
    Shapes: weights [outputs, N] -> [B, outputs], or [outputs] without a batch.
    """
    positive("leaky_readout", "tau", tau)
    N = events.state_at_T.shape[-1]
    if weights.dim() != 2 or weights.shape[1] != N:
        raise ValueError(f"leaky_readout: weights must be [outputs, {N}]; got {list(weights.shape)}.")
    if at is not None and discount is not None:
        raise ValueError("leaky_readout: a value at a time has no discount; pass `at` or `discount`, not both.")
    end = events.T if at is None else at
    if not 0 <= end <= events.T:
        raise ValueError(f"leaky_readout: `at` must lie in the trial, 0 to {events.T}; got {at}.")
    counts = ~events.is_input & (events.ids >= 0) & (events.times <= end)
    left = (end - torch.where(counts, events.times, end)) / tau
    share = torch.exp(-left) if at is not None else _mean_share(left * tau, events.T, tau, discount)
    share = torch.where(counts, share, 0.0)
    per_neuron = share.new_zeros(*share.shape[:-1], N)
    per_neuron = per_neuron.scatter_add(-1, torch.where(counts, events.ids, 0), share)
    return per_neuron @ weights.T


def timed_readout(events: Events, weights: Tensor) -> Tensor:
    """A sum over all spikes of weights that change with time, linearly between knots.

    Math: Σ w_i(t) over the spikes t of every neuron i, w_i piecewise linear with knots evenly over [0, T]. A spike that
        moves changes the answer by the slope of w_i; one that appears changes it by w_i(t). The spikes of QIF neurons
        appear at T only: where weights[-1] is 0 their answer is continuous.
    Shapes: weights [knots, outputs, N], at least two knots -> [B, outputs], or [outputs] without a batch.
    """
    N = events.state_at_T.shape[-1]
    if weights.dim() != 3 or weights.shape[0] < 2 or weights.shape[2] != N:
        given = list(weights.shape)
        raise ValueError(f"timed_readout: weights must be [knots, outputs, {N}] with two knots or more; got {given}.")
    K = weights.shape[0]
    counts = ~events.is_input & (events.ids >= 0)
    place = torch.where(counts, events.times, 0.0) * ((K - 1) / events.T)
    knot = place.detach().long().clamp(max=K - 2)
    later = place - knot
    features = later.new_zeros(*later.shape[:-1], K * N)
    at = knot * N + torch.where(counts, events.ids, 0)
    features = features.scatter_add(-1, at, torch.where(counts, 1 - later, 0.0))
    features = features.scatter_add(-1, at + N, torch.where(counts, later, 0.0))
    return features @ weights.transpose(1, 2).reshape(K * N, -1)


def _mean_share(left: Tensor, T: float, tau: float, discount: float | None) -> Tensor:
    """What a spike with `left` time to the end adds to the mean of an integrator, per unit of weight."""
    if discount is None:
        return -torch.expm1(-left / tau) * tau / T
    positive("leaky_readout", "discount", discount)
    both = 1 / (1 / tau + 1 / discount)
    return -torch.expm1(-left / both) * torch.exp((left - T) / discount) * both / T


def _finite(times: Tensor, missing: float) -> Tensor:
    return torch.where(times.isinf(), missing, times)
