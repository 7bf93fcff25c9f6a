"""Closed forms, finite differences, limits and symmetries: truth from outside the simulation."""

from __future__ import annotations

import math

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from networks import NEURONS, random_case, weigh

from rheobase import backend, exact

FLOAT = torch.float64


def tensor(*values) -> torch.Tensor:
    return torch.tensor(*values, dtype=FLOAT)


def single(neuron, weight, time=0.5, T=4.0, x0=None, **options):
    """One neuron, one input spike."""
    w_in = torch.as_tensor(weight, dtype=FLOAT).reshape(1, 1)
    return exact.simulate(neuron, w_in, None, tensor([time]), torch.tensor([0]), T, x0=x0, **options)


def test_one_qif_neuron():
    """From rest, the spike is at t - τ ln(1 - π/(2 √w))."""
    w = tensor(4.0).requires_grad_()
    t = single(exact.QIF(tau=1.5), w).first([0], 1)[0, 0]
    assert t.item() == pytest.approx(0.5 - 1.5 * math.log(1 - math.pi / 4), rel=1e-14)
    t.backward()
    assert w.grad.item() == pytest.approx(-1.5 * math.pi / (4 * 8) / (1 - math.pi / 4), rel=1e-13)


def test_one_lif_neuron():
    w = tensor(4.5).requires_grad_()
    t = single(exact.LIF(tau=2.0, threshold=0.8), w).first([0], 1)[0, 0]
    x = (1 + torch.sqrt(1 - 4 * 0.8 / w)) / 2
    wanted = 0.5 - 2.0 * torch.log(x)
    assert t.item() == pytest.approx(wanted.item(), rel=1e-14)
    assert torch.autograd.grad(t, w)[0].item() == pytest.approx(torch.autograd.grad(wanted, w)[0].item(), rel=1e-13)


def test_one_theta_neuron():
    neuron, phi, w = exact.Theta(tau=1.9, i0=1.25), tensor([[0.7]]).requires_grad_(), tensor(0.4).requires_grad_()
    t = single(neuron, w, T=14.0, x0=phi).first([0], 2)[0]
    r = math.sqrt(neuron.i0 - 0.25)
    slope = torch.tan(r * (phi + 0.5) / neuron.tau - math.pi / 2) + w / r
    kicked = neuron.tau / r * (torch.atan(slope) + math.pi / 2)
    wanted = 0.5 + neuron.period - kicked[0, 0]
    torch.testing.assert_close(t, torch.stack([wanted, wanted + neuron.period]), rtol=1e-13, atol=0)
    for one, other in zip(torch.autograd.grad(t[1], [w, phi]), torch.autograd.grad(wanted, [w, phi]), strict=True):
        torch.testing.assert_close(one, other, rtol=1e-12, atol=0)


def test_a_theta_neuron_that_begins_at_its_period_fires_at_once():
    neuron = NEURONS["theta"]
    for first in (0.0, neuron.period):
        times = single(neuron, 0.0, T=2.5 * neuron.period, x0=tensor([[neuron.period - first]])).first([0], 2)
        assert times.tolist()[0] == pytest.approx([first, first + neuron.period], rel=1e-12)
    with pytest.raises(ValueError, match=r"x0 holds phases and must lie in \[0"):
        single(neuron, 0.0, x0=tensor([[neuron.period * (1 + 1e-12)]]))


def test_one_oscillating_lif_neuron_fires_with_the_kick_that_lifts_it_over():
    neuron, w = exact.OscLIF(tau=1.0, i0=1.4, threshold=1.0), tensor(5.0).requires_grad_()
    times = tensor([0.25]).requires_grad_()
    events = exact.simulate(neuron, w.reshape(1, 1), None, times, torch.tensor([0]), 2.0)
    t = events.first([0], 2)[0]
    torch.testing.assert_close(t, tensor([0.25, 0.25 + neuron.period]))
    g_w, g_t = torch.autograd.grad(t.sum(), [w, times])
    assert (g_w.item(), g_t.item()) == (0.0, pytest.approx(2.0))
    assert events.is_input.tolist() == [True, False, False]


