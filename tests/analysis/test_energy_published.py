"""Energy against the tables of CLIF (6 and 7), ILIF (5) and DA-LIF (III): full-size networks, one sample, one step."""

from dataclasses import replace
from functools import cache

import pytest
import torch

import rheobase as rb
from rheobase.analysis.counts import Layer, count, flops, uniform
from rheobase.analysis.energy import report
from rheobase.analysis.energy_conventions import convention
from rheobase.analysis.energy_memory import accesses
from rheobase.analysis.energy_prices import FLOAT32, INT32, Cost, total

DATA = {  # architecture, classes, channels, side
    "cifar-10": ("spiking_resnet18", 10, 3, 32),
    "cifar-100": ("spiking_resnet18", 100, 3, 32),
    "tiny-imagenet": ("vgg13", 200, 3, 64),
    "cifar10-dvs": ("vgg11", 10, 2, 48),
    "dvs-gesture": ("vgg11", 11, 2, 128),
    "resnet20 cifar-100": ("resnet20", 100, 3, 32),
    "resnet20 cifar10-dvs": ("resnet20", 10, 2, 64),
    "imagenet": ("imagenet_resnet18", 1000, 3, 224),
}


@cache
def one_step(data: str) -> tuple[Layer, ...]:
    name, classes, channels, side = DATA[data]
    size = {"num_classes": classes, "in_channels": channels, "image_size": side}
    model = rb.models.create(name, "lif", steps=1, **size)
    return tuple(count(model, torch.randn(1, channels, side, side), coins=True))


def layers(data: str, neuron: str, steps: int, rate: float = 0.1) -> list[Layer]:
    """As if an image had been shown `steps` times, or so many frames had come; with this neuron in every place."""
    image, cell = DATA[data][2] == 3, rb.neurons.create(neuron)
    counted = [
        replace(
            one,
            steps=float(steps),
            repeated=image and not one.driven,
            neuron=cell if one.kind == "neuron" else None,
        )
        for one in one_step(data)
    ]
    return uniform(counted, rate)


def millions(value: float, digits: int) -> float:
    return round(value / 1e6, digits)


MACS = [
    ("clif", "cifar-10", "lif", 6, 2.89),
    ("clif", "cifar-10", "clif", 6, 5.12),
    ("clif", "cifar-100", "lif", 6, 2.93),
    ("clif", "cifar-100", "clif", 6, 5.16),
    ("clif", "tiny-imagenet", "lif", 6, 278.84),
    ("clif", "tiny-imagenet", "clif", 6, 282.83),
    ("clif", "cifar10-dvs", "lif", 10, 152.50),
    ("clif", "cifar10-dvs", "clif", 10, 153.87),
    ("ilif", "cifar-10", "lif", 6, 3.34),
    ("ilif", "cifar-10", "ilif", 6, 6.68),
    ("ilif", "cifar-100", "lif", 6, 3.34),
    ("ilif", "cifar-100", "ilif", 6, 6.68),
    ("ilif", "cifar10-dvs", "lif", 10, 3.41),
    ("ilif", "cifar10-dvs", "ilif", 10, 6.82),
    ("ilif", "dvs-gesture", "lif", 20, 48.50),
    ("dalif", "resnet20 cifar-100", "dalif", 4, 56.55),
    ("dalif", "resnet20 cifar10-dvs", "dalif", 16, 863.85),
    ("dalif", "imagenet", "dalif", 4, 974.86),
]


@pytest.mark.parametrize(("name", "data", "neuron", "steps", "printed"), MACS)
def test_macs_to_the_printed_digits(name, data, neuron, steps, printed):
    found = report(layers(data, neuron, steps), convention(name))
    assert millions(found.macs, 2) == printed


@pytest.mark.parametrize(
    ("data", "steps", "unit", "digits", "printed", "parameters"),
    [
        ("resnet20 cifar-100", 4, 1e6, 2, 873.47, 11.3),
        ("imagenet", 4, 1e9, 2, 7.33, 11.7),
        ("resnet20 cifar10-dvs", 16, 1e9, 2, 13.93, 11.2),
    ],
)
def test_flops_and_parameters_of_dalif_table_3(data, steps, unit, digits, printed, parameters):
    found = layers(data, "dalif", steps)
    assert round(flops(found) / unit, digits) == printed
    assert millions(sum(one.parameters for one in found), 1) == parameters


