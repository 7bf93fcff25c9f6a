"""What a neuron's step may depend on besides its arguments: its settings, and nothing that changes by itself."""

from __future__ import annotations

import dataclasses
import enum
import inspect
import numbers
import operator
import types
from typing import Any

import torch
from torch import Tensor, nn

from rheobase.fuse.trace import TraceError
from rheobase.surrogate import Surrogate

MACHINERY = frozenset(vars(nn.Module())) | {"_program", "_key", "_inside"}
FUNCTIONS = (type, types.FunctionType, types.BuiltinFunctionType)
FIXED = (type(None), bool, numbers.Number, str, bytes, enum.Enum, torch.dtype, torch.device, torch.Size, *FUNCTIONS)


def settings(neuron: nn.Module) -> tuple | None:
    """Everything a step can depend on besides its arguments; None where that cannot be compared.

    Of tensors, which are hidden from a step, that they are there, and their shapes; of the class and what its functions
    know by name, what is plain data.
    """
    own = {name: value for name, value in vars(neuron).items() if name not in MACHINERY}
    if neuron._modules:
        return None
    tensors = {**neuron._parameters, **neuron._buffers}
    shapes = tuple((name, None if value is None else tuple(value.shape)) for name, value in tensors.items())
    try:
        return type(neuron), _comparable(own), shapes, _around(type(neuron))
    except TypeError:
        return None


def _around(kind: type) -> tuple:
    """Plain data that the functions of a class can read besides the neuron's own: its attributes and their globals."""
    found = []
    for owner in kind.__mro__:
        if owner is nn.Module or owner.__module__ == "rheobase.neurons.base":
            break
        for name, value in vars(owner).items():
            if isinstance(value, types.FunctionType):
                found += [(name, value), *_known(value)]
            elif not name.startswith("__") and (key := _plain(value)) is not None:
                found.append((name, key))
    return tuple(found)


def _known(function: types.FunctionType) -> list[tuple]:
    """Plain data among the globals and the closure of a function."""
    cells = zip(function.__code__.co_freevars, function.__closure__ or (), strict=True)
    values = {name: function.__globals__.get(name) for name in function.__code__.co_names}
    values |= {name: cell.cell_contents for name, cell in cells if _filled(cell)}
    return [(name, key) for name, value in values.items() if (key := _plain(value)) is not None]


def _filled(cell: Any) -> bool:
    try:
        return cell.cell_contents is not None
    except ValueError:
        return False


def _plain(value: Any) -> tuple | None:
    """Numbers, text and tuples of them as a key; None for all else."""
    if isinstance(value, FUNCTIONS) or value is None:
        return None
    try:
        return _comparable(value) if isinstance(value, (*FIXED, tuple)) else None
    except TypeError:
        return None


def _is_settled(value: Any) -> bool:
    """Whether an object keeps its attributes: a surrogate in use, or a frozen dataclass."""
    frozen = dataclasses.is_dataclass(value) and value.__dataclass_params__.frozen  # type: ignore[attr-defined]
    return hasattr(value, "__dict__") and not isinstance(value, type) and (frozen or isinstance(value, Surrogate))


def _comparable(value: Any) -> tuple:
    """A value as a key: equal for equal kinds with equal contents only. Errors: TypeError for what can change."""
    if isinstance(value, dict):
        return tuple((name, _comparable(value[name])) for name in sorted(value))
    if _is_settled(value):
        return type(value), _comparable(vars(value))
    if isinstance(value, tuple):
        return tuple, tuple(map(_comparable, value))
    if not isinstance(value, FIXED):
        raise TypeError(f"{type(value).__name__} can change")
    return type(value), value if isinstance(value, FUNCTIONS) else repr(value)  # repr tells True from 1, −0.0 from 0.0


class _Undecided:
    """Stands for `training` while a step is traced: a kernel made in one mode would be wrong in the other."""

    def __init__(self, owner: str):
        self.owner = owner

    def __bool__(self) -> bool:
        raise TraceError(
            f"{self.owner}: dynamics reads self.training; return from coefficients() a number that depends on it."
        )


def stand_in(neuron: nn.Module) -> nn.Module:
    """The neuron as a step sees it while it is traced: neither `training` nor the values of tensors nor the contents of
    lists, dicts and other objects that change can be read, in the neuron, its surrogate or its submodules.

    Python would take them as they are now, and the kernel would keep them when training or an optimizer changes them.
    """
    twin = object.__new__(type(neuron))
    vars(twin).update(_without_values(vars(neuron)), training=_Undecided(type(neuron).__name__))
    for tensors in ("_parameters", "_buffers"):
        vars(twin)[tensors] = _without_values(vars(neuron)[tensors])
    vars(twin)["_modules"] = {name: inner and stand_in(inner) for name, inner in neuron._modules.items()}
    return twin


def _without_values(given: dict) -> dict:
    return {name: _hidden(name, value) for name, value in given.items()}


def _hidden(name: str, value: Any) -> Any:
    """What a step sees of an attribute while it is traced: nothing of what may be another at the next call."""
    if isinstance(value, Tensor):
        return torch.empty_like(value, device="meta")
    if _is_settled(value):
        twin = object.__new__(type(value))
        vars(twin).update(_without_values(vars(value)))
        return twin
    if isinstance(value, tuple) and not isinstance(value, torch.Size):
        inside = [_hidden(name, one) for one in value]
        return value if all(map(operator.is_, inside, value)) else tuple(inside)
    fixed = name in MACHINERY or isinstance(value, FIXED)
    return value if fixed else _Changeable(name, value)


class _Changeable:
    """Stands for an attribute whose contents can change: a kernel would keep what they are while it is made."""

    def __init__(self, name: str, value: Any):
        vars(self).update(_name=name, _kind=type(value).__name__)

    def _refuse(self, *_: Any) -> Any:
        raise TraceError(
            f"dynamics reads self.{self._name}, a {self._kind}, whose contents may change behind the kernel; keep "
            "numbers as attributes of their own, in a tuple or a frozen dataclass, or return them from coefficients()."
        )

    __getattr__ = __getitem__ = __iter__ = __len__ = __call__ = __bool__ = __float__ = __contains__ = _refuse


def changed(neuron: nn.Module, name: str, value: Any) -> dict[str, Any]:
    """What becomes of a finished neuron's settings where `name` is set to `value`: what its constructor makes of it.

    A neuron whose attributes are not what its constructor was given takes the value as it is.
    Errors: those of the constructor; AttributeError for what only says how parameters start.
    """
    kind = type(neuron)
    known = inspect.signature(kind).parameters
    own = {argument: vars(neuron)[argument] for argument in known if argument in vars(neuron)}
    if name not in known or isinstance(value, (Tensor, nn.Module)):
        return {name: value}
    try:
        before = _made(kind, own)
    except Exception:  # whatever a user's own constructor raises
        return {name: value}
    if any(vars(before).get(argument) != kept for argument, kept in own.items()):
        return {name: value}
    after = _made(kind, {**own, name: value})
    pairs = zip(before.parameters(), after.parameters(), strict=False)
    if name not in own or any(not torch.equal(was, now) for was, now in pairs):
        made = f"{kind.__name__}({name}={value!r})"
        raise AttributeError(f"{kind.__name__}: {name} says how parameters start; make a new neuron, {made}.")
    return {k: v for k, v in vars(after).items() if k not in MACHINERY and (k == name or v != vars(before).get(k))}


def _made(kind: type[nn.Module], arguments: dict[str, Any]) -> nn.Module:
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(0)
        return kind(**arguments)
