"""`rheobase gradients`: what reaches the currents of trained networks, single neurons and exact twins through time."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import tyro

from rheobase.commands import flags, terminal
from rheobase.names import apart

if TYPE_CHECKING:
    from rheobase.analysis.gradients import Layer

DISTANCE_STEPS = 32  # beyond, truncating to every k takes too long: T runs of up to T steps per step
EXACT_STEPS = tuple(2.0**-power for power in range(3, 10))
EXACT_WIDTHS = (0.25, 0.5, 1.0, 2.0)


LEGEND = """means over layers and steps, spikes per neuron and step first; shares: overactive, of u above twice the
threshold; temporal, norm of the part of dL/dx through earlier states over the whole; vanished, of x where it is 0
although the sequence goes on"""


@dataclass(frozen=True)
class Options:
    """What `rheobase gradients` looks at."""

    sources: tyro.conf.Positional[tuple[Path, ...]] = ()
    """Folders of runs, records (.json) or weights (.safetensors): their gradients per layer and step."""
    samples: int = 64
    """Validation samples in the batch."""
    neurons: tuple[str, ...] = ()
    """Single neurons as name:option=value, or `all`: how far the gradient of a spike reaches back."""
    steps: int = 16
    """Steps of a single neuron's run."""
    exact: int = 0
    """Small networks of which surrogate and exact gradients are compared."""
    study: str = ""
    """The figure of a trained study: cifar10-part-truncation or digits-width."""
    seeds: str = "0,1,2"
    """Seeds of the study, separated by commas."""
    results: Path = Path("results/figures/gradients")
    """The study's records lie in a folder of its name in here."""
    out: Path = Path("gradients")
    """Folder of figures and numbers."""


def run(arguments: list[str]) -> int:
    """Gradients in time, their parts and their reach: `rheobase gradients RUN ...`, `--neurons all`, `--exact 20`."""
    options = flags.parse(Options, arguments, "gradients")
    wanted = {"sources": _networks, "neurons": _neurons, "exact": _exact, "study": _study}
    chosen = [name for name in wanted if getattr(options, name)]
    if options.samples < 1 or options.steps < 2 or options.exact < 0:
        raise ValueError("gradients: --samples from 1, --steps from 2, --exact from 0.")
    if not chosen:
        raise ValueError("gradients: name a run, or ask for --neurons, --exact or --study.")
    for name in chosen:
        wanted[name](options, flags.line("gradients", arguments))
    return 0


def _keep(options: Options, command: str, name: str, numbers: Any, draw: Mapping[str, Callable]) -> None:
    """Write numbers and figures, `draw` by the name of their files."""
    from rheobase.plots.figure import save
    from rheobase.training import record

    record.write(options.out / f"{name}.json", {**record.circumstances(command), name: numbers})
    terminal.say(f"numbers        {options.out / f'{name}.json'}")
    try:
        for file, make in draw.items():
            terminal.say(f"picture        {save(make(), options.out / f'{file}.png')}")
    except ModuleNotFoundError as error:
        terminal.say(f"no picture: {error}")


def _networks(options: Options, command: str) -> None:
    from rheobase import plots
    from rheobase.analysis import gradients

    splits, reaches, numbers = {}, {}, {}
    for name, source in zip(apart(options.sources), options.sources, strict=True):
        measures, layers = _network(source, options.samples)
        splits[name] = {layer: gradients.split(one) for layer, one in layers.items()}
        if len(next(iter(layers.values())).current) <= DISTANCE_STEPS:
            reaches[name] = sum(_relative(gradients.distances(one)) for one in layers.values()) / len(layers)
        parts = {layer: {k: v.tolist() for k, v in vars(one).items()} for layer, one in splits[name].items()}
        summary = {**measures, **_summary(list(splits[name].values()))}
        reach = reaches[name].tolist() if name in reaches else None
        numbers[name] = {"source": str(source), "summary": summary, "layers": parts, "reach": reach}
    _table({name: one["summary"] for name, one in numbers.items()})
    terminal.say(LEGEND)
    title = "Trained networks: mean over layers of the parts of dL/dx by distance"
    draw: dict[str, Callable] = {"parts": lambda: plots.gradient_parts(splits)}
    if reaches:
        draw["network-reach"] = lambda: plots.gradient_reach(reaches, title)
    _keep(options, command, "networks", numbers, draw)


