"""How learned values are spread within layers."""

from collections.abc import Mapping
from typing import TYPE_CHECKING

from torch import Tensor

from rheobase.plots.figure import COLOURS, figure

if TYPE_CHECKING:
    from matplotlib.figure import Figure


def spread(values: Mapping[str, Tensor], quantity: str) -> "Figure":
    """One row per layer: every value as a tick, and the mean as a dot.

    Shapes: values of any shape, by the name of the layer.
    """
    made = figure(7, 0.9 + 0.3 * len(values))
    axes = made.add_subplot()
    for row, value in enumerate(values.values()):
        flat = value.detach().flatten().cpu()
        axes.scatter(flat.numpy(), [row] * len(flat), marker="|", color=COLOURS[0], alpha=0.6, s=60)
        axes.plot(float(flat.mean()), row, "o", color="black", markersize=4)
    axes.set_yticks(range(len(values)), list(values), fontsize=8)
    axes.set(ylim=(len(values) - 0.5, -0.5), xlabel=quantity)
    axes.grid(axis="x", alpha=0.3)
    return made
