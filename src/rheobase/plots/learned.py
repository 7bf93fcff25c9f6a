"""What neurons learnt, over layers and over training."""

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

from rheobase.plots.figure import figure, with_unit

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

Row = Mapping[str, Mapping[str, Mapping[str, float]]]
"""By neuron, by value: `mean` and `std` within the layer, as `neurons.learned.summary` gives."""


def learned_over_layers(networks: Mapping[str, Sequence[tuple[int, Row]]]) -> "Figure":
    """Learned values over the layers, one line per epoch from light to dark: a row per network, a column per value.

    Dashed: before training. Bars: the standard deviation within a layer after the last epoch.
    networks: by name, (epoch, values), the first epoch first, 0 before training. Source: DA-LIF, figure 3.
    """
    found = {name: _by_value(rows) for name, rows in networks.items() if any(row for _, row in rows)}
    columns = list(dict.fromkeys(value for values in found.values() for value in values))
    made = figure(1 + 3.2 * len(columns), 0.8 + 2.6 * len(found))
    grid = made.subplots(len(found), len(columns), squeeze=False)
    for axes_row, (network, values) in zip(grid, found.items(), strict=True):
        for axes, value in zip(axes_row, columns, strict=True):
            if value in values:
                _lines(axes, values[value])
                axes.set(xlabel="layer", ylabel=with_unit(value))
                axes.set_title(network, fontsize=9)
            else:
                axes.remove()
    return made


def _lines(axes: "Axes", lines: list[tuple[int, list[float], list[float]]]) -> None:
    for number, (epoch, means, stds) in enumerate(lines):
        last = number == len(lines) - 1
        dark = 0.8 * (1 - (number + 1) / len(lines))
        look = {"color": str(dark), "linestyle": "--" if epoch == 0 else "-", "marker": "o", "markersize": 3}
        bars = {"yerr": stds, "capsize": 2} if last and any(stds) else {}
        named = f"epoch {epoch}" if last or number == 0 else None
        axes.errorbar(range(1, len(means) + 1), means, label=named, **look, **bars)
    axes.locator_params(axis="x", integer=True, min_n_ticks=1)
    axes.grid(alpha=0.3)
    axes.legend(fontsize=8, frameon=False)


def _by_value(rows: Sequence[tuple[int, Row]]) -> dict[str, list[tuple[int, list[float], list[float]]]]:
    """By name of the value: (epoch, means over layers, standard deviations)."""
    found: dict[str, list[tuple[int, list[float], list[float]]]] = {}
    for epoch, row in rows:
        for name in dict.fromkeys(name for values in row.values() for name in values):
            own: list[Any] = [values[name] for values in row.values() if name in values]
            found.setdefault(name, []).append((epoch, [v["mean"] for v in own], [v["std"] for v in own]))
    return found
