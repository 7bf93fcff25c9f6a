"""The picture at the end of a training run."""

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

from torch import Tensor

from rheobase.plots.figure import figure
from rheobase.plots.learning import draw_learning_curve
from rheobase.plots.raster import raster

if TYPE_CHECKING:
    from matplotlib.figure import Figure


def training_overview(
    epochs: Sequence[dict[str, Any]], kept: int, spikes: Tensor, names: Sequence[str], title: str
) -> "Figure":
    """Raster of the hidden spikes of a few samples on the left, learning curve with the epoch kept on the right.

    Shapes: spikes [T, samples, neurons], one name per sample.
    """
    made = figure(13, 4.5)
    left, right = made.subplots(1, 2, width_ratios=(2, 1))
    raster(spikes, names, left)
    draw_learning_curve(right, epochs, kept)
    made.suptitle(title)
    return made
