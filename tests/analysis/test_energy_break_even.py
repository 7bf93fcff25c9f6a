"""Prices, and the spike rate at which a network costs as much as its twin."""

import math
from dataclasses import replace

import pytest
from tests.models.small import images, network

import rheobase as rb
from rheobase.analysis.counts import Layer, count, uniform
from rheobase.analysis.energy import break_even, report
from rheobase.analysis.energy_conventions import CONVENTIONS, convention
from rheobase.analysis.energy_memory import access
from rheobase.analysis.energy_prices import FLOAT32, INT32, Cost, integer, total


def small(neuron, steps: float = 4.0) -> list[Layer]:
    """100 pixels, a matrix to 20 neurons, a matrix to 10 classes."""
    shown = {"steps": steps, "repeated": True, "driven": False, "spiking": False, "active": 1.0}
    first = Layer("in", "linear", 100, 20, synapses=2000, weights=2000, fan_out=20, reach=20, **shown)
    middle = Layer("neuron", "neuron", 20, 20, steps=steps, active=0.1, neuron=neuron)
    last = Layer("out", "linear", 20, 10, synapses=200, weights=200, fan_out=10, reach=10, steps=steps, active=0.1)
    return uniform([first, middle, last], 0.1)


@pytest.mark.parametrize(
    ("name", "expected"),
    [  # (twin − what costs the same at every rate) / what a rate of 1 adds, in pJ
        ("clif", (4.6 * 2220 - 4.6 * 2000 - 0.9 * 20) / (0.9 * 200)),
        ("dalif", (4.6 * 2220 - 4 * 4.6 * (2000 + 2 * 20)) / (4 * 0.9 * 200)),
        ("ilif", (4.6 * 2000 - 4 * 4.6 * 20) / (4 * 0.9 * 2000)),
        ("definition", (4.6 * 2220 - 4.6 * 2000 - 4 * 20 * (4.6 + 2 * 0.9)) / (4 * 0.9 * 200)),
    ],
)
def test_closed_forms(name, expected):
    assert report(small(rb.LIF()), convention(name)).break_even == pytest.approx(expected)


def test_closed_forms_of_quantised_numbers():
    found = report(small(rb.LIF()), convention("clif"), bits=8)
    assert found.quantised_twin_energy == pytest.approx(0.3e-6 * 2220)
    assert found.break_even_quantised == pytest.approx((0.3 * 2220 - 4.6 * 2000 - 0.9 * 20) / (0.9 * 200))
    assert found.break_even_both_quantised == pytest.approx((0.3 * 220 - 0.1 * 20) / (0.1 * 200))
    assert found.break_even_quantised < 0 < 1 < found.break_even_both_quantised  # never, and whatever the rate


@pytest.mark.parametrize("name", CONVENTIONS)
@pytest.mark.parametrize("model", ["cnn5", "resnet20"])
def test_at_the_break_even_rate_both_cost_the_same(name, model):
    """With a twin that is priced to meet the network in the range of rates."""
    layers, one = count(network(model, "clif"), images(1), coins=True), convention(name)
    for rate in (0.05, 0.6):
        wanted = total(one.costs(uniform(layers, rate))).energy(one.prices)
        twin = total(one.twin_costs(layers))
        priced = replace(one.prices, add=0.0, multiply=(wanted * 1e6 - twin.memory) / twin.macs)
        assert break_even(layers, one, one.prices, priced) == pytest.approx(rate)


def test_a_network_without_neurons_has_no_break_even():
    assert math.isnan(report(count(network("cnn5", "relu"), images(1)), convention("clif")).break_even)


def test_measured_rates_do_not_move_the_break_even():
    layers = count(network("cnn5", "lif"), images(4))
    found = [report(one, convention("dalif")).break_even for one in (layers, uniform(layers, 0.7))]
    assert found[0] == pytest.approx(found[1])


def test_prices_are_horowitz():
    assert (FLOAT32.ac, FLOAT32.mac) == pytest.approx((0.9, 4.6)) and INT32.mac == pytest.approx(3.2)
    assert integer(8).multiply == pytest.approx(0.2) and integer(8).mac == pytest.approx(0.3)
    assert integer(32).mac == pytest.approx(INT32.mac) and 0.05 < integer(4).multiply < 0.051
    for bits in (0, 33):
        with pytest.raises(ValueError, match="from 1 to 32"):
            integer(bits)
    assert Cost(10, 20, 5).energy(FLOAT32) == pytest.approx((9 + 92 + 5) * 1e-6)
    assert Cost(memory=8.0).energy(integer(8)) == pytest.approx(2e-6)


def test_access_grows_with_the_memory():
    sizes = {0: 10, 8 * 1024: 10, 20 * 1024: 15, 32 * 1024: 20, 528 * 1024: 60, 1024 * 1024: 100, 10**9: 100}
    assert {size: access(size) for size in sizes} == pytest.approx(sizes)
