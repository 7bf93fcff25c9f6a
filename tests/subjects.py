"""Every neuron of the package for the checks, found by itself, and the few that only an option's value brings out."""

import functools

import rheobase as rb
from rheobase import checks


def sliding_psn(*, surrogate: rb.surrogate.Surrogate = rb.surrogate.ATan()) -> rb.PSN:  # noqa: B008 (frozen)
    return rb.PSN(variant="sliding", order=2, surrogate=surrogate)


EXTRA = {
    "problif-deterministic": functools.partial(rb.ProbLIF, sigma=0.0),
    "probplif-deterministic": functools.partial(rb.ProbPLIF, sigma=0.0),
    "plif-soft": functools.partial(rb.PLIF, variant="soft"),
    "psn-masked": functools.partial(rb.PSN, variant="masked", order=2),
    "psn-sliding": sliding_psn,
}

MAKERS = dict(rb.neurons.KINDS) | EXTRA
FOR_EXTRA = ("gradients", "shapes", "resumed", "dyadic_options", "random_inputs", "per_channel", "types", "recurrent")


@functools.cache
def subject(name: str) -> checks.Subject:
    return checks.Subject(MAKERS[name])


def cases(wanted) -> list[tuple[str, str]]:
    """(neuron, check) for the checks among `wanted` that apply; plain names, so that every worker collects the same."""
    found = []
    for name in MAKERS:
        known = {checks.name(check) for check in checks.applicable(subject(name))}
        if name in EXTRA:
            known = {check for check in known if check.endswith(FOR_EXTRA)}
        found += [(name, checks.name(check)) for check in wanted if checks.name(check) in known]
    return found


def run(name: str, check: str) -> None:
    """Run one check on one neuron; raises `CheckFailed`."""
    next(found for found in checks.applicable(subject(name)) if checks.name(found) == check)(subject(name))
