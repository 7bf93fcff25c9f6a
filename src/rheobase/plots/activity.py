"""Activity of networks side by side: over layers, over time steps, and as distributions."""

import math
from collections.abc import Callable, Mapping, Sequence
from typing import TYPE_CHECKING

import torch

from rheobase.analysis.activity import EDGES, LayerActivity
from rheobase.analysis.potentials import inside
from rheobase.plots.figure import figure, legend_above, style

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

Networks = Mapping[str, Mapping[str, LayerActivity]]
"""By name of the network, by name of the layer, the first layer first."""


def activity_layers(networks: Networks) -> "Figure":
    """Firing rate, and shares of continuous, overactive and silent neurons, over the layers; a line per network."""
    made = figure(10, 6)
    panels = (
        ("rate", "firing rate\n(spikes per neuron and step)", 1),
        ("continuous", "active more than half of the time\n(% of neurons and samples)", 100),
        ("overactive", "u above twice the threshold\n(% of neurons and steps)", 100),
        ("silent", "neurons silent on all samples (%)", 100),
    )
    for axes, (name, label, factor) in zip(made.subplots(2, 2).flat, panels, strict=True):
        for number, (network, layers) in enumerate(networks.items()):
            values = [factor * getattr(layer, name) for layer in layers.values()]
            axes.plot(range(1, len(values) + 1), values, label=network, **style(number))
        deepest, top = max(map(len, networks.values())), max(max(line.get_ydata()) for line in axes.lines)
        axes.set(xlabel="layer", ylabel=label, xlim=(0.6, deepest + 0.4), ylim=(0, 1.08 * top or 1))
        axes.locator_params(axis="x", integer=True, min_n_ticks=1)
        axes.grid(alpha=0.3)
    return legend_above(made, made.axes[0])


def activity_steps(networks: Networks) -> "Figure":
    """Firing rate at each time step: a panel per layer, a line per network. Source: ILIF, figure 4."""

    def draw(axes: "Axes", layer: LayerActivity, network: str, look: dict) -> None:
        rate = layer.rate_by_step
        marker = look["marker"] if len(rate) <= 20 else ""
        axes.plot(range(1, len(rate) + 1), rate.numpy(force=True), label=network, **{**look, "marker": marker})

    made = _by_layer(networks, draw, "time step", "spikes per neuron and step")
    for axes in made.axes:
        axes.set_ylim(0, 1.08 * axes.get_ylim()[1])
        axes.locator_params(axis="x", integer=True)
    return made


def activity_potentials(networks: Networks) -> "Figure":
    """Density of u − θ, a panel per layer; grey: where the first network's surrogate lets gradients through.

    In the panel: the share of potentials inside each network's own support, and the share beyond the axis.
    """
    middles = ((EDGES[1:] + EDGES[:-1]) / 2).numpy(force=True)
    width = float(EDGES[1] - EDGES[0])

    def draw(axes: "Axes", layer: LayerActivity, network: str, look: dict) -> None:
        counts = layer.potential_counts
        if not axes.lines and layer.surrogate is not None:
            d = EDGES[inside(layer.surrogate, EDGES)]
            axes.axvspan(float(d.min()), float(d.max()), color="0.88", zorder=0)
        row = len(axes.lines)
        density = (counts / counts.sum() / width).clamp(min=1e-4).numpy(force=True)
        axes.plot(middles[1:-1], density[1:-1], label=network, **{**look, "marker": ""})
        beyond = float((counts[0] + counts[-1]) / counts.sum())
        text = f"inside {100 * layer.inside:.0f} %" + (f", not drawn {100 * beyond:.0f} %" if beyond > 0.005 else "")
        place = {"transform": axes.transAxes, "ha": "right", "fontsize": 7, "color": look["color"]}
        axes.text(0.98, 0.93 - 0.09 * row, text, **place)

    made = _by_layer(networks, draw, "potential − threshold (units of u)", "density (per unit of u)")
    for axes in made.axes:
        axes.set(yscale="log", ylim=(1e-3, None), xlim=(float(EDGES[0]), float(EDGES[-1])))
    return made


