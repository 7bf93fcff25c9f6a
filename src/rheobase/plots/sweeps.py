"""A hyperparameter search at a glance."""

from collections.abc import Mapping
from itertools import accumulate
from typing import TYPE_CHECKING, Any

from rheobase.plots.figure import COLOURS, figure

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure


def sweep_overview(reports: Mapping[str, Mapping[str, Any]], title: str) -> "Figure":
    """Accuracy over trials with the best so far (left), importance of each parameter (right); one colour per study.

    reports: by name, what `training.sweep.report` returns.
    """
    made = figure(12, 4.5)
    left, right = made.subplots(1, 2, width_ratios=(3, 2))
    for colour, (name, report) in zip(COLOURS * len(reports), reports.items(), strict=False):
        _accuracies(left, report, name, colour)
    left.set(xlabel="trial", ylabel="validation accuracy (%)", title="trials (×: pruned) and the best so far")
    left.grid(alpha=0.3)
    left.legend(frameon=False, loc="lower right")
    _importances(right, reports)
    made.suptitle(title)
    return made


def _accuracies(axes: "Axes", report: Mapping[str, Any], name: str, colour: str) -> None:
    done = [trial for trial in report["trials"] if trial["accuracy"] is not None]
    if not done:
        return
    for state, marker in (("complete", "o"), ("pruned", "x")):
        found = [(trial["number"], 100 * trial["accuracy"]) for trial in done if trial["state"] == state]
        axes.scatter(*zip(*found, strict=True), color=colour, marker=marker, s=22, alpha=0.7) if found else None
    best = list(accumulate((100 * trial["accuracy"] for trial in done), max))
    axes.step([trial["number"] for trial in done], best, where="post", color=colour, label=f"{name}: {best[-1]:.1f} %")


def _importances(axes: "Axes", reports: Mapping[str, Mapping[str, Any]]) -> None:
    names = list(dict.fromkeys(name for report in reports.values() for name in report["importance"]))
    height = 0.8 / max(1, len(reports))
    for row, (colour, (study, report)) in enumerate(zip(COLOURS * len(reports), reports.items(), strict=False)):
        places = [index + row * height for index in range(len(names))]
        axes.barh(places, [report["importance"].get(name, 0.0) for name in names], height, color=colour, label=study)
    axes.set_yticks([index + 0.4 - height / 2 for index in range(len(names))], names)
    axes.invert_yaxis()
    axes.set(xlabel="share of the variance of accuracy", title="importance")
