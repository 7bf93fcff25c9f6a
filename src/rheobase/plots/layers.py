"""A quantity of every layer at every time step."""

from collections.abc import Mapping
from typing import TYPE_CHECKING

import torch
from torch import Tensor

from rheobase.plots.figure import COLOURS, figure

if TYPE_CHECKING:
    from matplotlib.figure import Figure

MANY = 4  # layers that are still told apart as lines


def layers_over_time(values: Mapping[str, Tensor], quantity: str, title: str = "") -> "Figure":
    """Up to four layers as lines over the steps, more as rows of a map: darker is less, the scale beside it.

    Shapes: values [T] by the name of the layer, first layer first, all equally long. quantity: its name and unit.
    Errors: ValueError without layers.
    """
    if not values:
        raise ValueError("layers_over_time: needs at least one layer.")
    if len(values) <= MANY:
        return _lines(values, quantity, title)
    steps = len(next(iter(values.values())))
    made = figure(min(9, 4 + 0.25 * steps), 1.4 + 0.26 * len(values))
    axes = made.add_subplot()
    shown = torch.stack([value.detach().cpu().double() for value in values.values()]).numpy()
    image = axes.imshow(shown, aspect="auto", cmap="cividis", extent=(0.5, steps + 0.5, len(values) - 0.5, -0.5))
    made.colorbar(image, ax=axes, label=quantity)
    axes.set_yticks(range(len(values)), list(values), fontsize=8)
    axes.locator_params(axis="x", integer=True)
    axes.set(xlabel="time step", title=title)
    return made


def _lines(values: Mapping[str, Tensor], quantity: str, title: str) -> "Figure":
    made = figure(6.5, 3.4)
    axes = made.add_subplot()
    for (name, value), colour, style in zip(values.items(), COLOURS, ("-", "--", "-.", ":"), strict=False):
        axes.plot(range(1, len(value) + 1), value.cpu().numpy(), color=colour, linestyle=style, label=name)
    axes.set(xlabel="time step", ylabel=quantity, ylim=(0, None), title=title)
    axes.grid(alpha=0.3)
    axes.legend(frameon=False)
    return made
