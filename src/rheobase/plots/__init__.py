"""Figures, one per function; the only user of matplotlib (`pip install 'rheobase[plots]'`)."""

from rheobase.plots.activity import (
    activity_autocorrelations,
    activity_intervals,
    activity_layers,
    activity_potentials,
    activity_steps,
    activity_weights,
)
from rheobase.plots.confusion import confusion_matrix
from rheobase.plots.energy import energy
from rheobase.plots.exchange import exchange_losses, exchange_search, exchange_steps
from rheobase.plots.gradients import (
    exact_surrogates,
    gradient_parts,
    gradient_reach,
    surrogate_widths,
)
from rheobase.plots.history import training_history
from rheobase.plots.landscapes import landscape_lines, landscape_planes
from rheobase.plots.learned import learned_over_layers
from rheobase.plots.learning import learning_curve, learning_with_activity
from rheobase.plots.overview import training_overview
from rheobase.plots.raster import raster
from rheobase.plots.response import memories, responses, spike_functions
from rheobase.plots.scores import scores
from rheobase.plots.silence import silence
from rheobase.plots.spread import learned_over_epochs, spread
from rheobase.plots.studies import accuracy_grid, accuracy_lines
from rheobase.plots.sweeps import sweep_overview

__all__ = [
    "accuracy_grid",
    "accuracy_lines",
    "activity_autocorrelations",
    "activity_intervals",
    "activity_layers",
    "activity_potentials",
    "activity_steps",
    "activity_weights",
    "confusion_matrix",
    "energy",
    "exact_surrogates",
    "exchange_losses",
    "exchange_search",
    "exchange_steps",
    "gradient_parts",
    "gradient_reach",
    "landscape_lines",
    "landscape_planes",
    "learned_over_epochs",
    "learned_over_layers",
    "learning_curve",
    "learning_with_activity",
    "memories",
    "raster",
    "responses",
    "scores",
    "silence",
    "spike_functions",
    "spread",
    "surrogate_widths",
    "sweep_overview",
    "training_history",
    "training_overview",
]