@pytest.mark.parametrize("current", [1e-12, 1e-9, -1e-9, 0.0, 0.3, -0.3])
def test_qif_without_loss_of_digits_at_small_currents(current):
    """The gradient is smooth through I = 0, where the closed form in √I loses all digits."""
    x0 = tensor([[2.0], [current]]).requires_grad_()
    t = exact.simulate(
        exact.QIF(), torch.zeros(1, 1, dtype=FLOAT), None, tensor([]), torch.tensor([]), 5.0, x0=x0
    ).first([0], 1)[0, 0]
    g_v, g_i = torch.autograd.grad(t, x0)[0].flatten().tolist()
    s = 1 - math.exp(-t.item())
    assert g_v == pytest.approx(-1 / (4 + current) / (1 - s), rel=1e-12)
    if abs(current) < 1e-8:  # s = ∫ dV/(V² + I) from V to ∞, so that ds/dI = -1/(3 V³)
        assert g_i == pytest.approx(-1 / 24 / (1 - s), rel=1e-7)


@settings(max_examples=25, deadline=None, derandomize=True)
@given(kind=st.sampled_from(list(NEURONS)), seed=st.integers(0, 10_000), coupled=st.booleans(), delayed=st.booleans())
def test_gradients_are_finite_differences(kind, seed, coupled, delayed):
    case = random_case(kind, seed, N=4, K=8, B=1, coupled=coupled, delayed=delayed)
    leaves = [leaf.requires_grad_() for leaf in case.leaves()]
    events = case.run()
    gradients = torch.autograd.grad(weigh(events), leaves)
    make = torch.Generator().manual_seed(seed)
    for leaf, gradient in zip(leaves, gradients, strict=True):
        direction = torch.randn(leaf.shape, generator=make, dtype=FLOAT) * leaf.isfinite()
        if leaf is case.w_net:
            direction.fill_diagonal_(0)
        values, start = [], leaf.detach().clone()
        for step in (-2e-6, -1e-6, 1e-6, 2e-6):
            leaf.data = start + step * torch.where(start.isinf(), 0.0, direction)
            moved = case.run()
            if moved.ids.shape != events.ids.shape or not torch.equal(moved.ids, events.ids):
                values = []
                break  # the order changed within the step: no derivative here
            values.append(weigh(moved).item())
        leaf.data = start
        if values:
            numeric = (values[0] - 8 * values[1] + 8 * values[2] - values[3]) / 12e-6
            assert (gradient.nan_to_num() * direction).sum().item() == pytest.approx(
                numeric, rel=1e-5, abs=1e-6 * (1 + float(gradient.nan_to_num().abs().max()))
            )


@pytest.mark.parametrize("kind", NEURONS)
def test_batch_is_stacked_singles(kind):
    case = random_case(kind, 7, delayed=True)
    batch = case.run()
    for b in range(3):
        one = exact.simulate(
            case.neuron, case.w_in, case.w_net, case.times[b], case.ids[b], case.T, x0=case.x0[b], delays=case.delays
        )
        n = len(one.times)
        assert torch.equal(batch.times[b, :n], one.times)
        assert bool(batch.times[b, n:].isinf().all())
        assert torch.equal(batch.state_at_T[b], one.state_at_T)
        assert torch.equal(batch.first([1, 4], 3)[b], one.first([1, 4], 3))


@pytest.mark.parametrize("kind", NEURONS)
def test_permuted_neurons(kind):
    """Apart for OscLIF: neurons that one kick clips fire together, and then the index decides who kicks whom."""
    case, order = random_case(kind, 8), torch.tensor([3, 0, 5, 1, 4, 2])
    if kind == "osclif":
        case.w_net = torch.zeros_like(case.w_net)
    plain = case.run()
    case.w_in, case.w_net, case.x0 = case.w_in[order], case.w_net[order][:, order], case.x0[..., order]
    torch.testing.assert_close(case.run().first(range(6), 2), plain.first(order, 2), rtol=1e-10, atol=1e-12)


@pytest.mark.parametrize("kind", ["lif", "qif"])
def test_silent_neurons_have_no_gradient(kind):
    w = tensor(0.05).requires_grad_()
    events = single(NEURONS[kind], w)
    assert events.first([0], 2).isinf().all()
    (gradient,) = torch.autograd.grad(torch.where(events.first([0], 2).isinf(), 3.0, events.first([0], 2)).sum(), w)
    assert gradient.item() == 0.0


