"""What the hooks count, against loops over single synapses and against every network of the package."""

import math
from itertools import pairwise

import pytest
import torch
from tests.models.small import FAST, NETWORKS, images, network
from torch import nn

import rheobase as rb
from rheobase.analysis.counts import Meter, count, firing_rate, transferred, uniform
from rheobase.analysis.energy_conventions import CONVENTIONS, convention
from rheobase.analysis.energy_prices import total
from rheobase.layers import AvgPool2d, BatchNorm2d, Conv2d, Flatten, Linear, MaxPool2d


def by_name(layers) -> dict:
    return {layer.name: layer for layer in layers}


def binary(*shape: int, rate: float = 0.3) -> torch.Tensor:
    return (torch.rand(shape, generator=torch.Generator().manual_seed(2)) < rate).float()


def hooked_acs(layers, name: str) -> float:
    found = by_name(layers)[name]
    cost = convention("dalif").spiking(found)
    assert cost.macs == 0
    return cost.acs


def test_linear_layers_against_a_loop_over_synapses():
    torch.manual_seed(0)
    model = nn.Sequential(Linear(6, 5), rb.LIF(), Linear(5, 4, bias=False), rb.LIF())
    x = binary(7, 3, 6)
    spikes = model[1](model[0](x))
    additions = sum(4 for t in range(7) for b in range(3) for j in range(5) if spikes[t, b, j] == 1)
    layers = count(model, x)
    assert additions > 0 and hooked_acs(layers, "2") == pytest.approx(additions / 3)
    assert by_name(layers)["0"].spiking and not by_name(count(model, 0.7 * x))["0"].spiking
    assert firing_rate(layers[:2]) == pytest.approx(spikes.mean().item())


def test_convolutions_whose_windows_do_not_overlap_against_a_loop():
    model = nn.Sequential(Conv2d(2, 3, 2, 2, bias=False), rb.LIF())
    x = binary(4, 2, 2, 6, 6)
    additions = sum(3 for value in x.flatten().tolist() if value == 1)
    layers = count(model, x)
    assert hooked_acs(layers, "0") == pytest.approx(additions / 2)
    assert (layers[0].fan_out, layers[0].reach) == (12, 3)  # without the stride, and with it


@pytest.mark.parametrize("delay", [None, [0, 2, 1, 0, 5]])
def test_recurrent_synapses_against_a_loop_over_spikes(delay):
    """A spike costs an addition per neuron at the step where it arrives; what arrives after the end costs nothing."""
    torch.manual_seed(0)
    layer = rb.Recurrent(rb.LIF(threshold=0.2), 4, 5, axon_delays=delay)
    x = binary(9, 2, 4)
    late = delay or [0] * 5
    spikes = layer(x).detach()
    arrive = [(t, b, j) for t, b, j in spikes.nonzero().tolist() if t + 1 + late[j] < 9]
    found = by_name(count(nn.Sequential(layer), x))
    assert arrive and hooked_acs(found.values(), "0.weight_hh") == pytest.approx(5 * len(arrive) / 2)
    assert hooked_acs(found.values(), "0.weight_ih") == pytest.approx(5 * x.sum().item() / 2)
    assert found["0.neuron"].active == pytest.approx(spikes.mean().item())


def test_readouts_and_padding_in_a_recurrent_network():
    model = rb.models.create("recurrent", "lif", in_channels=4, hidden=(6,), num_classes=3, weight_gain=4.0)
    x, lengths = binary(8, 2, 4), torch.tensor([8, 3])
    with Meter(model) as meter:
        meter.valid = torch.arange(8).unsqueeze(1) < lengths
        model(x)
    found = by_name(meter.layers())
    assert list(found) == [
        "layers.0.weight_ih", "layers.0.weight_hh", "layers.0.neuron", "readout.weight", "readout.integrator",
    ]  # fmt: skip
    assert all(layer.steps == 5.5 for layer in found.values())
    spikes = model.layers[0](x)[meter.valid]
    assert found["layers.0.neuron"].active == pytest.approx(spikes.mean().item())
    assert hooked_acs(found.values(), "readout.weight") == pytest.approx(3 * spikes.sum().item() / 2)
    assert found["layers.0.weight_hh"].target.name == "layers.0.neuron"


