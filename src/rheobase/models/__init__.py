"""Architectures by name: `rb.models.create("recurrent", neuron="clif", in_channels=8, num_classes=10)`."""

import inspect
from collections.abc import Callable

from torch import nn

from rheobase.models.recurrent import recurrent
from rheobase.names import unknown
from rheobase.neurons import Neuron

ARCHITECTURES: dict[str, Callable[..., nn.Module]] = {"recurrent": recurrent}


def names() -> list[str]:
    """The names that `create` knows."""
    return list(ARCHITECTURES)


def create(name: str, neuron: str | Callable[..., Neuron] = "lif", **options) -> nn.Module:
    """A model by its name, with the neuron of this lower-case name or from this factory in every spiking layer.

    Errors: ValueError naming the nearest known one for an unknown model or an option that the model does not take.
    """
    if name not in ARCHITECTURES:
        raise unknown("model", name, ARCHITECTURES)
    known = list(inspect.signature(ARCHITECTURES[name]).parameters)
    for option in options:
        if option not in known:
            raise unknown(f"option of model {name}", option, known)
    return ARCHITECTURES[name](neuron=neuron, **options)


__all__ = ["create", "names"]