@pytest.mark.parametrize("kind", ["qif", "theta"])
def test_a_spike_leaves_the_trial_without_a_jump(kind):
    """Around the weight at which the spike passes T, time and (QIF: up to the rule's slope) gradient sign persist."""
    neuron = NEURONS[kind]
    T = 1.5 if kind == "qif" else 5.4

    def time(weight):
        w = tensor(weight).requires_grad_()
        t = single(neuron, w, T=T, pseudospikes=True).first([0], 1)[0, 0]
        return t.item(), torch.autograd.grad(t, w)[0].item()

    low, high = 0.0, 40.0
    for _ in range(60):
        middle = (low + high) / 2
        low, high = (low, middle) if time(middle)[0] < T else (middle, high)
    early, late = time(high + 1e-9), time(low - 1e-9)
    assert early[0] < T < late[0]
    assert late[0] - early[0] < 1e-6
    assert early[1] < 0 and late[1] < 0


def test_lif_and_oscillating_lif_have_no_pseudospikes():
    for kind in ("lif", "osclif"):
        with pytest.raises(ValueError, match="no pseudospikes"):
            single(NEURONS[kind], 1.0, pseudospikes=True)


def test_simultaneous_events_come_inputs_first_then_by_index():
    w_in = tensor([[9.0, 0.1], [9.0, 0.1], [9.0, 0.1]])
    lone = exact.simulate(exact.QIF(), w_in, None, tensor([0.2]), torch.tensor([0]), 3.0)
    at = lone.times[1].item()
    torch.testing.assert_close(lone.times[1:4], tensor([at] * 3), rtol=1e-15, atol=0)
    assert lone.ids[1:4].tolist() == [0, 1, 2]
    both = exact.simulate(exact.QIF(), w_in, None, tensor([at, 0.2]), torch.tensor([1, 0]), 3.0)
    assert both.is_input[:5].tolist() == [True, True, False, False, False]
    assert both.times[1].item() == at
    torch.testing.assert_close(both.times[2:5], tensor([at] * 3), rtol=1e-14, atol=0)


@pytest.mark.parametrize("kind", NEURONS)
def test_long_train(kind):
    """Ten thousand spikes of one driven neuron; nothing overflows, no event is lost, the rhythm stays."""
    neuron, period = NEURONS[kind], 0.05
    weight = {"qif": 5.0, "lif": 1.0, "theta": 0.05, "osclif": 0.1}[kind]
    times = torch.arange(1, 40_000, dtype=FLOAT) * period
    w_in = tensor([[weight], [0.0]]).requires_grad_()
    events = exact.simulate(neuron, w_in, None, times, torch.zeros(len(times), dtype=torch.long), 2000.0)
    counts = events.counts().tolist()
    assert counts[0] > 500
    gaps = events.first([0], counts[0])[0].diff()[50:]
    assert (gaps.max() - gaps.min()).item() < 2 * period
    (gradient,) = torch.autograd.grad(events.first([0], counts[0])[0, 50], w_in)
    assert bool(gradient.isfinite().all())
    assert gradient[0, 0] < 0 or (kind == "osclif" and gradient[0, 0] == 0)  # it fires with the kick: no gradient


def time_stepped(kind, w, arrival, T, dt):
    """First spike of one neuron under the explicit midpoint rule."""
    v = i = 0.0
    for step in range(round(T / dt)):
        if step == round(arrival / dt):
            i += w
        rate = (lambda v, i: v * (v - 1) + i) if kind == "qif" else (lambda v, i: i - v)
        v1, i1 = v + dt / 2 * rate(v, i), i * (1 - dt)
        v, i, old = v + dt * rate(v1, i1), i - 2 * dt * i1, v
        if v >= (1e3 if kind == "qif" else 1.0):
            share = 1.0 if kind == "qif" else (1.0 - old) / (v - old)
            return (step + share) * dt
    return math.inf


@pytest.mark.parametrize("kind", ["qif", "lif"])
def test_limit_of_small_steps(kind):
    truth = single(NEURONS[kind], 6.0).first([0], 1).item()
    coarse, fine = (abs(time_stepped(kind, 6.0, 0.5, 4.0, dt) - truth) for dt in (1e-2, 1e-3))
    assert fine < 3e-3
    assert fine < coarse


