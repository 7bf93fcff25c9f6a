"""Layers in a row are the network with a block w_net."""

from __future__ import annotations

import itertools

import pytest
import torch
from networks import NEURONS, random_case

from rheobase import exact

SIZES = [6, 4, 3]


def build(kind):
    make = torch.Generator().manual_seed(3)
    case = random_case(kind, 9, N=SIZES[0])
    case.T = 8.0
    size = 6.0 if kind in ("qif", "lif") else 1.0
    weights = [case.w_in.requires_grad_()]
    for pre, post in itertools.pairwise(SIZES):
        weights.append((size * torch.rand(post, pre, generator=make, dtype=torch.float64)).requires_grad_())
    return case, weights


def blocks(weights):
    N = sum(SIZES)
    w_in, w_net = torch.zeros(N, weights[0].shape[1], dtype=torch.float64), torch.zeros(N, N, dtype=torch.float64)
    w_in[: SIZES[0]] = weights[0]
    w_net[6:10, :6], w_net[10:, 6:10] = weights[1], weights[2]
    return w_in, w_net


@pytest.mark.parametrize("pseudo", [False, True], ids=["plain", "pseudospikes"])
@pytest.mark.parametrize("kind", NEURONS)
def test_feedforward_is_the_block_network(kind, pseudo):
    if pseudo and kind in ("lif", "osclif"):
        pytest.skip(f"{kind} has no pseudospikes")
    case, weights = build(kind)
    case.times.requires_grad_()
    layers = exact.feedforward(case.neuron, weights, case.times, case.ids, case.T, pseudospikes=pseudo)
    w_in, w_net = blocks(weights)
    for options in ({}, {"layers": SIZES} if pseudo else {}):
        whole = exact.simulate(case.neuron, w_in, w_net, case.times, case.ids, case.T, pseudospikes=pseudo, **options)
        results = []
        for times in (layers[-1].first(range(3), 4), whole.first(range(10, 13), 4)):
            loss = torch.where(times.isinf(), 0.0, times).sum()
            results.append([times, *torch.autograd.grad(loss, [*weights, case.times], retain_graph=True)])
        for one, other in zip(*results, strict=True):
            torch.testing.assert_close(one, other, rtol=1e-9, atol=1e-10)
    assert results[0][0].isfinite().sum() >= 9


def test_single_sample():
    case, weights = build("theta")
    for pseudo in (False, True):
        batch = exact.feedforward(case.neuron, weights, case.times, case.ids, case.T, pseudospikes=pseudo)
        one = exact.feedforward(case.neuron, weights, case.times[1], case.ids[1], case.T, pseudospikes=pseudo)
        torch.testing.assert_close(one[-1].first([0, 2], 2), batch[-1].first([0, 2], 2)[1])


def test_mistakes_are_named():
    case, weights = build("qif")
    with pytest.raises(ValueError, match="at least one layer"):
        exact.feedforward(case.neuron, [], case.times, case.ids, case.T)
    with pytest.raises(ValueError, match="one x0 per layer"):
        exact.feedforward(case.neuron, weights, case.times, case.ids, case.T, x0=[None])
    with pytest.raises(ValueError, match="ids must lie"):
        exact.feedforward(case.neuron, [weights[0], weights[0]], case.times, case.ids, case.T)


@pytest.mark.parametrize("kind", ["theta", "qif"])
def test_pseudospikes_of_empty_batches_and_trials(kind):
    case = random_case(kind, 0, B=0)
    assert case.run(pseudospikes=True).first([0, 1], 3).shape == (0, 2, 3)
    silent = exact.simulate(case.neuron, case.w_in, case.w_net, torch.zeros(0).double(), [], 1.0, pseudospikes=True)
    times = silent.first(range(6), 3)
    assert bool(times.isfinite().all()) and bool((times.diff() > 0).all()) and bool((times[:, 0] >= 1.0).all())


def test_a_weight_of_zero_is_a_connection_between_neighbours_alone():
    """Of the weights that are 0; one that skips a layer counts, and has a gradient, where it is not."""

    def late(w_net):
        silent = exact.simulate(
            NEURONS["qif"], torch.zeros(3, 1).double(), w_net, torch.zeros(0).double(), [], 1.0,
            x0=torch.full((2, 3), 0.3).double(), pseudospikes=True, layers=[1, 1, 1],
        )  # fmt: skip
        return silent.first([2], 1).sum()

    for first, skipping in ((0.0, 0.0), (0.0, 0.4), (0.5, 0.0)):
        w_net = torch.tensor([[0.0, 0, 0], [first, 0, 0], [skipping, 0.7, 0]]).double().requires_grad_()
        (gradient,) = torch.autograd.grad(late(w_net), w_net)
        seen = gradient != 0
        assert seen.tolist() == [[False] * 3, [True, False, False], [skipping != 0, True, False]]
        for place in seen.nonzero().tolist():
            step = torch.zeros(3, 3).double()
            step[tuple(place)] = 1e-4
            slope = (late(w_net.detach() + step) - late(w_net.detach() - step)) / 2e-4
            assert slope.item() == pytest.approx(gradient[tuple(place)].item(), rel=1e-5)
