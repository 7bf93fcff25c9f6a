"""Training: from a config to a trained network and its record, resumable at any batch, bit for bit."""

from __future__ import annotations

import contextlib
import shlex
import warnings
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import torch

from rheobase import data
from rheobase.neurons.named import expect_file
from rheobase.training import checkpoint, record
from rheobase.training.config import Config
from rheobase.training.distributed import Group, WorkerLost, join, lost, own_device
from rheobase.training.interrupt import Interruption
from rheobase.training.lock import alone
from rheobase.training.log import LOG, Log
from rheobase.training.memory import keep_pages
from rheobase.training.progress import Reporter
from rheobase.training.record import RECORD, WEIGHTS
from rheobase.training.run import Run
from rheobase.training.task import OWN, differences, prepare, with_data

SPLIT = "split.json"


def train(
    config: Config | None,
    folder: Path | str,
    *,
    resume: bool = False,
    previous: bool = False,
    command: str = "",
    again: str = "",
    console=None,
    checkpoint_seconds: float = 300.0,
    tensorboard: bool = False,
    after_epoch: Callable[[dict[str, Any]], None] | None = None,
    test: bool = True,
    data_set: data.DataSet | None = None,
) -> dict[str, Any]:
    """Train as `config` says and return the record; checkpoint, record, log and best weights lie in `folder`.

    With `resume`, carry on from the folder's checkpoint (`previous`: from the one before it) with the config in it,
    which must be `config` where one is given.
    A checkpoint is written before the first epoch, after each one, every `checkpoint_seconds` within one, and when the
    process is asked to stop. The test set is evaluated once, at the end, with the weights that `select` chose; never
    without `test`, as in a search. `after_epoch` gets the row of every epoch done; what it raises ends the run.
    `command`: what the record says was called; `again`: what goes on with a run that stops, else `train --resume`.
    `data_set`: your own data instead of a set by name. The record's `data` then says own:NAME:FINGERPRINT, and resuming
    or restoring the run takes the same data set again.
    Under torchrun all processes train together, and the first one writes.
    Errors: Interrupted, Diverged and WorkerLost say how to go on; ValueError and FileNotFoundError for config, data and
    checkpoint, and for a folder in which another process is training.
    """
    group, folder = join(), Path(folder)
    with contextlib.ExitStack() as hold:
        if folder.exists() and not folder.is_dir():
            raise NotADirectoryError(f"{folder} is a file; a run is a folder. Choose another.")
        if there := group.share(folder.exists()):
            _occupy(folder, group, hold)
        state = checkpoint.load(folder, previous) if resume else None
        config = _agreed(config and with_data(config, data_set), state, folder)
        if state:
            expect_file(config.neuron, state["circumstances"], folder)
        if state and data_set is not None and not config.data.startswith(OWN):
            raise ValueError(f"{folder} is a run on {config.data}; leave out data_set to resume it.")
        device = own_device(config.device, group)
        if device is not None:
            torch.cuda.set_device(device)
        if group.share(state is None and checkpoint.holds_run(folder)):
            resumable = (folder / checkpoint.CURRENT).exists()
            fix = f"Resume it with --resume {shlex.quote(str(folder))}, or choose" if resumable else "Choose"
            raise ValueError(f"{folder} already holds a run. {fix} another folder.")
        keep_pages()
        run = Run(prepare(config, device, data_set), folder, group, command, again)
        if not group.first:  # what processes draw differs; the first draws what one by itself would
            torch.manual_seed(config.seed + (group.rank << 32))
        parts = {name: getattr(run.task, name) for name in ("train", "validation", "test")}
        if state is None:
            if not there:
                if group.first:
                    folder.mkdir(parents=True, exist_ok=True)
                _occupy(folder, group, hold)
            if group.first:  # before the first checkpoint: where there is one, its split is known
                data.save_split(folder / SPLIT, **parts)
            run.save()
        else:
            _compare_split(folder / SPLIT, parts, group)
            run.restore(state)
            if previous and group.first:
                checkpoint.step_back(folder)
        run.log = Log(folder if group.first else None, run.step, tensorboard)
        try:
            with _repeatable(), _others_stay(run):
                _to_the_end(run, console if group.first else None, checkpoint_seconds, after_epoch)
                return run.finish(test)
        finally:
            run.log.close()


def _occupy(folder: Path, group: Group, hold: contextlib.ExitStack) -> None:
    """Keep the folder for this run until `hold` closes. Errors: ValueError where another run has it."""
    if not group.share(hold.enter_context(alone(folder)) if group.first else None):
        raise ValueError(f"{folder}: another process is training there. Wait for it, or choose another folder.")


def _compare_split(path: Path, parts: dict[str, data.Samples], group: Group) -> None:
    """Refuse data that have changed; where nothing says what they were, warn, and write down what they are now."""
    there = group.share(path.exists())
    if there:
        data.check_split(path, **parts)
    elif group.first:
        warnings.warn(f"{path} is gone: nothing says whether the data are those that the run began with.", stacklevel=3)
        data.save_split(path, **parts)


def _agreed(config: Config | None, state: dict[str, Any] | None, folder: Path) -> Config:
    """The config given and that of the checkpoint, which are one where both are there."""
    kept = Config.from_dict(state["config"]) if state else config
    if kept is None:
        raise ValueError("train: needs a config, or a folder to resume.")
    if config not in (None, kept):
        what = f"(there and here: {differences(kept, config)})"
        raise ValueError(f"{folder} holds a run with other settings {what}. Choose another folder, or delete this one.")
    return kept


@contextlib.contextmanager
def _others_stay(run: Run) -> Iterator[None]:
    """Inside, an exchange that breaks because another process is gone says how to go on."""
    try:
        yield
    except RuntimeError as error:
        if run.group.size == 1 or not lost(error):
            raise
        raise WorkerLost(
            f"Process {run.group.rank} of {run.group.size}: another process of this run is gone ({error}). "
            f"The last checkpoint stays. Go on with: {run.go_on}"
        ) from error


@contextlib.contextmanager
def _repeatable() -> Iterator[None]:
    """Inside, convolutions on a GPU sum in one order, so that a run goes on bit for bit."""
    before = torch.backends.cudnn.deterministic
    torch.backends.cudnn.deterministic = True
    try:
        yield
    finally:
        torch.backends.cudnn.deterministic = before


def _to_the_end(run: Run, console, checkpoint_seconds: float, after_epoch: Callable | None) -> None:
    config = run.config
    reporter = Reporter(console, f"{config.neuron} on {config.data}", config.epochs * run.batches, run.step)
    with Interruption() as interruption, reporter:
        while not run.progress.finished(config):
            run.train_epoch(interruption, reporter, checkpoint_seconds)
            run.close_epoch(reporter)
            if after_epoch is not None:
                after_epoch(run.progress.history[-1])


def publish(folder: Path, result: Path) -> None:
    """Copy record, weights and log of a finished run to `result` (.json), .safetensors and .jsonl files beside it."""
    if result.suffix != ".json":
        raise ValueError(f"a result is a .json file; got {result}.")
    weights = result.with_suffix(".safetensors")
    checkpoint.write_atomically(weights, (folder / WEIGHTS).read_bytes())
    log = result.with_suffix(".jsonl")
    checkpoint.write_atomically(log, (folder / LOG).read_bytes())
    record.write(result, {**record.read(folder / RECORD), "weights": weights.name, "log": log.name})
