"""Options of the recurrent layer: learnable initial state, truncation, dropout fixed over time, axonal delays."""

import pytest
import torch

import rheobase as rb
from rheobase.fuse.delays import known

T, B, INPUTS, N = 24, 3, 5, 11


@pytest.fixture(params=["eager", "cpu"], autouse=True)
def on_backend(request):
    torch.manual_seed(0)
    with rb.backend(request.param):
        yield


def layer(neuron=None, **options) -> rb.Recurrent:
    made = rb.Recurrent(neuron or rb.LIF(surrogate=rb.surrogate.ATan()), INPUTS, N, **options)
    with torch.no_grad():
        made.weight_ih.mul_(3.0)
    return made


def test_learnt_state_starts_the_neuron_and_gets_a_gradient():
    made = layer(learn_state=True)
    x = torch.randn(T, B, INPUTS)
    plain = made(x)
    with torch.no_grad():
        made.start["v"].fill_(0.75)
    spikes = made(x)
    v = torch.full((B, N), 0.75)
    asked, _ = made.neuron.recur(made.current(x), made.weight_hh, {"v": v, "spikes": torch.zeros(B, N)})
    assert torch.equal(spikes, asked) and not torch.equal(spikes, plain)
    spikes.sum().backward()
    assert made.start["v"].grad.abs().min() > 0
    assert "start.v" in dict(made.named_parameters())


def test_learnt_state_of_a_random_neuron():
    made = layer(rb.ProbLIF(seed=3), learn_state=True)
    x = torch.randn(T, B, INPUTS)
    assert torch.equal(made(x), layer_without_start(made)(x))


def layer_without_start(made: rb.Recurrent) -> rb.Recurrent:
    other = rb.Recurrent(made.neuron, INPUTS, N)
    other.load_state_dict({k: v for k, v in made.state_dict().items() if not k.startswith("start")})
    return other


@pytest.mark.parametrize("k", [1, 7, T, 100])
def test_truncated_gradients_are_those_of_a_run_cut_by_hand(k):
    made = layer()
    x, cot = torch.randn(T, B, INPUTS), torch.randn(T, B, N)
    full = made(x)
    made.truncate = k
    cut = made(x)
    assert torch.equal(full, cut)
    made.zero_grad()
    (cut * cot).sum().backward()
    found, state = [p.grad.clone() for p in made.parameters()], None
    made.zero_grad()
    made.truncate = None
    for t in range(0, T, k):
        state = None if state is None else {name: v.detach() for name, v in state.items()}
        spikes, state = made.scan(x[t : t + k], state)
        (spikes * cot[t : t + k]).sum().backward()
    for one, two in zip(found, made.parameters(), strict=True):
        torch.testing.assert_close(one, two.grad)


def test_truncation_changes_the_gradient():
    made = layer()
    x, grads = torch.randn(T, B, INPUTS), []
    for k in (None, 2):
        made.truncate = k
        grads.append(torch.autograd.grad((made(x) * torch.arange(T).view(-1, 1, 1)).sum(), made.weight_hh)[0])
    assert (grads[0] - grads[1]).abs().max() > 1e-3


def test_dropout_silences_the_same_inputs_at_every_step():
    made = layer(dropout=0.5)
    x = torch.ones(T, B, INPUTS, requires_grad=True)
    spikes, state = made.scan(x)
    (grad,) = torch.autograd.grad(spikes.sum(), x)
    silent = grad.abs().sum(0) == 0
    assert torch.equal(silent, state["mask"] == 0) and 0 < silent.sum() < silent.numel()
    assert set(state["mask"].unique().tolist()) == {0.0, 2.0}
    assert torch.equal(made.scan(x[:2], state)[1]["mask"], state["mask"])
    made.eval()
    assert torch.equal(made(x), layer_without_start(made)(x))


