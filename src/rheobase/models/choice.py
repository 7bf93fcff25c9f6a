"""Turns the choice of a neuron, a name or a factory, into the neuron of one layer."""

import inspect
from collections.abc import Callable, Mapping
from typing import Any

from rheobase import neurons
from rheobase.names import unknown
from rheobase.neurons import Neuron
from rheobase.neurons.named import in_file, with_options

REQUIRED = inspect.Parameter.empty


def neuron_for(
    choice: str | Callable[..., Neuron],
    features: int | tuple[int, ...],
    steps: int | None = None,
    options: Mapping[str, Any] | None = None,
    per_channel: bool | None = False,
    **wanted: Any,
) -> Neuron:
    """A new neuron for one layer. What the layer knows, `features` and `steps`, goes to neurons that take it.

    A factory is called with those of the two that it takes by name, `options` only go to a name. `channels` go to
    factories that cannot do without, and with `per_channel` to every neuron; None: to those that are `channelwise`.
    `wanted`, settings that one place in a network asks for, come last and go to neurons that take them.
    Errors: ValueError for an unknown name or option, for options beside a factory, and for `per_channel` with a neuron
    that has no parameter to spread; TypeError for what is no factory of neurons.
    """
    if isinstance(choice, str):
        name, given = with_options(choice, options or {})
        if name == "relu":
            raise ValueError("neuron 'relu', the twin without time, is for image networks only.")
        if name.lower() not in neurons.KINDS and not in_file(name):
            raise unknown("neuron", name, [*neurons.names(), "relu"])
        kind = neurons.kind(name)
        spread = kind.channelwise if per_channel is None else per_channel
        offered = _offered(kind, features, steps, spread)
        return neurons.create(name, **{**offered, **given, **_taken(kind, wanted)})
    if options:
        raise ValueError(f"neuron options {dict(options)} need a neuron's name; a factory already holds its options.")
    if not callable(choice) or isinstance(choice, Neuron):
        raise TypeError(f"neuron must be a name or a factory, such as lambda: rb.CLIF(tau=2.0); got {choice!r}.")
    made = choice(**_offered(choice, features, steps, bool(per_channel)), **_taken(choice, wanted))
    if not isinstance(made, Neuron):
        raise TypeError(f"neuron: the factory must return an rb neuron, such as rb.CLIF(); got {made!r}.")
    return made


def _parameters(factory: Callable) -> Mapping[str, inspect.Parameter]:
    target = factory.__init__ if inspect.isclass(factory) else factory  # the class's own call hides its arguments
    return inspect.signature(target).parameters


def _taken(factory: Callable, offered: Mapping[str, Any]) -> dict[str, Any]:
    return {name: value for name, value in offered.items() if name in _parameters(factory)}


def _offered(factory: Callable, features: int | tuple[int, ...], steps: int | None, per_channel: bool):
    """What a layer hands to the maker of its neuron."""
    known, name = _parameters(factory), getattr(factory, "__name__", str(factory))
    if per_channel and not known.keys() & {"channels", "features"}:
        raise ValueError(f"per_channel: {name} has no parameters to give per channel.")
    if steps is None and "steps" in known and known["steps"].default is REQUIRED:
        raise ValueError(f"{name} has parameters per time step: give the model steps=T.")
    offered: dict[str, Any] = {"features": features, "steps": steps}
    if per_channel or ("channels" in known and known["channels"].default is REQUIRED):
        offered["channels"] = features
    return {key: value for key, value in _taken(factory, offered).items() if value is not None}
