"""What a report measures by running a network: predictions, activity, gradients, energy, rasters, learned values."""

from __future__ import annotations

import contextlib
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, replace
from typing import Any, TypeVar

import torch
from torch import Tensor

from rheobase import data
from rheobase.analysis import gradients
from rheobase.analysis.activity import LayerActivity, Recorder
from rheobase.analysis.counts import Meter
from rheobase.analysis.energy import Report
from rheobase.analysis.energy import report as energy_report
from rheobase.analysis.energy_conventions import CONVENTIONS
from rheobase.data import Batch, Samples, valid_steps
from rheobase.neurons.learned import learned
from rheobase.report.source import Source
from rheobase.training import Score, evaluate, objective, record_spikes, restore_task
from rheobase.training.task import Task

SHOWN = 4  # samples in a raster
FEW = 128  # test samples for what takes long or much memory, spread over the set
AT_ONCE = 16  # of them
BATCH = 32  # validation samples for gradients

T = TypeVar("T")
Or = T | str  # or the reason why it is not there


@dataclass(frozen=True)
class Measured:
    """What running a network showed; what cannot be measured is the reason why.

    `labels` and `predictions` [N] are those of the test set, in its order; `activity` and `gradients` are by layer,
    `energy` by convention; `rasters` the labels of a few test samples and the spikes [T, samples, ...] of every layer
    for them; `learned` what neurons learnt, by layer and name of the value.
    """

    task: Task
    score: Score
    labels: Tensor
    predictions: Tensor
    activity: Or[dict[str, LayerActivity]]
    gradients: Or[dict[str, gradients.Split]]
    energy: Or[dict[str, Or[Report]]]
    rasters: tuple[list[int], dict[str, Tensor]]
    learned: dict[str, dict[str, Tensor]]

    @property
    def right(self) -> Tensor:
        """Which test samples are right, [N]."""
        return self.labels == self.predictions

    @property
    def confusion(self) -> Tensor:
        """Counts [label, prediction] of test samples."""
        classes = 1 + max(int(self.labels.max()), int(self.predictions.max()))
        return torch.bincount(self.labels * classes + self.predictions, minlength=classes**2).view(classes, classes)


def measure(source: Source) -> Measured:
    """Run the network of a finished run on its test set, as `rheobase eval` does, and look at it.

    Errors: ValueError and FileNotFoundError saying what is not here: weights, or data.
    """
    if not source.finished:
        raise ValueError("the run is not finished, so that it has no weights yet.")
    if not source.tested:
        raise ValueError("the run was not tested, as in a search, and a report does not look at the test set first.")
    task = restore_task(source.path)
    score, labels, predictions = _scored(task)
    few = task.test.spread(FEW)
    return Measured(
        task=task,
        score=score,
        labels=labels,
        predictions=predictions,
        activity=_or_reason(_activity, task, few),
        gradients=_or_reason(_gradients, task),
        energy=_or_reason(_energy, task, few),
        rasters=_rasters(task),
        learned=learned(task.model),
    )


def _or_reason(make: Callable[..., T], *arguments: Any) -> T | str:
    try:
        return make(*arguments)
    except (ValueError, TypeError) as error:
        return str(error)


def _scored(task: Task) -> tuple[Score, Tensor, Tensor]:
    """The test score, noise and all as in training, with labels and predictions."""
    labels, predictions, summary = [], [], objective(task.config.loss).summary

    def keep(batch: Batch, readout: Tensor) -> None:
        lengths = batch.lengths if task.config.mask_padding else None
        labels.append(batch.labels.cpu())
        predictions.append(summary(readout, lengths).argmax(1).cpu())

    score = evaluate(task, task.test, seen=keep)
    return score, torch.cat(labels), torch.cat(predictions)


def _activity(task: Task, samples: Samples) -> dict[str, LayerActivity]:
    recorder: Any = Recorder(task.model)
    evaluate(_at_once(task), samples, firing=recorder)
    return recorder.layers


def _energy(task: Task, samples: Samples) -> dict[str, Report | str]:
    """The energy by every convention that can count this network."""
    with _noise(task), Meter(task.model) as meter:
        for start in range(0, len(samples), AT_ONCE):
            batch = _batch(task, samples, range(start, min(start + AT_ONCE, len(samples))))
            x = batch.sequence()
            if task.config.mask_padding and batch.lengths is not None:
                meter.valid = valid_steps(batch.lengths, len(x))
            task.model(x)
    layers = meter.layers()
    return {name: _or_reason(energy_report, layers, convention) for name, convention in CONVENTIONS.items()}


def _gradients(task: Task) -> dict[str, gradients.Split]:
    """Of the loss on some validation samples, in evaluation mode and float32."""
    config, goal = task.config, objective(task.config.loss, task.config.loss_options)
    some = task.validation.spread(BATCH)
    batch = _batch(task, some, range(len(some)))
    lengths = batch.lengths if config.mask_padding else None

    def loss() -> Tensor:
        return goal.loss(task.model(batch.sequence()), batch.labels, lengths)

    task.model.eval()
    with _noise(task):
        found = gradients.layers(task.model, loss, lengths)
        return {name: gradients.split(layer) for name, layer in found.items()}


@torch.no_grad()
def _rasters(task: Task) -> tuple[list[int], dict[str, Tensor]]:
    """The first test sample of each of a few classes."""
    labels = task.test.labels
    first = [int((labels == label).nonzero()[0]) for label in labels.unique()[:SHOWN]]
    batch = _batch(task, task.test, first)
    task.model.eval()
    with _noise(task):
        return batch.labels.tolist(), record_spikes(task.model, batch.sequence())


@contextlib.contextmanager
def _noise(task: Task) -> Iterator[None]:
    """The noise of the config's seed, without a trace in torch's generators."""
    with torch.random.fork_rng(range(torch.cuda.device_count())):
        torch.manual_seed(task.config.seed)
        yield


def _batch(task: Task, samples: Samples, indices: Sequence[int]) -> Batch:
    chosen = samples[torch.tensor(indices)]
    return task.place(next(data.batches(chosen, task.encode, len(chosen))))


def _at_once(task: Task) -> Task:
    """The task with smaller batches, which need less memory."""
    return replace(task, config=task.config.but(evaluation_batch=AT_ONCE))
