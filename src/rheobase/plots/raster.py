"""Spike rasters."""

from collections.abc import Sequence
from typing import TYPE_CHECKING

from torch import Tensor

from rheobase.plots.figure import COLOURS, figure

if TYPE_CHECKING:
    from matplotlib.axes import Axes


def raster(spikes: Tensor, names: Sequence[str] | None = None, axes: "Axes | None" = None) -> "Axes":
    """One mark per spike: neurons upwards, time to the right, samples side by side and named below.

    Shapes: spikes [T, samples, neurons], values 0 or 1.
    """
    steps, samples, neurons = spikes.shape
    if names is not None and len(names) != samples:
        raise ValueError(f"raster: needs one name for each of {samples} samples; got {len(names)}.")
    axes = figure(9, 4).add_subplot() if axes is None else axes
    time, sample, neuron = spikes.nonzero(as_tuple=True)
    height = max(0.8, 200 / neurons)
    axes.scatter(
        (sample * steps + time).numpy(force=True) + 0.5,
        neuron.numpy(force=True),
        marker="|",
        s=height,
        color="black",
        linewidths=0.8,
    )
    for edge in range(1, samples):
        axes.axvline(edge * steps, color=COLOURS[1], linewidth=0.6)
    axes.set(xlim=(0, samples * steps), ylim=(-1, neurons), ylabel="neuron")
    axes.set_title(f"hidden spikes, {steps} steps per sample")
    axes.set_xticks(
        [(index + 0.5) * steps for index in range(samples)], names or [str(index) for index in range(samples)]
    )
    axes.tick_params(axis="x", length=0)
    return axes
