"""Gradients in time: their parts, how far they reach, and surrogates beside exact ones."""

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING

import torch
from torch import Tensor

from rheobase.analysis.gradients import Split
from rheobase.analysis.gradients_exact import Comparison
from rheobase.plots.figure import COLOURS, figure, style
from rheobase.plots.studies import draw_means

if TYPE_CHECKING:
    from matplotlib.figure import Figure

LARGEST = 1e6


PARTS = {
    "whole": "norm of dL/dx (log10)",
    "temporal": "norm of temporal part / whole",
    "cosine": "cosine of spatial part and whole",
    "vanished": "share of currents without temporal part",
}


def gradient_parts(found: Mapping[str, Mapping[str, Split]]) -> "Figure":
    """The gradient of the currents per layer and time step, a row per network, first layer on top.

    Columns: the norm of the whole, the temporal part's share of it, the cosine between spatial part and whole, and the
    share of currents without any temporal part; each column has one scale. found: by network, then by layer.
    """
    heights = [max(0.6 + 0.22 * len(layers), 0.3 + 0.08 * len(name)) for name, layers in found.items()]
    made = figure(13, 0.8 + sum(heights))
    grid = made.subplots(len(found), len(PARTS), squeeze=False, height_ratios=heights)
    for column, (part, label) in zip(grid.T, PARTS.items(), strict=True):
        pictures = [_picture(layers, part) for layers in found.values()]
        low = min(float(picture[:, :-1].min()) for picture in pictures)  # the last step has no future
        high = max(float(picture.max()) for picture in pictures)
        column[0].set_title(label, fontsize=10)
        for axes, picture in zip(column, pictures, strict=True):
            extent = (0.5, picture.shape[1] + 0.5, len(picture) - 0.5, -0.5)
            options = {"aspect": "auto", "cmap": "cividis", "extent": extent, "vmin": low, "vmax": high}
            made.colorbar(axes.imshow(picture.numpy(force=True), **options), ax=axes)
            axes.set_yticks(range(len(picture)), [])
            axes.locator_params(axis="x", integer=True)
        column[-1].set_xlabel("time step")
    for axes, (network, layers) in zip(grid[:, 0], found.items(), strict=True):
        names = [name.removeprefix("features.").removesuffix(".neuron") for name in layers]
        axes.set_yticks(range(len(layers)), names, fontsize=7)
        axes.set_ylabel(network, fontsize=10)
    return made


def _picture(layers: Mapping[str, Split], part: str) -> Tensor:
    values = torch.stack([getattr(one, part) for one in layers.values()]).detach()
    if part == "whole":
        return values.clamp(min=1e-12).log10()
    whole = torch.stack([one.whole for one in layers.values()]).detach().clamp(min=1e-30)
    return values / whole if part == "temporal" else values


def gradient_reach(found: Mapping[str, Tensor], title: str) -> "Figure":
    """How a gradient falls with the distance in time, relative to distance 0, on a logarithmic scale from a tenth on.

    Shapes: found [T] by name: mean absolute gradients by the number of steps between spike and current. The farthest
    reaching stands first in the legend; a line ends where nothing is left.
    """
    made = figure(8, 4.6)
    axes = made.add_subplot()
    relative = {name: (values / values[0]).double().detach() for name, values in found.items()}
    for number, (name, values) in enumerate(sorted(relative.items(), key=lambda item: -float(item[1][-1]))):
        shown = torch.where(values > 0, values, torch.nan).numpy(force=True)
        axes.plot(range(len(values)), shown, label=name, **style(number))
    axes.set(xlabel="steps between spike and current", ylabel="mean |gradient|, relative to distance 0")
    seen = torch.cat([values[values > 0] for values in relative.values()])
    if seen.max() > 10 * seen.min():
        axes.set_yscale("log")
    else:
        axes.set_ylim(0, None)
    axes.set_title(title, fontsize=10)
    axes.locator_params(axis="x", integer=True)
    axes.grid(alpha=0.3)
    made.legend(frameon=False, fontsize=8, loc="outside right upper")
    return made


WIDTH_PANELS = {
    "accuracy": "test accuracy (%)",
    "firing_rate": "spikes per neuron and step",
    "weight_norm": "mean norm of a weight matrix",
    "overactive": "u above twice the threshold (%)",
    "vanished": "currents without temporal gradient (%)",
    "temporal": "norm of temporal part / whole",
}


def surrogate_widths(found: Mapping[str, Mapping[float, Mapping[str, Sequence[float]]]], title: str) -> "Figure":
    """ILIF's dilemma: what the width of the surrogate's support does, a line per neuron.

    found: by neuron, by width in units of the potential, then by the names of WIDTH_PANELS the values of all seeds.
    """
    made = figure(11, 6.2)
    grid = made.subplots(2, 3, sharex=True)
    for axes, (quantity, label) in zip(grid.flat, WIDTH_PANELS.items(), strict=True):
        for number, (neuron, by_width) in enumerate(found.items()):
            values = [list(one[quantity]) for one in by_width.values()]
            draw_means(axes, list(by_width), values, neuron, number)
        axes.set(xscale="log", ylabel=label)
        axes.set_xticks(list(_widths(found)), [f"{width:g}" for width in _widths(found)])
        axes.minorticks_off()
    for axes in grid[-1]:
        axes.set_xlabel("width of the surrogate (units of u)")
    grid[0][0].legend(frameon=False)
    made.suptitle(title, fontsize=11)
    return made


def _widths(found: Mapping[str, Mapping[float, object]]) -> list[float]:
    return sorted({width for by_width in found.values() for width in by_width})


def exact_surrogates(found: Mapping[str, Mapping[float, Sequence[Comparison]]], title: str) -> "Figure":
    """Steps of dt beside events: error of spike times, and cosine and size of the surrogate gradient, medians.

    found: by surrogate, then by dt in units of τ, one comparison per network. Bands: the middle half of the networks.
    Gradients beyond LARGEST times the exact one leave the picture.
    """
    made = figure(12, 4.2)
    panels = made.subplots(1, 3)
    labels = ("error of first spike times (τ)", "cosine of surrogate and exact gradient", "norm of surrogate / exact")
    for axes, quantity, label in zip(panels, ("time_error", "cosine", "ratio"), labels, strict=True):
        for number, (name, by_dt) in enumerate(found.items()):
            rows = torch.tensor([[getattr(one, quantity) for one in networks] for networks in by_dt.values()])
            rows = rows.double().nan_to_num(0.0).clamp(max=10 * LARGEST)
            low, middle, high = (rows.quantile(q, dim=1).numpy(force=True) for q in (0.25, 0.5, 0.75))
            axes.plot(list(by_dt), middle, label=name, **style(number))
            axes.fill_between(list(by_dt), low, high, color=COLOURS[number % len(COLOURS)], alpha=0.12, linewidth=0)
        axes.set(xscale="log", xlabel="time step dt (τ)", ylabel=label)
        axes.invert_xaxis()
        axes.grid(alpha=0.3)
    panels[0].set_yscale("log")
    panels[1].set_ylim(-1, 1)
    panels[2].set(yscale="log", ylim=(0.1, LARGEST))
    handles, names = panels[1].get_legend_handles_labels()
    made.legend(handles, names, frameon=False, fontsize=8, ncols=4, loc="outside lower center")
    made.suptitle(title, fontsize=11)
    return made
