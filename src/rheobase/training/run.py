"""A run in progress: what one epoch and one step do, and everything that a checkpoint holds."""

from __future__ import annotations

import contextlib
import json
import math
import shlex
import time
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import safetensors.torch
import torch
from torch import Tensor, nn

from rheobase.data import Batch
from rheobase.fuse.operator import last_backend
from rheobase.models.saved import checksum
from rheobase.neurons.learned import learned, summary
from rheobase.neurons.named import fingerprint, warn_of_changes
from rheobase.training import checkpoint, record
from rheobase.training.averaging import Average
from rheobase.training.config import Config
from rheobase.training.distributed import Group
from rheobase.training.evaluation import evaluate
from rheobase.training.firing import FiringRate
from rheobase.training.interrupt import Interruption
from rheobase.training.log import Log, peak_memory
from rheobase.training.losses import objective
from rheobase.training.optimizers import learning_rate, optimizer
from rheobase.training.precision import autocast, scaler, widened
from rheobase.training.progress import Reporter
from rheobase.training.record import RECORD, WEIGHTS
from rheobase.training.stateless import compile_stateless
from rheobase.training.task import Task, exchange, exchanged


class Interrupted(RuntimeError):
    """The run was asked to stop; its checkpoint is complete."""


class Diverged(RuntimeError):
    """Loss or gradient is no longer finite; the last good checkpoint stays."""


@dataclass
class Progress:
    """Where a run stands: everything of a checkpoint that is not a module, an optimiser or a generator."""

    epoch: int = 0
    position: int = 0  # batches of this epoch that are done
    loss: float = 0.0
    correct: int = 0
    seen: int = 0
    seconds: float = 0.0
    history: list[dict[str, Any]] = field(default_factory=list)
    best: float = math.inf  # what `select` looks at: the lower the better
    best_epoch: int = 0
    best_weights: dict[str, Tensor] = field(default_factory=dict)

    def finished(self, config: Config) -> bool:
        """All epochs are done, or none was better for `patience` epochs, counted from an exchange of the neuron."""
        waited = self.epoch - max(self.best_epoch, config.exchange_after or 0)
        return self.epoch >= config.epochs or (config.patience is not None and waited >= config.patience)


