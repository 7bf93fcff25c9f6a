"""All neurons. A new one is a file here and a line below; tests, benchmarks and docs find it by themselves."""

from rheobase.names import unknown
from rheobase.neurons.alif import ALIF
from rheobase.neurons.base import Neuron
from rheobase.neurons.clif import CLIF
from rheobase.neurons.dalif import DALIF
from rheobase.neurons.dietlif import DietLIF
from rheobase.neurons.glif import GLIF
from rheobase.neurons.ilif import ILIF, IPLIF
from rheobase.neurons.klif import KLIF
from rheobase.neurons.lif import LIF
from rheobase.neurons.named import from_file, in_file, with_options
from rheobase.neurons.plif import PLIF
from rheobase.neurons.problif import ProbLIF, ProbPLIF
from rheobase.neurons.psn import PSN
from rheobase.neurons.tclif import TCLIF
from rheobase.neurons.truncation import truncated

_KINDS = (LIF, PLIF, CLIF, ILIF, IPLIF, DALIF, KLIF, GLIF, PSN, ALIF, TCLIF, DietLIF, ProbLIF, ProbPLIF)
KINDS: dict[str, type[Neuron]] = {kind.__name__.lower(): kind for kind in _KINDS}


def names() -> list[str]:
    """The lower-case names that `create` knows."""
    return list(KINDS)


def kind(name: str) -> type[Neuron]:
    """The class of a neuron by its lower-case name, or of your own as `path/to/my.py:MyNeuron`.

    Errors: ValueError naming the nearest name, and for a file without such a class.
    """
    if in_file(name):
        return from_file(name)
    if name.lower() not in KINDS:
        raise unknown("neuron", name, names())
    return KINDS[name.lower()]


def create(name: str, **options) -> Neuron:
    """A neuron by name (see `kind`), with options behind it as on a command line (`lif:tau=4`) or by keyword.

    A surrogate may be given as text. `gradient_steps=k`: as `truncated` makes it.
    Errors: ValueError naming the nearest name, and for an option that is given twice.
    """
    name, options = with_options(name, options)
    steps = options.pop("gradient_steps", None)
    neuron = kind(name)(**options)
    return neuron if steps is None else truncated(neuron, steps)


__all__ = ["KINDS", "Neuron", "create", "kind", "names", "truncated", *[kind.__name__ for kind in _KINDS]]
