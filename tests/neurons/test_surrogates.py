"""Surrogates: the table of derivatives, primitives as antiderivatives, the two ways to emit a spike."""

import dataclasses
import math

import numpy as np
import pytest
import torch

import rheobase as rb
from tests.neurons import reference

KINDS = [getattr(rb.surrogate, name) for name in rb.surrogate.names()]
OTHERS = {
    "Rectangle": {"width": 0.5}, "Sigmoid": {"alpha": 2.5}, "ATan": {"alpha": 3.0}, "Gaussian": {"sigma": 0.8},
    "Triangle": {"height": 0.7, "width": 2.0}, "DoubleGaussian": {"p": 0.3, "gamma": 0.9},
    "MultiGaussian": {"h": 0.1, "length": 0.7, "gamma": 0.8}, "FastSigmoid": {"slope": 5.0},
}  # fmt: skip
CASES = [kind() for kind in KINDS] + [kind(**OTHERS[kind.__name__]) for kind in KINDS]
D = torch.linspace(-4, 4, 161, dtype=torch.float64)  # steps of .05: holds 0 and every default edge


def test_every_surrogate_is_checked():
    assert {kind.__name__.lower() for kind in KINDS} == {*reference.SURROGATES}
    assert {kind.__name__ for kind in KINDS} == {*OTHERS}


@pytest.mark.parametrize("surrogate", CASES, ids=str)
def test_derivative_is_the_table(surrogate):
    formula = reference.SURROGATES[type(surrogate).__name__.lower()]
    wanted = torch.tensor([formula(d, **dataclasses.asdict(surrogate)) for d in D.tolist()], dtype=torch.float64)
    torch.testing.assert_close(surrogate.derivative(D), wanted, rtol=1e-13, atol=1e-15)


@pytest.mark.parametrize("surrogate", CASES, ids=str)
def test_primitive_is_the_antiderivative(surrogate):
    """Differences of the primitive are integrals of the derivative (Gauss-Legendre on pieces without kinks)."""
    kinks = [0.0] + [s * getattr(surrogate, "width", 0) * f for s in (-1, 1) for f in (0.5, 1)]
    edges = torch.cat([D, torch.tensor(kinks, dtype=torch.float64)]).unique()
    nodes, weights = map(torch.from_numpy, np.polynomial.legendre.leggauss(20))
    a, b = edges[:-1, None], edges[1:, None]
    points = (a + b) / 2 + (b - a) / 2 * nodes
    integrals = (surrogate.derivative(points) * weights).sum(1) * (b - a)[:, 0] / 2
    torch.testing.assert_close(surrogate.primitive(edges).diff(), integrals, rtol=1e-9, atol=1e-12)


def test_peak_of_multi_gaussian():
    assert rb.surrogate.MultiGaussian().derivative(torch.zeros(())).item() == pytest.approx(0.4391, abs=5e-5)


@pytest.mark.parametrize("name", ["DoubleGaussian", "MultiGaussian"])
def test_sums_of_gaussians_are_negative_beyond_1_27(name):
    slope = getattr(rb.surrogate, name)().derivative(torch.tensor([1.26, 1.29, -1.26, -1.29], dtype=torch.float64))
    assert (slope > 0).tolist() == [True, False, True, False]


def test_rectangle_includes_its_edges():
    slope = rb.surrogate.Rectangle(0.5).derivative(torch.tensor([-0.25, 0.25, 0.2500001]))
    assert slope.tolist() == [2.0, 2.0, 0.0]


@pytest.mark.parametrize("strict", [False, True])
@pytest.mark.parametrize("surrogate", CASES, ids=str)
def test_spike_and_gradient(surrogate, strict):
    d = D.clone().requires_grad_()
    s = surrogate(d, strict)
    s.backward(torch.arange(161.0, dtype=torch.float64))
    assert torch.equal(s, ((d > 0) if strict else (d >= 0)).double())
    assert torch.equal(d.grad, surrogate.derivative(D) * torch.arange(161.0, dtype=torch.float64))


def straight_through(self, d, strict=False):
    """The spike's value on its primitive's graph, which torch differentiates as often as asked."""
    smooth = self.primitive(d)
    return smooth + (((d > 0) if strict else (d >= 0)).double() - smooth).detach()


