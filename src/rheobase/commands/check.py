"""`rheobase check`: the check suite on one neuron."""

import importlib.util
import os
from collections.abc import Callable
from dataclasses import dataclass

import tyro

from rheobase.commands import flags, terminal


@dataclass(frozen=True)
class Options:
    """The check suite that every neuron here passes: gradients, kernels against eager, shapes, refusals.

    Options behind the name stay as they are in every check: `lif:tau=4:reset=hard`, `my.py:MyNeuron:leak=0.25`.
    The GPU kernels are compared with eager on a GPU, or without one in Triton's interpreter, and compiled for sm_80 and
    sm_90 either way, where Triton is installed.
    """

    neuron: tyro.conf.Positional[str]
    """A neuron's name (`clif`), or your own in a file, FILE.py:CLASS (`my.py:MyNeuron`)."""


def run(arguments: list[str]) -> int:
    """Run the check suite that every neuron here passes: `rheobase check clif`, `rheobase check my.py:MyNeuron`."""
    import torch

    chosen = flags.parse(Options, arguments, "check").neuron
    if not torch.cuda.is_available():
        os.environ.setdefault("TRITON_INTERPRET", "1")  # read when triton is imported, which tracing does
    from rheobase import checks

    subject = checks.Subject(checks.maker(chosen))
    work: list[tuple[Callable, object]] = [(check, subject) for check in checks.applicable(subject)]
    if importlib.util.find_spec("triton") and subject.fused:
        work.append((checks.gpu.compiles, chosen))
    failed = 0
    for check, given in work:
        result = checks.result(check, given)
        terminal.say(f"{'ok  ' if result.passed else 'FAIL'} {result.name:28s} {result.seconds:6.2f} s")
        if not result.passed:
            failed += 1
            terminal.say(f"     {result.message}")
    for skipped in checks.skipped(subject):
        without = "dynamics calls inject inside smooth(), too" if subject.injects else "the surrogate has no primitive"
        terminal.say(f"skip {checks.name(skipped)}: {without}, so there is nothing to differentiate")
    terminal.say(f"\n{len(work) - failed} of {len(work)} checks passed")
    return min(failed, 1)