def test_delays_shift_each_input():
    delays = [0, 3, 1, 3, T + 5]
    made, plain = layer(delays=delays), layer()
    plain.load_state_dict({k: v for k, v in made.state_dict().items() if k != "delays"})
    x = torch.randn(T, B, INPUTS, requires_grad=True)
    shifted = torch.zeros(T, B, INPUTS)
    for j, d in enumerate(delays[:4]):
        shifted[d:, :, j] = x.detach()[: T - d, :, j]
    spikes = made(x)
    assert torch.equal(spikes, plain(shifted))
    (grad,) = torch.autograd.grad(spikes.sum(), x)
    assert grad[-3:, :, [1, 3]].abs().sum() == 0 and grad[-4, :, 1].abs().sum() > 0 and grad[..., 4].abs().sum() == 0


@pytest.mark.parametrize("first", [1, 2, 10])
def test_delays_carry_on(first):
    made = layer(delays=[0, 3, 1, 3, 5])
    x = torch.randn(T, B, INPUTS)
    one, state = made.scan(x[:first])
    two, _ = made.scan(x[first:], state)
    torch.testing.assert_close(torch.cat([one, two]), made(x))


AXONS = [0, 3, 1, 0, 7, 2, 2, 0, 5, 1, 4]


@pytest.mark.parametrize("first", [1, 2, 10])
def test_axon_delays_carry_on(first):
    """Cut anywhere, step by step, and truncated: the same spikes as in one go."""
    made = layer(axon_delays=AXONS)
    x = torch.randn(T, B, INPUTS)
    whole, end = made.scan(x)
    one, state = made.scan(x[:first])
    two, last = made.scan(x[first:], state)
    assert torch.equal(torch.cat([one, two]), whole) and end["spikes"].shape == (8, B, N)
    assert all(torch.equal(end[key], last[key]) for key in end)
    state = None
    for t in range(T):
        spike, state = made.step(x[t], state)
        assert torch.equal(spike, whole[t])
    made.truncate = 5
    assert torch.equal(made(x), whole) and not torch.equal(layer_without_delays(made)(x), whole)


def layer_without_delays(made: rb.Recurrent) -> rb.Recurrent:
    other = rb.Recurrent(made.neuron, INPUTS, N)
    other.load_state_dict({k: v for k, v in made.state_dict().items() if k != "axon_delays"})
    return other


def test_gradients_reach_through_axon_delays():
    """Into a state handed on, as in one go."""
    made, x = layer(axon_delays=AXONS), torch.randn(T, B, INPUTS)
    whole = torch.autograd.grad(made(x).sum(), list(made.parameters()))
    one, state = made.scan(x[:6])
    halves = torch.autograd.grad(one.sum() + made.scan(x[6:], state)[0].sum(), list(made.parameters()))
    for a, b in zip(whole, halves, strict=True):
        torch.testing.assert_close(a, b, rtol=1e-4, atol=1e-5)


BAD = [
    {"truncate": 0}, {"dropout": 1.0}, {"delays": [1, 2]}, {"delays": [0.5] * INPUTS}, {"axon_delays": [1]},
    {"axon_delays": [-1] * N},
]  # fmt: skip


@pytest.mark.parametrize("options", BAD)
def test_refusals(options):
    with pytest.raises(ValueError, match="Recurrent: "):
        layer(**options)


def test_all_options_at_once_and_no_steps():
    made = layer(rb.CLIF(), learn_state=True, truncate=5, dropout=0.2, delays=[1, 2, 0, 0, 4], axon_delays=AXONS)
    for steps in (T, 0):
        spikes, state = made.scan(torch.randn(steps, B, INPUTS))
        assert spikes.shape == (steps, B, N) and state["inputs"].shape == (4, B, INPUTS)
        assert made.trace(torch.randn(4, B, INPUTS))["v"].shape == (4, B, N)


def test_delays_that_are_changed_are_looked_at_again():
    delays = torch.tensor([0, 3, 1, 3])
    found = known(delays)
    assert found[:2] == (0, 3) and known(delays) is found
    assert [(d, n.tolist()) for d, n in found.groups] == [(0, [0]), (1, [2]), (3, [1, 3])]
    delays[1] = 7
    assert known(delays)[:2] == (0, 7) and known(delays.clone())[1] == 7
    with torch.inference_mode():
        made = delays + 1
        assert known(made)[:2] == (1, 8)
        spikes, _ = rb.LIF().recur(torch.ones(9, 2, 4), torch.eye(4), delays=made)
    assert spikes.shape == (9, 2, 4)
