"""Losses: against direct formulas and finite differences."""

from __future__ import annotations

import math

import pytest
import torch
from networks import random_case

from rheobase.exact import losses

FLOAT = torch.float64


def rows(*values) -> torch.Tensor:
    return torch.tensor(values, dtype=FLOAT, requires_grad=True)


def test_first_spike():
    times = rows([1.0, 2.0, 1.5], [0.5, math.inf, 3.0])
    got = losses.first_spike(times, torch.tensor([0, 2]), T=4.0, gamma=0.01)
    full = torch.tensor([[1.0, 2.0, 1.5], [0.5, 4.0, 3.0]], dtype=FLOAT)
    wanted = torch.nn.functional.cross_entropy(-full, torch.tensor([0, 2]))
    wanted = wanted + 0.01 * (math.expm1(0.25) + math.expm1(0.75)) / 2
    assert got.item() == pytest.approx(wanted.item(), rel=1e-14)
    got.backward()
    assert bool(times.grad.isfinite().all()) and times.grad[1, 1] == 0
    assert times.grad[0, 0] > 0 > times.grad[0, 1]


def test_soft_counts_become_counts():
    times = rows([0.5, 1.9, 2.1, math.inf])
    assert losses.soft_counts(times, T=2.0, width=1e-3).item() == pytest.approx(2.0, abs=1e-12)
    loss = losses.count(times, torch.tensor([3.0]), T=2.0, width=0.1)
    loss.backward()
    assert bool((times.grad[0, :3] > 0).all()) and times.grad[0, 3] == 0


def test_target_times_ignore_what_is_not_wished():
    times, targets = rows([1.0, 2.0, math.inf]), rows([0.5, math.inf, 2.5]).detach()
    loss = losses.target_times(times, targets, missing=3.0)
    assert loss.item() == pytest.approx((0.25 + 0.25) / 2)
    loss.backward()
    assert times.grad.tolist() == [[0.5, 0.0, 0.0]]


def test_target_trains_is_the_integral():
    times, targets = rows([0.3, 1.1, math.inf]), rows([0.4, 0.9, 2.0]).detach()
    got = losses.target_trains(times, targets, tau=0.5)
    s = torch.arange(0, 20, 1e-4, dtype=FLOAT)

    def seen(train):
        shifted = s[:, None] - train[train.isfinite()]
        return torch.where(shifted >= 0, torch.exp(-shifted / 0.5), 0.0).sum(1)

    wanted = (seen(times.detach()) - seen(targets)).square().sum() * 1e-4 / 0.5
    assert got.item() == pytest.approx(wanted.item(), rel=1e-3)
    assert losses.target_trains(targets, targets, tau=0.5).item() == pytest.approx(0.0, abs=1e-15)
    assert torch.autograd.grad(got, times)[0].isfinite().all()


def test_leaky_readout():
    case = random_case("qif", 2)
    case.w_in.requires_grad_()
    events = case.run()
    weights = torch.randn(3, 6, generator=torch.Generator().manual_seed(0), dtype=FLOAT)
    mean = losses.leaky_readout(events, weights, tau=0.7)
    grid = torch.linspace(0, case.T, 20_001, dtype=FLOAT)
    values = torch.stack([losses.leaky_readout(events, weights, 0.7, at=float(s)) for s in grid[::20]])
    torch.testing.assert_close(values.mean(0), mean, rtol=0, atol=2e-2)
    (gradient,) = torch.autograd.grad(mean.sum(), case.w_in)
    step = torch.zeros_like(case.w_in)
    step[1, 2] = 1e-6
    start = case.w_in.detach()
    ends = []
    for sign in (1, -1):
        case.w_in = start + sign * step
        ends.append(losses.leaky_readout(case.run(), weights, tau=0.7).sum().item())
    assert gradient[1, 2].item() == pytest.approx((ends[0] - ends[1]) / 2e-6, rel=1e-6)
    single = random_case("qif", 2)
    single.times, single.ids, single.x0 = single.times[0], single.ids[0], single.x0[0]
    torch.testing.assert_close(losses.leaky_readout(single.run(), weights, 0.7), mean[0].detach())


def test_a_discount_is_what_the_integral_says():
    events = random_case("qif", 2).run()
    weights = torch.randn(3, 6, generator=torch.Generator().manual_seed(0), dtype=FLOAT)
    found = losses.leaky_readout(events, weights, 0.7, discount=1.5)
    grid = torch.linspace(0, events.T, 4001, dtype=FLOAT)
    values = torch.stack([losses.leaky_readout(events, weights, 0.7, at=float(s)) for s in grid])
    weighted = values * torch.exp(-grid / 1.5)[:, None, None]
    torch.testing.assert_close(weighted.mean(0), found, rtol=0, atol=1e-2)
    with pytest.raises(ValueError, match="not both"):
        losses.leaky_readout(events, weights, 0.7, at=1.0, discount=1.0)


def test_timed_readout():
    """Weights of 1 count spikes, weights that rise from 0 to T add up their times; the gradient is the slope."""
    case = random_case("qif", 2)
    case.w_in.requires_grad_()
    events = case.run()
    own = ~events.is_input & (events.ids >= 0)
    rising = torch.linspace(0, events.T, 4, dtype=FLOAT)[:, None, None].expand(4, 1, 6)
    total = torch.where(own, events.times, 0.0).sum(1, keepdim=True)
    torch.testing.assert_close(losses.timed_readout(events, rising), total)
    ones = losses.timed_readout(events, torch.ones(4, 1, 6, dtype=FLOAT))
    torch.testing.assert_close(ones[:, 0], own.sum(1).to(FLOAT))
    wanted, found = (
        torch.autograd.grad(one.sum(), case.w_in, retain_graph=True)[0]
        for one in (total, losses.timed_readout(events, rising))
    )
    assert wanted.abs().max() > 0
    torch.testing.assert_close(found, wanted)


@pytest.mark.parametrize(
    "call",
    [
        lambda: losses.first_spike(torch.zeros(2, 3), torch.zeros(3, dtype=torch.long), 1.0),
        lambda: losses.first_spike(torch.zeros(3), torch.tensor(0), -1.0),
        lambda: losses.first_spike(torch.zeros(2, 3), torch.tensor([0, 3]), 1.0),
        lambda: losses.first_spike(torch.zeros(2, 3), torch.tensor([0, -1]), 1.0),
        lambda: losses.first_spike(torch.zeros(2, 3), torch.tensor([0.0, 1.7]), 1.0),
        lambda: losses.first_spike(torch.zeros(0, 3), torch.zeros(0, dtype=torch.long), 1.0),
        lambda: losses.leaky_readout(random_case("qif", 0).run(), torch.zeros(3, 6), 1.0, at=3.5),
        lambda: losses.leaky_readout(random_case("qif", 0).run(), torch.zeros(3, 6), 1.0, at=-0.5),
        lambda: losses.leaky_readout(random_case("qif", 0).run(), torch.zeros(3, 6), 1.0, at=math.nan),
        lambda: losses.target_times(torch.zeros(2), torch.zeros(3), 1.0),
        lambda: losses.leaky_readout(random_case("qif", 0).run(), torch.zeros(3, 5), 1.0),
        lambda: losses.timed_readout(random_case("qif", 0).run(), torch.zeros(1, 3, 6)),
        lambda: losses.soft_counts(torch.zeros(3), 1.0, 0.0),
    ],
)
def test_mistakes_are_named(call):
    with pytest.raises(ValueError, match="got"):
        call()
