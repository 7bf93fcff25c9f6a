"""Layers against their equations written out in numpy, their parameter counts, and what they refuse."""

import math

import numpy as np
import pytest
import torch

import rheobase as rb
from tests import subjects

STEPWISE = [name for name in rb.neurons.names() if subjects.subject(name).stepwise]


def normal(*shape: int, seed: int = 0) -> torch.Tensor:
    return torch.randn(shape, generator=torch.Generator().manual_seed(seed), dtype=torch.float64)


@pytest.fixture(autouse=True)
def in_float64():
    torch.manual_seed(0)
    torch.set_default_dtype(torch.float64)
    yield
    torch.set_default_dtype(torch.float32)


def test_recurrent_lif_computes_its_equations():
    layer = rb.Recurrent(rb.LIF(), 3, 5, bias=True)
    torch.nn.init.normal_(layer.bias)
    x = normal(20, 4, 3) * 3
    w, u, b = (value.detach().numpy() for value in (layer.weight_ih, layer.weight_hh, layer.bias))
    v, s, wanted = np.zeros((4, 5)), np.zeros((4, 5)), []
    for row in x.numpy():
        potential = 0.5 * v + row @ w.T + b + s @ u.T
        s = (potential >= 1).astype(float)
        v = potential - s
        wanted.append(s)
    spikes = layer(x)
    assert 0.05 < spikes.mean() < 0.95 and np.abs(u.diagonal()).min() > 0
    np.testing.assert_array_equal(spikes.detach().numpy(), np.stack(wanted))


@pytest.mark.parametrize("name", STEPWISE)
def test_recurrent_gradients(name):
    """Eager in float64 inside `smooth()` against finite differences, to inputs and to both weights."""
    attached = {"detach_reset": False} if "detach_reset" in subjects.subject(name).signature else {}
    neuron = subjects.subject(name).neuron(4, surrogate=rb.surrogate.Sigmoid(), **attached)
    layer = rb.Recurrent(neuron, 2, 3)
    x = normal(4, 2, 2).requires_grad_()
    with rb.surrogate.smooth():
        assert torch.autograd.gradcheck(lambda *_: layer(x), (x, *layer.parameters()), eps=1e-6, atol=1e-6, rtol=1e-5)


@pytest.mark.parametrize("name", STEPWISE)
@pytest.mark.parametrize("cut", [0, 1, 7])
def test_recurrent_resumes(name, cut):
    """Weights and inputs on quarters: products are exact, for a BLAS may add a short batch of rows in another order."""
    layer = rb.Recurrent(subjects.subject(name).neuron(12), 4, 6)
    with torch.no_grad():
        for weight in (layer.weight_ih, layer.weight_hh):
            weight.copy_((weight * 4).round() / 4)
    x = (normal(12, 3, 4) * 24).round() / 4
    whole, end = layer.scan(x)
    first, state = layer.scan(x[:cut])
    second, last = layer.scan(x[cut:], state)
    assert torch.equal(whole, torch.cat([first, second])) and "spikes" in end
    assert all(torch.equal(end[k], last[k]) for k in end)


def test_recurrent_steps_and_traces():
    layer = rb.Recurrent(rb.ProbLIF(seed=3), 4, 6)
    x, state, spikes = normal(9, 2, 4) * 9, None, []
    for row in x:
        spike, state = layer.step(row, state)
        spikes.append(spike)
    assert torch.equal(layer(x), torch.stack(spikes))
    assert torch.equal(layer.trace(x)["s"], layer(x))


def test_recurrent_without_feedback_is_the_neuron():
    layer = rb.Recurrent(rb.CLIF(), 4, 6)
    torch.nn.init.zeros_(layer.weight_hh)
    x = normal(9, 2, 4) * 3
    assert torch.equal(layer(x), rb.CLIF()(x @ layer.weight_ih.T))


@pytest.mark.parametrize("learn_tau", [False, True])
def test_readout_computes_its_equations(learn_tau):
    readout = rb.LeakyReadout(3, 5, learn_tau)
    readout.tau.data[0].neg_()  # a step of the optimiser may take it there: α = exp(−1/|τ|)
    alpha = np.exp(-1 / np.abs(readout.tau.detach().numpy()))
    x, y, wanted = normal(12, 4, 3), np.zeros((4, 5)), []
    for row in x.numpy():
        y = alpha * y + (1 - alpha) * (row @ readout.weight.detach().numpy().T)
        wanted.append(y)
    np.testing.assert_allclose(readout(x).detach().numpy(), np.stack(wanted), rtol=1e-12)
    assert (readout.tau in set(readout.parameters())) == learn_tau


def test_readout_gradients_and_resume():
    readout = rb.LeakyReadout(2, 3, True)
    x = normal(5, 2, 2).requires_grad_()
    assert torch.autograd.gradcheck(lambda *_: readout(x), (x, *readout.parameters()))
    whole, end = readout.scan(x)
    first, state = readout.scan(x[:2])
    second, last = readout.scan(x[2:], state)
    assert torch.equal(whole, torch.cat([first, second])) and torch.equal(end["y"], last["y"])


def test_readout_starts_from_a_normal_spread():
    tau = rb.LeakyReadout(2, 4000).tau
    assert tau.mean().item() == pytest.approx(20, abs=0.3) and tau.std().item() == pytest.approx(5, abs=0.2)


