"""Several neurons on equal terms: same data, split and order, same initial weights, same settings, several seeds."""

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from statistics import mean, stdev
from typing import Any

from rheobase.data import DataSet
from rheobase.neurons.named import slug
from rheobase.training import checkpoint, record
from rheobase.training.config import Config
from rheobase.training.loop import train
from rheobase.training.task import RECORD, with_data


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
    console=None,
    data_set: DataSet | None = None,
) -> list[Row]:
    """Train every neuron (`name`, or `name:option=value:...`) with every seed and return one row per neuron.

    A run that is already complete in `folder` is not trained again, an interrupted one goes on.
    """
    config = with_data(config, data_set)
    configs = {spec: config.with_neuron(spec) for spec in neurons}
    rows = []
    for spec, changed in configs.items():
        records = []
        for seed in seeds:
            place = Path(folder) / f"{slug(spec)}-seed{seed}"
            if console is not None:
                console.print(f"{spec}, seed {seed}, in {place}", highlight=False, markup=False, soft_wrap=True)
            records.append(_run(changed.but(seed=seed), place, command, console, data_set))
        rows.append(Row(spec, tuple(records)))
    return rows


def _run(config: Config, folder: Path, command: str, console, data_set: DataSet | None) -> dict[str, Any]:
    found = record.read(folder / RECORD) if (folder / RECORD).exists() else None
    if found is not None and Config.from_dict(found["config"]) != config:
        raise ValueError(f"{folder} holds a run with other settings. Choose another --out, or delete it.")
    if found is not None and "test" in found:
        return found
    resume = (folder / checkpoint.CURRENT).exists()
    return train(config, folder, resume=resume, command=command, console=console, data_set=data_set)
