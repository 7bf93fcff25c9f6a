"""`rheobase show`: a neuron's card, or neurons side by side."""

from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal

import tyro

from rheobase.commands import flags, terminal

if TYPE_CHECKING:
    from torch import Tensor

    from rheobase.neurons import Neuron

TRAINS = 200  # of Poisson input, for autocorrelations


@dataclass(frozen=True)
class Options:
    """What `rheobase show` prints and draws."""

    neuron: tyro.conf.Positional[str] = "lif"
    """A neuron's name, or FILE.py:CLASS, and its options: `lif:tau=4`."""
    code: bool = False
    """Also the generated kernels."""
    response: str | None = None
    """Instead of a card: neurons side by side, as `lif,clif:tau=4,problif:sigma=0.5:tau=5`."""
    view: Literal["time", "function", "autocorrelation"] = "time"
    """What of them: answers to constant, rising and Poisson input; spikes against the potential; memory of states."""
    steps: int = 100
    """Time steps of the inputs."""
    current: float = 0.8
    """Mean of the inputs, in units of the potential (thresholds are 1)."""
    lags: int = 30
    """Longest lag of the autocorrelation, in time steps."""
    seed: int = 0
    """Of the Poisson input and of noise."""
    figure: Path | None = None
    """File of the figure; its suffix decides the format."""


def run(arguments: list[str]) -> int:
    """Print a neuron: equations, operations, kernels: `rheobase show clif [--code]`, `show --response lif,clif`."""
    from rheobase import show

    options = flags.parse(Options, arguments, "show")
    if options.response is None:
        terminal.say(show.card(show.from_spec(options.neuron), options.code))
        return 0
    if options.steps < 2 or options.lags < 1:
        raise ValueError(f"show: needs 2 steps and 1 lag or more; got {options.steps} and {options.lags}.")
    neurons = {spec: show.from_spec(spec, options.steps) for spec in options.response.split(",")}
    {"time": _time, "function": _function, "autocorrelation": _autocorrelation}[options.view](neurons, options)
    return 0


def _time(neurons: "dict[str, Neuron]", options: Options) -> None:
    from rheobase import plots
    from rheobase.analysis.response import DRIVES, drive, respond
    from rheobase.analysis.spike_trains import intervals, variation

    inputs = {name: drive(name, options.steps, options.current, options.seed) for name in DRIVES}
    found = {
        label: {name: respond(neuron, x, options.seed) for name, x in inputs.items()}
        for label, neuron in neurons.items()
    }
    for label, neuron in neurons.items():
        if not neuron.random:  # ILIF's p is the current of the last spike, no probability
            found[label] = {name: {k: v for k, v in one.items() if k != "p"} for name, one in found[label].items()}
    terminal.say(f"mean current {options.current:g}, {options.steps} steps\n")
    terminal.say(f"{'neuron':32s}{'input':10s}{'spikes':>8s}{'first':>7s}{'interval':>10s}{'CV':>7s}{'max u':>8s}")
    for label, by_input in found.items():
        for name, record in by_input.items():
            gaps, at = intervals(record["s"]), record["s"].flatten().nonzero().flatten().tolist()
            mean, cv = (f"{float(v.double().mean()):.2f}" if len(v) else "–" for v in (gaps.steps, variation(gaps)))
            first, top = at[0] if at else "–", float(record["u"].max())
            terminal.say(f"{label:31s} {name:10s}{len(at):8d}{first:>7}{mean:>10s}{cv:>7s}{top:8.2f}")
    terminal.say("\nfirst: step of the first spike, from 0; interval: mean between spikes, in steps; CV: its variation")
    _save(options, lambda: plots.responses(inputs, found))


def _function(neurons: "dict[str, Neuron]", options: Options) -> None:
    from rheobase import plots
    from rheobase.analysis.potentials import spike_function

    found = {label: spike_function(neuron) for label, neuron in neurons.items()}
    for label, one in found.items():
        width = float(one.u[1] - one.u[0])
        spikes, inside = float(one.spikes[one.u.abs().argmin()]), width * float((one.derivative != 0).sum())
        area = width * float(one.derivative.sum())
        line = f"spikes at rest {spikes:.3f} per step; derivative: integral {area:.2f}, not 0 on {inside:.2f} of u"
        terminal.say(f"{label:31s} {line}")
    _save(options, lambda: plots.spike_functions(found))


def _autocorrelation(neurons: "dict[str, Neuron]", options: Options) -> None:
    from rheobase import plots
    from rheobase.analysis.response import drive, respond
    from rheobase.analysis.spike_trains import autocorrelation

    x = drive("poisson", options.steps, options.current, options.seed, TRAINS)
    found: dict[str, dict[str, Tensor]] = {}
    for label, neuron in neurons.items():
        record = respond(neuron, x, options.seed)
        states = ["u", "s", *(name for name in neuron.states if name not in ("u", "v", "s", "z"))]
        found[label] = {name: autocorrelation(record[name], options.lags) for name in states}
        for name, value in found[label].items():
            below = (value < 1 / 2.718281828).nonzero().flatten().tolist()
            if value.isnan().any():
                terminal.say(f"{label:31s} {name:4s}does not change")
                continue
            lag = f"below 1/e from lag {below[0]}" if below else f"above 1/e up to lag {len(value) - 1}"
            terminal.say(f"{label:31s} {name:4s}lag 1: {float(value[1]):6.3f}   {lag}")
    shown = list(dict.fromkeys(name for states in found.values() for name in states))
    _save(options, lambda: plots.memories(found, shown))


def _save(options: Options, draw: Any) -> None:
    from rheobase.plots.figure import save

    if options.figure is not None:
        terminal.say(f"picture        {save(draw(), options.figure)}")
