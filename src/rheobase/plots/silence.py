"""How many neurons never spike, over training."""

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

from rheobase.plots.figure import COLOURS, figure

if TYPE_CHECKING:
    from matplotlib.figure import Figure

STYLES = ("-", (0, (6, 6)), ":")  # lines that lie on each other stay visible


def silence(runs: Mapping[str, Sequence[Sequence[dict[str, Any]]]], title: str) -> "Figure":
    """Left: the share of hidden neurons silent on the whole training set, per epoch. Right: validation accuracy.

    runs: by name, the epochs of the records of several seeds; one thin line per seed.
    """
    made = figure(10, 4)
    left, right = made.subplots(1, 2)
    for colour, style, (name, seeds) in zip(COLOURS * len(runs), STYLES * len(runs), runs.items(), strict=False):
        for number, epochs in enumerate(seeds):
            line = {"color": colour, "linestyle": style, "label": name if number == 0 else None}
            numbers = [row["epoch"] for row in epochs]
            left.plot(numbers, [100 * silent_share(row) for row in epochs], **line)
            right.plot(numbers, [100 * row["validation_accuracy"] for row in epochs], **line)
    left.set(xlabel="epoch", ylabel="silent hidden neurons (%)", ylim=(-3, 103))
    right.set(xlabel="epoch", ylabel="validation accuracy (%)", ylim=(0, 100))
    left.legend(frameon=False)
    for axes in (left, right):
        axes.grid(alpha=0.3)
    made.suptitle(title)
    return made


def silent_share(row: dict[str, Any]) -> float:
    """The share of silent neurons of an epoch's row, mean over the hidden layers."""
    return sum(layer["silent"] for layer in row["hidden"]) / len(row["hidden"])
