"""Figures, one per function; the only user of matplotlib (`pip install 'rheobase[plots]'`)."""

from rheobase.plots.learning import learning_curve
from rheobase.plots.overview import training_overview
from rheobase.plots.raster import raster

__all__ = ["learning_curve", "raster", "training_overview"]
