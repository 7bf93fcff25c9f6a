"""Landscapes of known functions, and the difference between LIF and QIF."""

from __future__ import annotations

import pytest
import torch

from rheobase import exact
from rheobase.analysis import landscapes

FLOAT = torch.float64


def parameters():
    make = torch.Generator().manual_seed(0)
    return [
        torch.randn(shape, generator=make, dtype=FLOAT).requires_grad_() for shape in ((3, 4), (2,))
    ]


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

    for evaluate, jumps in ((stepped, True), (smooth, False)):
        coarse, fine = line(evaluate, weights, 101), line(evaluate, weights, 801)
        found = landscapes.surviving_jumps(coarse, fine, least=0.1)
        assert (found > 0) == jumps
    assert landscapes.fragmentation(fine)["largest_gap"] < 1e-3


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
    with pytest.raises(ValueError, match="refinement"):
        coarse, fine = line(lambda: weights[0].sum(), weights, 4), line(lambda: weights[0].sum(), weights, 6)
        landscapes.surviving_jumps(coarse, fine, 0.1)


def network_line(neuron, scale, points):
    """A recurrent network's loss on spike times along one direction."""
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

    return line(evaluate, [w_in, w_net], points, reach=0.5)


def test_lif_landscapes_jump_and_qif_landscapes_do_not():
    measured = {}
    for name, neuron, scale in (("lif", exact.LIF(), 1.6), ("qif", exact.QIF(), 2.2)):
        coarse, fine = network_line(neuron, scale, 101), network_line(neuron, scale, 401)
        measured[name] = landscapes.surviving_jumps(coarse, fine, least=0.01), landscapes.fragmentation(fine)
    assert measured["lif"][0] > 0
    assert measured["qif"][0] == 0
    assert measured["qif"][1]["largest_gap"] < 0.05 * measured["lif"][1]["largest_gap"]
    assert measured["qif"][1]["direction_consistency"] > measured["lif"][1]["direction_consistency"]
    assert measured["lif"][1]["count_changes"] > 0
