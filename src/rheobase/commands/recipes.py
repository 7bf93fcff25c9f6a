"""`rheobase recipes`: what can be trained by name, what papers report for it, what was measured."""

from dataclasses import dataclass
from pathlib import Path
from typing import Any

import tyro

from rheobase.commands import flags, terminal


@dataclass(frozen=True)
class Options:
    """What `rheobase recipes` shows."""

    name: tyro.conf.Positional[str] = ""
    """A recipe: all its published numbers, each with the command that trains it; none: the list."""
    results: Path = Path("results")
    """Folder with the records of finished runs."""


def run(arguments: list[str]) -> int:
    """What can be trained by name, what is published for it, what was measured: `rheobase recipes [NAME]`."""
    from rheobase import recipes
    from rheobase.training import results

    options = flags.parse(Options, arguments, "recipes")
    found = list(results.records(options.results))
    if options.name:
        config = recipes.recipe(options.name)
        _details(options.name, config, found)
    else:
        _list(found)
    return 0


def _list(found: list[dict[str, Any]]) -> None:
    from rheobase import recipes
    from rheobase.training import results

    width = max(map(len, recipes.names()))
    terminal.say(f"{'recipe':{width}s}  {'neuron':8s}  {'published %':>11s}  measured here %")
    for name in recipes.names():
        config = recipes.recipe(name)
        ours = results.of(found, config)
        published = "".join(_percent(cell.accuracy) for cell in recipes.published(name)[:1])
        terminal.say(f"{name:{width}s}  {config.neuron:8s}  {published:>11s}  {results.summary(ours)}".rstrip())
    terminal.say("\nswept: with the settings that a `rheobase sweep` from the recipe found.")
    terminal.say("`rheobase recipes NAME`: its data, network, sources and every number.")
    terminal.say("`rheobase study`: what was trained in small here.")


def _percent(accuracy: float | None) -> str:
    return "?" if accuracy is None else f"{accuracy:.2f}"


def _details(name: str, config: Any, found: list[dict[str, Any]]) -> None:
    from rheobase import recipes
    from rheobase.training import results

    terminal.say(f"{name}: {config.model} with {config.neuron} on {config.data}, {config.epochs} epochs")
    terminal.say(
        f"{config.optimizer} {config.learning_rate:g}, batch {config.batch}, loss {config.loss}, seed {config.seed}"
    )
    for flag in flags.OPTIONS:
        if options := getattr(config, flag):
            words = " ".join(f"{option} {value}" for option, value in options.items())
            terminal.say(f"--{flag.replace('_', '-')} {words}")
    cells = recipes.published(name)
    for cell in cells:
        ours = results.summary(results.of(found, cell.config(config)))
        published = _percent(cell.accuracy)
        terminal.say(f"{cell.source:34s} published {published:>6s}  measured {ours or '-':>8s}  {cell.command(name)}")
    if not cells:
        ours = results.summary(results.of(found, config))
        terminal.say(f"measured here: {ours or 'nothing yet'}\nrheobase train {name}")
    if name in recipes.DEEP and recipes.DEEP[name].also:
        terminal.say(f"also: {recipes.DEEP[name].also}")
