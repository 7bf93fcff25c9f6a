"""How learned values are spread within layers, and how they change over training."""

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING

from torch import Tensor

from rheobase.plots.figure import COLOURS, figure, with_unit

if TYPE_CHECKING:
    from matplotlib.figure import Figure


def spread(values: Mapping[str, Tensor], quantity: str) -> "Figure":
    """One row per layer: every value as a tick, and the mean as a dot.

    Shapes: values of any shape, by the name of the layer.
    """
    made = figure(7, 0.9 + 0.3 * len(values))
    axes = made.add_subplot()
    for row, value in enumerate(values.values()):
        flat = value.detach().flatten()
        axes.scatter(flat.numpy(force=True), [row] * len(flat), marker="|", color=COLOURS[0], alpha=0.6, s=60)
        axes.plot(float(flat.mean()), row, "o", color="black", markersize=4)
    axes.set_yticks(range(len(values)), list(values), fontsize=8)
    axes.set(ylim=(len(values) - 0.5, -0.5), xlabel=with_unit(quantity))
    axes.grid(axis="x", alpha=0.3)
    return made


def learned_over_epochs(rows: Sequence[tuple[int, Mapping[str, Mapping[str, Mapping[str, float]]]]]) -> "Figure":
    """A panel per learned value, a line per layer from dark (first) to light: the mean, shaded by ± the deviation.

    rows: (epoch, by layer, by value: `mean` and `std`), as `neurons.learned.summary` gives.
    """
    from matplotlib import colormaps

    names = list(dict.fromkeys(value for _, layers in rows for values in layers.values() for value in values))
    columns = min(3, len(names))
    made = figure(3.2 * columns, 2.6 * -(-len(names) // columns) + 0.3)
    layers, epochs = list(rows[-1][1]), [epoch for epoch, _ in rows]
    for number, name in enumerate(names):
        axes = made.add_subplot(-(-len(names) // columns), columns, number + 1)
        for place, layer in enumerate(layers):
            found = [(epoch, row[layer][name]) for epoch, row in rows if name in row.get(layer, {})]
            if not found:
                continue
            colour = colormaps["cividis"](0.9 * place / max(1, len(layers) - 1))
            means, spreads = ([value[key] for _, value in found] for key in ("mean", "std"))
            axes.plot([epoch for epoch, _ in found], means, color=colour, label=layer)
            low, high = ([m + sign * s for m, s in zip(means, spreads, strict=True)] for sign in (-1, 1))
            axes.fill_between([epoch for epoch, _ in found], low, high, color=colour, alpha=0.15, linewidth=0)
        axes.set(xlabel="epoch", ylabel=with_unit(name), xlim=(min(epochs), max(epochs)))
        axes.locator_params(axis="x", integer=True)
        axes.grid(alpha=0.3)
    handles, labels = made.axes[0].get_legend_handles_labels()
    made.legend(handles, labels, frameon=False, ncols=min(4, len(labels)), loc="outside upper center", fontsize=8)
    return made
