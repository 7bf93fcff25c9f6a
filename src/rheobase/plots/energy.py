"""Energy of networks beside their twins without spikes."""

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING

from rheobase.analysis.energy import Report
from rheobase.plots.figure import COLOURS, figure

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

PARTS = (("accumulates (AC)", "acs", COLOURS[0], ""), ("multiply-accumulates (MAC)", "macs", COLOURS[6], "///"),
         ("memory", "memory", "0.75", "..."))  # fmt: skip


def energy(found: Mapping[str, Sequence[Report]], title: str) -> "Figure":
    """One panel per convention: a bar per network, split into ACs, MACs and memory, and marks at its two twins.

    found: by network, its reports, the same conventions in all. Energies in µJ per sample; each panel has its own
    scale, because conventions cannot be compared.
    """
    names = [report.convention for report in next(iter(found.values()))]
    made = figure(2.2 + 2.6 * len(names), 1.7 + 0.42 * len(found))
    panels = made.subplots(1, len(names), squeeze=False, sharey=True)[0]
    for column, (axes, name) in enumerate(zip(panels, names, strict=True)):
        reports = [rows[column] for rows in found.values()]
        _bars(axes, reports)
        axes.set(title=name, xlabel="µJ per sample")
        axes.grid(axis="x", alpha=0.3)
        axes.set_axisbelow(True)
    panels[0].set_yticks(range(len(found)), list(found))
    panels[0].invert_yaxis()
    handles, labels = panels[0].get_legend_handles_labels()
    made.legend(handles, labels, frameon=False, ncols=len(labels), loc="outside lower center", fontsize=9)
    made.suptitle(title)
    return made


def _bars(axes: "Axes", reports: Sequence[Report]) -> None:
    """The bars of one convention, and its twins as marks: the ReLU twin |, the quantised twin ×."""
    rows, start = range(len(reports)), [0.0] * len(reports)
    for label, part, colour, hatch in PARTS:
        widths = [report.parts[part] for report in reports]
        axes.barh(rows, widths, 0.65, start, color=colour, hatch=hatch, edgecolor="white", label=label)
        start = [left + width for left, width in zip(start, widths, strict=True)]
    for label, marker, size, energies in (
        ("ReLU twin", "|", 16, [report.twin_energy for report in reports]),
        ("quantised ReLU twin", "x", 6, [report.quantised_twin_energy for report in reports]),
    ):
        axes.plot(energies, rows, marker=marker, markersize=size, linestyle="none", color="black", label=label)
    axes.use_sticky_edges = False  # or the end of the longest bar would be the edge
    axes.set_xlim(left=0)