def activity_intervals(networks: Networks) -> "Figure":
    """Shares of the intervals between spikes of a neuron, a panel per layer, with their mean CV."""

    def draw(axes: "Axes", layer: LayerActivity, network: str, look: dict) -> None:
        counts = layer.interval_counts
        if not counts.sum():
            return
        last = int((counts.cumsum(0) < 0.999 * counts.sum()).sum()) + 1
        steps = torch.arange(1, last)
        label = f"{network} (CV {layer.cv:.2f})" if math.isfinite(layer.cv) else network
        share = 100 * counts[1:last] / counts.sum()
        marker = look["marker"] if last < 30 else ""
        axes.plot(steps.numpy(force=True), share.numpy(force=True), label=label, **{**look, "marker": marker})

    made = _by_layer(networks, draw, "interval (time steps)", "intervals (%)", legend=False)
    for axes in made.axes:
        axes.locator_params(axis="x", integer=True)
        if axes.lines:
            axes.set_yscale("log")
            axes.legend(fontsize=6.5, frameon=False)
    return made


def activity_autocorrelations(networks: Networks, states: Sequence[str] = ("u", "s", "m")) -> "Figure":
    """Autocorrelation of the states over the lag, a row per state, a column per layer. Source: CLIF, figure 8."""
    shown = [name for name in states if any(name in one.autocorrelation for one in _all(networks))]
    columns = max(len(layers) for layers in networks.values())
    made = figure(1.5 + 2.1 * columns, 0.9 + 1.9 * len(shown))
    grid = made.subplots(len(shown), columns, squeeze=False, sharex=True, sharey="row")
    for number, (network, layers) in enumerate(networks.items()):
        for column, layer in enumerate(layers.values()):
            for row, name in enumerate(shown):
                found = layer.autocorrelation.get(name)
                if found is not None:
                    grid[row, column].plot(found.numpy(force=True), label=network, **{**style(number), "markersize": 3})
    for row, name in enumerate(shown):
        grid[row, 0].set_ylabel(f"autocorrelation of {name}")
    for column in range(columns):
        grid[0, column].set_title(f"layer {column + 1}", fontsize=9)
        grid[-1, column].set_xlabel("lag (time steps)")
    for axes in grid.flat:
        axes.grid(alpha=0.3)
        axes.axhline(0, color="0.5", linewidth=0.6)
    return legend_above(made, grid[0, 0])


def activity_weights(networks: Mapping[str, Mapping[str, float]]) -> "Figure":
    """Frobenius norms of the weights, a row per network's matrix or kernel. Source: ILIF, figure 1c."""
    made = figure(7, 1.4 + 0.28 * max(len(norms) for norms in networks.values()))
    axes = made.add_subplot()
    names = list(dict.fromkeys(name for norms in networks.values() for name in norms))
    for number, (network, norms) in enumerate(networks.items()):
        mean = sum(norms.values()) / len(norms)
        rows = [names.index(name) for name in norms]
        axes.plot(list(norms.values()), rows, label=f"{network}: mean {mean:.2f}", **{**style(number), "linestyle": ""})
    axes.set_yticks(range(len(names)), names, fontsize=8)
    axes.set(ylim=(len(names) - 0.5, -0.5), xlim=(0, None), xlabel="norm of the weights (Frobenius)")
    axes.grid(alpha=0.3)
    return legend_above(made, axes)


def _by_layer(
    networks: Networks,
    draw: Callable[["Axes", LayerActivity, str, dict], None],
    xlabel: str,
    ylabel: str,
    legend: bool = True,
) -> "Figure":
    """A panel per layer, filled by `draw` for each network that has so many layers."""
    count = max(len(layers) for layers in networks.values())
    columns = min(count, 4)
    rows = -(-count // columns)
    made = figure(max(5.5, 2.8 * columns), 0.9 + 2.3 * rows)
    grid = made.subplots(rows, columns, squeeze=False, sharex=True)
    for number, (network, layers) in enumerate(networks.items()):
        for place, (axes, layer) in enumerate(zip(grid.flat, layers.values(), strict=False), 1):
            draw(axes, layer, network, style(number))
            axes.set_title(f"layer {place}: {layer.neurons:,} neurons", fontsize=9)
            axes.grid(alpha=0.3)
    for place, axes in enumerate(grid.flat):
        if place >= count:
            axes.remove()
        elif place + columns >= count:
            axes.set_xlabel(xlabel)
            axes.tick_params(labelbottom=True)
    for row in grid:
        row[0].set_ylabel(ylabel, fontsize=9)
    return legend_above(made, grid[0, 0]) if legend else made


def _all(networks: Networks) -> list[LayerActivity]:
    return [layer for layers in networks.values() for layer in layers.values()]
