"""What a report is made from: the record of a run, finished or not, its log, and the place of its weights."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from rheobase.names import apart
from rheobase.training import checkpoint, record
from rheobase.training.config import Config
from rheobase.training.log import LOG, lines
from rheobase.training.record import RECORD
from rheobase.training.results import IGNORED
from rheobase.training.task import read_weights


@dataclass(frozen=True)
class Source:
    """One run.

    `label` names it among the others, `record` holds what is known, `log` the lines of its log (empty without one).
    """

    path: Path
    label: str
    record: dict[str, Any]
    log: tuple[dict[str, Any], ...]

    @property
    def config(self) -> dict[str, Any]:
        """All fields of the config; those that were added since stand at their defaults."""
        return {**Config().as_dict(), **self.record["config"]}

    @property
    def epochs(self) -> list[dict[str, Any]]:
        """The rows of the epochs that are done."""
        return self.record.get("epochs", [])

    @property
    def finished(self) -> bool:
        """Whether the run has its weights: unfinished ones have checkpoints only."""
        return "weights" in self.record

    @property
    def tested(self) -> bool:
        """Whether the run looked at the test set, which is not for a report to decide."""
        return "test" in self.record

    def alike(self) -> str:
        """The same for runs that differ in seed and machine only."""
        return repr(sorted((name, repr(value)) for name, value in self.config.items() if name not in IGNORED))

    def steps(self, average: int = 1) -> list[dict[str, Any]]:
        """The logged steps, `epoch` a fraction, means over `average` lines each; empty without a log."""
        per_epoch = -(-self.record.get("samples", {}).get("train", 0) // self.config["batch"]) or self._epoch_steps()
        found = [line for line in self.log if line["kind"] == "step"]
        rows = [{**line, "epoch": line["step"] / per_epoch} for line in found] if per_epoch else []
        return [_mean(rows[start : start + average]) for start in range(0, len(rows), average)]

    def _epoch_steps(self) -> int:
        """Steps of an epoch, as the log of a run without a record knows them; before its first epoch, those so far."""
        done = [line["step"] / line["epoch"] for line in self.log if line["kind"] == "epoch"]
        return round(done[0]) if done else max((line["step"] for line in self.log), default=0)


def read(paths: Sequence[Path]) -> list[Source]:
    """The runs at these paths, labelled so that they can be told apart.

    A path is the folder of a run (from its first checkpoint on), a record (.json) or weights (.safetensors).
    Errors: ValueError and FileNotFoundError, naming the path, for anything else.
    """
    if not paths:
        raise ValueError("Name at least one run: its folder, its record (.json), or its weights.")
    return [_source(path, label) for path, label in zip(paths, apart(paths), strict=True)]


def _source(path: Path, label: str) -> Source:
    if not path.exists():
        raise FileNotFoundError(f"{path}: there is no such run. Name its folder, its record (.json) or its weights.")
    if path.suffix == ".safetensors":
        return _of_weights(path, label)
    file = path / RECORD if path.is_dir() else path
    found = record.read(file) if file.exists() else _of_checkpoint(path)
    log = path / LOG if path.is_dir() else path.parent / found["log"] if "log" in found else None
    return Source(path, label, found, tuple(lines(log)) if log else ())


def _of_checkpoint(folder: Path) -> dict[str, Any]:
    """The record of a run that has not finished an epoch. Errors: FileNotFoundError for a folder without a run."""
    try:
        state = checkpoint.load(folder)
    except FileNotFoundError:
        raise FileNotFoundError(f"{folder} holds no run: neither {RECORD} nor {checkpoint.CURRENT} is in it.") from None
    return {**state["circumstances"], "config": state["config"], "epochs": state["progress"]["history"]}


def _of_weights(path: Path, label: str) -> Source:
    """The run whose record lies beside these weights; without one, what the weights know: their config."""
    for beside in (path.with_suffix(".json"), path.parent / RECORD):
        if beside.exists() and record.read(beside).get("weights") == path.name:
            return _source(beside, label)
    return Source(path, label, {"config": read_weights(path)[0], "weights": path.name}, ())


def _mean(rows: list[dict[str, Any]]) -> dict[str, Any]:
    """The mean of every number that all rows have."""
    names = [name for name in rows[0] if all(isinstance(row.get(name), (int, float)) for row in rows)]
    return {name: sum(row[name] for row in rows) / len(rows) for name in names}
