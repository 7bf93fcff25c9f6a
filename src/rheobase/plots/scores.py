"""Several runs' scores with their intervals."""

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING

from rheobase.plots.figure import COLOURS, figure

if TYPE_CHECKING:
    from matplotlib.figure import Figure


def scores(
    intervals: Mapping[str, tuple[float, float, float]],
    quantity: str,
    single: Mapping[str, Sequence[float]] | None = None,
) -> "Figure":
    """A dot and its interval for every label, one row each, and crosses at single values, such as those of seeds.

    intervals: (value, low, high).
    """
    made = figure(7, 0.9 + 0.32 * len(intervals))
    axes = made.add_subplot()
    for row, (label, (value, low, high)) in enumerate(intervals.items()):
        axes.hlines(row, low, high, color=COLOURS[0], linewidth=2.5)
        axes.plot(value, row, "o", color="black", markersize=5)
        points = [] if single is None else single.get(label, [])
        axes.plot(points, [row - 0.25] * len(points), "x", color=COLOURS[1], markersize=4)
    axes.set_yticks(range(len(intervals)), list(intervals))
    axes.set(ylim=(len(intervals) - 0.5, -0.5), xlabel=quantity)
    axes.grid(axis="x", alpha=0.3)
    return made
