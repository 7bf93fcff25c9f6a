"""Training: a config goes in, a checkpointed run and its record come out."""

from rheobase.training.compare import Row, compare
from rheobase.training.config import Config
from rheobase.training.distributed import WorkerLost, join
from rheobase.training.evaluation import Score, evaluate
from rheobase.training.firing import FiringRate, record_spikes
from rheobase.training.loop import publish, train
from rheobase.training.losses import OBJECTIVES, Objective, objective
from rheobase.training.run import Diverged, Interrupted
from rheobase.training.task import prepare, restore_task

__all__ = [
    "OBJECTIVES",
    "Config",
    "Diverged",
    "FiringRate",
    "Interrupted",
    "Objective",
    "Row",
    "Score",
    "WorkerLost",
    "compare",
    "evaluate",
    "join",
    "objective",
    "prepare",
    "publish",
    "record_spikes",
    "restore_task",
    "train",
]
