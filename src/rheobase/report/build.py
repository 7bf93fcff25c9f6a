"""From runs to the page."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from rheobase.report import network, page, sections
from rheobase.report.measure import Measured, measure
from rheobase.report.source import Source, read


def report(paths: Sequence[Path], *, run: bool = True, command: str = "") -> str:
    """One HTML page about the runs at these paths, complete in itself: nothing is loaded from anywhere.

    With `run` the networks of finished runs are run on their test sets, for what a record does not hold: activity,
    gradients, confusion matrix, rasters. What is not there is said in its place. `command` is noted on the page.
    Errors: ValueError and FileNotFoundError for a path that holds no run; ModuleNotFoundError naming the extra that is
    not installed.
    """
    sources = read(paths)
    measured = {source.label: _measured(source, run) for source in sources}
    made = {"Result": sections.result(sources)}
    if len([one for one in measured.values() if isinstance(one, Measured)]) > 1:
        made["Comparison"] = network.comparison(measured)
    made |= {
        "Training": sections.training(sources),
        "Config": sections.config(sources),
        "Activity": network.activity(measured),
        "Spikes": network.spikes(measured),
        "Confusion": network.confusion(measured),
        "Gradients": network.gradients(measured),
        "Energy": network.energy(measured),
        "Learned values": page.joined([sections.learned(sources), network.learned(measured)]),
        "Again": sections.again(sources),
    }
    return page.document(sections.title(sources), made, f"Made by: {command}" if command else "Made by rheobase.")


def _measured(source: Source, run: bool) -> Measured | str:
    """What running the network shows, or why it was not run."""
    if not run:
        return "the network was not run (--no-run)."
    try:
        return measure(source)
    except (OSError, ValueError, RuntimeError, ModuleNotFoundError) as error:
        return str(error)