def test_what_neurons_and_readouts_learn_are_parameters():
    sizes = {"in_channels": 4, "hidden": (6,), "num_classes": 3}
    layers = count(rb.models.create("recurrent", "probplif", learn_readout_tau=True, **sizes), binary(8, 2, 4))
    assert [layer.parameters for layer in layers] == [24, 36, 6, 18, 3]
    biased = rb.Recurrent(rb.LIF(), 4, 6, bias=True)
    assert [layer.parameters for layer in count(nn.Sequential(biased), binary(8, 2, 4))] == [30, 36, 0]


@pytest.mark.parametrize("name", [*NETWORKS, "recurrent"])
def test_every_network_is_counted_whole(name):
    """Every weight belongs to a layer, every neuron ran, and pooled spikes are numbers where pools average."""
    x = images(1)
    if name == "recurrent":
        model, x = rb.models.create(name, "lif", in_channels=5, hidden=(7, 6)), torch.randn(3, 1, 5)
    else:
        model = network(name, "lif")
    layers = count(model, x, coins=True)
    matrices = [p for p in model.parameters() if p.dim() > 1]
    assert sum(layer.weights for layer in layers) == sum(matrix.numel() for matrix in matrices)
    assert sum(layer.parameters for layer in layers) == sum(p.numel() for p in model.parameters())
    neurons = [layer for layer in layers if layer.kind == "neuron"]
    assert len(neurons) == sum(isinstance(module, rb.LIF) for module in model.modules())
    for before, layer in pairwise(layers):
        if layer.synaptic and before.kind in ("neuron", "pool"):
            averages = before.kind == "pool" and not isinstance(model.get_submodule(before.name), MaxPool2d)
            merged = averages and (before.inputs > before.outputs or not before.spiking)
            assert layer.spiking != merged, layer.name
    for one in CONVENTIONS.values():
        found = total(one.costs(uniform(layers, 0.2)))
        assert found.acs > 0 and found.macs > 0 and math.isfinite(found.memory)


@pytest.mark.parametrize("neuron", rb.neurons.names())
def test_spikes_of_every_neuron_are_seen_as_spikes(neuron):
    model = network("cnn5", neuron, **({"neuron_options": FAST[neuron]} if neuron in FAST else {}))
    layers = count(model, images(2))
    assert all(layer.spiking for layer in layers if layer.kind == "neuron") and firing_rate(layers) > 0
    assert [layer.spiking for layer in layers if layer.kind == "conv"] == [False, True, True, True, True]


def test_the_planted_neuron_of_graded_spikes_pays_for_multiplications():
    class Graded(rb.Neuron):
        """Fires halves."""

        states = ("v",)

        def dynamics(self, x, v):
            s = 0.5 * self.fire(x + v, torch.ones_like(x))
            return s, v

    model = nn.Sequential(Graded(rb.surrogate.Rectangle(1.0)), Linear(4, 2))
    last = by_name(count(model, torch.full((3, 1, 4), 9.0)))["1"]
    assert not last.spiking and convention("dalif").spiking(last).macs == 3 * 10


MIXED = {  # layers whose spikes a max pool (`conv` behind `pool`) or attention's products merge
    "plifnet": ["features.conv2_1.conv", "linear1"],
    "plifnet_dvs": [f"features.conv{k}_1.conv" for k in (2, 3, 4, 5)] + ["linear1"],
    "spike_transformer": [
        "features.patches.conv3.conv",
        "features.patches.conv4",
        "features.block1.attention.project.conv",
        "features.block2.attention.project.conv",
    ],
}


@pytest.mark.parametrize("form", [torch.contiguous_format, torch.channels_last], ids=["contiguous", "channels_last"])
@pytest.mark.parametrize("name", NETWORKS)
def test_layers_that_see_merged_spikes_are_marked(name, form):
    """What is measured there differs from the rate of every layer of neurons; elsewhere it is one of them."""
    layers = count(network(name, "lif").to(memory_format=form), images(2), coins=True)
    assert [layer.name for layer in layers if layer.mixed] == MIXED.get(name, [])


@pytest.mark.parametrize("delays", [None, [0, 3, 1, 2]])
def test_spikes_that_are_only_late_are_not_merged(delays):
    torch.manual_seed(0)
    layers = [rb.Recurrent(rb.LIF(), 4, 4, axon_delays=delays), rb.Recurrent(rb.LIF(), 4, 5, delays=delays)]
    found = count(nn.Sequential(*layers, rb.LeakyReadout(5, 3)), 4 * binary(9, 2, 4))
    assert firing_rate(found) > 0 and not any(layer.mixed for layer in found)


