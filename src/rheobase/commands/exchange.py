"""`rheobase exchange`: a trained network with other neurons, with a searched option of theirs, or with another T."""

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import tyro

from rheobase.commands import flags, terminal
from rheobase.names import apart

if TYPE_CHECKING:
    from rheobase.training import Config, Score
    from rheobase.training.task import Task


@dataclass(frozen=True)
class Options:
    """What `rheobase exchange` does."""

    sources: tyro.conf.Positional[tuple[Path, ...]] = ()
    """Folders of runs, records (.json) or weights (.safetensors)."""
    neuron: str | None = None
    """The neuron to put in, as name:option=value; weights stay."""
    search: str | None = None
    """An option of that neuron and its values, as option=first:last:count; chosen on validation data."""
    steps: str | None = None
    """Numbers of time steps, separated by commas: the test accuracy of every source with each."""
    study: str | None = None
    """Draw the losses of a trained study, such as digits-exchange."""
    seeds: str = "0,1,2"
    """Seeds of the study, separated by commas."""
    results: Path = Path("results/figures/gradients")
    """The study's records lie in a folder of its name in here."""
    out: Path = Path("exchange")
    """Folder of figures and numbers."""


def run(arguments: list[str]) -> int:
    """Exchange neurons or T: `rheobase exchange RUN --neuron lif:reset=hard --search v_reset=-0.2:0.05:11`."""
    options = flags.parse(Options, arguments, "exchange")
    command = flags.line("exchange", arguments)
    if options.search and not options.neuron:
        raise ValueError("exchange: --search looks for an option of another neuron; name it with --neuron.")
    if options.study:
        _study(options, command)
    elif not options.sources or not (options.steps or (options.neuron and options.search)):
        raise ValueError("exchange: name a run, and --neuron with --search, or --steps; or ask for a --study.")
    if options.search:
        for name, source in zip(apart(options.sources), options.sources, strict=True):
            _search(name, source, options, command)
    if options.steps:
        _steps(options, command)
    return 0


def _task(source: Path, spec: str | None) -> "Task":
    from rheobase import training

    def change(config: "Config") -> "Config":
        # A network that was exchanged in training is exchanged again, from what it had in the end.
        if config.model == "exact":
            raise ValueError("exchange: an event-driven network has no other neurons that understand its weights.")
        return config if spec is None else config.but(exchange=None, exchange_after=None).with_neuron(spec)

    return training.restore_task(source, change)


def _search(label: str, source: Path, options: Options, command: str) -> None:
    """Every value is judged on the validation set; the test set is looked at for the best one and what it is beside.

    That comes first, so that a neuron that cannot be built ends the command before the search.
    """
    from rheobase import plots, training

    neuron, (option, values) = str(options.neuron), grid(str(options.search))
    own = _task(source, None).config.neuron
    beside = {f"{own}, as trained": None, **_beside(neuron)}
    rows = {name: _tested(name, source, spec) for name, spec in beside.items()}
    scores: dict[float, Score] = {}
    for value in values:
        task = _task(source, f"{neuron}:{option}={value!r}")
        scores[value] = training.evaluate(task, task.validation)
        terminal.say(f"{option} {value:+.4f}  validation accuracy {scores[value].accuracy:.2%}")
    best = max(values, key=lambda value: (scores[value].accuracy, -scores[value].loss))
    name = f"best, {option} {best:g}"
    rows[name] = _tested(name, source, f"{neuron}:{option}={best!r}")
    numbers = {
        "source": str(source),
        "neuron": neuron,
        "search": {f"{value:g}": vars(score) for value, score in scores.items()},
        "best": best,
        "beside": rows,
    }
    curve = {value: score.accuracy for value, score in scores.items()}
    others = {name: row["validation"]["accuracy"] for name, row in list(rows.items())[:-1]}
    title = f"Weights of {label} with {neuron}"
    file = f"search-{label.replace('/', '-')}"
    _keep(options, command, file, numbers, lambda: plots.exchange_search(curve, others, option, title))


