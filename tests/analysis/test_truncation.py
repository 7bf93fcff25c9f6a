"""Gradients truncated to k steps: LIF against the closed form, every neuron against runs from detached states."""

import copy
import pickle

import pytest
import torch

import rheobase as rb
from rheobase import models
from rheobase.models.network import Network
from rheobase.neurons import KINDS, Neuron, create, truncated

T, B, C = 7, 3, 2
OPTIONS = {"glif": {"steps": T, "channels": C}, "probplif": {"features": C, "seed": 3}, "problif": {"seed": 3}}
NAMES = [name for name, kind in KINDS.items() if kind.fused]


def currents(*shape: int) -> torch.Tensor:
    return 0.6 + 0.8 * torch.randn(*shape, dtype=torch.float64, generator=torch.Generator().manual_seed(0))


def made(name: str) -> Neuron:
    torch.manual_seed(1)
    return create(name, **OPTIONS.get(name, {})).double()


@pytest.fixture(autouse=True)
def eager():
    """Which backend runs a window is no matter of truncation; one test below takes kernels too."""
    with rb.backend("eager"):
        yield


def gradients(spikes: torch.Tensor, wanted: list[torch.Tensor], error: torch.Tensor) -> list[torch.Tensor]:
    found = torch.autograd.grad(spikes, wanted, error, allow_unused=True)
    return [torch.zeros_like(one) if grad is None else grad for one, grad in zip(wanted, found, strict=True)]


def closed_form(x: torch.Tensor, error: torch.Tensor, k: int, neuron: rb.LIF) -> torch.Tensor:
    """EQUATIONS: δ[t] = Σ_{j<k} e[t+j] Π_{i<j} ε[t+i], e the error at the potential, ε = γ (1 − θ g)."""
    slope = neuron.surrogate.derivative(neuron.trace(x)["u"] - neuron.threshold)
    e, factor = error * slope, (1 - 1 / neuron.tau) * (1 - neuron.threshold * slope)
    delta = torch.zeros_like(x)
    for t in range(len(x)):
        for j in range(min(k, len(x) - t)):
            delta[t] += e[t + j] * factor[t : t + j].prod(0)
    return delta


def detached_every(x: torch.Tensor, error: torch.Tensor, k: int, neuron: rb.LIF) -> torch.Tensor:
    """The wrong program: truncated backpropagation with cuts at multiples of k."""
    x, state, rows = x.clone().requires_grad_(), None, []
    for part in x.split(k):
        spikes, state = neuron.scan(part, state)
        state = {name: value.detach() for name, value in state.items()}
        rows.append(spikes)
    return torch.autograd.grad(torch.cat(rows), x, error)[0]


@pytest.mark.parametrize("backend", ["eager", "auto"])
@pytest.mark.parametrize("k", [1, 2, 3, T - 1, T, T + 4])
def test_soft_reset_lif_has_the_closed_form(k, backend):
    neuron = rb.LIF(tau=2.5, threshold=0.8, surrogate=rb.surrogate.Triangle(0.6, 0.9))
    x, error = currents(T, 50).requires_grad_(), currents(2 * T, 50)[T:]
    with rb.backend(backend):
        spikes = truncated(neuron, k)(x)
    assert torch.equal(spikes, neuron(x))
    (found,) = torch.autograd.grad(spikes, x, error)
    torch.testing.assert_close(found, closed_form(x.detach(), error, k, neuron), rtol=0, atol=1e-12)


def test_the_closed_form_tells_wrong_programs():
    neuron = rb.LIF(tau=2.5, threshold=0.8, surrogate=rb.surrogate.Triangle(0.6, 0.9))
    x, error, k = currents(T, 50), currents(2 * T, 50)[T:], 3
    right = closed_form(x, error, k, neuron)
    assert not torch.allclose(detached_every(x, error, k, neuron), right, atol=1e-3), "cuts every k steps"
    x.requires_grad_()
    for wrong in (k - 1, k + 1):
        (off_by_one,) = torch.autograd.grad(truncated(neuron, wrong)(x), x, error)
        assert not torch.allclose(off_by_one, right, atol=1e-3), f"{wrong} steps for {k}"


@pytest.mark.parametrize("k", [1, 3])
@pytest.mark.parametrize("name", NAMES)
def test_every_neuron_has_the_gradient_of_runs_from_detached_states(name, k):
    neuron, short = made(name), truncated(made(name), k)
    x, error = currents(T, B, C).requires_grad_(), currents(2 * T, B, C)[T:]
    spikes = short(x)
    assert torch.equal(spikes, neuron(x)), "the values of the full run"
    states = [neuron.zero_state(x)]
    with torch.no_grad():
        for t in range(T):
            states.append(neuron.scan(x[t : t + 1], states[-1])[1])
    rows = []
    for t in range(T):
        start = max(0, t - k + 1)
        rows.append(neuron.scan(x[start : t + 1], states[start])[0][-1])
    want = gradients(torch.stack(rows), [x, *neuron.parameters()], error)
    found = gradients(spikes, [x, *short.parameters()], error)
    for one, other in zip(found, want, strict=True):
        torch.testing.assert_close(one, other, rtol=1e-10, atol=1e-12)
    assert float(found[0].abs().sum()) > 0


@pytest.mark.parametrize("name", NAMES)
def test_all_steps_are_the_full_gradient(name):
    neuron, long = made(name), truncated(made(name), T)
    x, error = currents(T, B, C).requires_grad_(), currents(2 * T, B, C)[T:]
    want = gradients(neuron(x), [x, *neuron.parameters()], error)
    found = gradients(long(x), [x, *long.parameters()], error)
    assert all(torch.equal(one, other) for one, other in zip(found, want, strict=True))


