"""One neuron alone: its inputs, and how its spike depends on the potential."""

from __future__ import annotations

import math

import pytest
import torch

import rheobase as rb
from rheobase.analysis.potentials import distance, inside, potential, spike_function
from rheobase.analysis.response import DRIVES, drive, respond
from rheobase.neurons import KINDS, create

S = rb.surrogate


def test_drives_have_the_mean_that_they_are_asked_for():
    for name in DRIVES:
        x = drive(name, 4000, 0.7, trains=3)
        assert x.shape == (4000, 3) and float(x.mean()) == pytest.approx(0.7, rel=0.02)
    assert torch.equal(drive("poisson", 50, 1.0, seed=3), drive("poisson", 50, 1.0, seed=3))
    assert not torch.equal(drive("poisson", 50, 1.0, seed=3), drive("poisson", 50, 1.0, seed=4))
    ramp = drive("ramp", 11, 1.0)[:, 0]
    assert ramp[0] == 0 and ramp[-1] == 2 and torch.allclose(ramp.diff(), torch.tensor(0.2))
    with pytest.raises(ValueError, match="'ramp'"):
        drive("rampe", 4, 1.0)


def test_responses_repeat_and_leave_the_generator_alone():
    neuron, x = rb.ProbLIF(tau=2.0), drive("constant", 30, 1.0)
    before = torch.get_rng_state()
    first, again, other = respond(neuron, x, 1), respond(neuron, x, 1), respond(neuron, x, 2)
    assert torch.equal(before, torch.get_rng_state())
    assert torch.equal(first["s"], again["s"]) and not torch.equal(first["s"], other["s"])


@pytest.mark.parametrize("name", sorted(set(KINDS) - {"psn"}))
def test_the_spike_function_of_every_neuron_steps_at_its_threshold(name):
    options = {"steps": 4} if name == "glif" else {}
    neuron = create(name, **options)
    found = spike_function(neuron)
    threshold = float(neuron.trace(torch.zeros(1, 1))["threshold"].detach())
    assert bool((found.spikes[found.u > threshold + 1e-9] == 1).all())
    if not neuron.random:
        assert bool((found.spikes[found.u < threshold - 1e-9] == 0).all())
        scale = threshold if name == "dietlif" else 1.0
        wanted = neuron.surrogate.derivative((found.u - threshold) / scale) / scale
        near = (found.u - threshold).abs() < 0.49  # KLIF's potential is never negative
        torch.testing.assert_close(found.derivative[near], wanted[near])


def test_the_probability_of_problif_is_the_published_one():
    for sigma in (0.5, 1.0, 2.0):
        found = spike_function(rb.ProbLIF(sigma=sigma, mix=0.7))
        p = torch.exp(((found.u - 1) / sigma).clamp(max=0))
        torch.testing.assert_close(found.spikes, p)
        below = found.u < 1 - 1e-9
        torch.testing.assert_close(
            found.derivative[below], (S.DoubleGaussian().derivative(found.u - 1) + 0.7 * p / sigma)[below]
        )


def test_a_potential_that_does_not_follow_the_input_is_refused():
    with pytest.raises(ValueError, match="does not follow"):
        spike_function(rb.DALIF(alpha=0.0))


def test_the_potential_before_the_spike_also_where_a_neuron_keeps_the_one_after():
    neuron = rb.DietLIF(threshold=0.5)
    record = neuron.trace(torch.tensor([[0.4], [0.3], [0.2]]))
    assert record["s"].flatten().tolist() == [0, 1, 0]
    assert potential(record).flatten().tolist() == pytest.approx([0.4, 0.7, 0.4])
    assert distance(record).flatten().tolist() == pytest.approx([-0.2, 0.4, -0.2])
    record = rb.ALIF().trace(torch.full((400, 1), 3.0))
    assert record["threshold"].max() > 1.1, "a threshold that adapts is recorded as it was"
    torch.testing.assert_close(distance(record), record["u"] - 1 - 1.6 * record["b"])
    with pytest.raises(ValueError, match="threshold"):
        potential({"u": torch.zeros(1)})


def test_the_support_of_surrogates():
    d = torch.tensor([-1.01, -0.5, 0.0, 0.5, 0.51])
    assert inside(S.Rectangle(1.0), d).tolist() == [False, True, True, True, False]
    assert inside(S.Triangle(0.3, 1.0), d).tolist() == [False, True, True, True, True]
    edge = math.sqrt(99) / math.pi  # 1/(1 + (π d)²) = 1/100
    found = inside(S.ATan(2.0), torch.tensor([edge - 1e-3, edge + 1e-3], dtype=torch.float64))
    assert found.tolist() == [True, False]


def test_u_of_a_trace_is_before_the_reset_whatever_the_states_are_called():
    class Named(rb.Neuron):
        states = ("u",)

        def dynamics(self, x, u):
            u = 0.5 * u + x
            s = self.fire(u, 1.0)
            return s, u - s

    for neuron in (Named(), rb.DietLIF()):
        record = neuron.trace(torch.full((8, 1), 1.5))
        seen = record["u"] >= record["threshold"] if isinstance(neuron, Named) else record["u"] > record["threshold"]
        assert torch.equal(seen.float(), record["s"]), type(neuron)
