"""Results that are there: records of finished runs under a folder, and the last runs of sweeps."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path
from statistics import mean, stdev
from typing import Any

from rheobase.training.config import Config
from rheobase.training.settings import MachineSettings

IGNORED = {"seed", "recipe", *MachineSettings.__dataclass_fields__}  # they change how, not what
DEFAULTS = Config().as_dict()


def records(folder: Path) -> Iterator[dict[str, Any]]:
    """The records of all finished runs in the .json files under `folder`; other files are left out.

    The last runs of a sweep come as records with the config that it started from as `swept`.
    """
    for path in sorted(folder.rglob("*.json")):
        try:
            content = json.loads(path.read_text())
        except ValueError:
            continue
        if isinstance(content, dict):
            yield from (one for one in (content, *_swept(content)) if {"config", "test", "epochs"} <= set(one))


def _swept(content: dict[str, Any]) -> Iterator[dict[str, Any]]:
    """The last runs in a report of `rheobase sweep`."""
    studies = content.get("studies")
    for study in studies.values() if isinstance(studies, dict) else ():
        yield from ({**one, "swept": study["config"]} for one in study.get("final", {}).get("runs", ()))


def of(found: list[dict[str, Any]], config: Config) -> list[dict[str, Any]]:
    """The runs of this config; where there is none, those of a sweep that started from it, of any number of epochs."""
    swept = [one for one in found if "swept" in one]
    wanted = _what(config.as_dict())
    return [one for one in found if _what(one["config"]) == wanted] or [
        one for one in swept if _what({**one["swept"], "epochs": config.epochs}) == wanted
    ]


def same(found: dict[str, Any], config: Config) -> bool:
    """Whether a record is a run of this config, whatever its seed and machine."""
    return _what(found["config"]) == _what(config.as_dict())


def _what(values: dict[str, Any]) -> dict[str, Any]:
    """The fields of a config, or of a record from before some of them, that say what was trained."""
    known = {name: value for name, value in {**DEFAULTS, **values}.items() if name not in IGNORED}
    return {name: tuple(value) if isinstance(value, list) else value for name, value in known.items()}


def summary(found: list[dict[str, Any]]) -> str:
    """Test accuracies as `mean ± deviation (runs)`, in percent; empty without runs."""
    values = [100 * one["test"]["accuracy"] for one in found]
    if not values:
        return ""
    kind = "swept" if "swept" in found[0] else "runs"
    if len(values) == 1:
        return f"{values[0]:.2f}" + (" (swept)" if kind == "swept" else "")
    return f"{mean(values):.2f} ± {stdev(values):.2f} ({len(values)} {kind})"
