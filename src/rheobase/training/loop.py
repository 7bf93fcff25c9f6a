"""The training loop: from a config to a trained network and its record, resumable at any batch, bit for bit."""

from __future__ import annotations

import json
import math
import time
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import safetensors
import safetensors.torch
import torch
from torch import Tensor, nn

from rheobase import data, models
from rheobase.data import Samples
from rheobase.data.encodings import Encoding
from rheobase.fuse.operator import last_backend
from rheobase.training import checkpoint, record
from rheobase.training.config import Config
from rheobase.training.firing import FiringRate
from rheobase.training.interrupt import Interruption
from rheobase.training.losses import objective
from rheobase.training.memory import keep_pages
from rheobase.training.progress import Reporter

RECORD, WEIGHTS = "record.json", "weights.safetensors"


class Interrupted(RuntimeError):
    """The run was asked to stop; its checkpoint is complete."""


class Diverged(RuntimeError):
    """Loss or gradient is no longer finite; the last good checkpoint stays."""


@dataclass(frozen=True)
class Task:
    """What a config stands for: samples, their encoding, a model, and where it runs."""

    config: Config
    train: Samples
    validation: Samples
    test: Samples
    encode: Encoding
    model: nn.Module
    device: torch.device


@dataclass(frozen=True)
class Score:
    """Result of an evaluation: mean loss, share of correct predictions, spikes per neuron and step."""

    loss: float
    accuracy: float
    firing_rate: float


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
    best_loss: float = math.inf
    best_epoch: int = 0
    best_weights: dict[str, Tensor] = field(default_factory=dict)

    def finished(self, config: Config) -> bool:
        """All epochs are done, or the validation loss has not fallen for `patience` epochs."""
        waited = self.epoch - self.best_epoch
        return self.epoch >= config.epochs or (config.patience is not None and waited >= config.patience)


def prepare(config: Config) -> Task:
    """Load the data, split it, and build the model with the weights of the config's seed."""
    found = data.load(config.data)
    if config.validation_speaker is None:
        train, validation = data.hold_out_fraction(found.train, config.validation_fraction)
    else:
        train, validation = data.hold_out_group(found.train, config.validation_speaker)
    encode = data.encoding(config.encoding, config.steps) if config.encoding else found.encoding
    steps, _, *shape = encode(train.values[:1] * train.scale).shape
    torch.manual_seed(config.seed)
    model = models.create(
        config.model,
        neuron=config.neuron,
        num_classes=found.classes,
        in_channels=math.prod(shape),
        hidden=config.hidden,
        readout_tau=config.readout_tau,
        readout_tau_std=config.readout_tau_std,
        learn_readout_tau=config.learn_readout_tau,
        steps=steps,
        neuron_options=config.neuron_options,
        weight_gain=config.weight_gain,
        weight_seed=config.seed,
    )
    automatic = "cuda" if torch.cuda.is_available() else "cpu"
    device = torch.device(automatic if config.device == "auto" else config.device)
    return Task(config, train, validation, found.test, encode, model.to(device), device)


def train(
    config: Config | None,
    folder: Path,
    *,
    resume: bool = False,
    previous: bool = False,
    command: str = "",
    console=None,
    checkpoint_seconds: float = 300.0,
) -> dict[str, Any]:
    """Train as `config` says and return the record; checkpoint, record and best weights lie in `folder`.

    With `resume`, carry on from the folder's checkpoint (`previous`: from the one before it) with the config in it.
    A checkpoint is written before the first epoch, after each one, every `checkpoint_seconds` within one, and when the
    process is asked to stop. The test set is evaluated once, at the end, with the weights of lowest validation loss.
    Errors: Interrupted and Diverged say how to go on; ValueError and FileNotFoundError for config, data and checkpoint.
    """
    state = checkpoint.load(folder, previous) if resume else None
    config = Config.from_dict(state["config"]) if state else config
    if config is None:
        raise ValueError("train: needs a config, or a folder to resume.")
    if state is None and (folder / checkpoint.CURRENT).exists():
        raise ValueError(f"{folder} already holds a run. Resume it with --resume {folder}, or choose another folder.")
    keep_pages()
    task = prepare(config)
    run = Run(task, folder, command, checkpoint_seconds)
    if state is None:
        run.save()
    else:
        run.restore(state)
    title = f"{config.neuron} on {config.data}"
    reporter = Reporter(console, title, config.epochs * run.batches, run.step)
    with Interruption() as interruption, reporter:
        while not run.progress.finished(config):
            run.train_epoch(interruption, reporter)
            run.close_epoch(reporter)
    return run.finish()


