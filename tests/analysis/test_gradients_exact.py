"""Surrogate beside exact gradients: the two networks are the same one as steps shrink, their gradients are not."""

import math

import pytest
import torch

import rheobase as rb
from rheobase.analysis.gradients_exact import Network, SteppedLIF, compare, random_network
from rheobase.surrogate import Rectangle


@pytest.fixture(autouse=True)
def eager():
    with rb.backend("eager"):
        yield


def single(weight: float) -> Network:
    """One input spike at 0 into one neuron: V(t) = w (a − a²), a = e^{−t}, which peaks at w/4."""
    w = torch.tensor([[weight]], dtype=torch.float64)
    zero = torch.zeros(1, 1, dtype=torch.float64)
    return Network(w, zero, torch.zeros(1, dtype=torch.float64), torch.zeros(1, dtype=torch.long), 3.0, (0,))


def test_the_stepped_neuron_follows_the_exact_solution_between_spikes():
    dt, weight = 1 / 16, 3.0
    neuron = SteppedLIF(dt, Rectangle())
    x = torch.zeros(40, 1, dtype=torch.float64)
    x[0] = weight
    a = torch.exp(-dt * torch.arange(40, dtype=torch.float64))
    torch.testing.assert_close(neuron.trace(x)["V"][:, 0], weight * (a - a**2), rtol=0, atol=1e-14)


def test_spike_times_converge_with_the_step():
    network = single(6.0)
    a = (1 + math.sqrt(1 - 4 / 6)) / 2  # the larger root of w (a − a²) = 1
    assert float(network.events()[0]) == pytest.approx(-math.log(a), abs=1e-12)
    for dt in (1 / 16, 1 / 64, 1 / 256):
        late = float(network.steps(SteppedLIF(dt, Rectangle()))[0] + math.log(a))
        assert 0 <= late <= dt, "the first step after the crossing"


def test_errors_of_a_network_fall_with_the_step():
    errors = [
        sum(compare(random_network(seed), SteppedLIF(dt, Rectangle())).time_error for seed in range(3))
        for dt in (1 / 16, 1 / 64, 1 / 256)
    ]
    assert errors[0] > 2.5 * errors[1] > 6.25 * errors[2] > 0


def test_one_weight_has_one_direction():
    for width in (0.5, 1.0, 2.0):
        found = compare(single(6.0), SteppedLIF(1 / 64, Rectangle(width), detach_reset=True))
        assert found.cosine == pytest.approx(1.0), "more weight, earlier spike"
        assert found.ratio > 0


def test_a_width_below_half_the_threshold_explodes_through_the_reset():
    """Each step near the threshold multiplies by (1 − g u): beyond 1 for g > 2."""
    dt, network = 1 / 256, random_network(0)
    narrow, unit = (compare(network, SteppedLIF(dt, Rectangle(width))) for width in (0.25, 1.0))
    cut = compare(network, SteppedLIF(dt, Rectangle(0.25), detach_reset=True))
    assert narrow.ratio > 1e6 * unit.ratio and 0.1 < unit.ratio < 10
    assert cut.ratio < 1e-3 * narrow.ratio
