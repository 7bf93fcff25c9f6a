"""Landscapes of known functions, and the difference between LIF and QIF."""

from __future__ import annotations

import math

import pytest
import torch

from rheobase import exact
from rheobase.analysis import landscapes

FLOAT = torch.float64


def parameters():
    make = torch.Generator().manual_seed(0)
    return [torch.randn(shape, generator=make, dtype=FLOAT).requires_grad_() for shape in ((3, 4), (2,))]


def line(evaluate, weights, points=41, reach=1.0):
    direction = landscapes.direction(weights, torch.Generator().manual_seed(1))
    return landscapes.scan(evaluate, weights, [direction], torch.linspace(-reach, reach, points, dtype=FLOAT))


def test_directions_have_the_rows_norms():
    weights = parameters()
    for d, w in zip(landscapes.direction(weights), weights, strict=True):
        rows = (1, -1) if w.dim() == 1 else (w.shape[0], -1)
        torch.testing.assert_close(d.reshape(rows).norm(dim=1), w.detach().reshape(rows).norm(dim=1))


def test_a_parabola():
    weights = parameters()
    kept = [w.detach().clone() for w in weights]
    delta, eta = (landscapes.direction(weights, torch.Generator().manual_seed(seed)) for seed in (1, 2))
    steps = torch.linspace(-1, 1, 5, dtype=FLOAT)
    scape = landscapes.scan(lambda: sum(w.square().sum() for w in weights), weights, [delta, eta], steps)
    for i, a in enumerate(steps):
        for j, b in enumerate(steps):
            moved = [w + a * d + b * e for w, d, e in zip(kept, delta, eta, strict=True)]
            assert scape.loss[i, j].item() == pytest.approx(sum(m.square().sum().item() for m in moved))
            slope = [sum(2 * (m * d).sum().item() for m, d in zip(moved, one, strict=True)) for one in (delta, eta)]
            assert scape.slope[:, i, j].tolist() == pytest.approx(slope)
            assert scape.gradient_norm[i, j].item() == pytest.approx(2 * scape.loss[i, j].sqrt().item())
    assert scape.cosine.shape == (5, 4) and scape.order_changed is None
    assert landscapes.gaps(scape).max() < 1e-12
    for w, before in zip(weights, kept, strict=True):
        assert torch.equal(w, before)


def test_a_step_survives_refinement_and_a_bend_does_not():
    weights = parameters()

    def stepped():
        total = sum(w.sum() for w in weights)
        return torch.sin(3 * total) + 0.7 * (total > total.detach().round() + 0.2).to(FLOAT)

    def smooth():
        return torch.sin(3 * sum(w.sum() for w in weights))

    direction = landscapes.direction(weights, torch.Generator().manual_seed(1))
    for evaluate, jumps in ((stepped, True), (smooth, False)):
        coarse = line(evaluate, weights, 9)
        found = landscapes.jumps(evaluate, weights, direction, coarse, least=1e-3)
        assert landscapes.gaps(coarse).max() > 1e-2 and (len(found) > 0) == jumps
        assert all(jump.size == pytest.approx(0.7, abs=1e-2) for jump in found)
    assert landscapes.fragmentation(line(smooth, weights, 801))["largest_gap"] < 1e-3


