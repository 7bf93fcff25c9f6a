"""What must hold for every network: random neurons, weights, delays, ragged batches and simultaneous events."""

from __future__ import annotations

import dataclasses

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from networks import NEURONS, random_case, weigh
from test_engines import agree, solve

from rheobase import backend, exact

KINDS, SEEDS = st.sampled_from(list(NEURONS)), st.integers(0, 10_000)
PROPERTY = settings(max_examples=20, deadline=None, derandomize=True)


def on_a_grid(case, step=0.25):
    """The same case with many inputs at the same times."""
    return dataclasses.replace(case, times=(case.times / step).round() * step)


def fired(case):
    """First spikes of all neurons, and their gradients."""
    leaves = [leaf.requires_grad_() for leaf in case.leaves()]
    times = case.run().first(range(len(case.w_in)), 3)
    return times.detach(), torch.autograd.grad(torch.where(times.isinf(), 0.0, times).sum(), leaves)


@settings(PROPERTY, max_examples=12)
@given(kind=KINDS, seed=SEEDS, coupled=st.booleans(), delayed=st.booleans(), N=st.integers(1, 7), B=st.integers(1, 4))
def test_simultaneous_and_ragged_inputs_in_both_engines(kind, seed, coupled, delayed, N, B):
    case = on_a_grid(random_case(kind, seed, N=N, B=B, K=12, coupled=coupled))
    if delayed:
        case.delays = (torch.zeros(5).double(), torch.full((N,), 0.25).double())
    agree(case, tolerance=1e-8)


@PROPERTY
@given(kind=KINDS, seed=SEEDS, coupled=st.booleans())
def test_the_order_of_inputs_at_different_times_does_not_matter(kind, seed, coupled):
    case = random_case(kind, seed, N=4, K=9, coupled=coupled)
    order = torch.stack([torch.randperm(9, generator=torch.Generator().manual_seed(seed + b)) for b in range(3)])
    moved = dataclasses.replace(case, times=case.times.gather(1, order), ids=case.ids.gather(1, order))
    (plain, wanted), (found, got) = fired(case), fired(moved)
    assert torch.equal(plain, found)
    place = 2 if coupled else 1
    for k, (one, other) in enumerate(zip(got, wanted, strict=True)):
        torch.testing.assert_close(one, other.gather(1, order) if k == place else other, rtol=1e-12, atol=1e-12)


@PROPERTY
@given(kind=KINDS, seed=SEEDS)
def test_no_coupling_is_a_coupling_of_zero(kind, seed):
    """The two loops of the kernel, over events and over neurons, agree; weights of 0 have gradients too."""
    apart = on_a_grid(random_case(kind, seed, N=5, K=14, coupled=False))
    together = dataclasses.replace(apart, w_net=torch.zeros(5, 5, dtype=torch.float64))
    (one, g), (other, h) = fired(apart), fired(together)
    torch.testing.assert_close(one, other, rtol=1e-10, atol=1e-12)
    for mine, theirs in zip(g, [h[0], *h[2:]], strict=True):
        torch.testing.assert_close(mine, theirs, rtol=1e-9, atol=1e-9 * (1 + float(mine.abs().max())))


@PROPERTY
@given(kind=KINDS, seed=SEEDS, coupled=st.booleans(), cut=st.floats(0.3, 2.7))
def test_a_trial_goes_on_from_its_state(kind, seed, coupled, cut):
    """[0, T) is [0, cut), then [cut, T) from the state at the cut."""
    case = random_case(kind, seed, N=4, K=12, coupled=coupled)
    whole = case.run()
    before = dataclasses.replace(case, T=cut).run()
    later = (case.times - cut).masked_fill(case.times < cut, torch.inf)
    ids = case.ids.masked_fill(case.times < cut, -1)
    rest = dataclasses.replace(case, T=case.T - cut, times=later, ids=ids, x0=before.state_at_T).run()
    assert torch.equal(before.counts() + rest.counts(), whole.counts())
    torch.testing.assert_close(torch.atan(rest.state_at_T), torch.atan(whole.state_at_T), rtol=1e-6, atol=1e-7)


@PROPERTY
@given(kind=KINDS, seed=SEEDS, shift=st.floats(0.0, 0.5))
def test_one_delay_for_all_inputs_is_a_shift_of_time(kind, seed, shift):
    case = random_case(kind, seed, N=4, K=8)
    delayed = dataclasses.replace(case, delays=(torch.full((5,), shift, dtype=torch.float64), None))
    shifted = dataclasses.replace(case, times=case.times + shift)
    (one, g), (other, h) = fired(delayed), fired(shifted)
    torch.testing.assert_close(one, other, rtol=1e-12, atol=1e-12)
    sums = torch.zeros(5, dtype=torch.float64).scatter_add(0, case.ids.clamp(min=0).flatten(), h[2].flatten())
    torch.testing.assert_close(g[4], sums, rtol=1e-9, atol=1e-9 * (1 + float(sums.abs().max())))


