"""Options of the recurrent network: gains, equal jumps, delays, time constants over orders of magnitude."""

import copy
import json
import math

import pytest
import torch

import rheobase as rb
from rheobase import models
from rheobase.analysis.counts import count
from rheobase.training import Config
from rheobase.training.optimizers import optimizer
from rheobase.training.task import prepare

SLOW_AND_FAST = {"tau": 40.0, "tau_log_std": 1.0}


def network(**options):
    given = {"neuron": "probplif", "hidden": (256,), "weight_seed": 0, "neuron_options": SLOW_AND_FAST, **options}
    torch.manual_seed(0)
    return models.create("recurrent", **given)


def test_each_gain_scales_its_own_weights():
    plain = dict(network().named_parameters())
    gains = {"layers.0.weight_ih": 30.0, "layers.0.weight_hh": 1.5, "readout.weight": 5.0}
    scaled = dict(network(input_gain=30.0, recurrent_gain=1.5, readout_gain=5.0).named_parameters())
    for name, gain in gains.items():
        torch.testing.assert_close(scaled[name], gain * plain[name])


def test_with_equal_jumps_a_spike_moves_fast_and_slow_neurons_alike():
    layer, plain = (network(equal_jumps=flag).layers[0] for flag in (True, False))
    taken_in = layer.neuron.coefficients()["gain"].unsqueeze(1)
    assert taken_in.max() > 20 * taken_in.min(), "the time constants are too much alike to show anything"
    for name in ("weight_ih", "weight_hh"):
        torch.testing.assert_close(getattr(layer, name) * taken_in, getattr(plain, name))


def test_with_equal_jumps_learning_moves_fast_and_slow_neurons_alike():
    model = network(equal_jumps=True)
    layer = model.layers[0]
    before = layer.weight_hh.detach().clone()
    optimizer = torch.optim.SGD(model.parameters(), 1.0)
    layer.parametrizations.weight_hh.original.grad = torch.ones(256, 256)
    optimizer.step()
    moved = (layer.weight_hh - before) * layer.neuron.coefficients()["gain"].unsqueeze(1)
    torch.testing.assert_close(moved, torch.full_like(moved, -1.0), atol=1e-4, rtol=1e-4)


def test_with_equal_jumps_a_time_constant_sets_the_memory_and_not_the_jump():
    layer = network(equal_jumps=True).layers[0]
    with torch.no_grad():
        jump = layer.weight_hh * layer.neuron.coefficients()["gain"].unsqueeze(1)
        layer.neuron.tau *= 3
        torch.testing.assert_close(layer.weight_hh * layer.neuron.coefficients()["gain"].unsqueeze(1), jump)


def test_equal_jumps_add_no_parameters_and_copies_follow_their_own_neuron():
    model, plain = network(equal_jumps=True), network()
    assert sum(p.numel() for p in model.parameters()) == sum(p.numel() for p in plain.parameters())
    other = copy.deepcopy(model)
    other.load_state_dict(model.state_dict())
    with torch.no_grad():
        other.layers[0].neuron.tau *= 2
    assert not torch.equal(other.layers[0].weight_hh, model.layers[0].weight_hh)
    torch.testing.assert_close(model.layers[0].weight_hh, network(equal_jumps=True).layers[0].weight_hh)


def test_equal_jumps_change_no_count_of_operations():
    x = torch.rand(20, 2, 1)
    plain, jumps = ({one.name: one.synapses for one in count(network(equal_jumps=flag), x)} for flag in (False, True))
    assert plain == jumps


def test_equal_jumps_are_refused_where_the_input_is_not_scaled():
    with pytest.raises(ValueError, match="equal_jumps needs a neuron that scales its input"):
        network(neuron="clif", neuron_options={}, equal_jumps=True)


def test_delays_are_multiples_up_to_the_longest_and_leave_the_weights_alone():
    model, plain = network(longest_delay=240, delay_step=16), network()
    delays = model.layers[0].axon_delays
    assert delays.unique().tolist() == list(range(0, 241, 16))
    assert torch.equal(delays, network(longest_delay=240, delay_step=16).layers[0].axon_delays)
    for one, other in zip(model.parameters(), plain.parameters(), strict=True):
        assert torch.equal(one, other)


@pytest.mark.parametrize("longest, step", [(-1, 1), (10, 4), (10, 0)])
def test_delays_that_do_not_reach_the_longest_are_refused(longest, step):
    with pytest.raises(ValueError, match="longest_delay must be a multiple of delay_step"):
        network(longest_delay=longest, delay_step=step)


def test_log_normal_time_constants_have_the_median_and_spread_asked_for():
    logarithm = network().layers[0].neuron.tau.detach().log()
    assert abs(logarithm.mean() - math.log(40)) < 0.2 and abs(logarithm.std() - 1) < 0.15
    with pytest.raises(ValueError, match="not both"):
        network(neuron_options={**SLOW_AND_FAST, "tau_std": 5.0})


def test_time_constants_move_at_their_own_rate():
    model = network(learn_readout_tau=True)
    before = {name: value.detach().clone() for name, value in model.named_parameters()}
    steps = optimizer(Config(learning_rate=0.01, tau_learning_rate=0.5), model.named_parameters())
    for group in steps.param_groups:
        group["lr"] = 0.01 * group["pace"]
    for value in model.parameters():
        value.grad = torch.ones_like(value)
    steps.step()
    for name, value in model.named_parameters():
        moved = 0.5 if name.endswith("tau") else 0.01
        torch.testing.assert_close(before[name] - value, torch.full_like(value, moved), atol=1e-4, rtol=1e-3)


