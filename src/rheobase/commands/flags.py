"""Flags of commands: from typed, frozen dataclasses, whose fields are the flags and whose docstrings are the help."""

from __future__ import annotations

import argparse
import contextlib
import inspect
import os
import shlex
from collections.abc import Iterator, Sequence
from dataclasses import make_dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import tyro
from tyro.constructors import ConstructorRegistry, PrimitiveConstructorSpec, PrimitiveTypeInfo

from rheobase.neurons.named import split

if TYPE_CHECKING:
    from rheobase.training import Config

OPTIONS = ("data_options", "model_options", "neuron_options", "loss_options", "event_augmentation")
OTHER_WORDS = {
    "--lr": "--learning-rate",
    "--batch-size": "--batch",
    "--optim": "--optimizer",
    "--dataset": "--data",
    "--time-steps": "--steps",
}


def with_config(kind: type, arguments: list[str], command: str) -> tuple[Any, Any]:
    """A config and further options from a recipe's name, if one comes first, and flags for any field.

    Options of the data set, model, neuron and loss (`--neuron-options sigma 0.5`) are added to the recipe's. Another
    neuron starts from its defaults; another model keeps of the recipe what it knows.
    Errors: ValueError for an option that is given twice, and for a flag that is written otherwise here.
    """
    from rheobase import recipes
    from rheobase.training import Config
    from rheobase.training.config import GROUPS

    named = bool(arguments) and not arguments[0].startswith("-")
    start = _chosen(recipes.recipe(arguments[0] if named else "digits"), arguments, named)
    groups = {group.__name__.removesuffix("Settings").lower(): group for group in GROUPS}
    _refuse_other_words(arguments, start, kind, command)
    # Without defaults, or tyro would make a flag of every option of the recipe and refuse all others.
    plain = start.but(**{name: {} for name in OPTIONS})
    both = make_dataclass("Both", [("options", kind), *groups.items()])
    default = both(kind(), *(plain.group(group) for group in GROUPS))
    found = vars(parse(both, arguments[named:], command, default=default))
    fields = {name: value for group in groups for name, value in vars(found[group]).items()}
    neuron = fields.pop("neuron")
    if twice := split(neuron)[1].keys() & fields["neuron_options"].keys():
        where = f"by --neuron {neuron} and by --neuron-options"
        raise ValueError(f"{command}: {min(twice)} is given {where}. Leave one out.")
    added = {name: {**getattr(start, name), **_true_or_false(fields[name])} for name in OPTIONS}
    return Config(**{**fields, **added}, neuron=start.neuron), found["options"]


def given(arguments: Sequence[str], *flags: str) -> dict[str, str]:
    """The flags of these that are there, with their first value, before everything else is read."""
    ahead = argparse.ArgumentParser(add_help=False, allow_abbrev=False)
    for flag in flags:
        ahead.add_argument(f"--{flag}", nargs="?", const="")
    found = vars(ahead.parse_known_args([_hyphens(argument) for argument in arguments])[0])
    return {flag: found[flag.replace("-", "_")] for flag in flags if found[flag.replace("-", "_")] is not None}


def refuse_one_neuron(arguments: Sequence[str], command: str) -> None:
    """Errors: ValueError where --neuron or its options stand beside --neurons, which alone says what is compared."""
    for flag in given(arguments, "neuron", "neuron-options"):
        raise ValueError(f"{command}: --neurons names them, with options as lif:tau=4; leave out --{flag}.")


def _chosen(recipe: Config, arguments: Sequence[str], named: bool) -> Config:
    """The recipe with the neuron, model and data set that the flags choose: what other flags start from."""
    flags = given(arguments, "neuron", "model", "data")
    config = recipe.with_neuron(flags.get("neuron") or recipe.neuron)
    if not named and flags.get("data"):
        config = config.but(recipe=flags["data"])  # it is no longer the run of digits that nobody asked for
    model = flags.get("model") or recipe.model
    return config if model == recipe.model else _with_model(config, model)


def _with_model(config: Config, model: str) -> Config:
    """The config with another model, which keeps the settings that it knows."""
    from rheobase import models
    from rheobase.training import Config
    from rheobase.training.task import MODEL_FIELDS

    known, default = models.options_of(model), Config()
    unknown = {name: getattr(default, name) for name in MODEL_FIELDS if name not in known}
    options = {name: value for name, value in config.model_options.items() if name in known}
    return config.but(model=model, model_options=options, **unknown)


def _refuse_other_words(arguments: Sequence[str], config: Config, kind: type, command: str) -> None:
    """Errors: ValueError for a flag with another name here, and for an option of the neuron or model as a flag."""
    from rheobase import models, neurons
    from rheobase.neurons.named import in_file

    options = {name: "--model-options" for name in models.options_of(config.model)}
    if config.neuron.lower() in neurons.KINDS or in_file(config.neuron):
        options |= {name: "--neuron-options" for name in inspect.signature(neurons.kind(config.neuron)).parameters}
    for argument in arguments:
        flag = _hyphens(argument).split("=")[0]
        name = flag.removeprefix("--").replace("-", "_")
        if not flag.startswith("--") or hasattr(config, name) or hasattr(kind, name):
            continue
        if flag in OTHER_WORDS:
            raise ValueError(f"{command}: there is no {flag}; write {OTHER_WORDS[flag]}.")
        if name in options:
            raise ValueError(f"{command}: there is no {flag}; write {options[name]} {name} VALUE.")