def test_parameters_are_put_back_after_a_failure():
    weights = parameters()
    kept = [w.detach().clone() for w in weights]
    with pytest.raises(ZeroDivisionError):
        line(lambda: weights[0].sum() / (1 // 0), weights)
    assert all(torch.equal(w, before) for w, before in zip(weights, kept, strict=True))


def test_mistakes_are_named():
    weights = parameters()
    with pytest.raises(ValueError, match="directions shaped like"):
        landscapes.scan(lambda: weights[0].sum(), weights, [weights[:1]], torch.zeros(3))
    with pytest.raises(ValueError, match="at least two"):
        landscapes.scan(lambda: weights[0].sum(), weights, [weights], torch.zeros(1))
    steps, evaluate = torch.linspace(-1, 1, 3), lambda: weights[0].sum()
    plane = landscapes.scan(evaluate, weights, [weights, weights], steps)
    with pytest.raises(ValueError, match="needs a line"):
        landscapes.jumps(evaluate, weights, weights, plane, 0.1)


def network(neuron, scale):
    """A recurrent network's weights, and its loss on spike times with the events in order."""
    make = torch.Generator().manual_seed(5)
    N, inputs, T = 10, 8, 4.0
    w_in = (scale * torch.rand(N, inputs, generator=make, dtype=FLOAT)).requires_grad_()
    w_net = (scale * 0.7 * torch.randn(N, N, generator=make, dtype=FLOAT)).requires_grad_()
    times, _ = torch.sort(3 * torch.rand(30, generator=make, dtype=FLOAT))
    ids = torch.randint(0, inputs, (30,), generator=make)
    pseudo = isinstance(neuron, exact.QIF)

    def evaluate():
        events = exact.simulate(neuron, w_in, w_net, times, ids, T, pseudospikes=pseudo)
        first = events.first(range(N), 2)
        loss = torch.where(first.isinf(), T, first).square().mean()
        return loss, torch.where(events.is_input, -1 - events.ids, events.ids)

    return [w_in, w_net], evaluate


def test_lif_landscapes_jump_and_qif_landscapes_do_not():
    measured = {}
    for name, neuron, scale in (("lif", exact.LIF(), 1.6), ("qif", exact.QIF(), 2.2)):
        weights, evaluate = network(neuron, scale)
        scape = line(evaluate, weights, 201, reach=0.5)
        direction = landscapes.direction(weights, torch.Generator().manual_seed(1))
        found = landscapes.jumps(evaluate, weights, direction, scape, least=0.01)
        measured[name] = len(found), landscapes.fragmentation(scape)
    assert measured["lif"][0] > 0
    assert measured["qif"][0] == 0
    assert measured["qif"][1]["largest_gap"] < 0.1 * measured["lif"][1]["largest_gap"]
    assert measured["qif"][1]["direction_consistency"] > measured["lif"][1]["direction_consistency"]
    assert measured["lif"][1]["count_changes"] > 0


def test_a_steep_place_is_no_jump():
    """A rise within 1e-10 of the step, as a spike near its unstable point makes one, is smooth in float64."""
    w = torch.tensor([1.0], dtype=FLOAT, requires_grad=True)
    for evaluate, jumps in ((lambda: torch.sigmoid((w - 1.123) * 1e10).sum(), 0), (lambda: (w > 1.123).sum() + w, 1)):
        coarse = landscapes.scan(evaluate, [w], [[torch.ones_like(w)]], torch.linspace(-1, 1, 9, dtype=FLOAT))
        found = landscapes.jumps(evaluate, [w], [torch.ones_like(w)], coarse, least=0.01)
        assert [jump.step for jump in found] == pytest.approx([0.123] * jumps, abs=1e-12)


def test_several_jumps_in_smooth_surroundings_are_each_found():
    """Also one that is small beside what else happens between two points."""
    w = torch.tensor([0.0], dtype=FLOAT, requires_grad=True)

    def evaluate():
        return (torch.tanh(20 * (w - 0.1)) + 0.05 * (w > 0.1).double()).sum()

    coarse = landscapes.scan(evaluate, [w], [[torch.ones_like(w)]], torch.linspace(-1, 1, 5, dtype=FLOAT))
    (jump,) = landscapes.jumps(evaluate, [w], [torch.ones_like(w)], coarse, least=0.01)
    assert landscapes.gaps(coarse).max() > 0.5
    assert (jump.step, jump.size) == (pytest.approx(0.1), pytest.approx(0.05, rel=1e-3))


def test_connections_that_do_not_exist_do_not_move():
    w = torch.randn(4, 4, dtype=FLOAT, generator=torch.Generator().manual_seed(0)).fill_diagonal_(0)
    (d,) = landscapes.direction([w], torch.Generator().manual_seed(1))
    assert d.diagonal().tolist() == [0.0] * 4
    torch.testing.assert_close(d.norm(dim=1), w.norm(dim=1))


def test_where_the_gradient_vanishes_it_has_no_direction():
    w = torch.tensor([0.0], dtype=FLOAT, requires_grad=True)
    steps = torch.linspace(-1, 1, 5, dtype=FLOAT)
    flat = landscapes.scan(lambda: 0 * w.sum(), [w], [[torch.ones_like(w)]], steps)
    half = landscapes.scan(lambda: torch.relu(w - 0.25).sum(), [w], [[torch.ones_like(w)]], steps)
    assert math.isnan(landscapes.fragmentation(flat)["direction_consistency"])
    assert half.cosine.isnan().tolist() == [True, True, True, False]
    assert landscapes.fragmentation(half)["direction_consistency"] == pytest.approx(1.0)
