"""The checks on neurons that fire in their own way, through inject or a surrogate that is called."""

import dataclasses
import functools

import pytest
import torch

import rheobase as rb
from rheobase import checks
from rheobase.checks import agreement, contract


@dataclasses.dataclass(frozen=True)
class Calling(rb.surrogate.Surrogate):
    """Its own way to fire, which takes nothing but d."""

    def derivative(self, d):
        return (d.abs() < 0.5).to(d.dtype)

    def __call__(self, d):
        return rb.surrogate.inject((d >= 0).to(d.dtype), d, self.derivative(d))


class Injecting(rb.Neuron):
    """Fires through a surrogate that is called directly."""

    states = ("v",)
    rough = False

    def __init__(self):
        super().__init__(Calling())

    def coefficients(self):
        return {"decay": 0.5, "threshold": 1.0}

    def dynamics(self, x, v, *, decay, threshold):
        u = decay * v + (torch.sin(torch.exp(x) * 1e4) if self.rough else x)
        self.note(u=u, threshold=threshold)
        if self.rough:
            s = rb.surrogate.inject((u >= threshold).to(u.dtype), u, self.surrogate.derivative(u - threshold))
        else:
            s = self.surrogate(u - threshold)
        return s, u - s * threshold


def test_neurons_that_fire_in_their_own_way_are_checked():
    subject = checks.Subject(Injecting)
    failed = [
        found
        for found in map(functools.partial(checks.result, subject=subject), checks.applicable(subject))
        if not found.passed
    ]
    assert not failed and contract.gradients in checks.skipped(subject)
    assert contract.gradients not in checks.skipped(checks.Subject(rb.ProbLIF))


class Rough(Injecting):
    """Fires through inject alone, on a potential that no two functions of sin agree on."""

    rough = True


def test_flips_of_neurons_that_inject_are_measured():
    with pytest.raises(checks.CheckFailed, match=r"a spike flips at a distance of 0\.0"):
        agreement.random_inputs(checks.Subject(Rough))


class Silent(Rough):
    """The same, without a note of how near the threshold it was."""

    def note(self, **values):
        pass


def test_flips_of_neurons_that_do_not_say_how_near_they_were():
    with pytest.raises(checks.CheckFailed, match="does not say how near"):
        agreement.random_inputs(checks.Subject(Silent))
