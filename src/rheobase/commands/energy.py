"""`rheobase energy`: operations and energy of networks, by every published way to count."""

from collections.abc import Iterator, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal

import tyro

from rheobase.commands import flags, terminal
from rheobase.names import apart, unknown

if TYPE_CHECKING:
    from rheobase.analysis.counts import Layer
    from rheobase.analysis.energy import Report
    from rheobase.training.task import Task

LEGEND = """per sample; ReLU and {small}: the twin without spikes, in float32 and quantised. r: spikes per
neuron and step below which the network costs less than that twin (<0: never, >1: always);
both: against the quantised twin with the network quantised, too"""
MIXED = """{count} layers see spikes that a max pool or a product (attention) has merged: one rate for all neurons is
not theirs, so that what --rate counts in them, and r, are rough"""
BUILT = ("steps", "num_classes", "in_channels", "image_size", "width")  # options of an architecture by its name
WIDEST = 160  # columns of a table; a narrower terminal wraps them instead of losing digits


@dataclass(frozen=True)
class Options:
    """What `rheobase energy` counts."""

    sources: tyro.conf.Positional[tuple[Path, ...]] = ()
    """Folders of runs, records (.json) or weights (.safetensors), measured on their test samples."""
    convention: Literal["clif", "ilif", "dalif", "memory", "definition", "all"] = "all"
    """How to count; docs/energy.md says what each one does."""
    rate: float | None = None
    """Put this rate into every neuron instead of the measured ones, in spikes per neuron and step."""
    samples: int = 500
    """Test samples to measure on, spread over the set; 0: all."""
    bits: int = 8
    """Bits of the quantised twin's weights and activations."""
    width: float | None = None
    """Count the network at another width as if its layers were as active as measured; 1: the published width."""
    layers: bool = False
    """Also a table with every layer."""
    model: str | None = None
    """Instead of a trained network: an architecture by its name; needs --rate."""
    neuron: str = "lif"
    """Its neuron, as name or name:option=value."""
    steps: int = 4
    """Its time steps."""
    num_classes: int = 10
    """Its classes."""
    in_channels: int = 3
    """Its input channels."""
    image_size: int = 32
    """Side of its images in pixels."""
    json: Path | None = None
    """Write all numbers to this file."""
    figure: Path | None = None
    """Draw the energies into this file."""


def run(arguments: list[str]) -> int:
    """Count operations and energy: `rheobase energy RESULT`, or `--model NAME --neuron clif --rate .15 --steps 6`."""
    from rheobase.analysis import counts
    from rheobase.analysis.energy import report
    from rheobase.analysis.energy_conventions import CONVENTIONS, convention
    from rheobase.training import record

    options = flags.parse(Options, arguments, "energy")
    _check(options)
    names = list(CONVENTIONS) if options.convention == "all" else [options.convention]
    networks = {}
    for name, layers in _networks(options):
        if options.rate is not None:
            if not any(layer.kind == "neuron" for layer in layers):
                raise ValueError(f"energy: {name} has no spiking neurons to put a --rate into; leave --rate out.")
            layers = counts.uniform(layers, options.rate)
        reports = [report(layers, convention(one), options.bits) for one in names]
        _print(name, layers, reports, options)
        networks[name] = layers, reports
    if options.json is not None:
        content = {name: _numbers(layers, reports) for name, (layers, reports) in networks.items()}
        circumstances = record.circumstances(flags.line("energy", arguments))
        record.write(options.json, {**circumstances, "samples": options.samples, "networks": content})
        terminal.say(f"numbers        {options.json}")
    if options.figure is not None:
        from rheobase.plots import energy
        from rheobase.plots.figure import save

        made = energy({name: reports for name, (_, reports) in networks.items()}, "energy per sample, by convention")
        terminal.say(f"picture        {save(made, options.figure)}")
    return 0