@pytest.mark.parametrize("k", [1, 2, 5])
def test_in_a_recurrent_layer_its_own_spikes_are_state(k):
    torch.manual_seed(0)
    neuron, surrogate = rb.LIF(tau=2.0), rb.surrogate.Rectangle(1.0)
    layer = rb.Recurrent(truncated(neuron, k), 4, 5).double()
    x = currents(T, B, 4).requires_grad_()
    error = currents(T, B, 5)

    def run(current, v, s):
        rows = []
        for now in current:
            u = 0.5 * v + now + s @ layer.weight_hh.T
            s = surrogate(u - 1.0)
            v = u - s
            rows.append((v, s))
        return rows

    current, zero = layer.current(x), torch.zeros(B, 5).double()
    full = [(zero, zero), *run(current, zero, zero)]
    starts = [max(0, t - k + 1) for t in range(T)]
    rows = [run(current[a : t + 1], *(one.detach() for one in full[a]))[-1][1] for t, a in enumerate(starts)]
    spikes = layer(x)
    assert torch.equal(spikes, torch.stack(rows)) and 0.1 < float(spikes.detach().mean()) < 0.9
    wanted = [x, layer.weight_ih, layer.weight_hh]
    for one, other in zip(gradients(spikes, wanted, error), gradients(torch.stack(rows), wanted, error), strict=True):
        torch.testing.assert_close(one, other, rtol=1e-10, atol=1e-12)


def test_state_goes_on_where_a_call_stopped():
    neuron, x = truncated(rb.CLIF(), 2), currents(T, B, C).requires_grad_()
    first, state = neuron.scan(x[:4])
    second, end = neuron.scan(x[4:], state)
    assert torch.equal(torch.cat([first, second]), rb.CLIF()(x))
    assert torch.equal(end["m"], rb.CLIF().scan(x)[1]["m"])


def test_a_network_takes_it_as_an_option_and_keeps_its_names():
    x, found = torch.rand(T, B, 3, 32, 32), {}
    for k in (1, None):
        options = {"variant": "soft"} if k is None else {"variant": "soft", "gradient_steps": k}
        network = models.create("cnn5", neuron="plif", neuron_options=options, width=0.1, weight_seed=0)
        assert isinstance(network, Network) and len(network.neuron_layers()) == 5
        readout = network(x)
        readout.square().sum().backward()
        grads = {name: parameter.grad for name, parameter in network.named_parameters()}
        found[k] = (readout, set(network.state_dict()), grads)
    (cut, names, short), (full, same_names, long) = found[1], found[None]
    assert torch.equal(cut, full) and names == same_names
    assert not torch.allclose(short["features.conv1.conv.weight"], long["features.conv1.conv.weight"], rtol=0.01)


def test_truncating_again_keeps_the_shorter():
    x, error = currents(T, B).requires_grad_(), currents(2 * T, B)[T:]
    for first, second in ((2, 4), (4, 2)):
        both = gradients(truncated(truncated(rb.CLIF(), first), second)(x), [x], error)
        assert torch.equal(both[0], gradients(truncated(rb.CLIF(), 2)(x), [x], error)[0])


def test_copies_keep_it():
    neuron, x = truncated(rb.LIF(), 1), currents(T, B).requires_grad_()
    twin = copy.deepcopy(neuron)
    assert "gradient_steps=1" in repr(twin) and isinstance(twin, rb.LIF)
    assert torch.equal(*(torch.autograd.grad(one(x).sum(), x)[0] for one in (neuron, twin)))


@pytest.mark.parametrize(
    ("neuron", "k", "kind", "message"),
    [
        (rb.LIF(), 0, ValueError, "whole number of steps >= 1; got 0"),
        (rb.LIF(), 1.5, ValueError, "got 1.5"),
        (rb.LIF(), True, ValueError, "got True"),
        (rb.PSN(steps=T), 2, TypeError, "PSN has no single step"),
    ],
)
def test_mistakes_are_named(neuron, k, kind, message):
    with pytest.raises(kind, match=message):
        truncated(neuron, k)


def test_no_gradient_reaches_across_calls_and_step_by_step_reaches_one_step():
    """The state that is carried is detached; within a call a spike reaches k − 1 steps back."""
    x = torch.full((6, 1), 0.4, dtype=torch.float64, requires_grad=True)
    neuron, state = truncated(rb.LIF(surrogate=rb.surrogate.ATan()), 2), None
    for t in range(6):
        spike, state = neuron.step(x[t], state)
    (reached,) = torch.autograd.grad(spike.sum(), x)
    assert (reached != 0).flatten().tolist() == [False] * 5 + [True]
    _, state = neuron.scan(x[:3])
    spikes, _ = neuron.scan(x[3:], state)
    for t, wanted in ((3, [3]), (4, [3, 4]), (5, [4, 5])):
        (reached,) = torch.autograd.grad(spikes[t - 3].sum(), x, retain_graph=True)
        assert reached.flatten().nonzero().flatten().tolist() == wanted


def test_a_truncated_neuron_is_copied_and_pickled():
    neuron, x = truncated(rb.PLIF(), 2), currents(T, B, C).float()
    for other in (pickle.loads(pickle.dumps(neuron)), copy.deepcopy(neuron)):
        assert type(other) is type(neuron) and repr(other) == repr(neuron)
        assert torch.equal(other(x), neuron(x))