def test_a_rate_for_time_constants_that_are_not_learnt_is_refused():
    config = Config(tau_learning_rate=0.5)
    with pytest.raises(ValueError, match="learns no time constant"):
        optimizer(config, network(neuron="problif", neuron_options={}).named_parameters())


def mixed(**options):
    return network(neuron="lif", neuron_options={}, hidden=(5, 7, 6), feedback=(False, True, False), **options)


def test_layers_without_feedback_are_linear_layers_and_neurons():
    model, x = mixed(in_channels=3, weight_gain=3.0), torch.rand(9, 2, 3)
    first, second, third = model.layers
    shapes = {name: tuple(value.shape) for name, value in model.named_parameters()}
    assert shapes == {
        "layers.0.linear.weight": (5, 3), "layers.1.weight_ih": (7, 5), "layers.1.weight_hh": (7, 7),
        "layers.2.linear.weight": (6, 7), "readout.weight": (10, 6),
    }  # fmt: skip
    inner = second(first.neuron(x @ first.linear.weight.T))
    assert 0 < inner.mean() < 1
    torch.testing.assert_close(model(x), model.readout(third.neuron(inner @ third.linear.weight.T)))


def test_feedback_for_all_or_none():
    all_loop, none = network(feedback=(True,)), network(feedback=False)
    assert torch.equal(all_loop.layers[0].weight_hh, network().layers[0].weight_hh)
    assert torch.equal(none.layers[0].linear.weight, network().layers[0].weight_ih), "drawn first from the same seed"
    assert "PSN" in str(network(neuron="psn", neuron_options={}, feedback=False, steps=4))
    with pytest.raises(TypeError, match="has no single step"):
        network(neuron="psn", neuron_options={}, steps=4)


def test_feedback_that_does_not_fit_is_refused():
    with pytest.raises(ValueError, match=r"a flag per hidden layer, 1; got \(True, False\)"):
        network(feedback=(True, False))
    with pytest.raises(ValueError, match="longest_delay needs a layer that feeds back"):
        network(feedback=False, longest_delay=4)


def test_options_reach_layers_without_feedback():
    doubled, plain = mixed(input_gain=2.0, dropout=0.5).layers[0], mixed().layers[0]
    torch.testing.assert_close(doubled.linear.weight, 2 * plain.linear.weight)
    off = doubled.dropout(torch.ones(4, 30, 1))
    assert torch.equal(off, off[:1].expand_as(off)) and set(off.unique().tolist()) == {0.0, 2.0}
    jumps = network(feedback=False, equal_jumps=True).layers[0]
    gain = jumps.neuron.coefficients()["gain"].unsqueeze(1)
    torch.testing.assert_close(jumps.linear.weight * gain, network(feedback=False).layers[0].linear.weight)


def test_synapses_of_layers_without_feedback_are_counted():
    counted = {one.name: one.synapses for one in count(mixed(in_channels=3), torch.rand(9, 2, 3))}
    assert [counted[name] for name in ("layers.0.linear", "layers.1.weight_hh", "layers.2.linear")] == [15, 49, 42]


def test_a_config_says_which_layers_feed_back():
    config = Config(hidden=(5, 7, 6), feedback=[False, True, False])
    again = Config.from_dict(json.loads(json.dumps(config.as_dict())))
    assert again == config and again.feedback == (False, True, False)
    layers = prepare(config).model.layers
    assert [isinstance(layer, rb.Recurrent) for layer in layers] == [False, True, False]
    for wrong in ((True, False), ()):
        with pytest.raises(ValueError, match="config: feedback must be True or False, one for all or one for each"):
            config.but(feedback=wrong)
    with pytest.raises(ValueError, match="config: feedback must be True or False; got 'no'"):
        config.but(feedback=("no",))


def test_the_readout_learns_its_time_constants_where_the_neurons_do():
    """EQUATIONS: 108.69 k parameters with (700, 128, 20) ProbPLIF, 68,352 + 266 with (1, 256, 10)."""
    sizes = {"in_channels": 700, "hidden": 128, "num_classes": 20}
    assert sum(p.numel() for p in models.create("recurrent", "probplif", **sizes).parameters()) == 108_692
    assert sum(p.numel() for p in models.create("recurrent", "probplif", hidden=(256,)).parameters()) == 68_618
    assert sum(p.numel() for p in models.create("recurrent", "problif", **sizes).parameters()) == 108_544
    fixed = models.create("recurrent", "probplif", **sizes, learn_readout_tau=False)
    assert sum(p.numel() for p in fixed.parameters()) == 108_672


def test_looking_whether_neurons_learn_draws_nothing():
    torch.manual_seed(3)
    one = models.create("recurrent", "probplif", neuron_options=SLOW_AND_FAST).state_dict()
    torch.manual_seed(3)
    other = models.create("recurrent", "probplif", neuron_options=SLOW_AND_FAST, learn_readout_tau=True).state_dict()
    assert all(torch.equal(one[name], other[name]) for name in one)


def test_inputs_are_the_pixels_of_an_image():
    model = models.create("recurrent", "lif", 7, 3, (5, 4))
    assert model.layers[0].in_features == 60 and model(torch.rand(2, 1, 3, 5, 4)).shape == (2, 1, 7)
    assert model.config.options["in_channels"] == 60
