"""Gradients in time against closed forms, and the theory of CLIF and ILIF as EQUATIONS.md states it."""

import pytest
import torch

import rheobase as rb
from rheobase import models
from rheobase.analysis import gradients
from rheobase.neurons import KINDS, create, truncated

T = 8


@pytest.fixture(autouse=True)
def eager():
    """Which backend runs a neuron is no matter of its gradient."""
    with rb.backend("eager"):
        yield


def currents(*shape: int, seed: int = 0) -> torch.Tensor:
    return 0.6 + 0.8 * torch.randn(*shape, dtype=torch.float64, generator=torch.Generator().manual_seed(seed))


def slope_of(neuron, x: torch.Tensor) -> torch.Tensor:
    return neuron.surrogate.derivative(neuron.trace(x)["u"] - neuron.threshold).detach()


def network(neuron: str, **options) -> tuple[torch.nn.Module, torch.Tensor]:
    torch.manual_seed(0)
    model = models.create(
        "recurrent", neuron=neuron, in_channels=6, hidden=(9, 7), num_classes=4, weight_gain=6.0, **options
    )
    return model.double().eval(), torch.rand(T, 3, 6, dtype=torch.float64)


def loss_of(model: torch.nn.Module, x: torch.Tensor):
    return lambda: model(x).square().sum()


def test_lif_has_temporal_factor_zero_near_the_threshold_and_clif_has_not():
    x = currents(T, 2000)
    for tau, threshold in ((2.0, 1.0), (1.25, 1.0)):
        lif = rb.LIF(tau=tau, threshold=threshold)
        factor = gradients.state_jacobian(lif, x)[:, 0, 0]
        near = (lif.trace(x)["u"] - threshold).abs() <= 0.5
        assert 0.2 < float(near.double().mean()) < 0.8
        assert bool((factor[near] == 0).all()), "exactly 0 on the support"
        torch.testing.assert_close(factor[~near], torch.full_like(factor[~near], 1 - 1 / tau))
    clif = rb.CLIF(tau=2.0)
    matrices = gradients.state_jacobian(clif, x)
    near = (clif.trace(x)["u"] - 1).abs() <= 0.5
    by_neuron = matrices.movedim((1, 2), (-2, -1))[near]
    assert bool((by_neuron.abs().amax((1, 2)) > 0.05).all()), "no step of CLIF forgets everything"


def test_the_jacobian_of_lif_is_its_closed_form():
    lif = rb.LIF(tau=3.0, threshold=0.75, surrogate=rb.surrogate.ATan())
    x = currents(T, 100)
    want = (1 - 1 / 3) * (1 - 0.75 * slope_of(lif, x))
    torch.testing.assert_close(gradients.state_jacobian(lif, x)[:, 0, 0], want, rtol=1e-12, atol=1e-12)


def test_the_spatial_part_of_clif_is_that_of_lif():
    x, error = currents(T, 300).requires_grad_(), currents(T, 300, seed=1)
    for neuron in (rb.LIF(), rb.CLIF(), rb.ILIF(ciu=False)):
        (spatial,) = torch.autograd.grad(truncated(neuron, 1)(x), x, error)
        torch.testing.assert_close(spatial, error * slope_of(neuron, x.detach()), rtol=0, atol=0)


def test_the_path_of_ilif_through_m_is_undamped():
    x = currents(64, 200)
    for gamma_u in (1.0, 0.5):
        neuron = rb.ILIF(gamma_u=gamma_u)
        matrices = gradients.state_jacobian(neuron, x)
        m = neuron.states.index("M")
        assert torch.equal(matrices[:, m, m], torch.full_like(matrices[:, m, m], gamma_u)), "M to M, every step"
    assert float(gradients.state_jacobian(rb.LIF(), x)[:, 0, 0].prod(0).abs().max()) < 1e-12


def test_a_gradient_reaches_farther_through_ilif_and_clif_than_through_lif():
    x = currents(24, 4000)
    lif, clif, ilif, damped = (
        gradients.reach(neuron, x) for neuron in (rb.LIF(), rb.CLIF(), rb.ILIF(), rb.ILIF(gamma_u=0.5))
    )
    assert bool((clif[1:] > lif[1:]).all() and (ilif[1:] > lif[1:]).all())
    assert float(ilif[-1]) > 0.3 * float(ilif[-8]), "M's floor"
    assert float(damped[-1]) < 0.05 * float(damped[-8]), "gone with the damping"


