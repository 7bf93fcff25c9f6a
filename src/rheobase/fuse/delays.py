"""What follows from axonal delays alone, found once per tensor: on a GPU looking at values means waiting for it."""

from __future__ import annotations

from typing import NamedTuple

from torch import Tensor
from torch.utils.weak import WeakIdKeyDictionary

_known = WeakIdKeyDictionary()  # delays: (their version, what was found)


class Known(NamedTuple):
    """The shortest and the longest delay, and the different ones, ascending, each with its neurons' numbers."""

    shortest: int
    longest: int
    groups: list[tuple[int, Tensor]]


def known(delays: Tensor) -> Known:
    """Facts about delays [n], whole numbers, n at least 1."""
    if delays.is_inference():  # nobody could tell whether it has changed
        return _look(delays)
    found = _known.get(delays)
    if found is None or found[0] != delays._version:
        found = _known[delays] = (delays._version, _look(delays))
    return found[1]


def _look(delays: Tensor) -> Known:
    held = delays.cpu()
    different = held.unique().tolist()
    groups = [(delay, (held == delay).nonzero()[:, 0].to(delays.device)) for delay in different]
    return Known(different[0], different[-1], groups)
