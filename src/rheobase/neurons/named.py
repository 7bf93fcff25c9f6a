"""Neurons as they are written on a command line: `lif`, `my.py:MyNeuron`, `lif:tau=4:reset=hard`."""

from __future__ import annotations

import hashlib
import importlib.util
import pathlib
import re
import sys
import traceback
import types
import warnings
from collections.abc import Mapping
from typing import Any

from rheobase.neurons.base import Neuron

_modules: dict[tuple[str, int], types.ModuleType] = {}  # by path and time of the last change


def split(spec: str) -> tuple[str, dict[str, float | bool | str]]:
    """The neuron's name, and the options behind it as numbers, truth values or text.

    Errors: ValueError for options without a value, and for one that is given twice.
    """
    first, *rest = spec.split(":")
    if first.endswith(".py") and rest and "=" not in rest[0]:  # FILE.py:CLASS has a colon of its own
        first = f"{first}:{rest.pop(0)}"
    options = {}
    for pair in rest:
        option, equals, value = pair.partition("=")
        if not equals:
            raise ValueError(f"neuron {spec!r}: options are written name:option=value; got {pair!r}.")
        if option in options:
            raise ValueError(f"neuron {spec!r}: {option} is given twice; leave one out.")
        options[option] = _value(value)
    return first, options


def with_options(spec: str, options: Mapping[str, Any]) -> tuple[str, dict[str, Any]]:
    """The neuron's name, and the options behind it with those given by keyword.

    Errors: ValueError for an option that is given twice.
    """
    name, written = split(spec)
    if twice := written.keys() & options.keys():
        raise ValueError(f"neuron {spec!r}: {min(twice)} is given again as {options[min(twice)]!r}; leave one out.")
    return name, {**written, **options}


def _value(text: str) -> float | bool | str:
    if text.lower() in ("true", "false"):
        return text.lower() == "true"
    try:
        number = float(text)
    except ValueError:
        return text
    return int(number) if number.is_integer() and "." not in text and "e" not in text.lower() else number


def in_file(name: str) -> bool:
    """Whether a neuron's name is FILE.py:CLASS."""
    path, _, kind = name.rpartition(":")
    return bool(path) or kind.endswith(".py")


def short(name: str) -> str:
    """A neuron's name for folders and tables: of FILE.py:CLASS the class."""
    return name.rpartition(":")[2]


def slug(spec: str) -> str:
    """A neuron and its options as the name of one folder: of a path's parts, `/` and `:` become `-`."""
    return re.sub(r"[/\\:]+", "-", spec).strip("-")


def from_file(name: str) -> type[Neuron]:
    """The class of a neuron in a file, `path/to/my.py:MyNeuron`; a file that has changed is read again.

    Errors: ValueError for a missing file, for one without such a class, and for one that cannot be imported, which says
    in one line where and why.
    """
    path, _, kind = name.rpartition(":")
    path, kind = (path, kind) if path else (kind, "")
    if not pathlib.Path(path).is_file():
        raise ValueError(f"No file {path!r}; write FILE.py:CLASS with a path from here.")
    module = _imported(pathlib.Path(path).absolute())
    found = getattr(module, kind, None)
    if not (isinstance(found, type) and issubclass(found, Neuron)):
        own = [k for k, v in vars(module).items() if isinstance(v, type) and issubclass(v, Neuron)]
        kinds = ", ".join(k for k in own if vars(module)[k].__module__ == module.__name__) or "none"
        raise ValueError(f"{path} has no neuron class {kind!r}; write {path}:CLASS. It has: {kinds}.")
    return found


def fingerprint(name: str) -> dict[str, str]:
    """For records, of a neuron in a file: where that file is and its SHA-256, if it is there. Else nothing."""
    path = pathlib.Path(name.rpartition(":")[0])
    if not path.is_file():
        return {}
    return {"neuron_file": str(path.absolute()), "neuron_sha256": hashlib.sha256(path.read_bytes()).hexdigest()}


def expect_file(name: str, told: Mapping[str, object], where: object) -> None:
    """Errors: ValueError where a neuron's file, of which the record `told` at `where` tells, cannot be found here."""
    path, was = name.rpartition(":")[0], str(told.get("neuron_file", ""))
    if not was or pathlib.Path(path).is_file():
        return
    raise ValueError(
        f"No file {path!r}; write FILE.py:CLASS with a path from here. When {where} was made it was {was}: go to "
        f"{was.removesuffix(path) or '/'}, or let eval know the neuron, --neuron {was}:{short(name)} with its options."
    )


def warn_of_changes(
    name: str, told: Mapping[str, object], where: object, so: str = "what runs now is another neuron"
) -> None:
    """Warn if a neuron's file is not what it was when a record or checkpoint, `told`, was written at `where`."""
    now = fingerprint(name)
    if now and "neuron_sha256" in told and told["neuron_sha256"] != now["neuron_sha256"]:
        warnings.warn(f"{name} has changed since {where} was written: {so}.", stacklevel=3)


def _imported(path: pathlib.Path) -> types.ModuleType:
    """A file as a module, which may import its neighbours, as a script may."""
    key = str(path), path.stat().st_mtime_ns
    if key in _modules:
        return _modules[key]
    name = path.stem if path.stem not in sys.modules else f"{path.stem}, {path}"
    spec = importlib.util.spec_from_file_location(name, path)
    if spec is None or spec.loader is None:
        raise ValueError(f"{str(path)!r} is no Python file; write FILE.py:CLASS.")
    if str(path.parent) not in sys.path:
        sys.path.insert(0, str(path.parent))
    module = sys.modules[name] = importlib.util.module_from_spec(spec)
    try:
        spec.loader.exec_module(module)
    except BaseException as error:
        del sys.modules[name]
        if isinstance(error, KeyboardInterrupt):
            raise
        raise ValueError(_broken(path, error)) from error
    _modules[key] = module
    return module


def _broken(path: pathlib.Path, error: BaseException) -> str:
    """In one line, what an import of a file raised, and the last place in it or its neighbours where it came from."""
    file, line, what = path, None, str(error)
    if isinstance(error, SyntaxError) and pathlib.Path(error.filename or "").is_file():
        file, line, what = pathlib.Path(str(error.filename)), error.lineno, error.msg
    else:
        for frame in traceback.extract_tb(error.__traceback__):
            if pathlib.Path(frame.filename).parent == path.parent:
                file, line = pathlib.Path(frame.filename), frame.lineno
    here = pathlib.Path.cwd()
    where = file.relative_to(here) if file.is_relative_to(here) else file
    place = f"{where}, line {line}" if line else str(where)
    return f"{place}: " + " ".join(f"{type(error).__name__}: {what}".split())
