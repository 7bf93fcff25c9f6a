"""`rheobase show`: a neuron's card."""

from dataclasses import dataclass

import tyro

from rheobase.commands import flags, terminal


@dataclass(frozen=True)
class Options:
    """What `rheobase show` prints."""

    neuron: tyro.conf.Positional[str] = "lif"
    """A neuron's name, or FILE.py:CLASS."""
    code: bool = False
    """Also the generated kernels."""


def run(arguments: list[str]) -> int:
    """Print a neuron: equations, operations, bytes, kernels: `rheobase show clif [--code]`, `show my.py:MyNeuron`."""
    from rheobase import show

    options = flags.parse(Options, arguments, "show")
    terminal.say(show.card(show.load(options.neuron), options.code))
    return 0