@pytest.mark.parametrize(("neuron", "printed"), [("lif", 1080), ("clif", 1090)])
def test_macs_of_gestures_which_are_printed_to_ten_millions(neuron, printed):
    assert round(report(layers("dvs-gesture", neuron, 20), convention("clif")).macs / 1e7) * 10 == printed


TWINS = [
    ("clif", "cifar-10", 557.65, 2, 2565.19),
    ("clif", "cifar-100", 557.7, 1, 2565.42),
    ("clif", "tiny-imagenet", 922.56, 2, 4243.776),
    ("ilif", "cifar-10", 549.13, 2, 2525.980),
    ("ilif", "cifar-100", 549.13, 2, 2525.980),
]


@pytest.mark.parametrize(("name", "data", "macs", "digits", "energy"), TWINS)
def test_the_networks_without_spikes(name, data, macs, digits, energy):
    """Energies are the printed ones where the paper multiplied unrounded MACs, and within its rounding elsewhere."""
    found = report(layers(data, "lif", 6), convention(name))
    assert millions(found.twin_macs, digits) == macs
    assert found.twin_energy == pytest.approx(energy, abs=4.6 * 0.5 * 10**-digits)


@pytest.mark.parametrize(
    ("acs", "macs", "printed"),
    [(84.86, 2.89, 89.668), (68.66, 5.12, 85.346), (568.26, 3.34, 526.806), (488.12, 6.68, 470.056)],
)
def test_the_price_of_an_operation(acs, macs, printed):
    """ILIF's table multiplies unrounded counts, hence the tolerance of a rounded MAC."""
    assert Cost(acs * 1e6, macs * 1e6).energy(FLOAT32) == pytest.approx(printed, abs=4.6 * 0.005 + 0.9 * 0.005)


ACS = [  # convention, data, neuron, T, published rate %, published ACs M, published / ours at that rate in every neuron
    ("clif", "cifar-10", "lif", 6, 19.03, 84.86, 0.800),
    ("clif", "cifar-10", "clif", 6, 15.27, 68.66, 0.811),
    ("clif", "cifar-100", "lif", 6, 12.70, 60.28, 0.850),
    ("clif", "cifar-100", "clif", 6, 12.34, 55.58, 0.813),
    ("clif", "tiny-imagenet", "lif", 6, 22.21, 135.25, 0.941),
    ("clif", "tiny-imagenet", "clif", 6, 16.80, 102.1, 0.946),
    ("clif", "cifar10-dvs", "lif", 10, 8.21, 14.65, 0.912),
    ("clif", "cifar10-dvs", "clif", 10, 6.55, 12.02, 0.959),
    ("clif", "dvs-gesture", "lif", 20, 2.94, 25.09, 0.591),
    ("clif", "dvs-gesture", "clif", 20, 2.91, 19.16, 0.484),
    ("ilif", "cifar-10", "lif", 6, 17.82, 568.26, 0.739),
    ("ilif", "cifar-10", "ilif", 6, 15.64, 488.12, 0.723),
    ("ilif", "cifar-100", "lif", 6, 12.12, 438.70, 0.839),
    ("ilif", "cifar-100", "ilif", 6, 11.98, 409.11, 0.792),
    ("ilif", "cifar10-dvs", "lif", 10, 7.49, 201.58, 0.786),
    ("ilif", "cifar10-dvs", "ilif", 10, 6.99, 157.40, 0.658),
    ("ilif", "dvs-gesture", "lif", 20, 3.31, 820.05, 0.509),
    ("ilif", "dvs-gesture", "ilif", 20, 2.84, 653.86, 0.473),
]


@pytest.mark.parametrize(("name", "data", "neuron", "steps", "rate", "published", "ratio"), ACS)
def test_a_uniform_rate_overestimates_the_published_acs(name, data, neuron, steps, rate, published, ratio):
    """ACs weigh every layer's rate with its fan-out; the published rates weigh it with its number of neurons.

    Many neurons sit in the early layers, which fire most; most synapses sit later. So one rate for all layers comes
    out 4 to 111 % too high, and the rates per layer, which would settle it, are not printed. The next test shows that
    one and the same published run has both rates. The ratio is held here so that nothing moves unnoticed.
    """
    found = report(layers(data, neuron, steps, rate / 100), convention(name))
    assert published * 1e6 / found.acs == pytest.approx(ratio, abs=0.002)


