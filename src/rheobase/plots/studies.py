"""Accuracies of studies: over one setting as lines, over two as a grid."""

from collections.abc import Mapping, Sequence
from statistics import mean, stdev
from typing import TYPE_CHECKING

import torch

from rheobase.plots.figure import figure, style, with_unit

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure


def accuracy_lines(found: Mapping[str, Mapping[float, Sequence[float]]], quantity: str, title: str) -> "Figure":
    """Accuracy over the values of a setting, a line per label: mean and standard deviation over seeds.

    found: by label, then by value, the accuracies (shares) of all seeds. Values that differ 8-fold or more have a
    logarithmic axis. Source: CLIF, figures 2, 3b and 6; DA-LIF, figure 2.
    """
    made = figure(6.5, 4.2)
    axes = made.add_subplot()
    values = sorted({value for by_value in found.values() for value in by_value})
    several = any(len(seeds) > 1 for by_value in found.values() for seeds in by_value.values())
    logarithmic = values[-1] >= 8 * values[0] > 0
    for number, (label, by_value) in enumerate(found.items()):
        aside = (number - (len(found) - 1) / 2) * several  # so that intervals do not hide each other
        places = [at * 1.03**aside if logarithmic else at + 0.01 * aside * (values[-1] - values[0]) for at in by_value]
        draw_means(axes, places, [[100 * one for one in seeds] for seeds in by_value.values()], label, number)
    axes.set(xlabel=with_unit(quantity), ylabel="test accuracy (%)")
    axes.set_xscale("log" if logarithmic else "linear")
    axes.set_xticks(values, [f"{value:g}" for value in values])
    axes.minorticks_off()
    axes.set_title(title, fontsize=10)
    axes.legend(frameon=False)
    return made


def draw_means(axes: "Axes", at: Sequence[float], values: Sequence[Sequence[float]], label: str, number: int) -> None:
    """A line of means on given axes, with the standard deviation where there are several values."""
    spread = [stdev(one) if len(one) > 1 else 0.0 for one in values]
    axes.errorbar(at, [mean(one) for one in values], yerr=spread, label=label, capsize=2, **style(number))
    axes.grid(alpha=0.3)


def accuracy_grid(found: Mapping[tuple[float, float], Sequence[float]], names: tuple[str, str], title: str) -> "Figure":
    """Accuracy over the values of two settings, the first to the right, the second upwards: means over seeds, in %.

    found: by both values, the accuracies (shares) of all seeds; a place that was not trained stays white.
    Source: DA-LIF, figure 1a.
    """
    right, up = (sorted({place[axis] for place in found}) for axis in (0, 1))
    picture = torch.full((len(up), len(right)), torch.nan)
    for (x, y), seeds in found.items():
        picture[up.index(y), right.index(x)] = 100 * mean(seeds)
    made = figure(2.4 + 0.75 * len(right), 1.4 + 0.6 * len(up))
    axes = made.add_subplot()
    image = axes.imshow(picture.numpy(force=True), origin="lower", cmap="cividis", aspect="auto")
    made.colorbar(image, ax=axes, label="test accuracy (%)")
    middle = sum(image.get_clim()) / 2  # type: ignore[arg-type]
    for row, column in picture.isnan().logical_not().nonzero().tolist():
        colour = "white" if float(picture[row, column]) < middle else "black"
        axes.text(column, row, f"{float(picture[row, column]):.1f}", ha="center", va="center", color=colour, fontsize=9)
    axes.set(xlabel=with_unit(names[0]), ylabel=with_unit(names[1]))
    axes.set_xticks(range(len(right)), [f"{value:g}" for value in right])
    axes.set_yticks(range(len(up)), [f"{value:g}" for value in up])
    axes.set_title(title, fontsize=10)
    return made
