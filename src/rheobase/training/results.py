"""Results that are there: records of finished runs under a folder."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from statistics import mean, stdev
from typing import Any

from rheobase.training import record
from rheobase.training.config import Config
from rheobase.training.settings import MachineSettings

IGNORED = {"seed", "recipe", *MachineSettings.__dataclass_fields__}  # they change how, not what


def records(folder: Path) -> Iterator[dict[str, Any]]:
    """The records of all finished runs in the .json files under `folder`; other files are left out."""
    for path in sorted(folder.rglob("*.json")):
        try:
            found = record.read(path)
        except ValueError:
            continue
        if "test" in found and "epochs" in found:
            yield found


def same(found: dict[str, Any], config: Config) -> bool:
    """Whether a record is a run of this config, whatever its seed and machine."""
    given, wanted = (one.as_dict() for one in (Config.from_dict(found["config"]), config))
    return all(given[name] == value for name, value in wanted.items() if name not in IGNORED)


def summary(found: list[dict[str, Any]]) -> str:
    """Test accuracies as `mean ± deviation (runs)`, in percent; empty without runs."""
    values = [100 * one["test"]["accuracy"] for one in found]
    if not values:
        return ""
    return f"{mean(values):.2f}" + (f" ± {stdev(values):.2f} ({len(values)} runs)" if len(values) > 1 else "")
