"""Networks whose neurons were exchanged: losses around the exchange, the search for a reset, other numbers of steps."""

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

import torch

from rheobase.plots.figure import COLOURS, figure, style, with_unit

if TYPE_CHECKING:
    from matplotlib.figure import Figure

BANDS = 4


def exchange_losses(runs: Mapping[str, Sequence[Sequence[dict[str, Any]]]], exchanges: Sequence[int] = ()) -> "Figure":
    """Training loss and validation accuracy over the epochs, a line per kind of run: means over its seeds.

    runs: by label, for every seed the epochs of its record. exchanges: epochs after which neurons were exchanged.
    Bands, of at most BANDS kinds (more would hide the lines): from the lowest to the highest seed.
    """
    made = figure(11.5, 4.2)
    panels = made.subplots(1, 2)
    for axes, quantity, factor in zip(panels, ("train_loss", "validation_accuracy"), (1, 100), strict=True):
        for number, (label, seeds) in enumerate(runs.items()):
            values = factor * torch.tensor([[row[quantity] for row in epochs] for epochs in seeds])
            at = [row["epoch"] for row in seeds[0]]
            axes.plot(at, values.mean(0).numpy(force=True), label=label, **style(number))
            if len(runs) <= BANDS:
                low, high = values.min(0).values.numpy(force=True), values.max(0).values.numpy(force=True)
                axes.fill_between(at, low, high, color=COLOURS[number % len(COLOURS)], alpha=0.15, linewidth=0)
        for epoch in exchanges:
            axes.axvline(epoch + 0.5, color="0.5", linestyle=":", linewidth=1)
        axes.set_xlabel("epoch (dotted: neurons exchanged)" if exchanges else "epoch")
        axes.grid(alpha=0.3)
        axes.locator_params(axis="x", integer=True)
    panels[0].set(ylabel="training loss", yscale="log")
    for axis in (panels[0].yaxis.set_major_formatter, panels[0].yaxis.set_minor_formatter):
        axis("{x:.3g}")
    panels[1].set_ylabel("validation accuracy (%)")
    handles, labels = panels[0].get_legend_handles_labels()
    made.legend(handles, labels, frameon=False, fontsize=9, loc="outside right upper")
    return made


def exchange_search(values: Mapping[float, float], others: Mapping[str, float], option: str, title: str) -> "Figure":
    """Validation accuracy (shares) over the values of an option, the best one marked; `others`: lines to compare."""
    made = figure(6.5, 4.2)
    axes = made.add_subplot()
    at, scores = list(values), [100 * score for score in values.values()]
    axes.plot(at, scores, **style(0))
    best = max(values, key=lambda value: values[value])
    axes.plot([best], [100 * values[best]], "o", color="black", markersize=9, fillstyle="none", label=f"best: {best:g}")
    for number, (name, score) in enumerate(others.items(), 1):
        options = {k: v for k, v in style(number).items() if k in ("color", "linestyle")}
        axes.axhline(100 * score, label=f"{name}: {100 * score:.2f} %", **options)
    axes.set(xlabel=with_unit(option), ylabel="validation accuracy (%)")
    axes.set_title(title, fontsize=10)
    axes.grid(alpha=0.3)
    axes.legend(frameon=False, fontsize=9)
    return made


def exchange_steps(found: Mapping[str, Mapping[int, float]], trained: int, title: str) -> "Figure":
    """Test accuracy (shares) over the number of time steps T, a line per network; dotted: the T of the training."""
    made = figure(6.5, 4.2)
    axes = made.add_subplot()
    for number, (name, by_steps) in enumerate(found.items()):
        axes.plot(list(by_steps), [100 * score for score in by_steps.values()], label=name, **style(number))
    axes.axvline(trained, color="0.5", linestyle=":", label=f"trained with T={trained}")
    axes.set(xlabel="time steps T", ylabel="test accuracy (%)", xscale="log")
    axes.set_xticks(sorted({steps for one in found.values() for steps in one}))
    axes.xaxis.set_major_formatter("{x:g}")
    axes.minorticks_off()
    axes.set_title(title, fontsize=10)
    axes.grid(alpha=0.3)
    axes.legend(frameon=False)
    return made
