"""Loss and gradient landscapes: lines and planes, one row per network so that they can be compared at a glance."""

import math
from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING

import torch

from rheobase.analysis.landscapes import Jump, Landscape, gaps
from rheobase.plots.figure import COLOURS, figure

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure


def landscape_lines(found: Mapping[str, Mapping[str, tuple[Landscape, Sequence[Jump]]]], title: str) -> "Figure":
    """Losses along one direction: a row per network, a column per sample or batch.

    Black: the loss. Dashed: what its gradient, integrated from the left, says it should be. Red: jumps that survive
    refinement, and places where spikes appear or vanish. Grey: places where only their order changes.
    found: by network, then by name of the samples.
    """
    columns = max(len(row) for row in found.values())
    made = figure(4.2 * columns, 3.2 * len(found))
    grid = made.subplots(len(found), columns, squeeze=False)
    for axes_row, (network, row) in zip(grid, found.items(), strict=True):
        for axes, (samples, (landscape, jumps)) in zip(axes_row, row.items(), strict=False):
            line(landscape, jumps, axes)
            axes.set_title(f"{network}, {samples}: {len(jumps)} jumps", fontsize=10)
        axes_row[0].set_ylabel("loss")
    for axes in grid[-1]:
        axes.set_xlabel("step along the direction")
    for column in grid.T:
        _one_scale(column)
    handles, labels = grid[0][0].get_legend_handles_labels()
    made.legend(handles, labels, frameon=False, ncols=len(labels), loc="outside lower center", fontsize=9)
    made.suptitle(title)
    return made


def line(landscape: Landscape, jumps: Sequence[Jump], axes: "Axes") -> None:
    """One line, as in `landscape_lines`."""
    steps, loss, slope = landscape.steps.double(), landscape.loss, landscape.slope[0]
    integral = loss[0] + torch.cat([loss.new_zeros(1), (steps.diff() * (slope[1:] + slope[:-1]) / 2).cumsum(0)])
    low, high = float(loss.min()), float(loss.max())
    reach = max(high - low, 1e-12)
    middles = (steps[1:] + steps[:-1]) / 2
    for changed, colour, where, label in (
        (landscape.order_changed, "0.6", 0, "order of spikes changes"),
        (landscape.count_changed, COLOURS[1], 1, "spikes appear or vanish"),
    ):
        if changed is not None:
            low_end, share_of_axes = 0.02 + 0.06 * where, axes.get_xaxis_transform()
            options = {"color": colour, "linewidth": 0.8, "label": label, "transform": share_of_axes}
            axes.vlines(middles[changed].numpy(force=True), low_end, low_end + 0.05, **options)
    for jump in jumps:
        axes.axvline(jump.step, color=COLOURS[1], alpha=0.35, linewidth=1)
    at = steps.numpy(force=True)
    axes.plot(
        at, integral.numpy(force=True), color=COLOURS[0], linestyle="--", linewidth=1, label="integrated gradient"
    )
    axes.plot(at, loss.numpy(force=True), color="black", linewidth=1.2, label="loss")
    axes.set_ylim(low - 0.25 * reach, high + 0.15 * reach)


def _one_scale(column: Sequence["Axes"]) -> None:
    limits = [axes.get_ylim() for axes in column if axes.lines]
    for axes in column:
        axes.set_ylim(min(low for low, _ in limits), max(high for _, high in limits)) if limits else None


def landscape_planes(found: Mapping[str, Landscape], title: str) -> "Figure":
    """Planes over two directions, a row per network: the loss, the gradient's norm, how far its direction agrees with
    that of the next point (1: the same, dark: it turns), and the gap between a loss difference and the integrated
    gradient (bright: the loss jumps), with one scale for all networks."""
    made = figure(14.4, 3.2 * len(found))
    grid = made.subplots(len(found), 4, squeeze=False)
    widest = max(math.log10(max(float(gaps(plane).max()), 1e-3)) for plane in found.values())
    for row, (network, plane) in zip(grid, found.items(), strict=True):
        extent = [float(plane.steps[0]), float(plane.steps[-1])] * 2
        pictures = [
            ("loss", plane.loss, "viridis", {}),
            ("gradient norm (log10)", plane.gradient_norm.clamp(min=1e-12).log10(), "magma", {}),
            ("agreement of gradients", plane.cosine, "gray", {"vmin": -1, "vmax": 1}),
            ("gap (log10)", gaps(plane).clamp(min=1e-4).log10(), "inferno", {"vmin": -4, "vmax": widest}),
        ]
        for axes, (name, values, colours, options) in zip(row, pictures, strict=True):
            image = axes.imshow(
                values.numpy(force=True), origin="lower", extent=extent, cmap=colours, aspect="equal", **options
            )
            made.colorbar(image, ax=axes, shrink=0.8)
            axes.set_title(f"{network}: {name}", fontsize=9)
    made.suptitle(title)
    return made
