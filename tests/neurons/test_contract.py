"""What every neuron promises, checked on every neuron the package has; see rheobase.checks."""

import pytest

from rheobase import checks
from tests import subjects


@pytest.mark.parametrize(("name", "check"), subjects.cases(checks.ALWAYS + checks.STEPWISE))
def test_neuron_keeps_its_promises(name, check):
    assert subjects.run(name, check) is None
