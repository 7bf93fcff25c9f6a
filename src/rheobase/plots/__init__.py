"""Figures, one per function; the only user of matplotlib (`pip install 'rheobase[plots]'`)."""

from rheobase.plots.confusion import confusion_matrix
from rheobase.plots.energy import energy
from rheobase.plots.history import training_history
from rheobase.plots.landscapes import landscape_lines, landscape_planes
from rheobase.plots.layers import layers_over_time
from rheobase.plots.learning import learning_curve, learning_with_activity
from rheobase.plots.overview import training_overview
from rheobase.plots.raster import raster
from rheobase.plots.scores import scores
from rheobase.plots.silence import silence
from rheobase.plots.spread import spread
from rheobase.plots.sweeps import sweep_overview

__all__ = [
    "confusion_matrix",
    "energy",
    "landscape_lines",
    "landscape_planes",
    "layers_over_time",
    "learning_curve",
    "learning_with_activity",
    "raster",
    "scores",
    "silence",
    "spread",
    "sweep_overview",
    "training_history",
    "training_overview",
]
