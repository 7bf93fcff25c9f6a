"""Hyperparameter search: trials of one config over a search space, judged by validation, never by the test set.

A study lies in a folder with a journal, or in a database. Any number of processes may work on one study, join it late,
or die: a trial whose process is gone is taken up again on the same machine, from its checkpoint, by the next process
that looks for work. A machine that never comes back keeps its trial: the study then ends one trial short.
"""

from __future__ import annotations

import contextlib
import fcntl
import json
import platform
import time
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from rheobase.exact.errors import TooManyEvents
from rheobase.neurons.named import fingerprint, warn_of_changes
from rheobase.training import checkpoint, record
from rheobase.training.config import Config
from rheobase.training.lock import Lock
from rheobase.training.loop import train
from rheobase.training.record import RECORD
from rheobase.training.run import Diverged
from rheobase.training.space import Choice, Space, as_dict, changed, check

JOURNAL, LOCK = "journal.log", "lock"
STARTUP = 5  # random trials before the sampler learns, and trials that are never pruned
WAIT = 1.0  # seconds between two looks at the trials of other processes


@dataclass(frozen=True)
class Plan:
    """What a study does: everything that must be the same for all its processes."""

    config: Config
    space: Space
    trials: int
    prune: bool = True
    seed: int = 0

    def as_dict(self) -> dict[str, Any]:
        plain = {"config": self.config.as_dict(), "space": as_dict(self.space), "trials": self.trials}
        return json.loads(json.dumps({**plain, "prune": self.prune, "seed": self.seed}))


@dataclass(frozen=True)
class Work:
    """A trial that this process trains: its folder, and the lock that says so."""

    trial: Any
    folder: Path
    lock: Any


def sweep(
    plan: Plan,
    name: str,
    folder: Path | str,
    storage: str | None = None,
    command: str = "",
    console=None,
    again: str = "",
) -> Any:
    """Work on the study `name` until its budget of trials is spent, and those of this machine's other processes are
    done; return the study of optuna.

    storage: address of a database for several machines (postgresql://..., sqlite:///...); default: a journal in
        `folder`.
    again: the command that goes on with a search that stops, for its message.
    Trials run in `folder`/`name`/trial-NNNN on every machine.
    Errors: ModuleNotFoundError without optuna; ValueError where the study exists with another plan.
    """
    check(plan.space)
    folder = Path(folder)
    study = _study(plan, name, folder, storage)
    while True:
        if (work := _next(study, plan, folder / name)) is not None:
            with work.lock:
                _run(study, work, plan, console, {"command": command, "again": again})
        elif _others_work(study):
            time.sleep(WAIT)  # a process that dies leaves its trial, which _next takes up
        else:
            return study


def _study(plan: Plan, name: str, folder: Path, storage: str | None) -> Any:
    optuna = _optuna()
    folder.mkdir(parents=True, exist_ok=True)
    study = optuna.create_study(
        storage=_storage(folder, storage),
        study_name=name,
        direction="maximize",
        load_if_exists=True,
        pruner=optuna.pruners.MedianPruner(STARTUP, 1) if plan.prune else optuna.pruners.NopPruner(),
    )
    with locked(folder / LOCK):
        kept = study.user_attrs.get("plan")
        if kept is None:
            study.set_user_attr("plan", plan.as_dict())
            study.set_user_attr("neuron", fingerprint(plan.config.neuron))
        elif {**kept, "trials": 0} != {**plan.as_dict(), "trials": 0}:
            raise ValueError(f"the study {name} in {storage or folder} has other settings. Choose another --out.")
        told = study.user_attrs.get("neuron", {})
        warn_of_changes(plan.config.neuron, told, folder, "trials that are done are those of the old one")
    return study


def _storage(folder: Path, address: str | None) -> Any:
    if address is None:
        from optuna.storages import JournalStorage
        from optuna.storages.journal import JournalFileBackend

        lock: Any = Lock(folder / f"{JOURNAL}.flock")
        return JournalStorage(JournalFileBackend(str(folder / JOURNAL), lock_obj=lock))
    from sqlalchemy.exc import SQLAlchemyError

    try:
        return _optuna().storages.get_storage(address)
    except (SQLAlchemyError, ImportError) as error:
        fix = "Write postgresql://user@host/name or sqlite:///FILE.db, and install its driver."
        raise ValueError(f"sweep: cannot open the storage ({str(error).splitlines()[0]}). {fix}") from error


def _optuna() -> Any:
    try:
        import optuna
    except ImportError as error:
        raise ModuleNotFoundError("sweeps need optuna: `pip install 'rheobase[sweep]'`") from error
    optuna.logging.set_verbosity(optuna.logging.WARNING)
    return optuna


@contextlib.contextmanager
def locked(path: Path) -> Iterator[None]:
    """Alone among the processes of this machine; the system frees the lock of a process that dies."""
    path.parent.mkdir(parents=True, exist_ok=True)
    with path.open("w") as file:
        fcntl.flock(file, fcntl.LOCK_EX)
        yield


