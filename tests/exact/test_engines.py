"""The C kernel against the readable reference: events, states and every gradient."""

from __future__ import annotations

import pytest
import torch
from networks import NEURONS, random_case, weigh

from rheobase import backend, exact


def solve(case, engine, **options):
    leaves = [leaf.requires_grad_() for leaf in case.leaves()]
    with backend(engine):
        events = case.run(**options)
        return events, torch.autograd.grad(weigh(events), leaves)


def agree(case, tolerance=1e-9, **options):
    (kernel, got), (truth, wanted) = solve(case, "cpu", **options), solve(case, "eager", **options)
    assert torch.equal(kernel.ids, truth.ids)
    assert torch.equal(kernel.is_input, truth.is_input)
    assert torch.equal(kernel.rank, truth.rank)
    torch.testing.assert_close(kernel.times, truth.times, rtol=tolerance, atol=tolerance)
    torch.testing.assert_close(kernel.smallest_slope, truth.smallest_slope, rtol=1e-6, atol=tolerance)
    torch.testing.assert_close(kernel.state_at_T, truth.state_at_T, rtol=tolerance, atol=tolerance)
    for one, other in zip(got, wanted, strict=True):
        assert bool(one.isfinite().all())
        size = float(other.abs().max()) if other.numel() else 0.0
        torch.testing.assert_close(one, other, rtol=tolerance, atol=tolerance * (size + 1))
    return truth


@pytest.mark.parametrize("delayed", [False, True], ids=["instant", "delayed"])
@pytest.mark.parametrize("coupled", [False, True], ids=["uncoupled", "coupled"])
@pytest.mark.parametrize("kind", NEURONS)
def test_kernel_is_reference(kind, coupled, delayed):
    for seed in range(6):
        events = agree(random_case(kind, seed, coupled=coupled, delayed=delayed))
        assert int(events.counts().sum()) >= 9


@pytest.mark.parametrize("kind", NEURONS)
def test_blocks_of_events(kind):
    agree(random_case(kind, 3, N=37, K=150, B=2, scale=0.3), tolerance=1e-8)


@pytest.mark.parametrize("coupled", [False, True], ids=["uncoupled", "coupled"])
@pytest.mark.parametrize("kind", NEURONS)
def test_no_input_and_empty_batch(kind, coupled):
    agree(random_case(kind, 0, K=0, coupled=coupled))
    agree(random_case(kind, 0, B=0, coupled=coupled))


def test_strong_currents_take_double_angles():
    case = random_case("qif", 1, scale=40.0, K=6)
    agree(case, tolerance=1e-8)
    case.w_in, case.w_net = -case.w_in.detach().abs(), case.w_net.detach() * 0
    agree(case, tolerance=1e-8)


@pytest.mark.parametrize("coupled", [False, True], ids=["uncoupled", "coupled"])
@pytest.mark.parametrize("kind", NEURONS)
def test_float32(kind, coupled):
    """Same events in the same order; times to 1e-4, gradients to 2 % of the largest."""
    case = random_case(kind, 4, scale=0.7, coupled=coupled)
    events, gradients = solve(case.cast(torch.float32), "cpu")
    truth, wanted = solve(case, "cpu")
    assert events.times.dtype == torch.float32
    assert torch.equal(events.ids, truth.ids)
    torch.testing.assert_close(events.times.double(), truth.times, rtol=1e-4, atol=1e-4)
    for one, other in zip(gradients, wanted, strict=True):
        assert one.dtype == torch.float32
        torch.testing.assert_close(one.double(), other, rtol=0, atol=0.02 * float(other.abs().max()))


@pytest.mark.parametrize("kind", NEURONS)
def test_threads_do_not_change_results(kind):
    case = random_case(kind, 5, B=5)
    before = torch.get_num_threads()
    try:
        torch.set_num_threads(3)
        events, gradients = solve(case, "cpu")
        torch.set_num_threads(1)
        single, wanted = solve(case, "cpu")
    finally:
        torch.set_num_threads(before)
    assert torch.equal(events.times, single.times)
    for one, other in zip(gradients, wanted, strict=True):
        torch.testing.assert_close(one, other, rtol=1e-12, atol=1e-12)


@pytest.mark.parametrize("dtype", [torch.float32, torch.float64])
@pytest.mark.parametrize("weight", [1e2, 1e4, 1e6, -1e2, -1e4, -1e6, -1e9])
@pytest.mark.parametrize("kind", NEURONS)
def test_extreme_weights_never_become_nan(kind, weight, dtype):
    """All numbers are finite, or an error says what is wrong."""
    w_in = torch.full((3, 2), weight, dtype=dtype).requires_grad_()
    w_net = torch.full((3, 3), -abs(weight) / 10, dtype=dtype).requires_grad_()
    times = torch.tensor([0.1, 0.5, 0.9], dtype=dtype).requires_grad_()
    for net in (w_net, None):
        try:
            events = exact.simulate(NEURONS[kind], w_in, net, times, torch.tensor([0, 1, 0]), 2.0, max_events=20_000)
        except RuntimeError as error:
            assert "max_events" in str(error) or "overflowed" in str(error)
            assert kind in ("lif", "qif") and weight > 0
            continue
        loss = events.times.sum() + torch.atan(events.state_at_T).sum()
        for gradient in torch.autograd.grad(loss, [w_in, times]):
            assert bool(gradient.isfinite().all())
