"""Which classes are taken for which."""

from collections.abc import Sequence
from typing import TYPE_CHECKING

from torch import Tensor

from rheobase.plots.figure import figure

if TYPE_CHECKING:
    from matplotlib.figure import Figure

READABLE = 20  # classes up to which the counts are written into the cells


def confusion_matrix(counts: Tensor, names: Sequence[str] | None = None, title: str = "") -> "Figure":
    """Labels downwards, predictions to the right; the colour is the share of the label's samples.

    Shapes: counts [label, prediction]; one name per class (none: their numbers).
    Errors: ValueError for counts that are not square, or another number of names.
    """
    classes = len(counts)
    names = [str(number) for number in range(classes)] if names is None else names
    if counts.shape != (classes, classes) or len(names) != classes:
        given = f"{tuple(counts.shape)} and {len(names)} names"
        raise ValueError(f"confusion_matrix: needs counts [classes, classes] and a name for each class; got {given}.")
    shares = (counts.double() / counts.sum(1, keepdim=True).clamp(min=1)).numpy(force=True)
    side = min(8.0, 2.6 + 0.34 * classes)
    made = figure(side + 0.8, side)
    axes = made.add_subplot()
    image = axes.imshow(100 * shares, cmap="Blues", vmin=0, vmax=100)
    made.colorbar(image, ax=axes, label="% of the label's samples", shrink=0.8)
    if classes <= READABLE:
        ticks = range(classes)
        axes.set_xticks(ticks, names, rotation=90 if max(map(len, names)) > 2 else 0)
        axes.set_yticks(ticks, names)
        for row in ticks:
            for column in ticks:
                shown = f"{int(counts[row, column])}" if counts[row, column] else ""
                colour = "white" if shares[row, column] > 0.5 else "black"
                axes.text(column, row, shown, ha="center", va="center", fontsize=7, color=colour)
    axes.set(xlabel="predicted", ylabel="label", title=title)
    return made
