"""What one step of a neuron costs, counted from its definition."""

import pytest
import torch

import rheobase as rb
from rheobase.analysis.energy_neuron import FUNCTIONS, multiplications, operations
from rheobase.analysis.energy_prices import Cost
from rheobase.surrogate import Rectangle

SIGMOID = FUNCTIONS["sigmoid"][0]


@pytest.mark.parametrize(
    ("neuron", "macs", "acs"),
    [
        (rb.LIF(), 1, 2),  # γv + x ; u − θ ; u − θs, where the spike only chooses
        (rb.LIF(reset="hard"), 1, 2),  # u (1 − s) chooses too, at the price of 1 − s
        (rb.LIF(decay_input=True), 2, 1),
        (rb.DALIF(), 2, 1),
        (rb.CLIF(), 3 + 2 * SIGMOID, 2),
        (rb.ILIF(mpiu=False, ciu=False), 1, 2),
        (rb.ILIF(ciu=False), 2 + SIGMOID, 3),
    ],
)
def test_costs_counted_by_hand(neuron, macs, acs):
    assert operations(neuron) == Cost(acs=acs, macs=macs)


def test_a_users_neuron_gets_its_own_cost():
    class Squared(rb.LIF):
        """One multiplication more."""

        def dynamics(self, x, v, *, decay, threshold):
            return super().dynamics(x * x, v, decay=decay, threshold=threshold)

    assert operations(Squared()).macs == operations(rb.LIF()).macs + 1


def test_a_product_with_a_spike_is_a_choice_and_with_a_graded_spike_is_not():
    class Graded(rb.Neuron):
        """Resets by a graded spike."""

        states = ("v",)

        def dynamics(self, x, v):
            u = x + v
            s = torch.clamp(u, 0.0, 1.0)
            return s, u - u * s

    class Sharp(Graded):
        """Resets by a spike."""

        def dynamics(self, x, v):
            u = x + v
            s = self.fire(u, torch.ones_like(u))
            return s, u - u * s

    assert (operations(Graded(Rectangle(1.0))).macs, operations(Sharp(Rectangle(1.0))).macs) == (1, 0)


def test_every_neuron_has_a_cost_and_random_ones_pay_for_their_numbers():
    for name in rb.neurons.names():
        options = {"steps": 4} if name in ("glif", "psn") else {}
        options |= {"channels": 1} if name == "glif" else {}
        found = operations(rb.neurons.create(name, **options), 4)
        assert found.macs >= 1 and found.acs >= 0 and found.memory == 0, name
    assert operations(rb.ProbLIF()).macs == operations(rb.ProbLIF(sigma=0)).macs + 1 + FUNCTIONS["exp"][0] + 5


def test_psn_costs_a_row_of_its_matrix():
    assert operations(rb.PSN(steps=6), 6) == Cost(macs=6)
    assert operations(rb.PSN(steps=6, variant="masked", order=2), 6).macs == pytest.approx((6 + 5) / 6)
    assert operations(rb.PSN(variant="sliding", order=2), 6).macs == pytest.approx(11 / 6)


def test_published_counts_beside_ours():
    assert [multiplications(neuron) for neuron in (rb.LIF(), rb.DALIF(), rb.CLIF(), rb.ILIF())] == [1, 2, 5, 4]


def test_an_untraced_neuron_says_so():
    class Untraced(rb.LIF):
        """Not fused."""

        fused = False

    with pytest.raises(ValueError, match=r"Untraced sets fused = False.*another convention"):
        operations(Untraced())