def _network(source: Path, samples: int) -> tuple[dict[str, float], dict[str, "Layer"]]:
    """Measures of activity and weights, and the layers of a trained network for one validation batch.

    In float32, whatever the training's precision, and in evaluation mode.
    """
    import torch

    from rheobase import data, training
    from rheobase.analysis import activity, gradients

    task = training.restore_task(source)
    task.model.eval()
    config, goal = task.config, training.objective(task.config.loss, task.config.loss_options)
    order = torch.randperm(len(task.validation), generator=torch.Generator().manual_seed(0))[:samples]
    batch = task.place(next(data.batches(task.validation[order], task.encode, len(order))))
    lengths = batch.lengths if config.mask_padding else None

    def loss() -> torch.Tensor:
        return goal.loss(task.model(batch.sequence()), batch.labels, lengths)

    torch.manual_seed(config.seed)
    with activity.Recorder(task.model) as seen:
        seen.lengths = lengths
        layers = gradients.layers(task.model, loss, lengths)
    norms = list(activity.weight_norms(task.model).values())
    measures = {
        "firing_rate": seen.spikes / seen.places,
        "overactive": sum(layer.overactive * layer.places for layer in seen.layers.values()) / seen.places,
        "weight_norm": sum(norms) / len(norms),
    }
    return measures, layers


def _relative(values: Any) -> Any:
    return values / values[0].clamp(min=1e-30)


def _summary(splits: list) -> dict[str, float]:
    """Means over layers and the steps that have a future: all but the last."""
    import torch

    def average(pick: Callable) -> float:
        values = torch.cat([pick(one)[:-1] for one in splits])
        return float(values[values.isfinite()].mean())

    return {
        "temporal": average(lambda one: one.temporal / one.whole),
        "cosine": average(lambda one: one.cosine),
        "vanished": average(lambda one: one.vanished),
    }


def _table(summaries: Mapping[str, Mapping[str, float]]) -> None:
    from rich.table import Table

    names = list(next(iter(summaries.values())))
    table = Table("network", *(name.replace("_", " ") for name in names), box=None, padding=(0, 1, 0, 0))
    for column in table.columns:
        column.no_wrap = True
    for network, summary in summaries.items():
        table.add_row(network, *(f"{summary[name]:.4g}" for name in names))
    terminal.console.print(table)


def _neurons(options: Options, command: str) -> None:
    """Independent normal currents, mean .6 and standard deviation .8 of the threshold, into 20,000 neurons each."""
    import torch

    from rheobase import neurons, plots
    from rheobase.analysis import gradients
    from rheobase.training import Config

    names = [name for name in neurons.names() if neurons.KINDS[name].fused] if options.neurons == ("all",) else []
    x = 0.6 + 0.8 * torch.randn(options.steps, 20_000, generator=torch.Generator().manual_seed(0))
    found = {}
    for spec in names or options.neurons:
        config = Config().with_neuron(spec)
        needed = _needed(config.neuron, options.steps)
        torch.manual_seed(0)
        made = neurons.create(config.neuron, **{**needed, **config.neuron_options})
        found[spec] = gradients.reach(made, x if not needed.get("channels") else x.unsqueeze(-1))
    for name, values in found.items():
        terminal.say(f"{name:28s}" + " ".join(f"{value:.2e}" for value in _relative(values)[:8].tolist()))
    title = f"Single neurons, T={options.steps}, normal currents (mean .6, s.d. .8 of the threshold)"
    draw = {"neuron-reach": lambda: plots.gradient_reach(found, title)}
    _keep(options, command, "neurons", {name: values.tolist() for name, values in found.items()}, draw)


