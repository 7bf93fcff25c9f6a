"""The check suite that every neuron passes, yours too: `rheobase check my.py:MyNeuron`, or `checks.run(MyNeuron)`.

Each check is a function of a `Subject` that raises `CheckFailed` where the neuron breaks its promise. The tests of this
package are these functions on every neuron it has; tests/test_the_checks.py shows which wrong programs they catch.
"""

from __future__ import annotations

import dataclasses
import time
from collections.abc import Callable

from rheobase.checks import agreement, contract, gpu, layouts, refusals
from rheobase.checks.subject import CheckFailed, Subject, maker
from rheobase.neurons import Neuron

Check = Callable[[Subject], object]

ALWAYS: tuple[Check, ...] = (
    contract.gradients, contract.surrogate, contract.shapes, contract.traced, contract.finite, contract.permuted,
    contract.saved, contract.nan, contract.types, contract.default_type, contract.unaliased, contract.per_channel,
    refusals.arguments, refusals.inputs, refusals.backend_names, refusals.parameter_shapes,
)  # fmt: skip
SMOOTH: tuple[Check, ...] = (contract.gradients, contract.surrogate)  # they differentiate the surrogate's primitive
STEPWISE: tuple[Check, ...] = (contract.resumed, contract.stepped, refusals.given_states)
FUSED: tuple[Check, ...] = (
    agreement.dyadic_options, agreement.dyadic_surrogates, agreement.dyadic_dtypes, agreement.random_inputs,
    layouts.strided, layouts.every_element, layouts.long, layouts.wide, layouts.thread_count, layouts.at_once,
    layouts.denormals, layouts.twice, layouts.recurrent,
)  # fmt: skip


@dataclasses.dataclass(frozen=True)
class Result:
    """What one check found: its name, whether the neuron passed, and the message if not."""

    name: str
    passed: bool
    message: str
    seconds: float


def applicable(subject: Subject) -> list[Check]:
    """The checks for this neuron on this machine."""
    found = [*ALWAYS, *(STEPWISE if subject.stepwise else ()), *(FUSED if subject.can_fuse else ())]
    found += [gpu.equals_eager] if subject.fused and gpu.runs_here() else []
    return [check for check in found if check not in skipped(subject)]


def skipped(subject: Subject) -> tuple[Check, ...]:
    """The checks that this neuron cannot be given, because its surrogate has no primitive."""
    return () if subject.smooth else SMOOTH


def name(check: Check) -> str:
    """The name of a check, such as `agreement.long`."""
    return f"{check.__module__.rpartition('.')[2]}.{check.__name__}"


def run(make: Callable[..., Neuron]) -> list[Result]:
    """Run every applicable check on a neuron class, or on a function that makes neurons from keyword arguments."""
    subject = Subject(make)
    return [result(check, subject) for check in applicable(subject)]


def result(check: Callable, subject: object) -> Result:
    """Run one check; whatever it raises is its message."""
    begin, message = time.perf_counter(), ""
    try:
        check(subject)
    except CheckFailed as failure:
        message = str(failure)
    except Exception as error:
        message = f"{type(error).__name__}: {error}"
    return Result(name(check), not message, message, time.perf_counter() - begin)


__all__ = ["CheckFailed", "Result", "Subject", "applicable", "maker", "result", "run", "skipped"]