def _check(options: Options) -> None:
    from rheobase.models import options_of

    if options.sources and options.model is not None:
        raise ValueError("energy: give records of trained networks, or one --model; not both.")
    if not options.sources and options.model is None:
        raise ValueError("energy: name runs or records of trained networks, or one --model with a --rate.")
    if options.model is not None:
        options_of(options.model)  # says so if there is no such model
    if options.model is not None and options.rate is None:
        raise ValueError("energy: --model has no spikes of its own; say at which --rate, for example --rate 0.15.")
    foreign = ("samples",) if options.model is not None else ("neuron", *BUILT[:-1])
    for name in foreign:
        if getattr(options, name) != getattr(Options(), name):
            raise ValueError(f"energy: --{name.replace('_', '-')} is not for {_kind(options)}; leave it out.")
    if options.samples < 0 or options.steps < 1:
        raise ValueError(f"energy: --samples from 0, --steps from 1; got {options.samples} and {options.steps}.")


def _kind(options: Options) -> str:
    return "trained networks, which have their own" if options.sources else "an architecture that sees no data"


def _networks(options: Options) -> Iterator[tuple[str, "list[Layer]"]]:
    """Every network by its name, with its layers."""
    if options.model is not None:
        yield f"{options.model} {options.neuron}", _untrained(options)
    for name, source in zip(apart(options.sources), options.sources, strict=True):
        yield name, _trained(source, options)


def _trained(source: Path, options: Options) -> "list[Layer]":
    """The layers of a trained network, measured on test samples with the noise of its seed."""
    import torch

    from rheobase import training
    from rheobase.analysis.counts import Meter
    from rheobase.data import valid_steps
    from rheobase.training.distributed import Group
    from rheobase.training.precision import autocast

    task = training.restore_task(source)
    wanted = min(options.samples or len(task.test), len(task.test))
    chosen = task.test.spread(wanted)
    with torch.random.fork_rng(range(torch.cuda.device_count())), Meter(task.model) as meter:
        torch.manual_seed(task.config.seed)
        for batch in task.evaluation_batches(chosen, Group()):
            x = batch.sequence()
            if task.config.mask_padding and batch.lengths is not None:
                meter.valid = valid_steps(batch.lengths, len(x))
            with autocast(task.config, task.device):
                task.model(x)
    return meter.layers() if options.width is None else _at_width(task, options.width, meter.layers())


def _at_width(task: "Task", width: float, measured: "list[Layer]") -> "list[Layer]":
    """The layers of the task's network at another width, with the measured activity."""
    import torch

    from rheobase import models
    from rheobase.analysis.counts import count, transferred
    from rheobase.training.distributed import Group

    made: Any = task.model.config
    model = models.create(made.model, neuron=made.neuron, **{**made.options, "width": width})
    batch = next(task.evaluation_batches(task.test[torch.arange(1)], Group()))
    return transferred(count(model.to(task.device), batch.sequence(), coins=True), measured)


def _untrained(options: Options) -> "list[Layer]":
    """The layers of an architecture by its name, with coins for spikes."""
    import torch

    from rheobase import models
    from rheobase.analysis.counts import count
    from rheobase.training import Config

    assert options.model is not None
    chosen = Config().but(neuron="relu", neuron_options={}).with_neuron(options.neuron)
    known = models.options_of(options.model)
    offered = {name: getattr(options, name) for name in BUILT}
    asked = {name for name, value in offered.items() if value != getattr(Options(), name)}  # a model may refuse these
    for name in asked.difference(known):
        raise unknown(f"option of model {options.model}", name, known)
    settings = {name: value for name, value in offered.items() if name in asked or (name in known and name != "width")}
    settings |= {"neuron_options": chosen.neuron_options} if chosen.neuron_options else {}
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(0)
        model = models.create(options.model, neuron=chosen.neuron, **settings)
        if "image_size" in known:
            x = torch.randn(1, options.in_channels, options.image_size, options.image_size)
        else:
            x = torch.randn(options.steps, 1, options.in_channels)
        return count(model, x, coins=True)


