"""`rheobase activity`: what the neurons of trained networks do."""

from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

import tyro

from rheobase.commands import flags, terminal
from rheobase.names import apart

LEGEND = """rate: spikes per neuron and step; in %: active more than half of the time, potential above twice the
threshold, silent on all samples, potential inside the surrogate's support; ISI: mean interval in steps"""


@dataclass(frozen=True)
class Options:
    """What `rheobase activity` looks at."""

    sources: tyro.conf.Positional[tuple[Path, ...]]
    """Folders of runs, records (.json) or weights (.safetensors), drawn side by side."""
    part: Literal["validation", "test", "train"] = "validation"
    """Samples that the network sees."""
    samples: int | None = None
    """Only so many of them, evenly spread over the set; none: all."""
    batch: int | None = None
    """Samples at once; none: as in evaluations. Fewer need less memory; neurons that draw spikes then draw others."""
    lags: int = 20
    """Longest lag of the autocorrelation, in time steps."""
    out: Path | None = None
    """Folder of figures and numbers; default: beside the first source."""


def run(arguments: list[str]) -> int:
    """Show rates, silence, intervals and potentials per layer: `rheobase activity SOURCE [SOURCE ...] --out FOLDER`."""
    from rheobase.plots.figure import save
    from rheobase.training import record

    options = flags.parse(Options, arguments, "activity")
    if not options.sources or options.lags < 1 or (options.samples or 1) < 1 or (options.batch or 1) < 1:
        raise ValueError("activity: needs at least one source; lags, samples and batch of 1 or more.")
    labels = zip(apart(options.sources), options.sources, strict=True)
    found = {label: Network(source, options) for label, source in labels}
    folder = options.out or _beside(options.sources[0])
    for label, network in found.items():
        _print(label, network)
    terminal.say(f"\n{LEGEND}")
    content = record.circumstances(flags.line("activity", arguments))
    content["networks"] = {label: network.numbers() for label, network in found.items()}
    record.write(folder / "activity.json", content)
    terminal.say(f"numbers        {folder / 'activity.json'}")
    try:
        for name, made in _figures(found):
            terminal.say(f"picture        {save(made, folder / f'{name}.png')}")
    except ModuleNotFoundError as error:
        terminal.say(f"no picture: {error}")
    return 0


class Network:
    """A trained network, and what its layers did on the samples."""

    def __init__(self, source: Path, options: Options):
        from rheobase import training
        from rheobase.analysis.activity import Recorder, weight_norms

        change = {} if options.batch is None else {"evaluation_batch": options.batch}
        self.source = source
        self.task = training.restore_task(source, lambda config: config.but(**change))
        samples = getattr(self.task, options.part)
        samples = samples if options.samples is None else samples.spread(options.samples)
        recorder: Any = Recorder(self.task.model, options.lags)
        self.score = training.evaluate(self.task, samples, firing=recorder)
        self.layers, self.flips, self.samples = recorder.layers, recorder.flips, f"{len(samples)} of {options.part}"
        self.weights = weight_norms(self.task.model)
        self.learned = list(self._history())

    def _history(self) -> Iterator[tuple[int, Any]]:
        """(epoch, learned values): before training, after each epoch that the record tells, else with these weights."""
        from rheobase import training
        from rheobase.neurons.learned import learned, summary

        now = summary(learned(self.task.model))
        if not now:
            return
        yield 0, summary(learned(training.prepare(self.task.config, data_set=self.task.data_set).model))
        epochs = _record(self.source).get("epochs", [])
        rows = [(row["epoch"], row["learned"]) for row in epochs if "learned" in row]
        yield from rows or [(_record(self.source).get("best_epoch", 1), now)]

    def numbers(self) -> dict[str, Any]:
        """Everything, for the record."""
        return {
            "source": str(self.source),
            "samples": self.samples,
            "score": vars(self.score),
            "flips": self.flips,
            "layers": {name: layer.numbers() for name, layer in self.layers.items()},
            "weight_norms": self.weights,
            "learned": [{"epoch": epoch, "values": values} for epoch, values in self.learned],
        }


def _figures(found: dict[str, Network]) -> Iterator[tuple[str, Any]]:
    from rheobase import plots

    layers = {label: network.layers for label, network in found.items()}
    yield "layers", plots.activity_layers(layers)
    yield "steps", plots.activity_steps(layers)
    yield "potentials", plots.activity_potentials(layers)
    yield "intervals", plots.activity_intervals(layers)
    yield "autocorrelation", plots.activity_autocorrelations(layers)
    yield "weights", plots.activity_weights({label: network.weights for label, network in found.items()})
    learned = {label: network.learned for label, network in found.items() if network.learned}
    if learned:
        yield "learned", plots.learned_over_layers(learned)


def _print(label: str, network: Network) -> None:
    from rich.table import Table

    columns = {
        "neurons": lambda layer: f"{layer.neurons:,}",
        "rate": lambda layer: f"{layer.rate:.4f}",
        ">half": lambda layer: f"{100 * layer.continuous:.2f}",
        "u>2θ": lambda layer: f"{100 * layer.overactive:.2f}",
        "silent": lambda layer: f"{100 * layer.silent:.2f}",
        "inside": lambda layer: f"{100 * layer.inside:.1f}",
        "ISI": lambda layer: f"{layer.mean_interval:.2f}",
        "CV": lambda layer: f"{layer.cv:.2f}",
    }
    table = Table("layer", *columns, box=None, padding=(0, 1, 0, 0))
    for column in table.columns:
        column.no_wrap = True
    for name, layer in network.layers.items():
        table.add_row(name, *(show(layer) for show in columns.values()))
    score = f"accuracy {network.score.accuracy:.2%}, {network.score.firing_rate:.4f} spikes per neuron and step"
    terminal.say(f"\n{label}: {network.samples} samples, {score}")
    terminal.console.print(table)
    if network.flips:
        terminal.say(f"{network.flips} spikes of the trace differ from the kernel's, by rounding at the threshold")


def _record(source: Path) -> dict[str, Any]:
    """The record of a source; empty where there are weights alone."""
    from rheobase.training import record
    from rheobase.training.record import RECORD

    path = source / RECORD if source.is_dir() else source.with_suffix(".json")
    return record.read(path) if path.exists() else {}


def _beside(source: Path) -> Path:
    return source / "activity" if source.is_dir() else source.parent / f"{source.stem}-activity"
