"""Figures, one per function; the only user of matplotlib (`pip install 'rheobase[plots]'`)."""

from rheobase.plots.landscapes import landscape_lines, landscape_planes
from rheobase.plots.learning import learning_curve, learning_with_activity
from rheobase.plots.overview import training_overview
from rheobase.plots.raster import raster
from rheobase.plots.silence import silence
from rheobase.plots.sweeps import sweep_overview

__all__ = [
    "landscape_lines",
    "landscape_planes",
    "learning_curve",
    "learning_with_activity",
    "raster",
    "silence",
    "sweep_overview",
    "training_overview",
]
