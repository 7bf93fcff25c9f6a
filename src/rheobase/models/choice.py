"""Turns the choice of a neuron, a name or a factory, into the neuron of one layer."""

import inspect
from collections.abc import Callable, Mapping
from typing import Any

from rheobase import neurons
from rheobase.neurons import Neuron


def neuron_for(
    choice: str | Callable[..., Neuron],
    features: int | tuple[int, ...],
    steps: int | None = None,
    options: Mapping[str, Any] | None = None,
) -> Neuron:
    """A new neuron for one layer. What the layer knows, `features` and `steps`, goes to neurons that take it.

    A factory is called with those of the two that it takes by name, `options` only go to a name.
    """
    if not isinstance(choice, str):
        if options:
            raise ValueError(
                f"neuron options {dict(options)} need a neuron's name; a factory already holds its options."
            )
        return choice(**_taken(choice, features, steps))
    kind = neurons.KINDS.get(choice.lower())
    given = dict(options or {})
    layer = {} if kind is None else _taken(kind, features, steps)
    return neurons.create(choice, **{**layer, **given})


def _taken(factory: Callable, features: int | tuple[int, ...], steps: int | None) -> dict[str, Any]:
    target = factory.__init__ if inspect.isclass(factory) else factory  # the class's own call hides its arguments
    known = inspect.signature(target).parameters
    offered = {"features": features, "steps": steps}
    return {name: value for name, value in offered.items() if name in known and value is not None}
