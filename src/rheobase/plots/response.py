"""One neuron alone: answers to inputs, spike functions, and how long its states remember."""

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING

from torch import Tensor

from rheobase.analysis.potentials import SpikeFunction, potential
from rheobase.plots.figure import COLOURS, STYLES, figure

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

HIDDEN = {"u", "v", "s", "z", "d", "threshold"}  # drawn otherwise, or the potential once more


def responses(inputs: Mapping[str, Tensor], found: Mapping[str, Mapping[str, Mapping[str, Tensor]]]) -> "Figure":
    """Neurons as rows, inputs as columns: potential, threshold, spikes as marks above, other states dashed.

    Shapes: inputs [T]; found by neuron, by input, a trace of one train, each [T, ...] of one element per step.
    Source: ProbLIF, figure 2; CLIF, figure 7.
    """
    made = figure(4.3 * len(inputs), 1.2 + 1.9 * len(found))
    heights = [0.6] + [1.0] * len(found)
    grid = made.subplots(1 + len(found), len(inputs), squeeze=False, sharex=True, height_ratios=heights)
    for axes, (name, x) in zip(grid[0], inputs.items(), strict=True):
        axes.step(range(len(x)), x.flatten().numpy(force=True), color="black", linewidth=0.9, where="mid")
        axes.set(title=f"{name} input", ylim=(0, 1.1 * float(x.max()) or 1.0))
    grid[0][0].set_ylabel("current\n(units of u)")
    for row, (neuron, by_input) in zip(grid[1:], found.items(), strict=True):
        for axes, record in zip(row, by_input.values(), strict=True):
            _membrane(axes, record)
        row[0].set_ylabel(neuron, fontsize=9)
        handles, labels = row[0].get_legend_handles_labels()
        row[0].legend(
            handles, labels, fontsize=7, loc="lower left", bbox_to_anchor=(0, 1), borderpad=0, ncols=5, frameon=False
        )
    for axes in grid[-1]:
        axes.set_xlabel("time step")
    return made


def _membrane(axes: "Axes", record: Mapping[str, Tensor]) -> None:
    steps = range(len(record["s"]))
    values = {name: value.flatten().numpy(force=True) for name, value in record.items()}
    u = potential(record).flatten().numpy(force=True)
    axes.plot(steps, values["threshold"], color="0.5", linewidth=0.7)
    axes.plot(steps, u, color=COLOURS[0], linewidth=1, label="u")
    others = [name for name in values if name not in HIDDEN and values[name].any()]
    for name, colour, style in zip(others, COLOURS[1:], ("--", "-.", ":", "--"), strict=False):
        axes.plot(steps, values[name], color=colour, linestyle=style, linewidth=1, label=name)
    at = values["s"].nonzero()[0]
    top = max(float(u.max()), float(values["threshold"].max()))
    low = min(0.0, *(float(values[name].min()) for name in ("u", *others)))
    reach = max(top, *(float(values[name].max()) for name in others)) if others else top
    axes.scatter(at, [reach + 0.12 * (reach - low)] * len(at), marker="|", color="black", s=30, linewidths=0.9)
    axes.set_title(f"{len(at)} spikes", fontsize=8, loc="right", pad=2)
    axes.grid(alpha=0.25)


def spike_functions(found: Mapping[str, SpikeFunction]) -> "Figure":
    """Left: spikes (their probability) against the potential; right: the derivative that training uses instead.

    Source: ProbLIF, figure 1; ILIF, figure 1a.
    """
    made = figure(10, 3.6)
    left, right = made.subplots(1, 2)
    for number, (name, one) in enumerate(found.items()):
        look = {"color": COLOURS[number % len(COLOURS)], "linestyle": STYLES[number % len(STYLES)], "label": name}
        left.plot(one.u.numpy(force=True), one.spikes.numpy(force=True), **look)
        right.plot(one.u.numpy(force=True), one.derivative.numpy(force=True), **look)
    left.set(xlabel="membrane potential u (threshold: 1)", ylabel="spikes per step (probability)")
    right.set(xlabel="membrane potential u (threshold: 1)", ylabel="derivative in training (per unit of u)")
    for axes in (left, right):
        axes.grid(alpha=0.3)
    left.legend(frameon=False, fontsize=8)
    return made


def memories(found: Mapping[str, Mapping[str, Tensor]], states: Sequence[str]) -> "Figure":
    """Autocorrelation over the lag: one panel per state, one line per neuron that has it. Source: CLIF, figure 8.

    Shapes: found by neuron, by state, [lags + 1].
    """
    made = figure(1 + 3.6 * len(states), 3.4)
    for axes, state in zip(made.subplots(1, len(states), squeeze=False)[0], states, strict=True):
        for number, (name, by_state) in enumerate(found.items()):
            if state in by_state:
                look = {"color": COLOURS[number % len(COLOURS)], "linestyle": STYLES[number % len(STYLES)]}
                axes.plot(by_state[state].numpy(force=True), label=name, marker="o", markersize=2.5, **look)
        axes.axhline(0, color="0.5", linewidth=0.6)
        axes.set(xlabel="lag (time steps)", ylabel=f"autocorrelation of {state}")
        axes.grid(alpha=0.3)
        axes.legend(frameon=False, fontsize=8)
    return made
