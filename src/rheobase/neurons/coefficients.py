"""What `coefficients()` may return: numbers and tensors, by name."""

from __future__ import annotations

from collections.abc import Collection, Mapping
from numbers import Real

from torch import Tensor

from rheobase.fuse.step import Coefficient
from rheobase.names import nearest


def checked(kind: str, values: Mapping[str, Coefficient], timed: Collection[str]) -> Mapping[str, Coefficient]:
    """The coefficients as given. Errors: TypeError for what is no number and no tensor; `kind` names the neuron.

    `timed`: the names of those with one entry per time step in front.
    """
    if not isinstance(values, Mapping):
        raise TypeError(f"{kind}: coefficients() must return a dict of values by name; got a {type(values).__name__}.")
    for name in timed:
        if name not in values:
            raise TypeError(f"{kind}: coefficients() lacks {name!r}, which `timed` lists{nearest(name, values)}")
    for name, value in values.items():
        wanted = "a tensor [T, ...], as `timed` lists it" if name in timed else "a number or a tensor"
        if not isinstance(value, Tensor if name in timed else (Tensor, Real)):
            hint = "torch.tensor makes one of a list or array; keep it with register_buffer."
            raise TypeError(f"{kind}: coefficient {name} must be {wanted}; got a {type(value).__name__}. {hint}")
        if isinstance(value, Tensor) and value.is_complex():
            raise TypeError(f"{kind}: coefficient {name} must be real; got {value.dtype}.")
        if name in timed and not value.dim():  # type: ignore[union-attr]
            raise TypeError(f"{kind}: coefficient {name} must be {wanted}; got a single number.")
    return values