@pytest.mark.parametrize(
    ("data", "parameters", "addressing", "acs", "rate"),
    [("cifar-10", 11.4994, 12.1394, 84.86, 19.03), ("cifar-100", 8.4337, 8.8427, 60.28, 12.70)],
)
def test_clif_table_7_holds_both_rates(data, parameters, addressing, acs, rate):
    """From two of its numbers follow the events θ and their fan-out: θ weighs neurons, the fan-out synapses.

    Parameters: (Σ θ C_out k² + N) reads at 100 pJ; addressing: 2θ MACs at 3.2 pJ and Σ θ C_out k² ACs at .1 pJ. Without
    the pixels, θ over the neurons is the published rate within 2 %; weighed with the fan-out the rate is a tenth to a
    sixth lower, on the way to table 6, which has strides too. Both are of one step: table 7 is not times T.
    """
    found = [layer for layer in layers(data, "lif", 1) if "shortcut" not in layer.name]
    neurons = sum(layer.outputs for layer in found if layer.kind == "neuron")
    reached = parameters * 1e9 / 100 - neurons
    events = (addressing * 1e6 - 0.1 * reached) / 6.4
    first, *others = [layer for layer in found if layer.kind == "conv"]
    assert (events - first.inputs) / neurons == pytest.approx(rate / 100, rel=0.02)
    weighed = (reached - first.inputs * first.fan_out) / sum(layer.inputs * layer.fan_out for layer in others)
    table6 = (acs * 1e6 - neurons) / total(convention("clif").costs(layers(data, "lif", 1, 1.0))).acs
    assert table6 < weighed < 0.91 * rate / 100 and weighed == pytest.approx(table6, rel=0.07)


@pytest.mark.parametrize(
    ("data", "neuron", "potentials", "parameters"),
    [
        ("cifar-10", "lif", 22.9987, 11.4994),
        ("cifar-10", "clif", 55.5172, 9.2529),
        ("cifar-100", "lif", 16.8666, 8.4337),
        ("cifar-100", "clif", 46.8265, 7.8048),
        ("tiny-imagenet", "lif", 37.7700, 18.9076),
        ("tiny-imagenet", "clif", 84.8900, 14.1756),
        ("cifar10-dvs", "lif", 5.7398, 2.8701),
        ("cifar10-dvs", "clif", 14.0891, 2.3484),
        ("dvs-gesture", "lif", 13.9212, 6.9606),
        ("dvs-gesture", "clif", 38.3082, 6.3848),
    ],
)
def test_clif_table_7_as_ratios(data, neuron, potentials, parameters):
    """Potentials cost 2 (LIF) and 6 times (CLIF) what parameters cost, but for the last layer, which has none."""
    found = [accesses(layer) for layer in layers(data, neuron, 1) if layer.target or layer.kind == "neuron"]
    ratio = sum(one["potentials"] for one in found) / sum(one["parameters"] for one in found)
    assert ratio == pytest.approx({"lif": 2, "clif": 6}[neuron])
    assert potentials / parameters == pytest.approx(ratio, rel=0.003)


@pytest.mark.parametrize(
    ("data", "parameters", "operations", "addressing"),
    [
        ("cifar-10", 54.9688, 1.7573, 0.1145),
        ("cifar-100", 54.9735, 1.7574, 0.1145),
        ("tiny-imagenet", 91.9065, 2.9379, 0.1686),
    ],
)
def test_clif_table_7_without_spikes(data, parameters, operations, addressing):
    """mJ, mJ and µJ to the printed digits, at 100 pJ for every read of a parameter and without the 1x1 shortcuts.

    Its reads and writes of inputs (54.9357 mJ on both CIFARs) are not found: some memories must be taken as smaller.
    """
    found = [one for one in layers(data, "lif", 1) if one.synaptic and "shortcut" not in one.name]
    synapses, outputs = (sum(getattr(one, name) for one in found) for name in ("synapses", "outputs"))
    costs = total(convention("memory").twin_costs(found))
    biases = sum(one.biases for one in found)
    printed = {"abs": 0.50001e-4}  # four decimals; one of them is an exact half
    assert (synapses + outputs) * 100e-9 == pytest.approx(parameters, **printed)
    assert Cost(biases, costs.macs).energy(INT32) / 1000 == pytest.approx(operations, **printed)
    assert Cost(costs.acs - biases).energy(INT32) == pytest.approx(addressing, **printed)
