"""Evaluation: what a network scores on samples, without changing anything."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import torch
from torch import Tensor

from rheobase.data import Batch, Samples
from rheobase.training.distributed import Group
from rheobase.training.firing import FiringRate
from rheobase.training.losses import objective
from rheobase.training.precision import autocast, widened
from rheobase.training.task import Task


@dataclass(frozen=True)
class Score:
    """Result of an evaluation: mean loss, share of correct predictions, spikes per neuron and step."""

    loss: float
    accuracy: float
    firing_rate: float


@torch.no_grad()
def evaluate(
    task: Task,
    samples: Samples,
    group: Group | None = None,
    *,
    passes: int = 1,
    firing: FiringRate | None = None,
    seen: Callable[[Batch, Tensor], None] | None = None,
) -> Score:
    """Loss, accuracy and firing rate of the model on samples, over all processes of a group.

    Noise comes from the config's seed, and torch's generators are left as they were: evaluating changes nothing, and
    the same weights give the same score again. With `passes` above 1 a network that draws its spikes sees each batch as
    often, and the mean of its readouts is judged. `firing` counts spikes in more detail than the rate; `seen` gets
    every batch with its readout.
    Errors: ValueError for fewer than one pass.
    """
    if passes < 1:
        raise ValueError(f"evaluate: needs at least one pass; got {passes}.")
    group = group or Group()
    config, total, correct = task.config, 0.0, 0
    goal = objective(config.loss, config.loss_options)
    task.model.eval()
    with torch.random.fork_rng(range(torch.cuda.device_count())), firing or FiringRate(task.model) as firing:
        torch.manual_seed(config.seed + group.rank)
        for batch in task.evaluation_batches(samples, group):
            if not len(batch.labels):
                continue
            lengths = firing.lengths = batch.lengths if config.mask_padding else None
            with autocast(config, task.device):
                x = batch.sequence()
                readouts = [task.model(x) for _ in range(passes)]
            # A single one is judged in the type it has, as the records were: in bfloat16 a few classes tie.
            readout = readouts[0] if passes == 1 else sum(map(widened, readouts[1:]), widened(readouts[0])) / passes
            if seen is not None:
                seen(batch, readout)
            total += goal.loss(widened(readout), batch.labels, lengths).item() * len(batch.labels)
            correct += goal.correct(readout, batch.labels, lengths)
    total, right, spikes, places = group.sum([total, correct, firing.spikes, firing.places])
    return Score(total / len(samples), right / len(samples), spikes / places if places else float("nan"))