def _needed(name: str, steps: int) -> dict[str, Any]:
    """What a neuron cannot do without: `steps`, one channel, one feature."""
    import inspect

    from rheobase import neurons

    known = inspect.signature(neurons.kind(name).__init__).parameters
    offered = {"steps": steps, "channels": 1, "features": 1}
    return {k: v for k, v in offered.items() if k in known and known[k].default is inspect.Parameter.empty}


def _exact(options: Options, command: str) -> None:
    from rheobase import plots, surrogate
    from rheobase.analysis import gradients_exact as twins

    networks = [twins.random_network(seed) for seed in range(options.exact)]
    found: dict[str, dict[float, list]] = {}
    for detach in (False, True):
        for width in EXACT_WIDTHS:
            label = f"width {width:g}" + (", reset detached" if detach else "")
            kinds = {dt: twins.SteppedLIF(dt, surrogate.Rectangle(width), detach_reset=detach) for dt in EXACT_STEPS}
            found[label] = {dt: [twins.compare(one, kind) for one in networks] for dt, kind in kinds.items()}
    title = f"First spike times of {options.exact} random LIF networks (10-10-2): steps beside events"
    numbers = {
        label: {f"dt={dt:g}": [vars(one) for one in row] for dt, row in by_dt.items()} for label, by_dt in found.items()
    }
    _keep(options, command, "exact", numbers, {"exact": lambda: plots.exact_surrogates(found, title)})


def _study(options: Options, command: str) -> None:
    from rheobase.recipes import studies
    from rheobase.training.study import finished

    figures = {"cifar10-part-truncation": _truncation, "digits-width": _width}
    if options.study not in figures:
        raise ValueError(f"gradients: --study draws {' or '.join(figures)}; got {options.study!r}.")
    study = studies.study(options.study)
    folder = options.results / options.study
    found = finished(study, folder, flags.numbers(options.seeds, "gradients"))
    found = {label: records for label, records in found.items() if records}
    if not found:
        raise ValueError(f"gradients: no records in {folder}. Train them: rheobase study {options.study} --train")
    figures[options.study](options, command, study.title, found, folder)


def _truncation(options: Options, command: str, title: str, found: Mapping[str, Mapping[int, Any]], _: Path) -> None:
    from rheobase import plots

    lines: dict[str, dict[float, list[float]]] = {}
    for label, records in found.items():
        name, k = label.rsplit(" k=", 1)
        name = f"LIF, τ = {name.removeprefix('tau=')}" if name.startswith("tau=") else "CLIF, τ = 2"
        lines.setdefault(name, {})[int(k)] = [one["test"]["accuracy"] for one in records.values()]
    back = "steps k that a spike's gradient reaches back"
    _keep(options, command, "truncation", lines, {"truncation": lambda: plots.accuracy_lines(lines, back, title)})


def _width(options: Options, command: str, title: str, found: Mapping[str, Mapping[int, Any]], folder: Path) -> None:
    """Accuracy and rate of all seeds from the records; the rest from the weights, which seed 0 keeps."""
    from rheobase import plots
    from rheobase.analysis import gradients
    from rheobase.training.study import path_of

    lines: dict[str, dict[float, dict[str, list[float]]]] = {}
    for label, records in found.items():
        neuron, width = label.split(" width=")
        measures, layers = _network(path_of(folder, label, 0), options.samples)
        parts = _summary([gradients.split(one) for one in layers.values()])
        lines.setdefault(neuron.upper(), {})[float(width)] = {
            "accuracy": [100 * one["test"]["accuracy"] for one in records.values()],
            "firing_rate": [one["test"]["firing_rate"] for one in records.values()],
            "weight_norm": [measures["weight_norm"]],
            "overactive": [100 * measures["overactive"]],
            "vanished": [100 * parts["vanished"]],
            "temporal": [parts["temporal"]],
        }
    _keep(options, command, "width", lines, {"width": lambda: plots.surrogate_widths(lines, title)})