@pytest.mark.parametrize("name", [name for name in rb.neurons.names() if not name.startswith("prob")])
@pytest.mark.parametrize("kind", [rb.surrogate.ATan, rb.surrogate.DoubleGaussian, rb.surrogate.Triangle])
def test_second_derivatives_are_those_of_the_surrogate(name, kind, monkeypatch):
    options = {"steps": 4} if name in ("glif", "psn") else {}
    torch.manual_seed(0)
    neuron = rb.neurons.create(name, surrogate=kind(), **options).double()
    x = (0.7 + torch.rand(4, 2, 3, dtype=torch.float64)).requires_grad_()

    def twice() -> torch.Tensor:
        with rb.backend("eager"):
            (slope,) = torch.autograd.grad((neuron(x) * torch.arange(1, 4)).sum(), x, create_graph=True)
        return torch.autograd.grad(slope.square().sum(), x)[0]

    found = twice()
    monkeypatch.setattr(rb.surrogate.Surrogate, "__call__", straight_through)
    assert found.abs().sum() > 0
    torch.testing.assert_close(found, twice(), rtol=1e-10, atol=1e-12)


def test_second_derivatives_of_drawn_spikes_are_those_of_the_mixture():
    x = torch.tensor([[0.5]], dtype=torch.float64, requires_grad=True)
    neuron = rb.ProbLIF(tau=2.0, seed=1, mix=0.7).double()
    with rb.backend("eager"):
        (slope,) = torch.autograd.grad(neuron(x).sum(), x, create_graph=True)
    (found,) = torch.autograd.grad(slope.sum(), x)
    gain = 1 - math.exp(-0.5)
    u = torch.tensor(0.5 * gain, dtype=torch.float64, requires_grad=True)
    density = rb.surrogate.DoubleGaussian().derivative(u - 1) + 0.7 / neuron.sigma * torch.exp((u - 1) / neuron.sigma)
    assert found.item() == pytest.approx(gain**2 * torch.autograd.grad(density, u)[0].item(), rel=1e-12)


def test_a_slope_is_computed_when_it_is_asked_for():
    class Counted(rb.surrogate.Surrogate):
        def derivative(self, d):
            calls.append(torch.is_grad_enabled())
            return torch.ones_like(d)

    try:
        calls = []
        with torch.no_grad():
            Counted()(D)
        spikes = Counted()(D.clone().requires_grad_())
        assert not calls
        spikes.sum().backward()
        assert calls == [False], "the first derivative keeps no graph of the slope"
    finally:
        del Counted  # or names() would list it


@pytest.mark.parametrize("surrogate", CASES, ids=str)
def test_smooth_emits_the_primitive(surrogate):
    with rb.surrogate.smooth():
        assert rb.surrogate.is_smooth()
        assert torch.equal(surrogate(D), surrogate.primitive(D))
    assert not rb.surrogate.is_smooth()
    assert torch.equal(surrogate(D), (D >= 0).double())


def test_smooth_ends_with_an_exception():
    with pytest.raises(KeyError), rb.surrogate.smooth():
        raise KeyError
    assert not rb.surrogate.is_smooth()


def test_nan_gives_no_spike():
    assert rb.surrogate.Rectangle()(torch.tensor([math.nan, 1.0])).tolist() == [0.0, 1.0]


POSITIVE = [(kind, field) for kind, fields in OTHERS.items() for field in fields if field not in ("p", "h", "gamma")]


@pytest.mark.parametrize(("kind", "field"), POSITIVE)
def test_fields_must_be_positive(kind, field):
    with pytest.raises(ValueError, match=rf"{kind}: {field} must be positive; got 0"):
        getattr(rb.surrogate, kind)(**{field: 0.0})


def test_a_surrogate_without_primitive_says_so():
    class Flat(rb.surrogate.Surrogate):
        def derivative(self, d):
            return torch.ones_like(d)

    try:
        with rb.surrogate.smooth(), pytest.raises(NotImplementedError, match="Flat has no primitive"):
            Flat()(D)
    finally:
        del Flat  # or names() would list it
