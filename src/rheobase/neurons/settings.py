"""What a neuron's step may depend on besides its arguments: its settings, and nothing that changes by itself."""

from __future__ import annotations

import torch
from torch import Tensor, nn

from rheobase.fuse.trace import TraceError

MACHINERY = frozenset(vars(nn.Module())) | {"_program", "_key"}


def settings(neuron: nn.Module) -> tuple | None:
    """Everything a step can depend on besides its arguments; None where that cannot be compared."""
    own = {name: value for name, value in vars(neuron).items() if name not in MACHINERY}
    if neuron._modules:
        return None
    try:
        hash(found := (type(neuron), tuple(sorted(own.items(), key=lambda item: item[0]))))
    except TypeError:
        return None
    return found


class _Undecided:
    """Stands for `training` while a step is traced: a kernel made in one mode would be wrong in the other."""

    def __init__(self, owner: str):
        self.owner = owner

    def __bool__(self) -> bool:
        raise TraceError(
            f"{self.owner}: dynamics reads self.training; return from coefficients() a number that depends on it."
        )


def stand_in(neuron: nn.Module) -> nn.Module:
    """The neuron as a step sees it while it is traced: `training` and the values of its tensors cannot be read.

    Python would take them as they are now, and the kernel would keep them when training or an optimizer changes them.
    """
    twin = object.__new__(type(neuron))
    vars(twin).update(_without_values(vars(neuron)), training=_Undecided(type(neuron).__name__))
    for tensors in ("_parameters", "_buffers"):
        vars(twin)[tensors] = _without_values(vars(neuron)[tensors])
    return twin


def _without_values(given: dict) -> dict:
    return {name: torch.empty_like(v, device="meta") if isinstance(v, Tensor) else v for name, v in given.items()}