@pytest.mark.parametrize("learn", [False, True])
@pytest.mark.parametrize(
    ("inputs", "hidden", "classes", "weights", "problif", "probplif"),
    [(700, 128, 20, 108_544, 0, 148), (1, 256, 10, 68_352, 10, 266)],
    ids=["SHD", "S-MNIST"],
)
def test_published_parameter_counts(inputs, hidden, classes, weights, problif, probplif, learn):
    """108.54 k and 68.35 k weights; S-MNIST's ProbLIF learns its readout's 10 time constants, SHD's does not."""
    neuron = rb.ProbPLIF(features=hidden) if learn else rb.ProbLIF()
    readout = rb.LeakyReadout(hidden, classes, learn_tau=learn or problif > 0)
    layers = torch.nn.ModuleList([rb.Recurrent(neuron, inputs, hidden), readout])
    assert sum(p.numel() for p in layers.parameters()) == weights + (probplif if learn else problif)


def test_time_flatten_is_the_module_at_every_step():
    conv = torch.nn.Conv2d(2, 3, 3)
    x = normal(4, 5, 2, 6, 6)
    torch.testing.assert_close(rb.TimeFlatten(conv)(x), torch.stack([conv(step) for step in x]))


def test_time_flatten_keeps_gradients_and_parameters():
    layer = rb.TimeFlatten(torch.nn.Linear(3, 2))
    x = normal(4, 5, 3).requires_grad_()
    layer(x).sum().backward()
    assert x.grad.shape == x.shape and [name for name, _ in layer.named_parameters()] == [
        "module.weight",
        "module.bias",
    ]


@pytest.mark.parametrize(("threshold", "scale"), [(1.0, 1.0), (0.5, 1 / math.sqrt(2))])
def test_threshold_dependent_norm_computes_its_equation(threshold, scale):
    """`λ (a θ (x − μ)/√(var + ε)) + β` over T, B, H and W."""
    norm = rb.TDBatchNorm2d(3, threshold, scale)
    torch.nn.init.normal_(norm.weight)
    torch.nn.init.normal_(norm.bias)
    x = normal(4, 5, 3, 6, 6) * 3 + 1
    mean, variance = (
        f(x, (0, 1, 3, 4), keepdim=True) for f in (torch.mean, lambda *a, **k: torch.var(*a, correction=0, **k))
    )
    along = (slice(None), None, None)
    wanted = norm.weight[along] * scale * threshold * (x - mean) / (variance + 1e-5).sqrt() + norm.bias[along]
    torch.testing.assert_close(norm(x), wanted)
    torch.testing.assert_close(norm.running_mean, 0.1 * mean.flatten())
    norm.eval()
    torch.testing.assert_close(norm(x[:1]), norm(x)[:1])


@pytest.mark.parametrize("make", [rb.TDBatchNorm2d, rb.layers.BatchNorm2d])
def test_norms_take_time_and_batch_as_one(make):
    one, other, x = make(3), make(3), normal(4, 5, 3, 6, 6) * 3 + 1
    torch.testing.assert_close(rb.TimeFlatten(other)(x), one(x))
    for name, value in one.state_dict().items():
        torch.testing.assert_close(other.state_dict()[name], value, msg=name)


REFUSED = [
    (lambda: rb.Recurrent(torch.nn.Linear(2, 2), 2, 2), TypeError, "neuron must be an rb neuron"),
    (lambda: rb.Recurrent(rb.PSN(steps=3), 2, 2), TypeError, "no single step"),
    (lambda: rb.Recurrent(rb.LIF(), 2, 3)(torch.zeros(4, 1, 5)), ValueError, r"\[T, B, 2\]"),
    (lambda: rb.Recurrent(rb.LIF(), 2, 3).scan(torch.zeros(4, 1, 2), {"v": torch.zeros(1, 3)}), ValueError, "spikes"),
    (lambda: rb.LeakyReadout(2, 3, tau=0.0), ValueError, "tau must be above 0"),
    (lambda: rb.layers.Dropout(1.0), ValueError, r"p must be in \[0, 1\); got 1\.0"),
    (lambda: rb.layers.Dropout(-0.1), ValueError, r"p must be in \[0, 1\); got -0\.1"),
    (lambda: rb.TimeFlatten(torch.nn.Identity())(torch.zeros(3)), ValueError, r"\[T, B, ...\]"),
    (lambda: rb.TDBatchNorm2d(3)(torch.zeros(3, 4, 4)), ValueError, r"\[T, B, C, H, W\]"),
    (lambda: rb.TDBatchNorm2d(3, threshold=-1.0), ValueError, "threshold must be above 0"),
]


@pytest.mark.parametrize(("call", "kind", "words"), REFUSED, ids=[words for *_, words in REFUSED])
def test_refusals(call, kind, words):
    with pytest.raises(kind, match=words):
        call()


def test_a_readout_and_a_layer_run_step_by_step():
    x = torch.randn(5, 2, 3, generator=torch.Generator().manual_seed(0))
    readout, layer = rb.LeakyReadout(3, 4), rb.Recurrent(rb.ProbLIF(), 3, 4)
    uniform = torch.rand(5, 2, 4, generator=torch.Generator().manual_seed(1))
    whole_y, whole_s = readout(x), layer(x, uniform=uniform)
    read, state = None, None
    for t in range(5):
        y, read = readout.step(x[t], read)
        s, state = layer.step(x[t], state, uniform=uniform[t])
        torch.testing.assert_close(y, whole_y[t])
        assert torch.equal(s, whole_s[t])