def test_reach_of_lif_is_the_product_of_its_factors():
    lif, x = rb.LIF(surrogate=rb.surrogate.Triangle(0.5, 1.0)), currents(T, 500)
    slope = slope_of(lif, x)
    factor = 0.5 * (1 - slope)
    want = [(slope[-1] * factor[T - 1 - j : T - 1].prod(0)).abs().mean() for j in range(T)]
    torch.testing.assert_close(gradients.reach(lif, x), torch.stack(want), rtol=1e-12, atol=0)


@pytest.mark.parametrize("name", [name for name, kind in KINDS.items() if kind.fused])
def test_layers_of_any_neuron_are_run_again_as_they_ran(name):
    model, x = network(name, **({"steps": T} if name == "glif" else {}))
    torch.manual_seed(5)
    layers = gradients.layers(model, loss_of(model, x))
    assert list(layers) == ["layers.0", "layers.1"]
    torch.manual_seed(5)
    model.zero_grad()
    model(x).square().sum().backward()
    first = model.get_parameter("layers.0.weight_ih").grad
    rebuilt = torch.einsum("tbo,tbi->oi", layers["layers.0"].gradient(), x)
    torch.testing.assert_close(rebuilt, first, rtol=1e-9, atol=1e-12, msg=f"{name}: dL/dx gives the weights' gradient")
    for layer in layers.values():
        parts = gradients.split(layer)
        assert parts.temporal[-1] == 0 and parts.vanished[-1] == 1 and bool(parts.whole.isfinite().all())
        assert len(gradients.distances(layer)) == T


def test_padding_counts_in_no_mean():
    """A loss that does not look behind the end of a sequence: the numbers of each sample alone, whatever follows it."""
    model, x = network("clif")
    lengths = torch.tensor([T, 4, 6])
    seen = (torch.arange(T).unsqueeze(1) < lengths).unsqueeze(-1)
    padded = gradients.layers(model, lambda: (model(x) * seen).square().sum(), lengths)["layers.0"]
    alone = [
        gradients.layers(model, loss_of(model, x[:length, b : b + 1]))["layers.0"]
        for b, length in enumerate(lengths.tolist())
    ]
    vanished = [gradients.split(one).vanished for one in alone]
    for t in range(T - 1):
        going_on = [one[t] for one in vanished if t + 1 < len(one)]
        torch.testing.assert_close(gradients.split(padded).vanished[t], sum(going_on) / len(going_on))
    found, pairs = gradients.distances(padded), lengths.unsqueeze(1) - torch.arange(T)
    for j in range(T):
        parts = [gradients.distances(one)[j] * (len(one.current) - j) for one in alone if j < len(one.current)]
        torch.testing.assert_close(found[j], sum(parts) / pairs[:, j].clamp(min=0).sum())


def test_parts_of_lif_by_distance_are_the_terms_of_the_closed_form():
    torch.manual_seed(0)
    linear = torch.nn.Linear
    model = torch.nn.Sequential(linear(6, 20), rb.LIF(), linear(20, 15), rb.LIF(), linear(15, 4)).double().eval()
    layer = gradients.layers(model, loss_of(model, 6 * currents(T, 3, 6)))["1"]
    slope = slope_of(layer.neuron, layer.current)
    e, factor = layer.error * slope, 0.5 * (1 - slope)
    want = [
        torch.stack([(e[t + j] * factor[t : t + j].prod(0)).abs().mean() for t in range(T - j)]).mean()
        for j in range(T)
    ]
    assert float(want[0]) > 0
    torch.testing.assert_close(gradients.distances(layer), torch.stack(want), rtol=1e-9, atol=1e-15)
    parts = gradients.split(layer)
    torch.testing.assert_close(parts.spatial, e.flatten(1).norm(dim=1), rtol=1e-12, atol=0)


def test_mistakes_are_named():
    model, x = network("lif")
    with pytest.raises(ValueError, match=r"evaluation mode first, model\.eval"):
        gradients.layers(model.train(), loss_of(model, x))
    with pytest.raises(ValueError, match="Linear has no spiking layers"):
        gradients.layers(torch.nn.Linear(2, 2).eval(), lambda: torch.zeros(()))
    with pytest.raises(TypeError, match="PSN has no states"):
        gradients.state_jacobian(create("psn", steps=T), x)