def _next(study: Any, plan: Plan, folder: Path) -> Work | None:
    """The next trial, or None when the budget is spent. One that its process has left comes first."""
    optuna = _optuna()
    states = optuna.trial.TrialState
    with locked(folder / LOCK):
        for trial in study.get_trials(deepcopy=False, states=(states.RUNNING,)):
            if _left(trial, folder):
                study.tell(trial.number, state=states.FAIL)
                study.enqueue_trial(trial.params, user_attrs={"folder": _place(trial)})
        trials = study.get_trials(deepcopy=False)
        if sum(trial.state in (states.RUNNING, states.COMPLETE, states.PRUNED) for trial in trials) >= plan.trials:
            return None
        # Reseeded by the number of trials: what is drawn depends on the trials before, not on the process that draws.
        study.sampler = optuna.samplers.TPESampler(seed=plan.seed + len(trials), n_startup_trials=STARTUP)
        trial = study.ask()
        trial.set_user_attr("host", platform.node())
        lock = _hold(folder / _place(trial))
        for name, one in plan.space.items():
            _draw(trial, name, one)
        return Work(trial, folder / _place(trial), lock)


def _others_work(study: Any) -> bool:
    """Whether trials run on this machine: in other processes, as this one asks between its own."""
    running = study.get_trials(deepcopy=False, states=(_optuna().trial.TrialState.RUNNING,))
    return any(_is_here(trial) for trial in running)


def _is_here(trial: Any) -> bool:
    return trial.user_attrs.get("host", platform.node()) == platform.node()


def _place(trial: Any) -> str:
    return trial.user_attrs.get("folder", f"trial-{trial.number:04d}")


def _left(trial: Any, folder: Path) -> bool:
    """The trial began on this machine, and nobody holds its lock."""
    if not _is_here(trial):
        return False
    lock = _hold(folder / _place(trial))
    if lock is not None:
        lock.close()
    return lock is not None


def _hold(folder: Path) -> Any:
    """An open file whose lock says that this process works in the folder; None where another one does."""
    folder.mkdir(parents=True, exist_ok=True)
    file = (folder / LOCK).open("w")
    try:
        fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except OSError:
        file.close()
        return None
    return file


def _draw(trial: Any, name: str, one: Any) -> Any:
    if isinstance(one, Choice):
        return trial.suggest_categorical(name, one.values)
    if one.whole:
        return trial.suggest_int(name, int(one.low), int(one.high), log=one.log)
    return trial.suggest_float(name, one.low, one.high, log=one.log)


def _run(study: Any, work: Work, plan: Plan, console, commands: dict[str, Any]) -> None:
    """Train one trial and tell the study its best validation accuracy."""
    optuna, trial, folder = _optuna(), work.trial, work.folder
    reached, started = [], time.monotonic()

    def look(row: dict[str, Any]) -> None:
        reached.append(row["validation_accuracy"])
        trial.report(max(reached), row["epoch"])
        if plan.prune and trial.should_prune():
            raise optuna.TrialPruned

    resume = (folder / checkpoint.CURRENT).exists()
    if resume and (folder / RECORD).exists():
        reached += [row["validation_accuracy"] for row in record.read(folder / RECORD)["epochs"]]
    config = changed(plan.config, trial.params)
    outcome: dict[str, Any] = {}
    try:
        train(config, folder, resume=resume, console=console, after_epoch=look, test=False, **commands)
    except optuna.TrialPruned:
        outcome["state"] = optuna.trial.TrialState.PRUNED  # its value is the last one reported
    except (Diverged, TooManyEvents) as error:
        trial.set_user_attr("diverged", str(error))
    trial.set_user_attr("seconds", time.monotonic() - started)
    study.tell(trial, **(outcome or {"values": max(reached, default=0.0)}))


def report(study: Any) -> dict[str, Any]:
    """The study in numbers: best settings, importance of every parameter, every trial."""
    optuna = _optuna()
    trials = study.get_trials(deepcopy=False)
    done = [trial for trial in trials if trial.state.name in ("COMPLETE", "PRUNED") and trial.value is not None]
    complete = [trial for trial in done if trial.state.name == "COMPLETE"]
    best = max(complete, key=lambda trial: trial.value, default=None)
    importance: dict[str, float] = {}
    if len(complete) > 3 and len({trial.value for trial in complete}) > 1:
        importance = optuna.importance.get_param_importances(study)
    return {
        "best": None if best is None else {"trial": best.number, "accuracy": best.value, "settings": best.params},
        "importance": importance,
        "trials": [_row(trial) for trial in trials],
    }


def _row(trial: Any) -> dict[str, Any]:
    return {
        "number": trial.number,
        "state": trial.state.name.lower(),
        "accuracy": trial.value,
        "epochs": len(trial.intermediate_values),
        "seconds": trial.user_attrs.get("seconds"),
        "diverged": "diverged" in trial.user_attrs,
        "settings": trial.params,
    }
