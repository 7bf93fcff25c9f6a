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
from rheobase.checks.subject import DTYPES
from tests import subjects

FULL = os.environ.get("RHEOBASE_CHECKS") == "full"
FUSED = [name for name in subjects.MAKERS if subjects.subject(name).can_fuse]


@pytest.mark.parametrize(("name", "check"), subjects.cases(checks.FUSED))
def test_kernel_keeps_its_promises(name, check):
    assert subjects.run(name, check) is None


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
