"""How runs went: loss, accuracy, activity and gradient over the epochs."""

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

from rheobase.plots.figure import COLOURS, MARKERS, STYLES, figure

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

DOTS = 30  # of one run at most


def training_history(runs: Mapping[str, tuple[Sequence[dict[str, Any]], Sequence[dict[str, Any]]]]) -> "Figure":
    """Loss, accuracy, firing rate and gradient norm over the epochs of several runs, a colour and a style each.

    runs: by label, the rows of logged steps (`epoch` a fraction, `loss`, `accuracy`, `firing_rate`, `gradient_norm`)
    and the rows of epochs of a record. Lines are training batches, markers the validation set, at most 30 of them;
    without logged steps, lines are the means of the epochs. Quantities that no run has leave their place empty and say
    so.
    """
    made = figure(9, 6.2)
    loss, accuracy, rate, gradient = made.subplots(2, 2, sharex=True).flat
    for number, (label, (steps, epochs)) in enumerate(runs.items()):
        style = {"color": COLOURS[number % len(COLOURS)], "linestyle": STYLES[number % len(STYLES)], "label": label}
        for axes, name, factor in ((loss, "loss", 1), (accuracy, "accuracy", 100)):
            _line(axes, steps or _training(epochs), name, style, factor)
        _line(rate, steps or epochs, "firing_rate", style)
        _line(gradient, steps, "gradient_norm", style)
        dots = {"color": style["color"], "linestyle": "", "marker": MARKERS[number % len(MARKERS)], "markersize": 4}
        dots["markevery"] = -(-len(epochs) // DOTS) or 1
        _line(loss, epochs, "validation_loss", dots)
        _line(accuracy, epochs, "validation_accuracy", dots, 100)
    names = ("loss", "accuracy (%)", "spikes per neuron and step", "norm of the gradient")
    for axes, name in zip((loss, accuracy, rate, gradient), names, strict=True):
        axes.set_ylabel(name)
        axes.grid(alpha=0.3)
        if not axes.lines:
            axes.text(0.5, 0.5, "not logged", transform=axes.transAxes, ha="center", color="0.4")
    if gradient.lines:
        gradient.set_yscale("log")
    for axes in (rate, gradient):
        axes.set_xlabel("epoch")
        axes.locator_params(axis="x", integer=True)
    handles, labels = loss.get_legend_handles_labels()
    if len(labels) > 1:
        made.legend(handles, labels, loc="outside upper center", ncols=min(3, len(labels)), frameon=False)
    return made


def _line(axes: "Axes", rows: Sequence[dict[str, Any]], name: str, style: dict[str, Any], factor: float = 1) -> None:
    """Draw one quantity where rows have it."""
    found = [(row["epoch"], factor * row[name]) for row in rows if row.get(name) is not None]
    if found:
        axes.plot(*zip(*found, strict=True), linewidth=1.4, **style)


def _training(epochs: Sequence[dict[str, Any]]) -> list[dict[str, Any]]:
    """The training part of epochs' rows, named as in rows of steps."""
    return [
        {"epoch": row["epoch"], "loss": row.get("train_loss"), "accuracy": row.get("train_accuracy")} for row in epochs
    ]
