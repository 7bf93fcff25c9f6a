"""The fused CPU kernels of every neuron against the eager loop; see rheobase.checks for each check.

The surrogate is compiled into the kernel, so that the whole product of neurons, surrogates, resets and types would
take 900 compiles. In float32 all of neuron × surrogate × reset runs, and every option of every neuron; in the other
types each neuron and reset runs with one surrogate, another one from neuron to neuron, so that every pair of type and
surrogate and of type and neuron occurs. `RHEOBASE_CHECKS=full` runs the whole product.
"""

import itertools
import os

import pytest

import rheobase as rb
from rheobase import checks
from rheobase.checks import agreement
from rheobase.checks.subject import CHANNELS, DTYPES, WIDTH, eighths, quarters, start
from tests import subjects

FULL = os.environ.get("RHEOBASE_CHECKS") == "full"
FUSED = [name for name in subjects.MAKERS if subjects.subject(name).can_fuse]


@pytest.mark.parametrize(("name", "check"), subjects.cases(checks.FUSED))
def test_kernel_keeps_its_promises(name, check):
    assert subjects.run(name, check) is None


@pytest.mark.parametrize("name", FUSED)
def test_the_inputs_of_the_checks_meet_the_threshold(name):
    """For a user's neuron the check asks for that only where potentials lie on a grid; ours all meet it."""
    neuron, shape = subjects.subject(name).dyadic(24), (24, 20, CHANNELS, WIDTH)
    if neuron.surrogate is not None:
        uniform = eighths(shape) if neuron.random else None
        x = quarters(shape)
        assert agreement.dyadic_ties(neuron, x, start(neuron, x), uniform)[0] > 0


class Thirds(rb.LIF):
    """Potentials on no grid."""

    def dynamics(self, x, v, *, decay, threshold, gain=None, v_reset=None):
        return super().dynamics(x / 3.0 + 0.1, v, decay=decay, threshold=threshold, v_reset=v_reset)


class Aside(rb.LIF):
    """Potentials on a grid that the threshold is not on."""

    def dynamics(self, x, v, *, decay, threshold, gain=None, v_reset=None):
        return self.fire(x + 0.0625, threshold), 0.0 * v


def test_a_neuron_off_the_grid_needs_no_ties_and_one_on_it_does():
    agreement.dyadic(checks.Subject(Thirds))
    with pytest.raises(checks.CheckFailed, match="no potential meets the threshold"):
        agreement.dyadic(checks.Subject(Aside))


def test_types_and_surrogates_all_meet():
    """The turning choice of `dyadic_dtypes` covers every pair of type and surrogate over the neurons."""
    met = {pair for name in FUSED for pair in agreement.turns(subjects.subject(name))}
    assert {(dtype, surrogate) for dtype, surrogate, _ in met} == set(itertools.product(DTYPES, rb.surrogate.names()))


@pytest.mark.parametrize(
    ("name", "surrogate", "dtype"), list(itertools.product(FUSED, rb.surrogate.names(), DTYPES)) if FULL else []
)
def test_whole_product(name, surrogate, dtype):
    subject = subjects.subject(name)
    for reset in subject.resets():
        assert agreement.dyadic(subject, dtype, surrogate=getattr(rb.surrogate, surrogate)(), **reset) is None