def _tested(name: str, source: Path, spec: str | None) -> dict[str, dict[str, float]]:
    """The scores of a network with another neuron on the validation and the test set."""
    from rheobase import training

    task = _task(source, spec)
    parts = {"validation": task.validation, "test": task.test}
    found = {part: vars(training.evaluate(task, samples)) for part, samples in parts.items()}
    accuracies = ", ".join(f"{part} {one['accuracy']:.2%}" for part, one in found.items())
    terminal.say(f"{name:32s}{accuracies}, firing rate {found['test']['firing_rate']:.4f}")
    return found


def _beside(neuron: str) -> dict[str, str]:
    """What the best value is compared with: the neuron without it and, for a hard reset, the soft one, which has no
    potential to reset to."""
    kind, *settings = neuron.split(":")
    if "reset=hard" not in settings:
        return {neuron: neuron}
    rest = [setting for setting in settings if setting.partition("=")[0] not in ("reset", "v_reset")]
    return {f"{kind}, soft reset": ":".join([kind, *rest, "reset=soft:v_reset=0"]), neuron: neuron}


def grid(text: str) -> tuple[str, list[float]]:
    """An option and its values from `option=first:last:count`. Errors: ValueError for anything else."""
    import torch

    option, equals, values = text.partition("=")
    try:
        first, last, count = values.split(":")
        if not (option and equals and int(count) > 1):
            raise ValueError
        found = torch.linspace(float(first), float(last), int(count), dtype=torch.float64)
    except ValueError:
        raise ValueError(f"exchange: --search is written option=first:last:count; got {text!r}.") from None
    return option, [round(value, 9) + 0.0 for value in found.tolist()]


def _steps(options: Options, command: str) -> None:
    """Nothing is chosen, so that the test set judges every T."""
    from rheobase import plots, training

    wanted = flags.numbers(str(options.steps), "exchange", "steps", 1)
    found, trained = {}, 0
    for name, source in zip(apart(options.sources), options.sources, strict=True):
        found[name] = {}
        for steps in wanted:
            task = training.restore_task(source, lambda config, steps=steps: _with_steps(config, steps, options.neuron))
            score = training.evaluate(task, task.test)
            found[name][steps] = score.accuracy
            terminal.say(
                f"{name:24s}T={steps:<4d}test accuracy {score.accuracy:.2%}, firing rate {score.firing_rate:.4f}"
            )
        trained = training.restore_task(source).config.steps or trained
    title = "Networks run with other numbers of steps than they were trained with"
    _keep(options, command, "steps", found, lambda: plots.exchange_steps(found, trained, title))


def _with_steps(config: "Config", steps: int, neuron: str | None) -> "Config":
    if config.steps is None:
        raise ValueError(
            f"exchange: --steps needs an encoding that takes them (direct, poisson); {config.data} has none."
        )
    changed = config.but(steps=steps)
    return changed if neuron is None else changed.with_neuron(neuron)


def _study(options: Options, command: str) -> None:
    """The losses of every variant of a study, over the seeds that are there."""
    from rheobase import plots
    from rheobase.recipes import studies
    from rheobase.training.study import finished

    study = studies.study(str(options.study))
    folder = options.results / str(options.study)
    found = finished(study, folder, flags.numbers(options.seeds, "exchange"))
    runs = {label: [one["epochs"] for one in records.values()] for label, records in found.items() if records}
    if not runs:
        raise ValueError(f"exchange: no records in {folder}. Train them: rheobase study {options.study} --train")
    after = {one["config"].get("exchange_after") for records in found.values() for one in records.values()} - {None}
    _keep(options, command, f"losses-{options.study}", runs, lambda: plots.exchange_losses(runs, sorted(after)))


def _keep(options: Options, command: str, name: str, numbers: Any, draw: Callable) -> None:
    from rheobase.plots.figure import save
    from rheobase.training import record

    record.write(options.out / f"{name}.json", {**record.circumstances(command), name: numbers})
    terminal.say(f"numbers        {options.out / f'{name}.json'}")
    try:
        terminal.say(f"picture        {save(draw(), options.out / f'{name}.png')}")
    except ModuleNotFoundError as error:
        terminal.say(f"no picture: {error}")