def _hyphens(argument: str) -> str:
    """A flag with hyphens, as `--learning-rate` for `--learning_rate`; anything else as it is."""
    flag, equals, value = argument.partition("=")
    return flag.replace("_", "-") + equals + value if flag.startswith("--") else argument


def _true_or_false(options: dict[str, Any]) -> dict[str, Any]:
    words = {"true": True, "false": False}
    return {name: words.get(value, value) if isinstance(value, str) else value for name, value in options.items()}


def parse(kind: type, arguments: list[str], command: str, **options: Any) -> Any:
    """A `kind` from the flags of `rheobase command`; a wrong flag ends the process with what is possible.

    Errors: ValueError for an empty argument, which a shell makes of a variable that is not set.
    """
    for flag, argument in zip(["", *arguments], arguments, strict=False):
        if not argument or (argument.startswith("--") and argument.endswith("=")):
            raise ValueError(
                f"{command}: {(flag + argument).rstrip('=') or 'an argument'} has an empty value; give one."
            )
    settings = {"config": (tyro.conf.OmitArgPrefixes,), "registry": _registry, "prog": f"rheobase {command}"}
    return tyro.cli(kind, args=arguments, **settings, **options)


_registry = ConstructorRegistry()


@_registry.primitive_rule
def _none(type_info: PrimitiveTypeInfo) -> PrimitiveConstructorSpec | None:
    """None is written in any case."""
    if type_info.type is not type(None):
        return None

    def read(words: list[str]) -> None:
        if words[0].lower() != "none":
            raise ValueError("not none")

    return PrimitiveConstructorSpec(1, "none", read, lambda value: value is None, lambda value: ["none"])


def numbers(text: str, command: str, what: str = "seeds", lowest: int = 0) -> list[int]:
    """Whole numbers written as `0,1,2`. Errors: ValueError for anything else, and for one that is given twice."""
    try:
        found = [int(number) for number in text.split(",")]
    except ValueError:
        raise ValueError(f"{command}: {what} are whole numbers separated by commas; got {text!r}.") from None
    if min(found) < lowest:
        raise ValueError(f"{command}: {what} are whole numbers from {lowest} on; got {min(found)}.")
    if twice := [number for number in found if found.count(number) > 1]:
        raise ValueError(f"{command}: {what} {text}: {twice[0]} is given twice; leave one out.")
    return found


def neurons(text: str, command: str) -> list[str]:
    """Neurons written as `lif,clif:tau=4`. Errors: ValueError for one that is named twice."""
    found = text.split(",")
    if twice := [spec for spec in found if found.count(spec) > 1]:
        raise ValueError(f"{command}: --neurons {text}: {twice[0]} is named twice; leave one out.")
    return found


def check_result(path: Path | None, command: str) -> None:
    """Errors: ValueError for a --result that is no .json file, or that cannot be written where it is to lie."""
    if path is None:
        return
    if path.suffix != ".json":
        raise ValueError(f"{command}: a result is a .json file; got {path}.")
    place = next(one for one in path.absolute().parents if one.exists())
    if path.is_dir() or not place.is_dir() or not os.access(place, os.W_OK):
        raise ValueError(f"{command}: --result {path} cannot be written. Choose another place.")


@contextlib.contextmanager
def folder(chosen: Path | None, usual: Path) -> Iterator[Path]:
    """The folder that was chosen; else the first of usual, usual-2, usual-3, ... that does not exist.

    That one is made at once, so that no other command takes it, and goes again if nothing is written into it. Under
    torchrun all processes get the first one's.
    """
    from rheobase.training import join

    group = join()
    with _new(usual) if chosen is None and group.first else contextlib.nullcontext(chosen) as own:
        yield group.share(own)


@contextlib.contextmanager
def _new(usual: Path) -> Iterator[Path]:
    number, found = 1, usual
    while True:
        try:
            found.mkdir(parents=True)
            break
        except FileExistsError:
            number += 1
            found = usual.with_name(f"{usual.name}-{number}")
    try:
        yield found
    finally:
        with contextlib.suppress(OSError):  # something is in it
            os.removedirs(found)


def line(name: str, arguments: list[str]) -> str:
    """The command as it would be typed, for records."""
    return shlex.join(["rheobase", name, *arguments])


def again(name: str, arguments: list[str], folder: Path) -> str:
    """The command that goes on in the folder of one that was stopped."""
    chosen = [] if "out" in given(arguments, "out") else ["--out", str(folder)]
    return line(name, [*arguments, *chosen])
