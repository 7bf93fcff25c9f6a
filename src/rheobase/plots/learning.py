"""Learning curves: of one run, and of several with their activity."""

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

from rheobase.plots.figure import COLOURS, MARKERS, figure

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

DOTS = 40  # markers of one run, or its line disappears under them


def learning_curve(epochs: Sequence[dict[str, Any]], kept: int) -> "Figure":
    """Error on training and validation set over the epochs of a record (log scale), and the epoch that was kept.

    An error of 0 is drawn at half a sample in 2,000, so that it stays visible on the logarithmic axis.
    """
    made = figure(6, 4)
    draw_learning_curve(made.add_subplot(), epochs, kept)
    return made


def draw_learning_curve(axes: "Axes", epochs: Sequence[dict[str, Any]], kept: int) -> None:
    """`learning_curve` on given axes."""
    numbers = [row["epoch"] for row in epochs]
    for part, colour in (("train", "0.5"), ("validation", COLOURS[0])):
        errors = [max(1 - row[f"{part}_accuracy"], 1 / 4000) * 100 for row in epochs]
        axes.plot(numbers, errors, color=colour, label=part)
    axes.axvline(kept, color=COLOURS[1], linestyle=":", label=f"kept: epoch {kept}")
    axes.set(yscale="log", xlabel="epoch", ylabel="error (%)", title="learning curve")
    axes.yaxis.set_major_formatter("{x:g}")
    axes.grid(alpha=0.3)
    axes.legend(frameon=False)


def learning_with_activity(runs: Mapping[str, Sequence[Sequence[dict[str, Any]]]]) -> "Figure":
    """Accuracy above and spikes per neuron and step below, over the epochs of several runs.

    runs: by label, the runs that differ in their seed alone, which share a colour. Each row of a run has `epoch`
    (fractions count batches within one) and some of `accuracy` (of training batches, drawn as a line),
    `validation_accuracy` (drawn with markers) and `firing_rate`.
    """
    made = figure(7, 6)
    above, below = made.subplots(2, 1, sharex=True)
    for number, (label, seeds) in enumerate(runs.items()):
        colour, marker = COLOURS[number % len(COLOURS)], MARKERS[number % len(MARKERS)]
        for rows in seeds:
            above.plot(*_column(rows, "accuracy", 100), color=colour, alpha=0.6, linewidth=1)
            dots = {"color": colour, "marker": marker, "markersize": 4, "linestyle": ":", "linewidth": 1}
            dots["markevery"] = 1 + len(_column(rows, "validation_accuracy", 100)[0]) // DOTS
            above.plot(*_column(rows, "validation_accuracy", 100), label=label if rows is seeds[0] else None, **dots)
            below.plot(*_column(rows, "firing_rate", 1), color=colour)
    above.set(ylabel="accuracy (%)")
    below.set(xlabel="epoch", ylabel="spikes per neuron and step", ylim=(0, None))
    for axes in (above, below):
        axes.grid(alpha=0.3)
    if not any(len(line.get_xdata()) for line in below.lines):
        below.text(0.5, 0.5, "no firing rate in the records", transform=below.transAxes, ha="center", color="0.4")
    above.legend(frameon=False, title="lines: training, markers: validation")
    return made


def _column(rows: Sequence[dict[str, Any]], name: str, factor: float) -> tuple[list[float], list[float]]:
    found = [row for row in rows if row.get(name) is not None]  # event-driven networks have no firing rate
    return [row["epoch"] for row in found], [row[name] * factor for row in found]
