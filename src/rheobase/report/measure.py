"""What a report measures by running the network: predictions, activity, gradients, rasters, learned coefficients."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import torch
from torch import Tensor, nn

from rheobase import data
from rheobase.data import Batch, Samples, valid_steps
from rheobase.layers import spiking_layers
from rheobase.neurons.learned import learned
from rheobase.report.source import Source
from rheobase.training import FiringRate, Score, evaluate, objective, record_spikes, restore_task
from rheobase.training.task import Task

SHOWN = 4  # samples in a raster


@dataclass(frozen=True)
class LayerActivity:
    """What one spiking layer did: spikes per neuron at every step [T], and of every neuron per step [neurons]."""

    steps: Tensor
    neurons: Tensor


@dataclass(frozen=True)
class Measured:
    """What running a network showed.

    `confusion` [label, prediction] counts test samples; `gradients` are norms (gradient, weights) by parameter;
    `rasters` the labels of a few test samples and the spikes [T, samples, ...] of every layer for them; `learned` what
    neurons learnt, by layer and name of the value.
    """

    task: Task
    score: Score
    confusion: Tensor
    activity: dict[str, LayerActivity]
    gradients: dict[str, tuple[float, float]]
    rasters: tuple[list[int], dict[str, Tensor]]
    learned: dict[str, dict[str, Tensor]]


class Activity(FiringRate):
    """Counts spikes per layer, step and neuron. Steps after the end of a sequence do not count."""

    def __init__(self, model: nn.Module):
        super().__init__(model)
        self._names: dict[nn.Module, str] = {module: name for name, module in spiking_layers(model).items()}
        self._steps: dict[str, Tensor] = {}
        self._alive: dict[str, Tensor] = {}
        self._neurons: dict[str, Tensor] = {}

    def layers(self) -> dict[str, LayerActivity]:
        """The rates so far, by layer."""
        found = {}
        for name, neurons in self._neurons.items():
            alive = self._alive[name].clamp(min=1)
            found[name] = LayerActivity(self._steps[name] / (alive * len(neurons)), neurons / self._alive[name].sum())
        return found

    def _count(self, module: nn.Module, inputs: tuple, spikes: Tensor) -> None:
        super()._count(module, inputs, spikes)
        flat, name = spikes.detach().flatten(2), self._names[module]
        alive = flat.new_ones(flat.shape[:2], dtype=torch.bool)
        if self.lengths is not None:
            alive = valid_steps(self.lengths, len(flat))
        flat = flat * alive.unsqueeze(-1)
        added = {"_steps": flat.sum((1, 2), dtype=torch.float64), "_alive": alive.sum(1, dtype=torch.float64)}
        added["_neurons"] = flat.sum((0, 1), dtype=torch.float64)
        for kind, values in added.items():
            counts = getattr(self, kind)
            counts[name] = _longer(counts.get(name, values.new_zeros(0).cpu()), values.cpu())


def measure(source: Source) -> Measured:
    """Run the network of a finished run on its test set, as `rheobase eval` does, and look at it.

    Errors: ValueError and FileNotFoundError saying what is not here: weights, or data.
    """
    if not source.finished:
        raise ValueError("the run is not finished, so that it has no weights yet.")
    if not source.tested:
        raise ValueError("the run was not tested, as in a search, and a report does not look at the test set first.")
    task = restore_task(source.path)
    activity = Activity(task.model)
    confusion, summary = torch.zeros(0), objective(task.config.loss).summary

    def count(batch: Batch, readout: Tensor) -> None:
        nonlocal confusion
        classes = readout.shape[-1]
        predicted = summary(readout, batch.lengths if task.config.mask_padding else None).argmax(1)
        pairs = torch.bincount(batch.labels * classes + predicted, minlength=classes**2).view(classes, classes).cpu()
        confusion = pairs if not len(confusion) else confusion + pairs

    score = evaluate(task, task.test, firing=activity, seen=count)
    measured = activity.layers(), gradients(task), rasters(task), learned(task.model)
    return Measured(task, score, confusion, *measured)


def gradients(task: Task) -> dict[str, tuple[float, float]]:
    """Norms of (gradient, weights) by parameter: loss of the first training batch, as stored, in evaluation mode."""
    config = task.config
    batch = _batch(task, task.train, range(min(config.batch, len(task.train))))
    lengths = batch.lengths if config.mask_padding else None
    task.model.eval().zero_grad()
    with torch.random.fork_rng(range(torch.cuda.device_count())):
        torch.manual_seed(config.seed)
        objective(config.loss, config.loss_options).loss(task.model(batch.sequence()), batch.labels, lengths).backward()
    found = {}
    for name, parameter in task.model.named_parameters():
        if parameter.grad is not None:
            found[name] = (parameter.grad.norm().item(), parameter.detach().norm().item())
    task.model.zero_grad()
    return found


@torch.no_grad()
def rasters(task: Task) -> tuple[list[int], dict[str, Tensor]]:
    """Labels, and spikes [T, samples, ...] by layer, of the first test sample of each of a few classes."""
    labels = task.test.labels
    first = [int((labels == label).nonzero()[0]) for label in labels.unique()[:SHOWN]]
    batch = _batch(task, task.test, first)
    task.model.eval()
    with torch.random.fork_rng(range(torch.cuda.device_count())):
        torch.manual_seed(task.config.seed)
        return batch.labels.tolist(), record_spikes(task.model, batch.sequence())


def _batch(task: Task, samples: Samples, indices: Sequence[int]) -> Batch:
    chosen = samples[torch.tensor(indices)]
    return task.place(next(data.batches(chosen, task.encode, len(chosen))))


def _longer(a: Tensor, b: Tensor) -> Tensor:
    """The sum of two counts by step, the shorter one filled up with zeros."""
    size = max(len(a), len(b))
    return nn.functional.pad(a, (0, size - len(a))) + nn.functional.pad(b, (0, size - len(b)))