class Run:
    """A run in progress: a task, its optimiser, its generator of batch orders, and where it stands."""

    def __init__(self, task: Task, folder: Path, command: str, checkpoint_seconds: float):
        self.task, self.folder, self.checkpoint_seconds = task, folder, checkpoint_seconds
        self.config = task.config
        self.optimizer = torch.optim.Adam(task.model.parameters(), lr=self.config.learning_rate)
        self.objective = objective(self.config.loss)
        self.order = torch.Generator().manual_seed(self.config.seed)
        self.order_at_epoch = self.order.get_state()
        self.progress = Progress()
        self.batches = math.ceil(len(task.train) / self.config.batch)
        self.circumstances = record.circumstances(command)

    @property
    def step(self) -> int:
        """Steps of the optimiser so far."""
        return self.progress.epoch * self.batches + self.progress.position

    def train_epoch(self, interruption: Interruption, reporter: Reporter) -> None:
        """Train on the batches of this epoch that are still to do."""
        progress, task = self.progress, self.task
        self.order.set_state(self.order_at_epoch)
        order = torch.randperm(len(task.train), generator=self.order)
        started = saved = time.monotonic()
        before = progress.seconds
        task.model.train()
        for batch in data.batches(task.train, task.encode, self.config.batch, order, progress.position):
            self.train_batch(batch.to(task.device))
            progress.position += 1
            progress.seconds = before + time.monotonic() - started
            reporter.batch()
            if interruption.requested:
                self.save()
                raise Interrupted(
                    f"Stopped after batch {progress.position} of epoch {progress.epoch + 1}. {self.go_on}"
                )
            if time.monotonic() - saved >= self.checkpoint_seconds:
                self.save()
                saved = time.monotonic()

    def train_batch(self, batch: data.Batch) -> None:
        """One step of the optimiser."""
        progress, model = self.progress, self.task.model
        for group in self.optimizer.param_groups:
            group["lr"] = learning_rate(self.config, self.step, self.config.epochs * self.batches)
        lengths = batch.lengths if self.config.mask_padding else None
        readout = model(batch.x)
        value = self.objective.loss(readout, batch.labels, lengths)
        self.optimizer.zero_grad()
        value.backward()
        norm = nn.utils.clip_grad_norm_(model.parameters(), self.config.clip or math.inf)
        if not (math.isfinite(value.item()) and math.isfinite(norm.item())):
            raise Diverged(
                f"The loss is {value.item():g} and the gradient norm {norm.item():g} in batch {progress.position + 1} "
                f"of epoch {progress.epoch + 1}; training stopped. The last good checkpoint is in {self.folder}. "
                f"Try a lower --learning-rate (it was {self.config.learning_rate:g}) or a smaller --clip."
            )
        self.optimizer.step()
        progress.loss += value.item() * len(batch.labels)
        progress.correct += self.objective.correct(readout.detach(), batch.labels, lengths)
        progress.seen += len(batch.labels)

    def close_epoch(self, reporter: Reporter) -> None:
        """Validate, note the epoch, keep the weights if they are the best, and write a checkpoint."""
        progress, started = self.progress, time.monotonic()
        score = evaluate(self.task, self.task.validation)
        row = {
            "epoch": progress.epoch + 1,
            "train_loss": progress.loss / progress.seen,
            "train_accuracy": progress.correct / progress.seen,
            "validation_loss": score.loss,
            "validation_accuracy": score.accuracy,
            "firing_rate": score.firing_rate,
            "learning_rate": self.optimizer.param_groups[0]["lr"],
            "seconds": progress.seconds + time.monotonic() - started,
        }
        progress.history.append(row)
        progress.epoch, progress.position = progress.epoch + 1, 0
        progress.loss, progress.correct, progress.seen, progress.seconds = 0.0, 0, 0, 0.0
        best = score.loss < progress.best_loss
        if best:
            progress.best_loss, progress.best_epoch = score.loss, progress.epoch
            progress.best_weights = {k: v.detach().cpu().clone() for k, v in self.task.model.state_dict().items()}
        self.order_at_epoch = self.order.get_state()
        self.save()
        record.write(self.folder / RECORD, self.record())
        reporter.epoch(row, best)

    def finish(self) -> dict[str, Any]:
        """Evaluate the test set with the best weights; write these weights and the complete record."""
        if not self.progress.best_weights:
            raise Diverged(f"No epoch had a finite validation loss; there are no weights to keep. See {self.folder}.")
        self.task.model.load_state_dict(self.progress.best_weights)
        score = evaluate(self.task, self.task.test)
        metadata = {"config": json.dumps(self.config.as_dict()), "epoch": str(self.progress.best_epoch)}
        weights = safetensors.torch.save(self.progress.best_weights, metadata)
        checkpoint.write_atomically(self.folder / WEIGHTS, weights)
        test = {"loss": score.loss, "accuracy": score.accuracy, "firing_rate": score.firing_rate}
        complete = {**self.record(), "weights": WEIGHTS, "test": test}
        record.write(self.folder / RECORD, complete)
        return complete

    def record(self) -> dict[str, Any]:
        """The record so far."""
        task, progress = self.task, self.progress
        return {
            **self.circumstances,
            "config": self.config.as_dict(),
            "device": str(task.device),
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
        return f"Go on with: rheobase train --resume {self.folder}"

    def save(self) -> None:
        """Write a checkpoint of everything that decides how the run goes on."""
        state = {
            "config": self.config.as_dict(),
            "circumstances": self.circumstances,
            "model": self.task.model.state_dict(),
            "optimizer": self.optimizer.state_dict(),
            "order": self.order_at_epoch,
            "random": checkpoint.random_state(),
            "progress": vars(self.progress),
        }
        checkpoint.save(self.folder, state)

    def restore(self, state: dict[str, Any]) -> None:
        """Continue where `state` was written."""
        self.task.model.load_state_dict(state["model"])
        self.optimizer.load_state_dict(state["optimizer"])
        self.order_at_epoch = state["order"]
        self.order.set_state(self.order_at_epoch)
        self.progress = Progress(**state["progress"])
        self.circumstances = state["circumstances"]
        checkpoint.restore_random_state(state["random"])


def learning_rate(config: Config, step: int, steps: int) -> float:
    """The learning rate at one step of the optimiser: a function of the step alone, so there is nothing to restore."""
    left = {"linear": 1 - step / steps, "cosine": (1 + math.cos(math.pi * step / steps)) / 2, "constant": 1.0}
    return config.learning_rate * left[config.schedule]


@torch.no_grad()
def evaluate(task: Task, samples: Samples) -> Score:
    """Loss, accuracy and firing rate of the model on samples.

    Noise comes from the config's seed, and torch's generators are left as they were: evaluating changes nothing, and
    the same weights give the same score again.
    """
    config, total, correct = task.config, 0.0, 0
    goal = objective(config.loss)
    task.model.eval()
    with torch.random.fork_rng(range(torch.cuda.device_count())), FiringRate(task.model) as firing:
        torch.manual_seed(config.seed)
        for batch in data.batches(samples, task.encode, config.evaluation_batch):
            batch = batch.to(task.device)
            lengths = firing.lengths = batch.lengths if config.mask_padding else None
            readout = task.model(batch.x)
            total += goal.loss(readout, batch.labels, lengths).item() * len(batch.labels)
            correct += goal.correct(readout, batch.labels, lengths)
    return Score(total / len(samples), correct / len(samples), firing.rate)


def publish(folder: Path, result: Path) -> None:
    """Copy record and weights of a finished run to `result` (.json) and a .safetensors file beside it."""
    if result.suffix != ".json":
        raise ValueError(f"a result is a .json file; got {result}.")
    weights = result.with_suffix(".safetensors")
    checkpoint.write_atomically(weights, (folder / WEIGHTS).read_bytes())
    record.write(result, {**record.read(folder / RECORD), "weights": weights.name})


def restore_task(source: Path) -> Task:
    """The task of a finished run with its best weights: from a run folder, a record, or a file of weights.

    Errors: FileNotFoundError and ValueError, naming the file.
    """
    path = source / RECORD if source.is_dir() else source
    if path.suffix == ".json":
        found = record.read(path)
        if "weights" not in found:
            raise ValueError(f"{path} is the record of an unfinished run: it has no weights yet.")
        path = path.parent / found["weights"]
    try:
        with safetensors.safe_open(path, "pt") as file:
            metadata = file.metadata() or {}
            weights = {name: file.get_tensor(name) for name in file.keys()}  # noqa: SIM118 (not a mapping)
    except safetensors.SafetensorError as error:
        raise ValueError(f"{path} is truncated or corrupt ({error}).") from error
    if "config" not in metadata:
        raise ValueError(f"{path} has no config in its metadata: it was not written by rheobase train.")
    task = prepare(Config.from_dict(json.loads(metadata["config"])))
    task.model.load_state_dict(weights)
    return task