def test_coins_show_what_a_silent_network_hides():
    """Without a spike an average of spikes is 0 everywhere and looks like a spike train."""
    model = nn.Sequential(rb.LIF(), AvgPool2d(2), Conv2d(2, 3, 3))
    x = torch.zeros(2, 1, 2, 8, 8)
    assert by_name(count(model, x))["2"].spiking
    found = by_name(count(model, x, coins=True))
    assert not found["2"].spiking and found["1"].spiking


@pytest.mark.parametrize("name", NETWORKS)
def test_the_twin_is_the_network_with_relu(name):
    """What is derived from the spiking network's layers equals what hooks count on the ReLU network itself."""
    spiking, relu = count(network(name, "lif"), images(1), coins=True), count(network(name, "relu"), images(1))
    for one in (convention("clif"), convention("memory")):
        assert total(one.twin_costs(spiking)) == total(one.twin_costs(relu))


def test_images_are_shown_once_to_the_twin_and_frames_every_time():
    model, twin = network("cnn5", "lif"), convention("dalif").twin_costs
    once, frames = count(model, images(1)), count(model, torch.randn(3, 1, 2, 32, 32))
    assert once[0].repeated and not frames[0].repeated
    assert total(twin(frames)).macs == 3 * total(twin(once)).macs
    defined = convention("definition").spiking
    assert defined(frames[0]).macs == 3 * defined(once[0]).macs


def test_time_flattened_torch_layers_count_like_ours():
    torch.manual_seed(0)
    plain = nn.Sequential(nn.Conv2d(2, 3, 3), nn.BatchNorm2d(3), nn.AvgPool2d(2))
    ours = nn.Sequential(Conv2d(2, 3, 3), BatchNorm2d(3), AvgPool2d(2))
    x = binary(4, 2, 2, 6, 6)
    rest = (rb.LIF(), Flatten(), Linear(12, 2))
    first = count(nn.Sequential(rb.TimeFlatten(plain), *rest), x)
    second = count(nn.Sequential(ours, *rest), x)
    costs = [total(convention("clif").costs(layers)) for layers in (first, second)]
    assert costs[0] == costs[1] and first[0].steps == 4


def test_the_model_is_left_as_it_was():
    model = network("cnn5", "lif").train()
    before = {name: value.clone() for name, value in model.state_dict().items()}
    count(model, images(2))
    assert model.training and torch.is_grad_enabled() and not any(m._forward_hooks for m in model.modules())
    assert all(torch.equal(value, before[name]) for name, value in model.state_dict().items())


def test_activity_of_a_narrow_network_in_a_wide_one():
    narrow = count(network("cnn5", "lif"), images(2))
    sizes = count(network("cnn5", "lif", width=1 / 16), images(1), coins=True)
    wide = transferred(sizes, narrow)
    assert [layer.active for layer in wide] == [layer.active for layer in narrow]
    sent = [convention("ilif").spiking(by_name(layers)["features.conv3.conv"]).acs for layers in (narrow, wide)]
    assert sent[1] == pytest.approx(4 * sent[0]) and sent[0] > 0  # twice the inputs, twice the fan-out
    with pytest.raises(ValueError, match="same layers"):
        transferred(sizes, narrow[1:])


def test_errors_say_what_to_do():
    exact = rb.models.create("exact", "qif", in_channels=4, hidden=(5,))
    with pytest.raises(ValueError, match="no time steps"):
        Meter(exact)
    with pytest.raises(ValueError, match=r"1 \(LayerNorm\) has weights.*Build it from"):
        Meter(nn.Sequential(Linear(2, 2), nn.LayerNorm(2)))
    with pytest.raises(ValueError, match="nothing ran"):
        Meter(nn.Sequential(Linear(2, 2))).layers()
    with pytest.raises(ValueError, match=r"rate must lie in \[0, 1\].*got 1.5"):
        uniform([], 1.5)
    with pytest.raises(ValueError, match="Did you mean 'clif'"):
        convention("cliff")


@pytest.mark.parametrize(
    "neuron", [rb.LIF(), rb.DALIF(), rb.CLIF(), rb.ILIF(), rb.PLIF()], ids=lambda one: type(one).__name__
)
def test_in_dalifs_convention_a_neuron_costs_two_multiplications_a_step(neuron):
    layers = by_name(count(nn.Sequential(Linear(6, 5), neuron), binary(7, 3, 6)))
    assert convention("dalif").spiking(layers["1"]).macs == 2 * 7 * 5
