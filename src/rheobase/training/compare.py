"""Several neurons on equal terms: same data, split and order, same initial weights, same settings, several seeds."""

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from statistics import mean, stdev
from typing import Any

from rheobase.data import DataSet
from rheobase.neurons.named import slug, warn_of_changes
from rheobase.training import checkpoint, record
from rheobase.training.config import Config
from rheobase.training.loop import train
from rheobase.training.record import RECORD
from rheobase.training.task import check, with_data


@dataclass(frozen=True)
class Row:
    """The runs of one neuron, one record per seed."""

    neuron: str
    records: tuple[dict[str, Any], ...]

    def summary(self, quantity: str) -> tuple[float, float]:
        """Mean and standard deviation over the seeds of a test quantity: accuracy, loss or firing_rate."""
        values = [found["test"][quantity] for found in self.records]
        return mean(values), stdev(values) if len(values) > 1 else 0.0


def compare(
    config: Config,
    neurons: Sequence[str],
    seeds: Sequence[int],
    folder: Path | str,
    *,
    command: str = "",
    again: str = "",
    console=None,
    data_set: DataSet | None = None,
) -> list[Row]:
    """Train every neuron (`name`, or `name:option=value:...`) with every seed and return one row per neuron.

    `again`: the command that goes on with a comparison that stops, for its message.
    A run that is already complete in `folder` is not trained again, an interrupted one goes on.
    Errors: ValueError for a neuron, an option or a seed that cannot be, and for a folder with other settings, before
    the first run.
    """
    config = with_data(config, data_set)
    runs = {(spec, seed): config.with_neuron(spec).but(seed=seed) for spec in neurons for seed in seeds}
    places = {(spec, seed): Path(folder) / f"{slug(spec)}-seed{seed}" for spec, seed in runs}
    done = {run: _done(one, places[run]) for run, one in runs.items()}
    for run, found in done.items():
        warn_of_changes(runs[run].neuron, found or {}, places[run], "its numbers are those of the old one")
    missing = {run[0]: one for run, one in runs.items() if done[run] is None}
    check(list(missing.values()), data_set)
    rows = []
    for spec in neurons:
        records = []
        for seed in seeds:
            place = places[spec, seed]
            if console is not None:
                console.print(f"{spec}, seed {seed}, in {place}", highlight=False, markup=False, soft_wrap=True)
            found = _done(runs[spec, seed], place)
            if found is None:
                resume = (place / checkpoint.CURRENT).exists()
                how = {"command": command, "again": again, "console": console, "data_set": data_set}
                found = train(runs[spec, seed], place, resume=resume, **how)
            records.append(found)
        rows.append(Row(spec, tuple(records)))
    return rows


def _done(config: Config, folder: Path) -> dict[str, Any] | None:
    """The record of a run that is complete. Errors: ValueError where it, or the beginning of one, is of another."""
    found = record.read(folder / RECORD) if (folder / RECORD).exists() else None
    if found is not None and Config.from_dict(found["config"]) != config:
        raise ValueError(f"{folder} holds a run with other settings. Choose another --out, or delete it.")
    return found if found is not None and "test" in found else None
