"""Training: a config goes in, a checkpointed run and its record come out."""

from rheobase.training.compare import Row, compare
from rheobase.training.config import Config
from rheobase.training.firing import FiringRate, record_spikes
from rheobase.training.loop import Diverged, Interrupted, Score, evaluate, prepare, publish, restore_task, train
from rheobase.training.losses import OBJECTIVES, Objective, objective

__all__ = [
    "OBJECTIVES",
    "Config",
    "Diverged",
    "FiringRate",
    "Interrupted",
    "Objective",
    "Row",
    "Score",
    "compare",
    "evaluate",
    "objective",
    "prepare",
    "publish",
    "record_spikes",
    "restore_task",
    "train",
]