class Run:
    """A run in progress: a task, its optimiser, its generator of batch orders, and where it stands."""

    def __init__(self, task: Task, folder: Path, group: Group, command: str, again: str = ""):
        self.task, self.folder, self.group, self.config = task, folder, group, task.config
        config, model = task.config, task.model
        self.again = again or f"rheobase train --resume {shlex.quote(str(folder))}"
        self.batches = math.ceil(len(task.train) / config.batch)
        self._refuse_empty_parts()
        if config.compile:
            compile_stateless(model)
        self.network = group.wrap(model, task.device)
        self.optimizer = optimizer(config, model.named_parameters())
        self.scaler = scaler(config, task.device)
        self.average = None if config.average is None else Average(model, config.average)
        self.objective = objective(config.loss, config.loss_options)
        self.order = torch.Generator().manual_seed(config.seed)
        self.order_at_epoch = self.order.get_state()
        self.progress, self.log = Progress(), Log(None)
        self.exchanged = False
        self.circumstances = record.circumstances(command) | fingerprint(config.neuron)

    @property
    def step(self) -> int:
        """Steps of the optimiser so far."""
        return self.progress.epoch * self.batches + self.progress.position

    def train_epoch(self, interruption: Interruption, reporter: Reporter, checkpoint_seconds: float) -> None:
        """Train on the batches of this epoch that are still to do."""
        progress, task = self.progress, self.task
        self._exchange_when_due(progress.epoch + 1)
        self.order.set_state(self.order_at_epoch)
        order = task.order(self.order)
        started = saved = time.monotonic()
        before = progress.seconds
        task.model.train()
        for batch in task.training_batches(order, progress.epoch, progress.position, self.group):
            self.train_batch(batch)
            progress.position += 1
            progress.seconds = before + time.monotonic() - started
            reporter.batch()
            due = time.monotonic() - saved >= checkpoint_seconds
            stop, due = self.group.sum([interruption.requested, due and self.group.first])
            if stop or due:
                self.save()
                saved = time.monotonic()
            if stop:
                where = f"after batch {progress.position} of epoch {progress.epoch + 1}"
                raise Interrupted(f"Stopped {where}. Go on with: {self.go_on}")

    def train_batch(self, batch: Batch) -> None:
        """One step of the optimiser."""
        rate = learning_rate(self.config, self.step, self.batches)
        for group in self.optimizer.param_groups:
            group["lr"] = rate * group.get("pace", 1.0)
        self.optimizer.zero_grad()
        logged, firing = self.step % self.config.log_every == 0, FiringRate(self.task.model)
        with firing if logged else contextlib.nullcontext():
            loss, correct, count = self.group.sum([*self._backward(batch, firing), len(batch.labels)])
        self.scaler.unscale_(self.optimizer)
        norm = nn.utils.clip_grad_norm_(self.task.model.parameters(), self.config.clip or math.inf).item()
        self._refuse_divergence(loss / count, norm)
        self.scaler.step(self.optimizer)
        self.scaler.update()
        if self.average is not None:
            self.average.update()
        progress = self.progress
        progress.loss, progress.correct = progress.loss + loss, progress.correct + int(correct)
        progress.seen += int(count)
        if logged:
            values = {"loss": loss / count, "accuracy": correct / count, "gradient_norm": norm, "learning_rate": rate}
            self.log.write("step", self.step + 1, {**values, "firing_rate": firing.rate})

    def _backward(self, batch: Batch, firing: FiringRate) -> tuple[float, int]:
        """Gradients of this process's part of the batch, piece by piece; its summed loss and correct predictions."""
        total, correct = 0.0, 0
        pieces = batch.pieces(self.config.accumulate)
        for k, piece in enumerate(pieces):
            lengths = firing.lengths = piece.lengths if self.config.mask_padding else None
            with self.group.alone(self.network, k < len(pieces) - 1):
                with autocast(self.config, self.task.device):
                    readout = widened(self.network(piece.sequence()))
                labels = piece.labels if piece.targets is None else piece.targets
                value = self.objective.loss(readout, labels, lengths)
                weight = self.group.weight(len(piece.labels), batch.total)
                self.scaler.scale(value if weight == 1 else value * weight).backward()
            total += value.item() * len(piece.labels)
            correct += self.objective.correct(readout.detach(), piece.labels, lengths)
        return total, correct

    def close_epoch(self, reporter: Reporter) -> None:
        """Validate, note the epoch, keep the weights if they are the best, and write a checkpoint."""
        progress, started = self.progress, time.monotonic()
        with self._evaluated_weights():
            score = evaluate(self.task, self.task.validation, self.group)
            best = self._keep_the_best(score.loss, score.accuracy)
            learnt = summary(learned(self.task.model))
        row = {
            "epoch": progress.epoch + 1,
            "train_loss": progress.loss / progress.seen,
            "train_accuracy": progress.correct / progress.seen,
            "validation_loss": score.loss,
            "validation_accuracy": score.accuracy,
            "firing_rate": score.firing_rate,
            "learning_rate": self.optimizer.param_groups[0]["lr"],
            "seconds": progress.seconds + time.monotonic() - started,
            "samples_per_second": progress.seen / progress.seconds,
            "peak_memory": peak_memory(self.task.device),
            **({"learned": learnt} if learnt else {}),
        }
        if hasattr(self.task.model, "epoch_summary"):
            row |= self.task.model.epoch_summary()  # pyright: ignore[reportCallIssue]
        progress.history.append(row)
        progress.epoch, progress.position = progress.epoch + 1, 0
        progress.loss, progress.correct, progress.seen, progress.seconds = 0.0, 0, 0, 0.0
        self.order_at_epoch = self.order.get_state()
        self.log.write("epoch", self.step, row)
        self.save()
        if self.group.first:
            record.write(self.folder / RECORD, self.record())
        reporter.epoch(row, best)

    def finish(self, test: bool) -> dict[str, Any]:
        """Evaluate the test set with the best weights, unless told not to; write these weights and the record."""
        if not self.progress.best_weights:
            raise Diverged(f"No epoch had a finite validation loss; there are no weights to keep. See {self.folder}.")
        self._exchange_when_due(self.progress.best_epoch)
        self.task.model.load_state_dict(self.progress.best_weights)
        score = {"test": vars(evaluate(self.task, self.task.test, self.group))} if test else {}
        complete = {**self.record(), "weights": WEIGHTS, **score}
        if test:
            self.log.write("test", self.step, complete["test"])
        if self.group.first:
            kept, config = self.progress.best_weights, json.dumps(self.config.as_dict())
            metadata = {"config": config, "epoch": str(self.progress.best_epoch), "sha256": checksum(kept)}
            checkpoint.write_atomically(self.folder / WEIGHTS, safetensors.torch.save(kept, metadata))
            record.write(self.folder / RECORD, complete)
        return complete

    def record(self) -> dict[str, Any]:
        """The record so far."""
        task, progress = self.task, self.progress
        return {
            **self.circumstances,
            "config": self.config.as_dict(),
            "data_note": task.note,
            "device": str(task.device),
            "processes": self.group.size,
            "backend": str(last_backend()),
            "parameters": sum(p.numel() for p in task.model.parameters()),
            "samples": {part: len(getattr(task, part)) for part in ("train", "validation", "test")},
            "best_epoch": progress.best_epoch,
            "seconds": sum(row["seconds"] for row in progress.history),
            "epochs": progress.history,
        }

    @property
    def go_on(self) -> str:
        """How to carry on with this run."""
        return self.again if self.group.size == 1 else f"torchrun --nproc-per-node {self.group.size} -m {self.again}"

    def save(self) -> None:
        """Write a checkpoint of everything that decides how the run goes on."""
        random = self.group.gather(checkpoint.random_state())
        if not self.group.first:
            return
        state = {
            "config": self.config.as_dict(),
            "circumstances": self.circumstances,
            "model": self.task.model.state_dict(),
            "optimizer": self.optimizer.state_dict(),
            "scaler": self.scaler.state_dict(),
            "average": None if self.average is None else self.average.state_dict(),
            "order": self.order_at_epoch,
            "random": random,
            "progress": vars(self.progress),
        }
        checkpoint.save(self.folder, state)

    def restore(self, state: dict[str, Any]) -> None:
        """Continue where `state` was written.

        Errors: ValueError where it was written by another number of processes: their noise could not go on as it was.
        """
        before = len(state["random"])
        if before != self.group.size:
            raise ValueError(
                f"{self.folder} was written by {before} processes; this is a run of {self.group.size}. "
                f"Start as many: torchrun --nproc-per-node {before} -m {self.again}"
            )
        self.task.model.load_state_dict(state["model"])
        self.optimizer.load_state_dict(state["optimizer"])
        self.scaler.load_state_dict(state["scaler"])
        if self.average is not None:
            self.average.load_state_dict(state["average"])
        self.order_at_epoch = state["order"]
        self.order.set_state(self.order_at_epoch)
        self.progress = Progress(**state["progress"])
        warn_of_changes(self.config.neuron, state["circumstances"], self.folder)
        self.circumstances = state["circumstances"]
        checkpoint.restore_random_state(state["random"][self.group.rank])

    def _exchange_when_due(self, epoch: int) -> None:
        """Make this the network of `epoch`; the best weights from before are another network's and are forgotten."""
        progress = self.progress
        if self.exchanged or not exchanged(self.config, epoch):
            return
        exchange(self.task)
        self.exchanged = True
        if not exchanged(self.config, progress.best_epoch):
            progress.best, progress.best_weights = math.inf, {}

    def _evaluated_weights(self) -> contextlib.AbstractContextManager:
        return contextlib.nullcontext() if self.average is None else self.average.applied()

    def _keep_the_best(self, loss: float, accuracy: float) -> bool:
        progress = self.progress
        measure = {"loss": loss, "accuracy": -accuracy, "last": -float(progress.epoch)}[self.config.select]
        best = measure < progress.best
        if best:
            progress.best, progress.best_epoch = measure, progress.epoch + 1
            kept = self.task.model.state_dict().items()
            progress.best_weights = {k: v.detach().cpu().clone(memory_format=torch.contiguous_format) for k, v in kept}
        return best

    def _refuse_divergence(self, loss: float, norm: float) -> None:
        """Infinite gradients are normal while float16's scale is still falling: the scaler leaves those steps out."""
        searching = self.scaler.is_enabled() and self.scaler.get_scale() > 1
        if math.isfinite(loss) and (math.isfinite(norm) or searching):
            return
        progress = self.progress
        raise Diverged(
            f"The loss is {loss:g} and the gradient norm {norm:g} in batch {progress.position + 1} of epoch "
            f"{progress.epoch + 1}; training stopped. The last good checkpoint is in {self.folder}. "
            f"Try a lower --learning-rate (it was {self.config.learning_rate:g}) or a smaller --clip."
        )

    def _refuse_empty_parts(self) -> None:
        """Every process needs a part of the last batch of an epoch; a part is an even number of samples."""
        ranks, last = self.group.size, len(self.task.train) - (self.batches - 1) * self.config.batch
        share = 2 * math.ceil(last / ranks / 2)
        if ranks > 1 and (ranks - 1) * share >= last:
            raise ValueError(
                f"the last batch of an epoch has {last} samples, too few for {ranks} processes. "
                f"Choose another --batch (it is {self.config.batch} of {len(self.task.train)})."
            )
