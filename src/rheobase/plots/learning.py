"""The learning curve of one run."""

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

from rheobase.plots.figure import figure

if TYPE_CHECKING:
    from matplotlib.axes import Axes


def learning_curve(epochs: Sequence[dict[str, Any]], axes: "Axes | None" = None) -> "Axes":
    """Error on training and validation set over the epochs of a record (log scale), and the epoch that was kept.

    An error of 0 is drawn at half a sample in 2,000, so that it stays visible on the logarithmic axis.
    """
    axes = figure(6, 4).add_subplot() if axes is None else axes
    numbers = [row["epoch"] for row in epochs]
    for part, colour in (("train", "tab:gray"), ("validation", "tab:blue")):
        errors = [max(1 - row[f"{part}_accuracy"], 1 / 4000) * 100 for row in epochs]
        axes.plot(numbers, errors, color=colour, label=part)
    best = min(epochs, key=lambda row: row["validation_loss"])
    axes.axvline(best["epoch"], color="tab:orange", linestyle=":", label=f"kept: epoch {best['epoch']}")
    axes.set(yscale="log", xlabel="epoch", ylabel="error (%)", title="learning curve")
    axes.yaxis.set_major_formatter("{x:g}")
    axes.grid(alpha=0.3)
    axes.legend(frameon=False)
    return axes