@PROPERTY
@given(kind=KINDS, seed=SEEDS, coupled=st.booleans())
def test_single_precision_is_near_double(kind, seed, coupled):
    """Where both see the same events, first spikes agree to 1e-4 and gradients are finite."""
    case = random_case(kind, seed, N=4, K=10, scale=0.7, coupled=coupled)
    single, gradients = solve(case.cast(torch.float32), "cpu")
    double = case.run()
    assert all(bool(gradient.isfinite().all()) for gradient in gradients)
    if torch.equal(single.ids, double.ids):
        torch.testing.assert_close(single.times.double(), double.times, rtol=1e-4, atol=3e-4)


@pytest.mark.parametrize("kind", NEURONS)
def test_an_input_without_weight_changes_nothing(kind):
    case = random_case(kind, 3)
    wide = dataclasses.replace(case, w_in=torch.cat([case.w_in, torch.zeros(6, 1, dtype=torch.float64)], 1))
    extra = torch.full((3, 1), 1.234, dtype=torch.float64)
    wide.times, wide.ids = torch.cat([case.times, extra], 1), torch.cat([case.ids, torch.full((3, 1), 5)], 1)
    torch.testing.assert_close(wide.run().first(range(6), 4), case.run().first(range(6), 4), rtol=1e-11, atol=1e-12)


def test_a_vanishing_slope_is_reported_with_its_sample():
    """Two of three samples cross the threshold flatly; the warning names the first."""
    times = torch.tensor([[0.5], [0.5], [0.5]], dtype=torch.float64)
    x0 = torch.zeros(3, 2, 1, dtype=torch.float64)
    x0[0, 0] = -5.0
    w_in = torch.tensor([[4.0 + 1e-14]], dtype=torch.float64).requires_grad_()
    with pytest.warns(RuntimeWarning, match="2 samples, the first of them 1"):
        events = exact.simulate(exact.LIF(), w_in, None, times, torch.zeros(3, 1, dtype=torch.long), 4.0, x0=x0)
    assert events.smallest_slope[0] == torch.inf and bool((events.smallest_slope[1:] < 1e-6).all())
    (gradient,) = torch.autograd.grad(weigh(events), w_in)
    assert bool(gradient.isfinite().all())


@pytest.mark.parametrize("dtype", [torch.float32, torch.float64])
@pytest.mark.parametrize("engine", ["cpu", "eager"])
@pytest.mark.parametrize("coupled", [False, True], ids=["uncoupled", "coupled"])
@pytest.mark.parametrize("kind", NEURONS)
def test_a_trial_cut_at_a_spike_goes_on_with_it(kind, coupled, engine, dtype):
    """The spike at the cut comes at once in the second part; in float32 rounding may leave it in the first."""
    for seed in range(8):
        case = random_case(kind, seed, N=4, K=12, B=1, coupled=coupled).cast(dtype)
        with backend(engine):
            whole = case.run()
            cut, id = ((value[0, ~whole.is_input[0]])[0].item() for value in (whole.times, whole.ids))
            before = dataclasses.replace(case, T=cut).run()
            later = (case.times - cut).masked_fill(case.times < cut, torch.inf)
            ids = case.ids.masked_fill(case.times < cut, -1)
            rest = dataclasses.replace(case, T=case.T - cut, times=later, ids=ids, x0=before.state_at_T).run()
        assert torch.equal(before.counts() + rest.counts(), whole.counts())
        if dtype == torch.float64:
            assert rest.first([id], 1).item() == pytest.approx(0, abs=1e-12)


@pytest.mark.parametrize("engine", ["cpu", "eager"])
@pytest.mark.parametrize("kind", ["theta", "osclif"])
def test_a_trial_as_long_as_the_period_ends_with_a_spike_to_come(kind, engine):
    nothing = torch.zeros(1, 1), None, torch.zeros(0), []
    for tau in (0.01, 0.3, 1.0, 1.7):
        neuron = dataclasses.replace(NEURONS[kind], tau=tau)
        with backend(engine):
            end = exact.simulate(neuron, *nothing, neuron.period).state_at_T
            events = exact.simulate(neuron, *nothing, 0.5 * neuron.period, x0=end)
        assert events.times.tolist() == pytest.approx([0.0], abs=1e-6)
