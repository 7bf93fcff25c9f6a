"""Failures of a simulation that both engines report in the same words."""

from __future__ import annotations


class TooManyEvents(RuntimeError):
    """A sample has more events than the limit."""


def too_many(sample: int, limit: int) -> TooManyEvents:
    return TooManyEvents(
        f"simulate: sample {sample} has more than max_events={limit} events. Strong excitation can make spikes without "
        "end; lower the weights, or raise max_events."
    )


def overflow(sample: int) -> RuntimeError:
    return RuntimeError(
        f"simulate: the state of sample {sample} overflowed. Weights in the thousands do that; scale them down, or use "
        "float64."
    )