def _numbers(layers: "Sequence[Layer]", reports: "Sequence[Report]") -> dict[str, Any]:
    """All numbers of one network, for JSON. Energies in µJ per sample, memory in pJ."""
    from rheobase.analysis.counts import firing_rate, flops

    sizes = [{k: v for k, v in vars(layer).items() if k not in ("neuron", "target")} for layer in layers]
    for size, layer in zip(sizes, layers, strict=True):
        size["neuron"] = str(layer.neuron) if layer.neuron is not None else None
    whole = {"firing_rate": firing_rate(layers), "parameters": _parameters(layers), "flops": flops(layers)}
    return {**whole, "layers": sizes, "conventions": [asdict(one) for one in reports]}


def _parameters(layers: "Sequence[Layer]") -> int:
    return sum(layer.parameters for layer in layers)


def _print(name: str, layers: "Sequence[Layer]", reports: "Sequence[Report]", options: Options) -> None:
    from rheobase.analysis.counts import firing_rate, flops

    neurons = sum(layer.outputs for layer in layers if layer.kind == "neuron")
    steps, rate = max(layer.steps for layer in layers), firing_rate(layers)
    fires = f"{neurons:,} neurons, {steps:.4g} steps, {rate:.4f} spikes per neuron and step"
    terminal.say(f"{name}: {fires if neurons else 'no spiking neurons'}")
    terminal.say(f"{_parameters(layers):,} parameters, {flops(layers) / 1e6:,.2f} M FLOPs if nothing were silent")
    small = f"int{options.bits}"
    headers = ("ACs M", "MACs M", "µJ", "ReLU µJ", f"{small} µJ", "r = ReLU", f"= {small}", f"both {small}")
    rows = []
    for one in reports:
        counted = one.acs / 1e6, one.macs / 1e6, one.energy, one.twin_energy, one.quantised_twin_energy
        rates = one.break_even, one.break_even_quantised, one.break_even_both_quantised
        rows.append((one.convention, *map(_number, counted), *map(_rate, rates)))
    _table(("convention",), headers, rows)
    terminal.say(LEGEND.format(small=small))
    mixed = sum(layer.mixed for layer in layers)
    if mixed:
        terminal.say(MIXED.format(count=mixed))
    for one in reports if options.layers else ():
        found = []
        for layer, cost, energy in zip(layers, one.layers, one.layer_energies, strict=True):
            if not energy:
                continue
            sees = "spikes" if layer.spiking else "numbers"
            counted = _number(cost.acs / 1e6), _number(cost.macs / 1e6), _number(energy)
            found.append((layer.name, layer.kind, sees, f"{layer.inputs:,}", f"{100 * layer.active:.2f}", *counted))
        headers = ("inputs", "not 0 %", "ACs M", "MACs M", "µJ")
        _table((f"layer, {one.convention}", "kind", "sees"), headers, found)


def _table(words: Sequence[str], numbers: Sequence[str], rows: Sequence[Sequence[str]]) -> None:
    """Print a table, words to the left and numbers to the right; columns are never cut."""
    from rich.console import Console
    from rich.table import Table

    table = Table(box=None)
    for header in (*words, *numbers):
        table.add_column(header, justify="left" if header in words else "right", no_wrap=True)
    for row in rows:
        table.add_row(*row)
    Console(file=terminal.console.file, width=max(terminal.console.width, WIDEST)).print(table)


def _number(value: float) -> str:
    """Four digits, and no exponent for what is large."""
    return f"{value:.0f}" if abs(value) >= 1000 else f"{value:.4g}"


def _rate(rate: float) -> str:
    """A break-even rate; `<0`: never, `>1`: whatever the rate."""
    if not 0 <= rate <= 1:
        return "<0" if rate < 0 else ">1" if rate > 1 else "–"
    return f"{rate:.4f}"