def test_lif_gradient_grows_without_bound_where_the_slope_vanishes():
    """With one input spike the peak of V is w/4: the gradient grows as 1/√(w/4 - θ)."""

    def gradient(above):
        w = tensor(4.0 + above).requires_grad_()
        return abs(torch.autograd.grad(single(exact.LIF(), w).first([0], 1)[0, 0], w)[0].item())

    assert gradient(1e-8) / gradient(1e-4) == pytest.approx(100, rel=0.05)


def test_flat_spikes_are_reported():
    events = single(exact.LIF(threshold=0.5), 3.0)
    slope = 3.0 * math.exp(-2 * (events.times[1].item() - 0.5)) / 0.5 - 1
    assert events.smallest_slope.item() == pytest.approx(slope, rel=1e-12)
    assert single(exact.QIF(), 9.0).smallest_slope.item() == math.inf
    with pytest.warns(RuntimeWarning, match="gradient explodes"):
        single(exact.LIF(), 4.0 + 1e-14)
    steep = single(exact.LIF(), 4.0 + 1e-9).smallest_slope.item()  # τ V'/θ = w x (2 x - 1), no warning
    assert steep == pytest.approx(math.sqrt(1e-9), rel=1e-2)


@pytest.mark.parametrize("engine", ["cpu", "eager"])
@pytest.mark.parametrize("tau", [0.01, 0.1, 0.3, 1.0, 1.9])
def test_twins_at_their_period_fire_one_after_the_other(tau, engine):
    """Whatever ω Θ is rounded to, the first one's kick leaves the second at its period: cot(π) stays infinite."""
    neuron, coupling = exact.Theta(tau, 1.25), tensor([[0.0, 0.5], [0.5, 0.0]])
    with backend(engine):
        events = exact.simulate(neuron, tensor([[0.0], [0.0]]), coupling, tensor([]), [], 3.2 * neuron.period)
    assert events.ids[:2].tolist() == [0, 1]
    torch.testing.assert_close(events.times[:2], tensor([neuron.period] * 2), rtol=1e-12, atol=0)
    assert events.counts().tolist() == [3, 3]
    assert bool(((events.state_at_T >= 0) & (events.state_at_T < neuron.period)).all())


@pytest.mark.parametrize("engine", ["cpu", "eager"])
@pytest.mark.parametrize(("coupling", "counts"), [(-1.0, [1, 1]), (-3.0, [1, 0])])
def test_a_lif_twin_fires_unless_the_inhibition_of_the_first_stops_its_rise(coupling, counts, engine):
    """I = 3.73 at the threshold: -1 leaves it above θ, -3 does not. The same as if the second came a little later."""
    w_net = tensor([[0.0, coupling], [coupling, 0.0]])
    for late in (0.0, 1e-9):
        w_in = tensor([[6.0], [6.0 - late]])
        with backend(engine):
            events = exact.simulate(exact.LIF(), w_in, w_net, tensor([0.1]), torch.tensor([0]), 1.0)
        assert events.counts().tolist() == counts


@pytest.mark.parametrize("dtype", [torch.float32, torch.float64])
@pytest.mark.parametrize("weight", [-400.0, -900.0, -1100.0, -1e5])
def test_the_most_inhibited_neuron_is_the_last(weight, dtype):
    """Its pseudospike is late, but a finite time with a finite gradient, whatever the label."""
    w = torch.tensor([[weight], [weight / 2], [1.0]], dtype=dtype).requires_grad_()
    events = exact.simulate(exact.QIF(), w, None, torch.tensor([0.999], dtype=dtype), [0], 1.0, pseudospikes=True)
    first = events.first([0, 1, 2], 1)[:, 0]
    assert bool(first.isfinite().all()) and first[2] < 2 and first[0] > 1e8 and first[0] >= first[1] > 1e4
    for label in range(3):
        (gradient,) = torch.autograd.grad(exact.losses.first_spike(first, label, 1.0), w, retain_graph=True)
        assert bool(gradient.isfinite().all()) and gradient[2] != 0
    if weight == -400:
        (gradient,) = torch.autograd.grad(first[0], w)
        assert gradient[0].item() == pytest.approx(-first[0].item() / 20 * math.exp(-0.002), rel=1e-3)
