"""Mistakes of the user are refused with what is wrong and what to do."""

from __future__ import annotations

import re
from collections.abc import Callable

import torch

from rheobase.checks.subject import CHANNELS, Subject, require, start
from rheobase.fuse import operator


def refuses(where: str, kinds: type[Exception], words: str, call: Callable) -> None:
    """The call raises one of these errors, and its message matches `words`."""
    try:
        call()
    except kinds as error:
        require(re.search(words, str(error)), f"{where}: the message lacks {words!r}: {error}")
        return
    except Exception as error:
        require(False, f"{where}: raises {type(error).__name__} instead: {error}")
    require(False, f"{where}: is accepted")


def arguments(subject: Subject) -> None:
    """An unknown keyword fails with the nearest known one; an unknown word of an option does, too."""
    name = next(iter(k for k in subject.signature if len(k) > 3), None)
    if name is not None:
        wrong = name[:-1] + "_"
        refuses(f"{subject.name}({wrong}=1)", TypeError, f"{wrong}.*{name}", lambda: subject.make(**{wrong: 1}))
    if "reset" in subject.signature:
        refuses(f"{subject.name}(reset='sofd')", ValueError, "soft", lambda: subject.neuron(reset="sofd"))
    if "surrogate" in subject.signature:
        refuses(f"{subject.name}(surrogate=1)", TypeError, "surrogate", lambda: subject.neuron(surrogate=1))
        refuses(f"{subject.name}(surrogate='atam')", ValueError, "ATan", lambda: subject.neuron(surrogate="atam"))


def inputs(subject: Subject) -> None:
    """Integer inputs, single numbers, lists, and `uniform` where it does not belong or of another shape."""
    neuron = subject.neuron(4)
    x = torch.zeros(4, 2, CHANNELS)
    refuses(f"{subject.name}, integers", TypeError, "floating", lambda: neuron(x.long()))
    refuses(f"{subject.name}, a list", TypeError, "floating", lambda: neuron([1.0, 2.0]))  # pyright: ignore[reportArgumentType]
    refuses(f"{subject.name}, a number", ValueError, "time", lambda: neuron(torch.zeros(())))
    if subject.random:
        refuses(f"{subject.name}, uniform", ValueError, "uniform.*shape", lambda: neuron(x, uniform=x[1:]))
        for wrong in (float("nan"), -0.25, 1.5):
            drawn = torch.full_like(x, wrong)
            refuses(f"{subject.name}, uniform", ValueError, r"\[0, 1\)", lambda drawn=drawn: neuron(x, uniform=drawn))
    elif not hasattr(neuron, "seed"):
        refuses(f"{subject.name}, uniform", ValueError, "uniform", lambda: neuron(x, uniform=x))


def given_states(subject: Subject) -> None:
    """States of another neuron, incomplete or of another shape."""
    neuron = subject.neuron(4)
    x = torch.zeros(4, 2, CHANNELS)
    state = start(neuron, x)
    if not state:
        return
    name = next(iter(state))
    more = state | {"no_state": x[0]}
    refuses(f"{subject.name}, unknown state", ValueError, "no_state", lambda: neuron.scan(x, more))
    missing = {k: v for k, v in state.items() if k != name} | ({"s": x[0]} if len(state) == 1 else {})
    refuses(f"{subject.name}, without {name}", ValueError, "state", lambda: neuron.scan(x, missing))
    short = state | {name: torch.zeros(1, CHANNELS)}
    if name in neuron.states:
        refuses(f"{subject.name}, state of another shape", ValueError, "shape", lambda: neuron.scan(x, short))


def backend_names(subject: Subject) -> None:
    """An unknown backend fails with the known ones."""

    def enter() -> None:
        with operator.backend("gpu"):
            pass

    refuses(subject.name, ValueError, "gpu.*triton", enter)


def parameter_shapes(subject: Subject) -> None:
    """Parameters per channel on inputs with other channels."""
    for name in ("channels", "features"):
        if name in subject.signature:
            neuron = subject.neuron(4, **{name: CHANNELS})
            x = torch.zeros(4, 2, CHANNELS + 4)
            for backend in ("eager", "auto"):
                with operator.backend(backend):
                    refuses(f"{subject.name}({name}={CHANNELS})", ValueError, "shape", lambda: neuron(x))  # noqa: B023
